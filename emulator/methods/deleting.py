"""deleteMessage and deleteMessages."""

from __future__ import annotations

from emulator.errors import ApiError, bad_request
from emulator.methods.arguments import Arguments
from emulator.methods.registry import method
from emulator.methods.targets import message_to_delete, writable_chat
from emulator.state import Telegram


@method("deleteMessage")
async def delete_message(telegram: Telegram, arguments: Arguments) -> bool:
    """Delete one message."""
    chat = writable_chat(telegram, arguments)
    message_id = arguments.integer("message_id")
    if message_id is None:
        raise bad_request("message identifier is not specified")
    telegram.delete(message_to_delete(telegram, chat, message_id))
    return True


@method("deleteMessages")
async def delete_messages(telegram: Telegram, arguments: Arguments) -> bool:
    """Delete up to 100 messages; those that cannot be found are skipped."""
    chat = writable_chat(telegram, arguments)
    numbers = arguments.sequence("message_ids")
    if not numbers or len(numbers) > 100:
        raise bad_request("message identifiers are not specified")
    for number in numbers:
        try:
            telegram.delete(message_to_delete(telegram, chat, int(number)))
        except ApiError as error:
            if "not found" not in error.description:
                raise
    return True
