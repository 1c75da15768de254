"""Misbehaviour on demand: what can go wrong between a bot and Telegram.

A fault is described by a small frozen object, a `Rule` says when it strikes. Faults that concern the world
(a user blocks the bot, a message disappears) change it for good just before the call is handled, so that
what follows is Telegram's own answer.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, get_args

from emulator.errors import UnusableError

DOWNLOAD = "download"  # the name of file downloads, which are no method


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """429 with ``retry_after``; the call is not executed."""

    seconds: int = 1


@dataclass(frozen=True, slots=True)
class ServerError:
    """500 with a JSON body; the call is not executed."""


@dataclass(frozen=True, slots=True)
class BadGateway:
    """502 with an HTML body, as a proxy in front of Telegram sends it; the call is not executed."""


@dataclass(frozen=True, slots=True)
class Slow:
    """The call is executed ``seconds`` late."""

    seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Hang:
    """No answer ever; the call is not executed."""


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection breaks before the call is executed."""


@dataclass(frozen=True, slots=True)
class ResetAfter:
    """The call is executed, then the connection breaks: the client cannot know that it was."""


@dataclass(frozen=True, slots=True)
class ResetDuringUpload:
    """The connection breaks half-way through the request's body; without an upload, before the call."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """The person of the chat blocks the bot at this very moment."""


@dataclass(frozen=True, slots=True)
class MessageGone:
    """The message the call is about is deleted at this very moment."""


@dataclass(frozen=True, slots=True)
class FileTooBig:
    """The file the call is about turns out to be larger than bots may download."""


Fault = (
    RetryAfter
    | ServerError
    | BadGateway
    | Slow
    | Hang
    | Reset
    | ResetAfter
    | ResetDuringUpload
    | Blocked
    | MessageGone
    | FileTooBig
)

_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(Fault)}


@dataclass(slots=True)
class Rule:
    """When a fault strikes.

    ``method`` is a Bot API method, "download", or "*" for all but getUpdates; ``times`` None means always;
    ``skip`` calls pass first; ``probability`` is drawn from ``seed`` for every call that fits.
    """

    fault: Fault
    method: str = "*"
    chat_id: int | None = None
    times: int | None = 1
    skip: int = 0
    probability: float = 1.0
    seed: int = 0
    struck: int = 0
    _random: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - repeatable on purpose

    @property
    def spent(self) -> bool:
        """Whether it will never strike again."""
        return self.times is not None and self.struck >= self.times

    def fits(self, method: str, chat_id: int | None) -> bool:
        """Whether it concerns such a call at all."""
        named = method != "getUpdates" if self.method == "*" else self.method.lower() == method.lower()
        return named and self.chat_id in {None, chat_id} and not self.spent

    def strikes(self) -> bool:
        """Draw for one call that fits."""
        if self.skip > 0:
            self.skip -= 1
            return False
        if self._random.random() >= self.probability:
            return False
        self.struck += 1
        return True

    def to_json(self) -> dict[str, Any]:
        """As the control interface shows it."""
        parameters = {name: getattr(self.fault, name) for name in self.fault.__dataclass_fields__}
        return {
            "fault": type(self.fault).__name__,
            **parameters,
            "method": self.method,
            "chat_id": self.chat_id,
            "times": self.times,
            "skip": self.skip,
            "probability": self.probability,
            "seed": self.seed,
            "struck": self.struck,
        }


class Faults:
    """The rules in force; the oldest that strikes decides."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []

    def add(self, rule: Rule) -> Rule:
        """Put a rule into force."""
        self.rules.append(rule)
        return rule

    def clear(self) -> None:
        """Behave again."""
        self.rules.clear()

    def strike(self, method: str, chat_id: int | None, *, uploaded: bool = False) -> Fault | None:
        """The fault that befalls this call, if any; ``uploaded`` if `strike_upload` was asked before."""
        for rule in self.rules:
            if uploaded and isinstance(rule.fault, ResetDuringUpload):
                continue
            if rule.fits(method, chat_id) and rule.strikes():
                return rule.fault
        return None

    def strike_upload(self, method: str, chat_id: int | None) -> bool:
        """Whether the body of this call is cut off; asked before the body was read."""
        return any(
            isinstance(rule.fault, ResetDuringUpload) and rule.fits(method, chat_id) and rule.strikes()
            for rule in self.rules
        )


def parse_rule(description: dict[str, Any]) -> Rule:
    """A rule from JSON such as ``{"fault": "RetryAfter", "seconds": 2, "method": "sendDocument", "times": 1}``.

    Raises:
        UnusableError: unknown fault or parameter.
    """
    fields = dict(description)
    name = str(fields.pop("fault", ""))
    kind = _KINDS.get(name)
    if kind is None:
        raise UnusableError(f"no fault {name!r}; there are {', '.join(sorted(_KINDS))}")
    parameters = {key: fields.pop(key) for key in kind.__dataclass_fields__ if key in fields}
    known = {"method", "chat_id", "times", "skip", "probability", "seed"}
    if unknown := fields.keys() - known:
        raise UnusableError(f"unknown fields {', '.join(sorted(unknown))} in a fault")
    return Rule(kind(**parameters), **fields)
