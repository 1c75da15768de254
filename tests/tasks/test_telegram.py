"""The worker's client and door, over real HTTP against the emulator."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest
import pytest_asyncio

from emulator import BadGateway, Blocked, Emulator, Hang, Reset, ResetAfter, RetryAfter, ServerError, Slow
from tasks import telegram as module
from tasks.budget import SendBudget
from tasks.door import Document, TelegramDoor, result_name
from tasks.messages import Job, JobState
from tasks.telegram import (
    ChatClosedError,
    FileTooLargeError,
    TelegramBusyError,
    TelegramClient,
    TelegramRefusalError,
    TelegramUnreachableError,
)


@pytest_asyncio.fixture
async def telegram():
    async with Emulator.running() as running:
        yield running


@pytest.fixture
def client(telegram):
    client = TelegramClient(telegram.token, api_url=telegram.api_url)
    yield client
    client.close()


async def call(client, method, **params):
    try:
        return await asyncio.to_thread(client.call, method, params)
    finally:
        pass


async def a_user(telegram):
    user = telegram.user("Ann")
    await user.sends_text("hello")
    return user


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (RetryAfter(7), TelegramBusyError),
        (ServerError(), TelegramUnreachableError),
        (BadGateway(), TelegramUnreachableError),
        (Reset(), TelegramUnreachableError),
        (ResetAfter(), TelegramUnreachableError),
        (Blocked(), ChatClosedError),
    ],
)
async def test_every_way_to_fail_has_its_error_and_none_shows_the_token(telegram, client, fault, error, caplog):
    user = await a_user(telegram)
    telegram.misbehaves("sendMessage", fault, times=1)
    with caplog.at_level(logging.DEBUG, logger="tasks"), pytest.raises(error) as caught:
        await call(client, "sendMessage", chat_id=user.id, text="hi")
    secret = telegram.token.split(":")[1]
    chain = caught.value
    while chain is not None:
        assert secret not in f"{chain!s} {chain!r}" or chain.__suppress_context__ is False
        chain = chain.__cause__
    assert secret not in str(caught.value)
    assert secret not in caplog.text


async def test_a_429_carries_how_long_to_wait(telegram, client):
    user = await a_user(telegram)
    telegram.misbehaves("sendMessage", RetryAfter(7), times=1)
    with pytest.raises(TelegramBusyError) as caught:
        await call(client, "sendMessage", chat_id=user.id, text="hi")
    assert caught.value.retry_after_s == 7


async def test_a_dead_port_is_unreachable(telegram):
    client = TelegramClient(telegram.token, api_url="http://127.0.0.1:9")
    with pytest.raises(TelegramUnreachableError):
        await call(client, "getMe")
    client.close()


async def test_a_silent_server_is_given_up(telegram, client, monkeypatch):
    monkeypatch.setattr(module, "READ_TIMEOUT_S", 0.3)
    telegram.misbehaves("getMe", Slow(2), times=1)
    with pytest.raises(TelegramUnreachableError):
        await call(client, "getMe")


async def test_a_file_comes_back_as_it_was_sent(telegram, client):
    content = bytes(range(256)) * 3000
    message = await telegram.user("Ann").sends_document("a.png", content=content)
    assert await asyncio.to_thread(client.download, message.file_id, max_bytes=10**7) == content


async def test_a_file_over_the_limit_is_refused_before_it_is_in_memory(telegram, client):
    message = await telegram.user("Ann").sends_document("a.png", content=b"x" * 3_000_000)
    with pytest.raises(FileTooLargeError):
        await asyncio.to_thread(client.download, message.file_id, max_bytes=1_000_000)


async def test_a_file_telegram_does_not_hand_out_is_too_large(telegram, client):
    message = await telegram.user("Ann").sends_document("a.png", file_size=25_000_000)
    with pytest.raises(FileTooLargeError):
        await asyncio.to_thread(client.download, message.file_id, max_bytes=10**8)


async def test_a_download_that_comes_too_early_is_not_a_file_that_is_gone(telegram, client):
    message = await telegram.user("Ann").sends_document("a.png", content=b"x")
    telegram.misbehaves("download", RetryAfter(7), times=1)
    with pytest.raises(TelegramBusyError) as caught:
        await asyncio.to_thread(client.download, message.file_id, max_bytes=100)
    assert caught.value.retry_after_s == 7


async def test_a_small_result_does_not_hold_a_worker_for_minutes_where_nobody_answers(telegram, client, monkeypatch):
    monkeypatch.setattr(module, "READ_TIMEOUT_S", 0.3)
    user = await a_user(telegram)
    telegram.misbehaves("sendDocument", Hang(), times=1)
    began = time.monotonic()
    params = {"chat_id": user.id, "document": "attach://upload"}
    with pytest.raises(TelegramUnreachableError):
        await asyncio.to_thread(client.call, "sendDocument", params, upload=("a.png", bytes(10_000), "image/png"))
    assert time.monotonic() - began < 3


def test_a_large_result_has_the_time_a_thin_line_takes():
    assert module._patience_s(("a.png", bytes(49_000_000), "image/png")) == 180


async def test_an_unknown_file_is_refused(client):
    with pytest.raises(TelegramRefusalError):
        await asyncio.to_thread(client.download, "nonsense", max_bytes=100)


def job(user, **changes):
    fields = {
        "id": f"{user.id}:1",
        "state": JobState.DELIVERING,
        "chat_id": user.id,
        "message_id": 1,
        "user_id": user.id,
        "locale": "en",
        "kind": "photo",
        "file_id": "f",
        "pixels": 1,
        "queue": "restore",
        "queued_ms": 0,
        "since_ms": 0,
    }
    return Job(**{**fields, **changes})


DOCUMENT = Document(name="a.png", content=b"result", mime="image/png", caption="done")


async def deliver(door, job, document=DOCUMENT):
    known = {"on_unknown": lambda _: None, "should_stop": lambda: False}
    return await asyncio.to_thread(door.deliver, job, document, **known)


@pytest.fixture
def door(client):
    return TelegramDoor(client, max_file_bytes=10**7)


async def test_without_a_status_message_the_result_is_a_reply(telegram, door):
    user = await a_user(telegram)
    assert await deliver(door, job(user)) is False
    document = await user.receives_document()
    assert (document.content, document.caption, document.reply_to.message_id) == (b"result", "done", 1)


async def test_delivering_twice_by_edit_leaves_one_document(telegram, client, door):
    user = await a_user(telegram)
    status = await call(client, "sendMessage", chat_id=user.id, text="…")
    for _ in range(2):
        assert await deliver(door, job(user, status_message_id=status["message_id"])) is True
    assert [message.kind for message in user.chat.messages if message.from_bot] == ["document"]


async def test_progress_after_the_result_changes_nothing(telegram, client, door):
    user = await a_user(telegram)
    status = await call(client, "sendMessage", chat_id=user.id, text="…")
    held = job(user, status_message_id=status["message_id"])
    await deliver(door, held)
    await asyncio.to_thread(door.show, held, "42 %", cancellable=True)
    (document,) = [message for message in user.chat.messages if message.from_bot]
    assert (document.kind, document.caption) == ("document", "done")


async def test_nothing_is_shown_in_a_chat_that_asked_for_silence(telegram, client, door):
    user = await a_user(telegram)
    status = await call(client, "sendMessage", chat_id=user.id, text="…")
    held = job(user, status_message_id=status["message_id"])
    telegram.misbehaves("editMessageText", RetryAfter(30), times=1)
    with pytest.raises(TelegramBusyError):
        await asyncio.to_thread(door.show, held, "10 %", cancellable=True)
    await asyncio.to_thread(door.show, held, "20 %", cancellable=True)
    assert len(telegram.calls_of("editMessageText")) == 1


async def test_a_silence_that_another_process_was_asked_for_is_kept_here_too(telegram, client, store):
    user, other = await a_user(telegram), await a_user(telegram)
    SendBudget(store.redis, bot_id=9).silence(user.id, 60)
    door = TelegramDoor(client, max_file_bytes=10**7, budget=SendBudget(store.redis, bot_id=9))
    began = time.monotonic()
    with pytest.raises(TelegramBusyError) as caught:
        await deliver(door, job(user))
    assert 55 < caught.value.retry_after_s <= 60
    await deliver(door, job(other))
    assert time.monotonic() - began < 5  # neither waited
    assert [call.chat_id for call in telegram.calls_of("sendDocument")] == [other.id]


async def test_no_picture_is_fetched_while_its_chat_wants_a_long_silence(telegram, door, client):
    user = telegram.user("Ann")
    message = await user.sends_document("a.png", content=b"x")
    status = await call(client, "sendMessage", chat_id=user.id, text="…")
    held = job(user, file_id=message.file_id, status_message_id=status["message_id"])
    telegram.misbehaves("editMessageText", RetryAfter(100), times=1)
    with pytest.raises(TelegramBusyError):
        await asyncio.to_thread(door.show, held, "10 %", cancellable=True)
    with pytest.raises(TelegramBusyError):
        await asyncio.to_thread(door.fetch, held, should_stop=lambda: False)
    assert telegram.calls_of("getFile") == []


async def test_a_short_silence_is_sat_out(telegram, door):
    user = await a_user(telegram)
    telegram.misbehaves("sendDocument", RetryAfter(1), times=1)
    began = time.monotonic()
    await deliver(door, job(user))
    assert 1.0 <= time.monotonic() - began < 6
    assert len(telegram.calls_of("sendDocument")) == 2


async def test_results_of_many_pictures_in_one_chat_keep_to_its_rate_and_progress_gives_way(telegram, client, door):
    user = await a_user(telegram)
    status = await call(client, "sendMessage", chat_id=user.id, text="…")
    held = job(user, status_message_id=status["message_id"])
    for percent in range(15):
        await asyncio.to_thread(door.show, held, f"{percent} %", cancellable=True)
        await asyncio.sleep(0.03)  # all chats together may have the next one then
    assert 3 <= len(telegram.calls_of("editMessageText")) <= 4  # a slow machine gives the chat time for one more
    began = time.monotonic()
    for _ in range(3):
        await deliver(door, job(user))
    assert 0.5 < time.monotonic() - began < 5
    assert len(telegram.calls_of("sendDocument")) == 3
    began = time.monotonic()
    await asyncio.to_thread(door.announce, held)  # there is no room now; nobody waits for it
    assert time.monotonic() - began < 0.5
    await user.receives_text(containing="ready", timeout=5)


async def test_the_last_word_reaches_a_chat_whose_status_message_is_gone(telegram, door):
    user = await a_user(telegram)
    await asyncio.to_thread(door.tell, job(user, status_message_id=999), "sorry")
    assert (await user.receives_text(containing="sorry")).reply_to.message_id == 1


async def test_a_result_telegram_finds_too_large_is_refused_not_repeated(telegram, client, door):
    user = await a_user(telegram)
    huge = Document(name="a.png", content=bytes(51 * 1024 * 1024), mime="image/png", caption="")
    with pytest.raises(TelegramRefusalError) as caught:
        await deliver(door, job(user), huge)
    assert caught.value.status == 413
    assert len(telegram.calls_of("sendDocument")) <= 1


@pytest.mark.parametrize(
    ("file_name", "kind", "name"),
    [
        ("holiday.png", "document", "holiday_x4.png"),
        ("", "photo", "photo_x4.png"),
        ("archive.tar.png", "document", "archive.tar_x4.png"),
        ("../../x.png", "document", ".._.._x_x4.png"),
        ("a\r\nb.png", "document", "a_b_x4.png"),
        ("noextension", "document", "noextension_x4.png"),
        (".png", "document", "document_x4.png"),
    ],
)
def test_the_result_is_named_after_the_picture_harmlessly(telegram_free_job, file_name, kind, name):
    assert result_name(telegram_free_job(file_name=file_name, kind=kind), scale=4.0, extension="png") == name


@pytest.fixture
def telegram_free_job():
    class Somebody:
        id = 1

    return lambda **changes: job(Somebody, **changes)
