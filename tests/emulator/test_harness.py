"""What a test may rely on: the read position, and failures one can read."""

from __future__ import annotations

import asyncio
import contextlib
import io
import time

import pytest
from aiogram import Bot
from aiogram.exceptions import TelegramRetryAfter
from aiogram.types import BufferedInputFile, InputMediaDocument
from PIL import Image

from emulator import Emulator, Item, Person, RetryAfter
from emulator.errors import UnusableError
from tests.emulator.conftest import keyboard, picture


async def edit(bot: Bot, person: Person, message_id: int, text: str, *buttons: str) -> None:
    markup = keyboard(list(buttons)) if buttons else None
    await bot.edit_message_text(text, chat_id=person.id, message_id=message_id, reply_markup=markup)


async def test_nothing_is_received_twice_and_what_was_skipped_is_gone(bot: Bot, ann: Person) -> None:
    for text in ("one", "two", "three"):
        await bot.send_message(ann.id, text)
    assert (await ann.receives_text()).text == "one"
    assert (await ann.receives_text(containing="three")).text == "three"
    with pytest.raises(AssertionError, match=r"#3 \(two\) would do, but lies before the read position"):
        await ann.receives_text(containing="two", timeout=0.05)


async def test_a_text_is_found_as_it_was_although_it_was_overwritten_since(bot: Bot, ann: Person) -> None:
    sent = await bot.send_message(ann.id, "10 %")
    await edit(bot, ann, sent.message_id, "50 %")
    await edit(bot, ann, sent.message_id, "90 %")
    message = await ann.receives_text(containing="50 %")
    assert message.text == "90 %"
    assert [version.text for version in message.history] == ["10 %", "50 %", "90 %"]


async def test_edits_of_buttons_are_no_texts_and_edits_are_no_messages(bot: Bot, ann: Person) -> None:
    sent = await bot.send_message(ann.id, "status", reply_markup=keyboard(["Cancel"]))
    await ann.receives_text()
    await edit(bot, ann, sent.message_id, "status", "Stop")
    with pytest.raises(AssertionError, match=r"waited 0\.05 s for a text"):
        await ann.receives_text(timeout=0.05)
    with pytest.raises(AssertionError, match=r"waited 0\.05 s for a message"):
        await ann.receives_message(timeout=0.05)
    assert (await ann.receives_edit()).buttons == ("Stop",)


async def test_a_document_edited_into_a_message_is_received_and_its_new_caption_is_not(bot: Bot, ann: Person) -> None:
    sent = await bot.send_message(ann.id, "50 %")
    media = InputMediaDocument(media=BufferedInputFile(b"x", "x.png"))
    await bot.edit_message_media(media, chat_id=ann.id, message_id=sent.message_id)
    assert (await ann.receives_document()).message_id == sent.message_id
    await bot.edit_message_caption(chat_id=ann.id, message_id=sent.message_id, caption="new")
    with pytest.raises(AssertionError):
        await ann.receives_document(timeout=0.05)


async def test_sees_waits_without_moving_the_read_position(bot: Bot, ann: Person) -> None:
    sent = await bot.send_message(ann.id, "waiting")
    message = await ann.receives_message()
    waiting = asyncio.create_task(ann.sees(message, containing="half", button="Cancel"))
    await asyncio.sleep(0)
    await edit(bot, ann, sent.message_id, "half way", "Cancel")
    await edit(bot, ann, sent.message_id, "done")
    assert await waiting is message
    assert (await ann.receives_text(containing="half")) is message


async def test_waiting_ends_as_soon_as_the_message_is_there(bot: Bot, ann: Person) -> None:
    began = time.monotonic()
    waiting = asyncio.create_task(ann.receives_text(containing="now"))
    await asyncio.sleep(0.05)
    await bot.send_message(ann.id, "now")
    await waiting
    assert time.monotonic() - began < 1.0


async def test_a_failed_expectation_shows_the_whole_chat(bot: Bot, ann: Person) -> None:
    sent = await bot.send_message(ann.id, "In the queue", reply_markup=keyboard(["Cancel", "Help"]))
    await edit(bot, ann, sent.message_id, "50 %")
    await edit(bot, ann, sent.message_id, "50 %", "Cancel")
    await ann.sends_photo(picture(640, 480))
    await bot.send_document(
        ann.id, BufferedInputFile(bytes(2500), "restored.png"), caption="Done\nin 3 s", reply_to_message_id=3
    )
    await bot.delete_message(ann.id, sent.message_id)
    with pytest.raises(AssertionError) as failure:
        await ann.receives_text(containing="never", timeout=0.05)
    lines = [line[10:] if line[:2].isdecimal() else line for line in str(failure.value).splitlines()]
    size = len(ann.chat.messages[1].content) / 1000
    assert lines[0] == "Ann waited 0.05 s for a text containing 'never'"
    assert lines[2].startswith("── Ann (private chat 500000001) ──")
    assert lines[3:] == [
        "Ann      /start  #1",
        "Restora  In the queue  [Cancel]  [Help]",
        "                   → 50 %",
        "                   → 50 %  [Cancel]",
        "                   (deleted)  #2",
        f"Ann      <photo: 640×480, {size:.0f} kB>  #3",
        "Restora  <document restored.png: 2 kB>  Done",
        "                   in 3 s  #4 in reply to #3",
    ]


async def test_unexpected_messages_break_the_silence(bot: Bot, ann: Person) -> None:
    silence = asyncio.create_task(ann.receives_nothing(for_s=0.2))
    await asyncio.sleep(0.05)
    await bot.send_message(ann.id, "surprise")
    with pytest.raises(AssertionError, match=r"expected 0.2 s of silence, got #2 \(surprise\)"):
        await silence


async def test_a_button_that_nobody_answers_fails_with_its_name(bot: Bot, ann: Person) -> None:
    await bot.send_message(ann.id, "sure?", reply_markup=keyboard(["Yes"]))
    with pytest.raises(AssertionError, match="an answer to the button 'Yes'"):
        await ann.clicks("Yes", timeout=0.05)
    with pytest.raises(AssertionError, match="a button 'No'"):
        await ann.clicks("No", timeout=0.05)


async def test_the_newest_message_with_the_button_is_pressed_unless_told_otherwise(
    bot: Bot, telegram: Emulator, ann: Person
) -> None:
    first, second = [await bot.send_message(ann.id, "?", reply_markup=keyboard(["Cancel"])) for _ in range(2)]
    older = await ann.receives_message()
    for on in (None, older):
        click = asyncio.create_task(ann.clicks("Cancel", on=on))
        await asyncio.sleep(0.01)
        query = list(telegram.state.queries.values())[-1]
        assert query.message.message_id == (second if on is None else first).message_id
        await bot.answer_callback_query(query.id)
        await click


async def test_a_photo_is_sent_as_a_client_does_it(ann: Person) -> None:
    source = Image.radial_gradient("L").resize((3000, 2000)).convert("RGBA")
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    exif[0x010F] = "Secret camera"
    encoded = io.BytesIO()
    source.convert("RGB").save(encoded, "JPEG", exif=exif)
    photo = await ann.sends_photo(encoded.getvalue())
    with Image.open(io.BytesIO(photo.content)) as sent:
        assert (sent.format, sent.size, dict(sent.getexif())) == ("JPEG", (853, 1280), {})
    sizes = [(file.width, file.height) for file in photo.media.files]
    assert sizes == [(60, 90), (213, 320), (533, 800), (853, 1280)]


async def test_a_small_photo_is_not_enlarged(ann: Person) -> None:
    photo = await ann.sends_photo(picture(200, 100))
    assert [(file.width, file.height) for file in photo.media.files] == [(90, 45), (200, 100)]


async def test_a_document_stays_as_it_is(ann: Person) -> None:
    content = picture(64, 64, format_="PNG")
    document = await ann.sends_document("старое фото.png", content)
    assert (document.content, document.file_name, document.mime_type) == (content, "старое фото.png", "image/png")
    assert document.media.thumbnail is not None


async def test_what_no_client_would_send_is_refused(ann: Person) -> None:
    with pytest.raises(UnusableError, match="not a picture that Telegram could show"):
        await ann.sends_photo(b"%PDF")
    with pytest.raises(UnusableError, match="empty text"):
        await ann.sends_text("  ")
    await ann.blocks_bot()
    with pytest.raises(UnusableError, match="has to unblock"):
        await ann.sends_text("hello?")


async def test_the_account_tells_which_document_went_to_whom(bot: Bot, telegram: Emulator, ann: Person) -> None:
    bob = telegram.user("Bob")
    await bob.sends_text("/start")
    telegram.misbehaves("sendDocument", RetryAfter(1), chat=bob)
    for person, fails in ((ann, False), (bob, True), (bob, False)):
        with pytest.raises(TelegramRetryAfter) if fails else contextlib.nullcontext():
            await bot.send_document(person.id, BufferedInputFile(b"result", "r.png"), reply_to_message_id=1)
    assert [call.executed for call in telegram.calls_of("sendDocument", chat=bob)] == [False, True]
    (call,) = telegram.calls_of("senddocument", chat=ann)
    assert call.result["document"]["file_name"] == "r.png"
    assert call.result["reply_to_message"]["message_id"] == 1
    assert "<r.png: 6 bytes>" in call.arguments.values()
    assert telegram.token not in str(telegram.calls)


async def test_people_in_a_group_read_for_themselves(bot: Bot, telegram: Emulator, ann: Person) -> None:
    bob = telegram.user("Bob")
    group = telegram.group("Family", [ann, bob], type="supergroup")
    ann_there, bob_there = ann.at(group), bob.at(group)
    photo = await ann_there.sends_photo(picture())
    await bot.send_message(group.id, "nice", reply_to_message_id=photo.message_id)
    for person in (ann_there, bob_there):
        assert (await person.receives_text()).reply_to is photo
    with pytest.raises(AssertionError):
        await ann.receives_text(timeout=0.05)
    assert photo.sender is ann.account


async def test_albums_take_bytes_and_items(ann: Person) -> None:
    album = await ann.sends_album([picture(), Item(b"II*\0", "document", "a.tif")], caption="c")
    assert [(message.kind, message.text) for message in album] == [("photo", "c"), ("document", "")]


async def test_large_files_go_to_the_disk_and_leave_it_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Emulator.running() as telegram:
        monkeypatch.setattr(telegram.state.files, "_memory_left", 1000)
        small = await telegram.user("Ann").sends_document("a.bin", b"a" * 900)
        large = await telegram.user("Bob").sends_document("b.bin", b"b" * 5000)
        assert (small.content, large.content) == (b"a" * 900, b"b" * 5000)
        path = large.media.file.body.path  # type: ignore[attr-defined]
        assert path.is_file()
    assert not path.exists()


async def test_it_starts_in_less_than_a_third_of_a_second() -> None:
    durations = []
    for _ in range(3):
        began = time.monotonic()
        async with Emulator.running():
            durations.append(time.monotonic() - began)
    assert min(durations) < 0.3  # the others may have shared the processor
