"""getUpdates: what is delivered, what is kept, what is confirmed."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest
from aiogram import Bot, Dispatcher, F
from aiogram.exceptions import TelegramConflictError
from aiogram.types import CallbackQuery, Message

from emulator import Emulator, Item, Person
from tests.emulator.conftest import bot_of, keyboard, picture, polling


async def texts_of(bot: Bot, **options: int) -> list[str]:
    updates = await bot.get_updates(**options)
    return [update.message.text or "" for update in updates if update.message]


async def test_updates_come_again_until_a_later_offset_confirms_them(bot: Bot, ann: Person) -> None:
    await ann.sends_text("one")
    first = await bot.get_updates()
    assert await texts_of(bot) == ["/start", "one"]
    assert await texts_of(bot, offset=first[0].update_id + 1) == ["one"]
    assert await texts_of(bot, offset=first[1].update_id + 1) == []
    assert await texts_of(bot) == []


async def test_limit_and_negative_offset(bot: Bot, ann: Person) -> None:
    for number in range(5):
        await ann.sends_text(str(number))
    assert await texts_of(bot, limit=2) == ["/start", "0"]
    assert await texts_of(bot, offset=-2) == ["3", "4"]
    assert await texts_of(bot) == ["3", "4"]  # the others are forgotten


async def test_a_long_poll_ends_with_the_first_update(bot: Bot, telegram: Emulator, ann: Person) -> None:
    await bot.get_updates(offset=-1)
    (last,) = await bot.get_updates()
    poll = asyncio.create_task(texts_of(bot, offset=last.update_id + 1, timeout=20))
    await telegram.is_polled()
    began = time.monotonic()
    await ann.sends_text("at last")
    assert await poll == ["at last"]
    assert time.monotonic() - began < 10


async def test_a_long_poll_without_news_ends_in_time(bot: Bot) -> None:
    began = time.monotonic()
    assert await bot.get_updates(timeout=1) == []
    assert 0.9 < time.monotonic() - began < 5


async def test_a_second_poller_ends_the_first_one(bot: Bot, telegram: Emulator) -> None:
    first = asyncio.create_task(bot.get_updates(timeout=20))
    await telegram.is_polled()
    other = bot_of(telegram)
    assert await other.get_updates(timeout=0) == []
    with pytest.raises(TelegramConflictError, match="terminated by other getUpdates request"):
        await first
    await other.session.close()


async def test_a_bot_that_died_does_not_count_as_polling(telegram: Emulator) -> None:
    session = aiohttp.ClientSession()
    url = f"{telegram.api_url}/bot{telegram.token}/getUpdates?timeout=30"
    poll = asyncio.create_task(session.get(url))
    await telegram.is_polled()
    poll.cancel()
    await session.close()
    await asyncio.sleep(0.3)
    with pytest.raises(AssertionError, match="no bot polled"):
        await telegram.is_polled(timeout=0.1)


async def test_only_allowed_updates_are_delivered(bot: Bot, ann: Person) -> None:
    await bot.get_updates(offset=-1, allowed_updates=["callback_query"])
    await bot.get_updates(offset=10**9)
    await ann.sends_text("unwanted")
    assert await bot.get_updates() == []


async def test_an_album_is_one_update_per_picture_with_one_group_identifier(bot: Bot, ann: Person) -> None:
    sent = await ann.sends_album([picture(), Item(picture(), "document", "b.jpg"), picture()], caption="three")
    messages = [
        update.message for update in await bot.get_updates() if update.message and update.message.media_group_id
    ]
    assert [message.message_id for message in messages] == [message.message_id for message in sent]
    assert len({message.media_group_id for message in messages}) == 1
    assert [message.caption for message in messages] == ["three", None, None]


async def test_every_kind_of_message_reaches_aiogram_as_that_kind(bot: Bot, ann: Person) -> None:
    await ann.sends_photo(picture(3000, 1500), caption="c")
    await ann.sends_document("old photo.tiff", b"II*\0")
    await ann.sends_document("huge.png", file_size=25_000_000)
    await ann.sends_sticker(picture(600, 600, format_="PNG", mode="RGBA"))
    await ann.sends_sticker(is_animated=True)
    await ann.sends_sticker(is_video=True)
    await ann.sends_animation()
    await ann.sends_video()
    await ann.sends_voice()
    await ann.sends_audio()
    await ann.sends_video_note()
    await ann.sends_location()
    await ann.sends_contact()
    messages = [update.message for update in await bot.get_updates() if update.message][1:]
    assert [message.content_type for message in messages] == [
        *("photo", "document", "document", "sticker", "sticker", "sticker", "animation"),
        *("video", "voice", "audio", "video_note", "location", "contact"),
    ]
    photo, tiff, huge, static, animated, video = messages[:6]
    assert photo.photo is not None
    assert (photo.photo[-1].width, photo.photo[-1].height, photo.caption) == (1280, 640, "c")
    assert tiff.document is not None
    assert (tiff.document.file_name, tiff.document.mime_type) == ("old photo.tiff", "image/tiff")
    assert huge.document is not None
    assert huge.document.file_size == 25_000_000
    flags = [(each.sticker.is_animated, each.sticker.is_video) for each in (static, animated, video) if each.sticker]
    assert flags == [(False, False), (True, False), (False, True)]


async def test_two_people_never_see_each_others_messages(bot: Bot, telegram: Emulator) -> None:
    dispatcher = Dispatcher()

    @dispatcher.message(F.text)
    async def answer(message: Message) -> None:
        await message.answer(f"you said {message.text}")

    ann, bob = telegram.user("Ann"), telegram.user("Bob", language_code="ru")
    async with polling(telegram, bot, dispatcher):
        for number in range(5):
            await ann.sends_text(f"ann {number}")
            await bob.sends_text(f"bob {number}")
        for person, name in ((ann, "ann"), (bob, "bob")):
            for number in range(5):
                assert (await person.receives_message()).text == f"you said {name} {number}"
        assert {message.message_id for message in ann.chat.messages} == {
            message.message_id for message in bob.chat.messages
        }  # numbers alone never tell whose message it is


async def test_a_repeated_update_keeps_its_number(bot: Bot, telegram: Emulator, ann: Person) -> None:
    (update,) = telegram.pending_updates
    (seen,) = await bot.get_updates()
    await bot.get_updates(offset=seen.update_id + 1)
    telegram.delivers_again(update)
    (again,) = await bot.get_updates()
    assert again.update_id == seen.update_id


async def test_privacy_mode_hides_what_groups_say_to_others() -> None:
    async with Emulator.running(privacy_mode=True) as telegram, bot_of(telegram) as bot:
        ann = telegram.user("Ann").at(telegram.group("Family", [], type="supergroup"))
        await ann.sends_text("hello everybody")
        await ann.sends_text("/help")
        await ann.sends_text("look, @restora_bot")
        assert await texts_of(bot) == ["/help", "look, @restora_bot"]
        assert not (await bot.get_me()).can_read_all_group_messages


async def test_blocking_is_reported(bot: Bot, ann: Person) -> None:
    await bot.get_updates(offset=10**9)
    await ann.blocks_bot()
    await ann.unblocks_bot()
    statuses = [
        update.my_chat_member.new_chat_member.status for update in await bot.get_updates() if update.my_chat_member
    ]
    assert statuses == ["kicked", "member"]


async def test_a_click_waits_for_the_answer_of_the_bot(bot: Bot, telegram: Emulator, ann: Person) -> None:
    dispatcher = Dispatcher()

    @dispatcher.callback_query()
    async def answer(query: CallbackQuery) -> None:
        await query.answer(f"pressed {query.data}", show_alert=True)

    async with polling(telegram, bot, dispatcher):
        await bot.send_message(ann.id, "sure?", reply_markup=keyboard(["Yes"], ["Cancel all"]))
        assert (await ann.clicks("Yes")).text == "pressed Yes"
        assert (await ann.clicks("Cancel")).show_alert
