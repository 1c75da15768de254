"""The Bot API's methods, one file per topic."""

from __future__ import annotations

from emulator.errors import method_not_found, not_emulated
from emulator.methods import callbacks, deleting, editing, files, profile, sending
from emulator.methods.arguments import Arguments, Upload
from emulator.methods.missing import NOT_EMULATED
from emulator.methods.polling import Poll
from emulator.methods.registry import METHODS, Handler

__all__ = ["Arguments", "Poll", "Upload", "find_method"]

_REGISTERED = (callbacks, deleting, editing, files, profile, sending)  # importing them registers their methods


def find_method(name: str, poll: Poll) -> tuple[str, Handler]:
    """The proper name and the handler of a method; names are not case-sensitive.

    Raises:
        ApiError: 404 if Telegram has no such method, 501 if only the emulator has not.
    """
    key = name.lower()
    if key == "getupdates":
        return "getUpdates", poll.get_updates
    if key in METHODS:
        return METHODS[key]
    if key in NOT_EMULATED:
        raise not_emulated(NOT_EMULATED[key])
    raise method_not_found()
