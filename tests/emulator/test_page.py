"""The chat page in a real browser: a person who clicks, types and looks."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import requests
from aiogram import Bot, Dispatcher, F
from aiogram.types import (
    BotCommand,
    BufferedInputFile,
    CallbackQuery,
    InputMediaDocument,
    KeyboardButton,
    Message,
    ReplyKeyboardMarkup,
    ReplyKeyboardRemove,
)
from PIL import Image

from emulator import Emulator
from tests.emulator.browser import Page, chromium, open_page
from tests.emulator.conftest import keyboard, picture, polling

pytestmark = pytest.mark.skipif(chromium() is None, reason="needs Chromium (apt-get install chromium)")

LAST = "[...document.querySelectorAll('.message')].at(-1)"
# the keys that can be seen, "a|b,c" for two rows
KEYS = (
    "[...document.querySelectorAll('#keys:not([hidden]) div')]"
    ".map(row => [...row.children].map(key => key.innerText).join(',')).join('|')"
)


@pytest.fixture
async def restorer(telegram: Emulator, bot: Bot) -> AsyncIterator[Dispatcher]:
    """A small bot that doubles pictures, in the way Restora talks."""
    dispatcher = Dispatcher()
    release = asyncio.Event()

    @dispatcher.message(F.photo | F.document | F.sticker)
    async def restore(message: Message) -> None:
        status = await message.reply("In the queue: 1", reply_markup=keyboard(["Cancel"]))
        await bot.send_chat_action(message.chat.id, "upload_document")
        await release.wait()
        source = message.photo[-1] if message.photo else message.document or message.sticker
        assert source is not None
        downloaded = await bot.download(source.file_id)
        assert downloaded is not None
        restored = io.BytesIO()
        with Image.open(downloaded) as image:
            image.resize((image.width * 2, image.height * 2)).save(restored, "PNG")
        media = InputMediaDocument(media=BufferedInputFile(restored.getvalue(), "restored.png"), caption="Done")
        await status.edit_media(media)

    @dispatcher.message(F.text)
    async def greet(message: Message) -> None:
        assert message.from_user is not None
        await message.answer(f"<b>{message.from_user.language_code}</b> {message.text}", parse_mode="HTML")

    @dispatcher.callback_query()
    async def cancel(query: CallbackQuery) -> None:
        release.set()
        await query.answer("Cannot be stopped")

    await bot.set_my_commands([BotCommand(command="settings", description="Language")])
    async with polling(telegram, bot, dispatcher):
        yield dispatcher


@pytest.fixture
async def page(telegram: Emulator, restorer: Dispatcher) -> AsyncIterator[Page]:
    async with open_page(telegram.api_url) as page:
        yield page
        assert page.errors == []


async def becomes(page: Page, name: str, language_code: str) -> None:
    """Answer the dialog that asks who you are."""
    await page.until("document.querySelector('#person-dialog').open")
    await page.evaluate(
        "document.querySelector('#person-dialog [name=first_name]').value = "
        f"{name!r}; document.querySelector('#person-dialog [name=language_code]').value = {language_code!r}"
    )
    await page.click("#person-dialog [value=ok]")
    await page.until(f"document.querySelector('.person[aria-current=true]').innerText.includes({name!r})")


async def says(page: Page, text: str) -> None:
    await page.evaluate("document.querySelector('#text').focus()")
    await page.type(text)


async def test_a_person_sends_a_picture_presses_a_button_and_gets_it_back_larger(
    page: Page, telegram: Emulator, tmp_path: Path
) -> None:
    await becomes(page, "Anna", "ru")
    await says(page, "/start")
    await page.until(f"{LAST}.querySelector('b')?.innerText === 'ru'")

    source = tmp_path / "old.jpg"
    source.write_bytes(picture(400, 300))
    await page.choose_files("#files", source)
    await page.until("document.querySelector('#send-dialog').open")
    await page.click("#send-dialog [value=ok]")
    await page.until(f"{LAST}.innerText.includes('In the queue: 1')")
    await page.until("document.querySelector('#status').innerText === 'is sending a file…'")

    await page.click(".keyboard button")
    await page.until("document.querySelector('#toast').innerText === 'Cannot be stopped'")
    await page.until(f"{LAST}.innerText.includes('Done')")
    await page.until(f"{LAST}.innerText.includes('restored.png · 800 × 600 px')")
    assert await page.evaluate("document.querySelectorAll('.keyboard').length") == 0

    await page.evaluate("[...document.querySelectorAll('.tools button')].find(b => b.innerText === 'Compare').click()")
    await page.until("document.querySelector('#compare-sizes').innerText === '400 × 300 px → 800 × 600 px'")
    (chat,) = telegram.state.chats.values()
    assert [message.kind for message in chat.messages] == ["text", "text", "photo", "document"]
    assert chat.messages[-1].reply_to is chat.messages[2]


async def test_the_page_tells_that_no_bot_is_running(telegram: Emulator) -> None:
    async with open_page(telegram.api_url) as page:
        await becomes(page, "Ann", "en")
        await page.until("document.querySelector('#status').innerText.startsWith('not running')")
        poll = asyncio.create_task(
            asyncio.to_thread(requests.get, f"{telegram.api_url}/bot{telegram.token}/getUpdates?timeout=2", timeout=9)
        )
        await page.until("document.querySelector('#status').innerText === 'bot'")
        await poll
        await page.until("document.querySelector('#status').innerText.startsWith('not running')")


async def test_the_command_menu_sends_the_command(page: Page) -> None:
    await becomes(page, "Ann", "en")
    await page.click("#commands-button")
    await page.until("document.querySelector('#commands').innerText.includes('Language')")
    await page.click("#commands button")
    await page.until(f"{LAST}.innerText.includes('en /settings')")


async def test_the_keyboard_under_the_input_field_changes_live_and_sends_what_its_keys_say(
    page: Page, telegram: Emulator, bot: Bot
) -> None:
    await becomes(page, "Ann", "en")
    await says(page, "/start")
    await page.until(f"{LAST}.innerText.includes('en /start')")
    assert await page.evaluate(
        "[document.querySelector('#keys').hidden, document.querySelector('#keys-button').hidden]"
    )
    (chat,) = telegram.state.chats
    menu = [[KeyboardButton(text="Restore")], [KeyboardButton(text="Help"), KeyboardButton(text="Start over")]]
    placeholder = "Send me a picture"
    await bot.send_message(
        chat,
        "Hello",
        reply_markup=ReplyKeyboardMarkup(keyboard=menu, is_persistent=True, input_field_placeholder=placeholder),
    )
    await page.until(f"{KEYS} === 'Restore|Help,Start over'")
    assert await page.evaluate("document.querySelector('#text').placeholder") == placeholder
    assert await page.evaluate("document.querySelector('#keys-button').hidden")  # it is there to stay
    await page.click("#keys div:nth-child(2) button")
    await page.until(f"{LAST}.innerText.includes('en Help')")
    assert [message.text for message in telegram.state.chats[chat].messages][-2:] == ["Help", "en Help"]
    assert await page.evaluate(f"{KEYS} === 'Restore|Help,Start over'")

    await bot.send_message(
        chat, "Sure?", reply_markup=ReplyKeyboardMarkup(keyboard=[[KeyboardButton(text="Yes")]], one_time_keyboard=True)
    )
    await page.until(f"{KEYS} === 'Yes'")
    await page.click("#keys button")
    await page.until(f"{LAST}.innerText.includes('en Yes')")
    await page.until(f"{KEYS} === ''")
    await page.click("#keys-button")
    await page.until(f"{KEYS} === 'Yes'")
    await page.click("#add-person")
    await becomes(page, "Bob", "en")
    await page.until(f"{KEYS} === '' && document.querySelector('#keys-button').hidden")
    await page.click(".person")
    await page.until("!document.querySelector('#keys-button').hidden")

    await bot.send_message(chat, "Bye", reply_markup=ReplyKeyboardRemove())
    await page.until("document.querySelector('#keys-button').hidden")
    assert await page.evaluate("document.querySelector('#text').placeholder") == "Message"


async def test_each_tab_is_one_person_and_sees_only_their_chat(page: Page, telegram: Emulator) -> None:
    await becomes(page, "Ann", "en")
    await says(page, "a secret of Ann")
    await page.until(f"{LAST}.innerText.includes('en a secret')")
    await page.click("#add-person")
    await becomes(page, "Борис", "ru")
    await page.until("document.querySelectorAll('.message').length === 0")
    await says(page, "привет")
    await page.until(f"{LAST}.innerText.includes('ru привет')")
    assert "secret" not in await page.evaluate("document.body.innerText")
    await page.click(".person")
    await page.until(f"{LAST}.innerText.includes('en a secret')")
    assert await page.evaluate("location.search") == f"?user={min(telegram.state.chats)}"


async def test_markup_in_a_name_or_text_stays_text(page: Page) -> None:
    await becomes(page, "<img src=x onerror=alert(1)>", "en")
    await says(page, "<script>document.title = 'broken'</script> <b>x</b>")
    await page.until("document.querySelector('.mine').innerText.includes('<script>')")
    assert await page.evaluate("document.querySelectorAll('.people img, .messages script, .mine b').length") == 0


async def test_enter_in_the_dialog_starts_rather_than_cancels(page: Page, telegram: Emulator) -> None:
    await page.until("document.querySelector('#person-dialog').open")
    await page.evaluate("document.querySelector('#person-dialog [name=first_name]').select()")
    await page.type("Zoë")
    await page.until("document.querySelector('.person').innerText.includes('Zoë')")
    assert [chat.name for chat in telegram.state.chats.values()] == ["Zoë"]


async def test_blocking_and_misbehaviour_from_the_page(page: Page, telegram: Emulator) -> None:
    await becomes(page, "Ann", "en")
    await page.click(".faults summary")
    await page.click("#fault-form [type=submit]")
    await page.until("document.querySelector('#faults').innerText.includes('RetryAfter in any method: 0 of 1')")
    assert [type(rule.fault).__name__ for rule in telegram.server.api.faults.rules] == ["RetryAfter"]
    await page.click("#clear-faults")
    await page.until("document.querySelector('#faults').innerText === ''")
    await page.click("#block")
    await page.until("document.querySelector('#block').innerText === 'Unblock'")
    await says(page, "hello?")
    await page.until("document.querySelector('#toast').innerText.includes('has to unblock it')")
    (refusal,) = page.errors
    assert "400" in refusal
    page.errors.clear()
