"""Telegram's limits, in one place, each with the page that states it.

``[api]`` is https://core.telegram.org/bots/api, ``[faq]`` is https://core.telegram.org/bots/faq and ``[server]``
is what https://github.com/tdlib/telegram-bot-api answers. What no page states is marked as observed or as ours.
"""

from __future__ import annotations

from typing import Final

MIB: Final = 1 << 20

# Texts and buttons
TEXT_MAX: Final = (
    4096  # [api] sendMessage: characters after entities parsing; counted as UTF-16 units, the strictest reading
)
CAPTION_MAX: Final = 1024  # [api] sendDocument: the same for captions
CALLBACK_DATA_MAX_BYTES: Final = 64  # [api] InlineKeyboardButton.callback_data: 1-64 bytes
CALLBACK_ANSWER_MAX: Final = 200  # [api] answerCallbackQuery: text of 0-200 characters
BUTTONS_PER_ROW_MAX: Final = 8  # observed; more do not fit a row
BUTTONS_MAX: Final = 100  # observed
KEYS_PER_ROW_MAX: Final = 12  # https://github.com/tdlib/td, ReplyMarkup.cpp: what is beyond is cut silently
KEYS_MAX: Final = 300  # the same
PLACEHOLDER_MAX: Final = 64  # [api] ReplyKeyboardMarkup.input_field_placeholder: 1-64 characters

# Files
GET_FILE_MAX_BYTES: Final = 20 * MIB  # [api] getFile: bots can download files of up to 20 MB
UPLOAD_MAX_BYTES: Final = 50 * MIB  # [api] sendDocument: up to 50 MB
PHOTO_MAX_BYTES: Final = 10 * MIB  # [api] sendPhoto: at most 10 MB
PHOTO_WIDTH_PLUS_HEIGHT_MAX: Final = 10_000  # [api] sendPhoto
PHOTO_RATIO_MAX: Final = 20  # [api] sendPhoto: width and height ratio at most 20
FILE_PATH_VALID_S: Final = 3600.0  # [api] getFile: the link is valid for at least 1 hour

# What a client makes of a picture before it sends it as a photo
PHOTO_SIZES: Final = (("s", 90), ("m", 320), ("x", 800), ("y", 1280))  # longer side, px; observed
PHOTO_JPEG_QUALITY: Final = 87  # observed
STICKER_SIDE: Final = 512  # px; https://core.telegram.org/stickers
ALBUM_MIN: Final = 2  # [api] sendMediaGroup: 2-10 items
ALBUM_MAX: Final = 10

# Polling and queries
GET_UPDATES_LIMIT_MAX: Final = 100  # [api] getUpdates: 1-100, 100 by default
GET_UPDATES_TIMEOUT_MAX_S: Final = 50  # [server] longer waits are cut
CHAT_ACTION_S: Final = 5.0  # [api] sendChatAction: shown for 5 seconds or less
CALLBACK_LIFETIME_S: Final = 60.0  # ours: Telegram keeps the real time to itself
DELETE_AGE_MAX_S: Final = 48 * 3600.0  # [api] deleteMessage: less than 48 hours old
COMMANDS_MAX: Final = 100  # [api] setMyCommands

# Flood control
CHAT_MESSAGES_PER_S: Final = 1.0  # [faq] avoid more than one message per second in a chat
CHAT_BURST: Final = 5  # ours: "short bursts that go over this limit" are allowed, how long is not told
GROUP_MESSAGES_PER_MIN: Final = 20  # [faq]
BOT_MESSAGES_PER_S: Final = 30  # [faq] bulk notifications
