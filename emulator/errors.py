"""Refusals of the Bot API, in Telegram's own words where they are known.

Clients tell these errors apart by the words, so the words are part of the interface. Those found nowhere
in public are ours and marked so.
"""

from __future__ import annotations

from typing import Any

JSON = dict[str, Any]


class ApiError(Exception):
    """An answer with ``ok: false``."""

    def __init__(self, code: int, description: str, parameters: JSON | None = None) -> None:
        super().__init__(code, description, parameters)
        self.code = code
        self.description = description
        self.parameters = parameters

    def to_json(self) -> JSON:
        """The response body Telegram sends."""
        body: JSON = {"ok": False, "error_code": self.code, "description": self.description}
        if self.parameters is not None:
            body["parameters"] = self.parameters
        return body


class UnusableError(Exception):
    """A person asked the emulator for something no Telegram client would do; says what."""


def bad_request(reason: str) -> ApiError:
    """Status 400; ``reason`` is what follows "Bad Request: "."""
    return ApiError(400, f"Bad Request: {reason}")


def upgraded(to_chat_id: int) -> ApiError:
    """The group has become a supergroup, which is another chat."""
    return ApiError(
        400,
        "Bad Request: group chat was upgraded to a supergroup chat",
        {"migrate_to_chat_id": to_chat_id},
    )


def forbidden(reason: str) -> ApiError:
    """Status 403; ``reason`` is what follows "Forbidden: "."""
    return ApiError(403, f"Forbidden: {reason}")


def unauthorized() -> ApiError:
    """The token is well formed but belongs to no bot here."""
    return ApiError(401, "Unauthorized")


def method_not_found() -> ApiError:
    """No Bot API method has this name."""
    return ApiError(404, "Not Found: method not found")


def not_emulated(method: str) -> ApiError:
    """A real method that the emulator does not offer (our words)."""
    return ApiError(501, f"Not Implemented: the emulator does not offer {method}")


def conflict() -> ApiError:
    """A second poller took over."""
    return ApiError(
        409,
        "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
    )


def too_many_requests(retry_after_s: int) -> ApiError:
    """Flood control: the client has to be silent for ``retry_after_s`` seconds."""
    return ApiError(429, f"Too Many Requests: retry after {retry_after_s}", {"retry_after": retry_after_s})


def entity_too_large() -> ApiError:
    """The upload exceeds what a bot may send."""
    return ApiError(413, "Request Entity Too Large")


def not_modified() -> ApiError:
    """An edit that changes nothing."""
    return bad_request(
        "message is not modified: specified new message content and reply markup are exactly the same"
        " as a current content and reply markup of the message"
    )
