"""Every method through the real aiogram, at and beyond every limit."""

from __future__ import annotations

import io
from typing import Any

import aiogram.methods
import pytest
from aiogram import Bot
from aiogram.exceptions import (
    TelegramAPIError,
    TelegramBadRequest,
    TelegramEntityTooLarge,
    TelegramForbiddenError,
    TelegramNotFound,
    TelegramServerError,
    TelegramUnauthorizedError,
)
from aiogram.types import (
    BotCommand,
    BotCommandScopeChat,
    BufferedInputFile,
    InaccessibleMessage,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputMediaDocument,
    InputMediaPhoto,
    ReplyParameters,
)
from PIL import Image

from emulator import Emulator, Person, limits
from emulator.errors import ApiError
from emulator.methods import Poll, find_method
from tests.emulator.conftest import bot_of, keyboard, picture


def file(content: bytes = b"%PDF-1.7", name: str = "scan.pdf") -> BufferedInputFile:
    return BufferedInputFile(content, name)


async def refused(call: Any, description: str, kind: type[TelegramAPIError] = TelegramBadRequest) -> None:
    with pytest.raises(kind) as refusal:
        await call
    assert description in refusal.value.message


async def test_get_me_is_the_bot_of_the_token(bot: Bot, telegram: Emulator) -> None:
    me = await bot.get_me()
    assert (me.id, me.is_bot, me.first_name) == (int(telegram.token.split(":")[0]), True, "Restora")


async def test_a_wrong_token_is_unauthorized(telegram: Emulator) -> None:
    stranger = bot_of(telegram, "123456789:AAwrong")
    await refused(stranger.get_me(), "Unauthorized", TelegramUnauthorizedError)
    await stranger.session.close()


# Texts


async def test_a_text_is_stored_with_its_entities_and_buttons(bot: Bot, ann: Person) -> None:
    sent = await bot.send_message(ann.id, "<b>Hi</b> Ann", parse_mode="HTML", reply_markup=keyboard(["Yes", "No"]))
    received = await ann.receives_text()
    assert (received.text, received.formatted("bold"), received.buttons) == ("Hi Ann", ["Hi"], ("Yes", "No"))
    assert (sent.message_id, sent.text, sent.html_text) == (received.message_id, "Hi Ann", "<b>Hi</b> Ann")


@pytest.mark.parametrize("units", [1, limits.TEXT_MAX])
async def test_texts_up_to_the_limit_are_sent(bot: Bot, ann: Person, units: int) -> None:
    assert (await bot.send_message(ann.id, "x" * units)).text == "x" * units


async def test_the_text_limit_counts_after_parsing(bot: Bot, ann: Person) -> None:
    sent = await bot.send_message(ann.id, f"<b>{'x' * limits.TEXT_MAX}</b>", parse_mode="HTML")
    assert sent.text is not None
    assert len(sent.text) == limits.TEXT_MAX


@pytest.mark.parametrize(
    ("text", "description"),
    [
        ("x" * (limits.TEXT_MAX + 1), "message is too long"),
        ("😀" * (limits.TEXT_MAX // 2) + "x", "message is too long"),
        ("", "message text is empty"),
        (" \n ", "message text is empty"),
    ],
)
async def test_texts_beyond_the_limit_are_refused(bot: Bot, ann: Person, text: str, description: str) -> None:
    await refused(bot.send_message(ann.id, text), description)
    assert [message.from_bot for message in ann.chat.messages] == [False]


@pytest.mark.parametrize(
    ("markup", "description"),
    [
        (keyboard(["x" * 65]), "BUTTON_DATA_INVALID"),
        (keyboard(["ж" * 33]), "BUTTON_DATA_INVALID"),
        (keyboard(["a"] * 9), "more than 8 buttons"),
        (keyboard(*[["a"] * 8] * 13), "reply markup is too long"),
        (InlineKeyboardMarkup(inline_keyboard=[[InlineKeyboardButton(text="dead")]]), "text buttons are unallowed"),
    ],
)
async def test_keyboards_beyond_the_limits_are_refused(
    bot: Bot, ann: Person, markup: InlineKeyboardMarkup, description: str
) -> None:
    await refused(bot.send_message(ann.id, "x", reply_markup=markup), description)


@pytest.mark.parametrize("markup", [keyboard(["ж" * 32]), keyboard(["a"] * 8), keyboard(*[["a"] * 5] * 20)])
async def test_keyboards_at_the_limits_are_sent(bot: Bot, ann: Person, markup: InlineKeyboardMarkup) -> None:
    sent = await bot.send_message(ann.id, "x", reply_markup=markup)
    assert sent.reply_markup is not None
    assert sent.reply_markup.model_dump(exclude_none=True) == markup.model_dump(exclude_none=True)


# Where the bot may write


async def test_unknown_chats_are_not_found(bot: Bot) -> None:
    await refused(bot.send_message(4242, "x"), "chat not found")


async def test_a_bot_cannot_write_first(bot: Bot, telegram: Emulator) -> None:
    await refused(
        bot.send_message(telegram.user("Bob").id, "x"),
        "bot can't initiate conversation with a user",
        TelegramForbiddenError,
    )


async def test_a_blocked_bot_cannot_write_until_it_is_unblocked(bot: Bot, ann: Person) -> None:
    message = await bot.send_message(ann.id, "x")
    await ann.blocks_bot()
    blocked = "bot was blocked by the user"
    await refused(bot.send_message(ann.id, "x"), blocked, TelegramForbiddenError)
    await refused(
        bot.edit_message_text("y", chat_id=ann.id, message_id=message.message_id), blocked, TelegramForbiddenError
    )
    await ann.unblocks_bot()
    assert (await bot.send_message(ann.id, "again")).text == "again"


async def test_replies_quote_the_message_or_are_refused_when_it_is_gone(bot: Bot, ann: Person) -> None:
    question = await ann.sends_text("?")
    sent = await bot.send_message(ann.id, "!", reply_parameters=ReplyParameters(message_id=question.message_id))
    assert sent.reply_to_message is not None
    assert sent.reply_to_message.text == "?"
    await ann.deletes_message(question)
    gone = ReplyParameters(message_id=question.message_id)
    await refused(bot.send_message(ann.id, "!", reply_parameters=gone), "message to be replied not found")
    lenient = ReplyParameters(message_id=question.message_id, allow_sending_without_reply=True)
    assert (await bot.send_message(ann.id, "!", reply_parameters=lenient)).reply_to_message is None
    await refused(  # the flag of before Bot API 7.0 goes with the argument of that time only
        bot.send_message(ann.id, "!", reply_parameters=gone, allow_sending_without_reply=True),
        "message to be replied not found",
    )
    old = {"reply_to_message_id": question.message_id, "allow_sending_without_reply": True}
    assert (await bot.send_message(ann.id, "!", **old)).reply_to_message is None


# Files


async def test_a_document_arrives_byte_for_byte_and_can_be_sent_again_by_its_identifier(bot: Bot, ann: Person) -> None:
    content = bytes(range(256)) * 40 + b"\r\n--boundary--\r\n"
    sent = await bot.send_document(ann.id, file(content, "имя файла.bin"), caption="<i>c</i>", parse_mode="HTML")
    received = await ann.receives_document()
    assert (received.content, received.file_name, received.text) == (content, "имя файла.bin", "c")
    assert sent.document is not None
    await bot.send_document(ann.id, sent.document.file_id)
    assert (await ann.receives_document()).content == content


async def test_documents_end_at_50_mb(bot: Bot, ann: Person) -> None:
    await bot.send_document(ann.id, file(bytes(limits.UPLOAD_MAX_BYTES)))
    assert (await ann.receives_document()).media.file.size == limits.UPLOAD_MAX_BYTES
    with pytest.raises(TelegramEntityTooLarge, match="Request Entity Too Large"):
        await bot.send_document(ann.id, file(bytes(limits.UPLOAD_MAX_BYTES + 1)))


async def test_captions_end_at_1024(bot: Bot, ann: Person) -> None:
    assert (await bot.send_document(ann.id, file(), caption="x" * limits.CAPTION_MAX)).caption
    await refused(
        bot.send_document(ann.id, file(), caption="x" * (limits.CAPTION_MAX + 1)), "message caption is too long"
    )


async def test_a_photo_is_recompressed_and_offered_in_sizes(bot: Bot, ann: Person) -> None:
    sent = await bot.send_photo(ann.id, file(picture(2560, 1440, format_="PNG"), "p.png"))
    assert sent.photo is not None
    assert [(size.width, size.height) for size in sent.photo] == [(90, 51), (320, 180), (800, 450), (1280, 720)]
    received = await ann.receives_photo()
    assert Image.open(io.BytesIO(received.content)).format == "JPEG"


@pytest.mark.parametrize(("width", "height"), [(20, 1), (9999, 1), (6000, 4001)])
async def test_photos_of_impossible_shape_are_refused(bot: Bot, ann: Person, width: int, height: int) -> None:
    photo = file(picture(width, height, format_="PNG"), "p.png")
    if width == 20:
        assert (await bot.send_photo(ann.id, photo)).photo
    else:
        await refused(bot.send_photo(ann.id, photo), "PHOTO_INVALID_DIMENSIONS")


async def test_photos_end_at_10_mb_and_have_to_be_pictures(bot: Bot, ann: Person) -> None:
    await refused(bot.send_photo(ann.id, file(bytes(limits.PHOTO_MAX_BYTES + 1))), "is too big for a photo")
    await refused(bot.send_photo(ann.id, file(b"%PDF")), "IMAGE_PROCESS_FAILED")


async def test_unknown_identifiers_and_addresses_are_refused(bot: Bot, ann: Person) -> None:
    await refused(bot.send_document(ann.id, "BQACAgIAAxkBAAI"), "wrong file identifier/HTTP URL specified")
    await refused(bot.send_document(ann.id, "https://example.org/x.pdf"), "failed to get HTTP URL content")
    await refused(bot.get_file("BQACAgIAAxkBAAI"), "wrong file_id or the file is temporarily unavailable")


async def test_a_photo_identifier_is_no_document(bot: Bot, ann: Person) -> None:
    photo = await ann.sends_photo(picture())
    await refused(bot.send_document(ann.id, photo.file_id), "can't use file of type Photo as Document")


async def test_another_bots_identifiers_are_unknown_here(bot: Bot, ann: Person) -> None:
    async with Emulator.running("987654321:AAother") as elsewhere:
        document = await elsewhere.user("Eve").sends_document("a.txt", b"a")
    await refused(bot.send_document(ann.id, document.file_id), "wrong file identifier")


async def test_files_up_to_20_mb_can_be_downloaded(bot: Bot, ann: Person) -> None:
    content = bytes(range(256)) * (limits.GET_FILE_MAX_BYTES // 256)
    document = await ann.sends_document("large.bin", content)
    downloaded = await bot.download(document.file_id)
    assert downloaded is not None
    assert downloaded.read() == content


async def test_larger_files_cannot_be_downloaded(bot: Bot, ann: Person) -> None:
    document = await ann.sends_document("huge.tif", file_size=limits.GET_FILE_MAX_BYTES + 1)
    await refused(bot.get_file(document.file_id), "file is too big")


async def test_a_download_path_runs_out() -> None:
    async with Emulator.running(file_path_valid_s=0.0) as telegram, bot_of(telegram) as bot:
        document = await telegram.user("Ann").sends_document("a.txt", b"a")
        opened = await bot.get_file(document.file_id)
        assert opened.file_path is not None
        with pytest.raises(Exception, match="404"):
            await bot.download_file(opened.file_path)


async def test_an_album_is_one_group_of_messages(bot: Bot, ann: Person) -> None:
    media = [InputMediaPhoto(media=file(picture(), "p.jpg"), caption=str(number)) for number in range(3)]
    sent = await bot.send_media_group(ann.id, media)
    assert [message.caption for message in sent] == ["0", "1", "2"]
    assert len({message.media_group_id for message in sent}) == 1


async def test_albums_have_2_to_10_items_of_one_sort(bot: Bot, ann: Person) -> None:
    photo, document = InputMediaPhoto(media=file(picture(), "p.jpg")), InputMediaDocument(media=file())
    await refused(bot.send_media_group(ann.id, [photo]), "2-10")
    await refused(bot.send_media_group(ann.id, [document] * 11), "2-10")
    await refused(bot.send_media_group(ann.id, [photo, document]), "can't be mixed")
    assert [message.from_bot for message in ann.chat.messages] == [False]


async def test_stickers_and_chat_actions(bot: Bot, ann: Person) -> None:
    await bot.send_chat_action(ann.id, "upload_document")
    await ann.sees_action("upload_document")
    sent = await bot.send_sticker(ann.id, file(picture(1000, 500, format_="PNG"), "s.png"))
    assert sent.sticker is not None
    assert (sent.sticker.width, sent.sticker.height, sent.sticker.is_animated) == (512, 256, False)
    await refused(bot.send_chat_action(ann.id, "dancing"), "wrong parameter action")


# Edits


async def test_edits_change_text_and_buttons_and_keep_the_history(bot: Bot, ann: Person) -> None:
    sent = await bot.send_message(ann.id, "one", reply_markup=keyboard(["Cancel"]))
    edited = await bot.edit_message_text("two", chat_id=ann.id, message_id=sent.message_id)
    message = await ann.receives_message()
    assert [(version.text, version.buttons) for version in message.history] == [("one", ("Cancel",)), ("two", ())]
    assert edited is not True
    assert edited.edit_date


async def test_an_edit_that_changes_nothing_is_refused(bot: Bot, ann: Person) -> None:
    where = {
        "chat_id": ann.id,
        "message_id": (await bot.send_message(ann.id, "<b>x</b>", parse_mode="HTML")).message_id,
    }
    await refused(bot.edit_message_text("*x*", parse_mode="MarkdownV2", **where), "message is not modified")
    await refused(bot.edit_message_reply_markup(**where), "message is not modified")
    await bot.edit_message_text("x", **where)  # no longer bold
    await bot.edit_message_reply_markup(reply_markup=keyboard(["Go"]), **where)
    await refused(bot.edit_message_reply_markup(reply_markup=keyboard(["Go"]), **where), "message is not modified")


async def test_only_own_existing_messages_can_be_edited(bot: Bot, ann: Person) -> None:
    question = await ann.sends_text("?")
    await refused(bot.edit_message_text("y", chat_id=ann.id, message_id=99), "message to edit not found")
    await refused(bot.edit_message_text("y", chat_id=ann.id, message_id=question.message_id), "message can't be edited")


async def test_a_text_becomes_a_document_and_may_become_it_again(bot: Bot, ann: Person) -> None:
    question = await ann.sends_photo(picture())
    status = await bot.send_message(
        ann.id, "50 %", reply_parameters=ReplyParameters(message_id=question.message_id), reply_markup=keyboard(["x"])
    )
    for _ in range(2):
        media = InputMediaDocument(media=file(b"PNG", "restored.png"), caption="done")
        await bot.edit_message_media(media, chat_id=ann.id, message_id=status.message_id)
    document = await ann.receives_document()
    assert document.reply_to is question
    assert (document.content, document.text, document.buttons, document.message_id) == (
        b"PNG",
        "done",
        (),
        status.message_id,
    )
    assert [message.kind for message in ann.chat.messages] == ["text", "photo", "document"]
    same = InputMediaDocument(media=document.file_id, caption="done")
    await refused(bot.edit_message_media(same, chat_id=ann.id, message_id=status.message_id), "message is not modified")


async def test_text_and_caption_are_edited_by_their_own_methods(bot: Bot, ann: Person) -> None:
    text, document = await bot.send_message(ann.id, "t"), await bot.send_document(ann.id, file(), caption="c")
    in_document = {"chat_id": ann.id, "message_id": document.message_id}
    await refused(bot.edit_message_text("y", **in_document), "there is no text in the message to edit")
    await refused(
        bot.edit_message_caption(chat_id=ann.id, message_id=text.message_id, caption="y"),
        "there is no caption in the message to edit",
    )
    assert (await bot.edit_message_caption(caption="new", **in_document)).caption == "new"  # type: ignore[union-attr]


async def test_deleting(bot: Bot, ann: Person) -> None:
    message = await bot.send_message(ann.id, "x")
    assert await bot.delete_message(ann.id, message.message_id)
    await refused(bot.delete_message(ann.id, message.message_id), "message to delete not found")
    more = [(await bot.send_message(ann.id, "y")).message_id for _ in range(3)]
    assert await bot.delete_messages(ann.id, [*more, 99])
    assert [message.text for message in ann.chat.messages] == ["/start"]


async def test_in_a_group_a_bot_deletes_only_its_own_messages(bot: Bot, telegram: Emulator, ann: Person) -> None:
    group = telegram.group("Family", [ann])
    question = await ann.at(group).sends_text("?")
    await refused(bot.delete_message(group.id, question.message_id), "message can't be deleted")
    assert await bot.delete_message(group.id, (await bot.send_message(group.id, "!")).message_id)


# Buttons


async def test_a_callback_query_is_answered_once(bot: Bot, ann: Person) -> None:
    await bot.send_message(ann.id, "sure?", reply_markup=keyboard(["Yes"]))
    query = await ann.presses(await ann.receives_message(), "Yes")
    assert await bot.answer_callback_query(query.id, text="ok", show_alert=True)
    assert query.answer == {"text": "ok", "show_alert": True, "url": ""}
    too_old = "query is too old and response timeout expired or query ID is invalid"
    await refused(bot.answer_callback_query(query.id), too_old)
    await refused(bot.answer_callback_query("1"), too_old)


async def test_a_button_of_a_deleted_message_comes_with_an_inaccessible_one(bot: Bot, ann: Person) -> None:
    await bot.send_message(ann.id, "sure?", reply_markup=keyboard(["Yes"]))
    message = await ann.receives_message()
    await ann.deletes_message(message)
    await ann.presses(message, "Yes")
    query = (await bot.get_updates())[-1].callback_query
    assert query is not None
    assert isinstance(query.message, InaccessibleMessage)


async def test_a_callback_query_cannot_be_answered_late() -> None:
    async with Emulator.running(callback_lifetime_s=0.0) as telegram, bot_of(telegram) as bot:
        ann = telegram.user("Ann")
        await ann.sends_text("/start")
        await bot.send_message(ann.id, "sure?", reply_markup=keyboard(["Yes"]))
        query = await ann.presses(await ann.receives_message(), "Yes")
        await refused(bot.answer_callback_query(query.id), "query is too old")


# The bot about itself


async def test_commands_are_kept_per_scope_and_language(bot: Bot, telegram: Emulator, ann: Person) -> None:
    english, russian = (
        BotCommand(command="start", description="Begin"),
        BotCommand(command="start", description="Начать"),
    )
    await bot.set_my_commands([english])
    await bot.set_my_commands([russian], language_code="ru")
    await bot.set_my_commands([english, russian], scope=BotCommandScopeChat(chat_id=ann.id))
    assert [command.description for command in await bot.get_my_commands(language_code="ru")] == ["Начать"]
    assert telegram.commands() == {"start": "Begin"}
    assert len(await bot.get_my_commands(scope=BotCommandScopeChat(chat_id=ann.id))) == 2
    await bot.delete_my_commands(language_code="ru")
    assert await bot.get_my_commands(language_code="ru") == []
    await refused(bot.set_my_commands([BotCommand(command="No!", description="x")]), "BOT_COMMAND_INVALID")


async def test_name_and_descriptions(bot: Bot) -> None:
    await bot.set_my_name("Реставратор", language_code="ru")
    await bot.set_my_description("Restores photographs")
    await bot.set_my_short_description("Restores")
    assert (await bot.get_my_name(language_code="ru")).name == "Реставратор"
    assert (await bot.get_my_name()).name == "Restora"
    assert (await bot.get_my_description(language_code="ru")).description == "Restores photographs"
    assert (await bot.get_my_short_description()).short_description == "Restores"


async def test_webhooks_are_refused_and_can_be_deleted(bot: Bot, ann: Person) -> None:
    await refused(bot.set_webhook("https://example.org/hook"), "getUpdates only")
    assert (await bot.get_webhook_info()).pending_update_count == 1
    assert await bot.delete_webhook(drop_pending_updates=True)
    assert (await bot.get_webhook_info()).pending_update_count == 0


async def test_a_real_method_that_is_missing_here_says_so(bot: Bot, ann: Person) -> None:
    await refused(bot.send_dice(ann.id), "the emulator does not offer sendDice", TelegramServerError)


def test_every_method_aiogram_knows_is_offered_or_named_as_missing() -> None:
    unknown = []
    for name in set(aiogram.methods.__all__) - {"Request", "Response", "TelegramMethod"}:
        try:
            find_method(name, Poll.__new__(Poll))
        except ApiError as error:
            if error.code != 501:
                unknown.append(name)
    assert unknown == []


async def test_a_method_nobody_knows_is_not_found(bot: Bot) -> None:
    class Nonsense(aiogram.methods.GetMe):
        __api_method__ = "getNonsense"

    await refused(bot(Nonsense()), "method not found", TelegramNotFound)
