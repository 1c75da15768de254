"""What the bot says about itself: getMe, commands, name, descriptions, menu button, webhook."""

from __future__ import annotations

import re
from typing import Any

from emulator import limits
from emulator.errors import JSON, bad_request
from emulator.methods.arguments import Arguments
from emulator.methods.registry import method
from emulator.methods.targets import find_chat
from emulator.state import Telegram

_COMMAND = re.compile(r"[a-z0-9_]{1,32}")


@method("getMe")
async def get_me(telegram: Telegram, _: Arguments) -> JSON:
    """The bot's own account."""
    return {
        **telegram.bot.to_json(),
        "can_join_groups": True,
        "can_read_all_group_messages": not telegram.privacy_mode,
        "supports_inline_queries": False,
        "can_connect_to_business": False,
        "has_main_web_app": False,
    }


@method("setMyCommands")
async def set_my_commands(telegram: Telegram, arguments: Arguments) -> bool:
    """Set the command menu of a scope and language."""
    commands = arguments.sequence("commands")
    if commands is None or len(commands) > limits.COMMANDS_MAX:
        raise bad_request("can't parse BotCommands: expected an Array of at most 100 commands")
    telegram.profile.commands[_scope(arguments)] = [_checked(command) for command in commands]
    telegram.changed()
    return True


@method("getMyCommands")
async def get_my_commands(telegram: Telegram, arguments: Arguments) -> list[JSON]:
    """The command menu of exactly this scope and language."""
    return telegram.profile.commands.get(_scope(arguments), [])


@method("deleteMyCommands")
async def delete_my_commands(telegram: Telegram, arguments: Arguments) -> bool:
    """Remove the command menu of a scope and language."""
    telegram.profile.commands.pop(_scope(arguments), None)
    telegram.changed()
    return True


def _scope(arguments: Arguments) -> tuple[str, str]:
    scope = arguments.mapping("scope") or {"type": "default"}
    number = scope.get("chat_id")
    name = str(scope.get("type", "default")) + (f":{number}" if number is not None else "")
    return name, arguments.text("language_code") or ""


def _checked(command: Any) -> JSON:
    if not isinstance(command, dict) or not _COMMAND.fullmatch(str(command.get("command")).lstrip("/")):
        raise bad_request("BOT_COMMAND_INVALID")
    description = str(command.get("description") or "")
    if not 1 <= len(description) <= 256:
        raise bad_request("BOT_COMMAND_DESCRIPTION_INVALID")
    return {"command": command["command"].lstrip("/"), "description": description}


def _register_text(setter: str, getter: str, argument: str, attribute: str, limit: int) -> None:
    """A pair of methods that keep one text per language."""

    async def set_text(telegram: Telegram, arguments: Arguments) -> bool:
        text = arguments.text(argument) or ""
        if len(text) > limit:
            raise bad_request(f"{argument} is too long")  # our words
        getattr(telegram.profile, attribute)[arguments.text("language_code") or ""] = text
        telegram.changed()
        return True

    async def get_text(telegram: Telegram, arguments: Arguments) -> JSON:
        texts: dict[str, str] = getattr(telegram.profile, attribute)
        default = telegram.bot.first_name if argument == "name" else ""
        return {argument: texts.get(arguments.text("language_code") or "") or texts.get("") or default}

    method(setter)(set_text)
    method(getter)(get_text)


_register_text("setMyName", "getMyName", "name", "names", 64)
_register_text("setMyDescription", "getMyDescription", "description", "descriptions", 512)
_register_text(
    "setMyShortDescription",
    "getMyShortDescription",
    "short_description",
    "short_descriptions",
    120,
)


@method("setChatMenuButton")
async def set_chat_menu_button(telegram: Telegram, arguments: Arguments) -> bool:
    """Set the button beside the input field."""
    telegram.profile.menu_button = arguments.mapping("menu_button") or {"type": "default"}
    return True


@method("getChatMenuButton")
async def get_chat_menu_button(telegram: Telegram, _: Arguments) -> JSON:
    """The button beside the input field."""
    return telegram.profile.menu_button


@method("getChat")
async def get_chat(telegram: Telegram, arguments: Arguments) -> JSON:
    """What the bot may know about a chat."""
    return {
        **find_chat(telegram, arguments).to_json(),
        "accent_color_id": 0,
        "max_reaction_count": 11,
        "accepted_gift_types": dict.fromkeys(
            ("unlimited_gifts", "limited_gifts", "unique_gifts", "premium_subscription", "gifts_from_channels"),
            False,
        ),
    }


@method("setWebhook")
async def set_webhook(telegram: Telegram, arguments: Arguments) -> bool:
    """Only an empty address, which removes the webhook, is accepted."""
    if arguments.text("url"):
        raise bad_request("bad webhook: the emulator serves getUpdates only")  # our words
    return await delete_webhook(telegram, arguments)


async def delete_webhook(telegram: Telegram, arguments: Arguments) -> bool:
    """There is no webhook; waiting updates may be dropped."""
    if arguments.boolean("drop_pending_updates"):
        telegram.updates.drop_pending()
    return True


@method("getWebhookInfo")
async def get_webhook_info(telegram: Telegram, _: Arguments) -> JSON:
    """No webhook, and how many updates wait."""
    info: JSON = {
        "url": "",
        "has_custom_certificate": False,
        "pending_update_count": len(telegram.updates),
    }
    if telegram.updates.allowed is not None:
        info["allowed_updates"] = telegram.updates.allowed
    return info


method("deleteWebhook")(delete_webhook)


@method("logOut")
@method("close")
async def leave(_: Telegram, __: Arguments) -> bool:
    """There is no other server to move to."""
    return True
