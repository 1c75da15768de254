"""Keyboards and buttons."""

from __future__ import annotations

from aiogram.enums import ChatType
from aiogram.types import Chat, InlineKeyboardMarkup, KeyboardButton, ReplyKeyboardMarkup, ReplyKeyboardRemove

from bot.texts import BotTexts
from tasks.buttons import cancel_markup
from tasks.messages import Job


def main_keyboard(texts: BotTexts, chat: Chat) -> ReplyKeyboardMarkup | ReplyKeyboardRemove:
    """The keyboard under the input field; its keys do what the commands do.

    In a group everybody would have it from what one of them asks: there it is taken away where it had been given.
    """
    if chat.type != ChatType.PRIVATE:
        return ReplyKeyboardRemove()
    return ReplyKeyboardMarkup(
        keyboard=[
            [KeyboardButton(text=texts.button_restore())],
            [KeyboardButton(text=texts.button_help()), KeyboardButton(text=texts.button_restart())],
        ],
        resize_keyboard=True,
        is_persistent=True,
    )


def cancel_keyboard(job: Job) -> InlineKeyboardMarkup:
    """The Cancel button under a status message."""
    return InlineKeyboardMarkup.model_validate(cancel_markup(job))
