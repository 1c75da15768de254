"""People and bots."""

from __future__ import annotations

from dataclasses import dataclass

from emulator.errors import JSON


@dataclass(eq=False, slots=True)
class Account:
    """A Telegram account, of a person or of the bot."""

    id: int
    first_name: str
    last_name: str | None = None
    username: str | None = None
    language_code: str | None = None
    is_bot: bool = False

    @property
    def name(self) -> str:
        """First and last name."""
        return f"{self.first_name} {self.last_name or ''}".strip()

    def to_json(self) -> JSON:
        """The Bot API's User."""
        optional = {
            "last_name": self.last_name,
            "username": self.username,
            "language_code": self.language_code,
        }
        given = {key: value for key, value in optional.items() if value is not None}
        return {"id": self.id, "is_bot": self.is_bot, "first_name": self.first_name, **given}
