"""Each fault as aiogram sees it, and what has happened in the world afterwards."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest
from aiogram import Bot
from aiogram.exceptions import (
    ClientDecodeError,
    TelegramBadRequest,
    TelegramForbiddenError,
    TelegramMigrateToChat,
    TelegramNetworkError,
    TelegramRetryAfter,
    TelegramServerError,
)
from aiogram.types import BufferedInputFile

from emulator import (
    BadGateway,
    Blocked,
    Emulator,
    FileTooBig,
    Hang,
    MessageGone,
    Person,
    Reset,
    ResetAfter,
    ResetDuringUpload,
    RetryAfter,
    ServerError,
    Slow,
)
from emulator.faults import Rule
from tests.emulator.conftest import bot_of, picture


def received(person: Person) -> list[str]:
    return [message.text for message in person.chat.messages if message.from_bot]


async def test_retry_after_tells_how_long_and_executes_nothing(bot: Bot, telegram: Emulator, ann: Person) -> None:
    telegram.misbehaves("sendMessage", RetryAfter(7))
    with pytest.raises(TelegramRetryAfter) as refusal:
        await bot.send_message(ann.id, "x")
    assert (refusal.value.retry_after, received(ann)) == (7, [])
    await bot.send_message(ann.id, "x")
    assert received(ann) == ["x"]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (ServerError(), TelegramServerError),
        (BadGateway(), ClientDecodeError),
        (Reset(), TelegramNetworkError),
        (ResetDuringUpload(), TelegramNetworkError),
    ],
)
async def test_faults_before_the_call_leave_no_trace_in_the_chat(
    bot: Bot,
    telegram: Emulator,
    ann: Person,
    fault: ServerError | BadGateway | Reset | ResetDuringUpload,
    error: type[Exception],
) -> None:
    rule = telegram.misbehaves("sendMessage", fault)
    with pytest.raises(error):
        await bot.send_message(ann.id, "x")
    assert (received(ann), rule.struck) == ([], 1)
    (call,) = telegram.calls_of("sendMessage", chat=ann)
    assert (call.fault, call.executed) == (type(fault).__name__, False)


async def test_reset_after_executes_the_call_and_loses_the_answer(bot: Bot, telegram: Emulator, ann: Person) -> None:
    telegram.misbehaves("sendMessage", ResetAfter())
    with pytest.raises(TelegramNetworkError):
        await bot.send_message(ann.id, "x")
    assert received(ann) == ["x"]
    assert telegram.calls_of("sendMessage")[0].executed


@pytest.mark.parametrize("size", [200_000, 20_000_000])
async def test_an_upload_is_cut_off_half_way(bot: Bot, telegram: Emulator, ann: Person, size: int) -> None:
    rule = telegram.misbehaves("sendDocument", ResetDuringUpload(), chat=ann)
    document = BufferedInputFile(bytes(size), "a.bin")
    with pytest.raises(TelegramNetworkError):
        await bot.send_document(ann.id, document)
    assert (received(ann), rule.struck) == ([], 1)
    assert [call.fault for call in telegram.calls_of("sendDocument", chat=ann)] == ["ResetDuringUpload"]
    await bot.send_document(ann.id, document)
    assert (await ann.receives_document()).media.file.size == size


async def test_slow_calls_are_executed_although_the_client_gave_up(bot: Bot, telegram: Emulator, ann: Person) -> None:
    telegram.misbehaves("sendMessage", Slow(0.5))
    with pytest.raises(TelegramNetworkError, match="timeout"):
        await bot.send_message(ann.id, "late", request_timeout=0.1)  # type: ignore[arg-type]
    assert received(ann) == []
    assert (await ann.receives_text()).text == "late"


async def test_a_hanging_call_never_answers_and_is_not_executed(bot: Bot, telegram: Emulator, ann: Person) -> None:
    telegram.misbehaves("*", Hang())
    with pytest.raises(TelegramNetworkError, match="timeout"):
        await bot.send_message(ann.id, "x", request_timeout=1)
    await ann.receives_nothing(for_s=0.2)


async def test_an_emulator_stops_quickly_although_calls_hang() -> None:
    async with Emulator.running() as telegram:
        ann = telegram.user("Ann")
        await ann.sends_text("/start")
        telegram.misbehaves("*", Hang(), times=None)
        bot = bot_of(telegram)
        call = asyncio.create_task(bot.send_message(ann.id, "x"))
        poll = asyncio.create_task(bot.get_updates(offset=10**9, timeout=30))
        await telegram.is_polled()
        began = time.monotonic()
    assert time.monotonic() - began < 3
    with pytest.raises(TelegramNetworkError):
        await call
    assert await poll == []
    await bot.session.close()


async def test_blocked_strikes_for_good(bot: Bot, telegram: Emulator, ann: Person) -> None:
    telegram.misbehaves("sendDocument", Blocked(), chat=ann)
    await bot.send_message(ann.id, "x")
    for _ in range(2):
        with pytest.raises(TelegramForbiddenError, match="bot was blocked by the user"):
            await bot.send_document(ann.id, BufferedInputFile(b"x", "x"))
    assert ann.chat.blocked


async def test_message_gone_deletes_the_message_before_the_edit(bot: Bot, telegram: Emulator, ann: Person) -> None:
    sent = await bot.send_message(ann.id, "x")
    message = await ann.receives_message()
    telegram.misbehaves("editMessageText", MessageGone())
    with pytest.raises(TelegramBadRequest, match="message to edit not found"):
        await bot.edit_message_text("y", chat_id=ann.id, message_id=sent.message_id)
    await ann.sees_deleted(message)


async def test_a_file_that_turns_out_to_be_too_big_stays_so_and_no_other_does(
    bot: Bot, telegram: Emulator, ann: Person
) -> None:
    big, small = await ann.sends_photo(picture()), await ann.sends_photo(picture())
    telegram.misbehaves("getFile", FileTooBig())
    for _ in range(2):
        with pytest.raises(TelegramBadRequest, match="file is too big"):
            await bot.get_file(big.file_id)
    assert (await bot.get_file(small.file_id)).file_size == len(small.content)
    assert big.content


async def test_downloads_fail_on_demand_whole_or_half_way(bot: Bot, telegram: Emulator, ann: Person) -> None:
    photo = await ann.sends_photo(picture(2000, 2000))
    telegram.misbehaves("download", ServerError())
    telegram.misbehaves("download", ResetAfter())
    for _ in range(2):
        with pytest.raises(aiohttp.ClientError):
            await bot.download(photo.file_id)
    downloaded = await bot.download(photo.file_id)
    assert downloaded is not None
    assert downloaded.read() == photo.content


async def test_downloads_fail_for_the_chat_the_file_came_from(bot: Bot, telegram: Emulator, ann: Person) -> None:
    bob = telegram.user("Bob")
    of_ann, of_bob = await ann.sends_photo(picture()), await bob.sends_photo(picture())
    rule = telegram.misbehaves("download", ServerError(), chat=bob, times=None)
    assert await bot.download(of_ann.file_id)
    with pytest.raises(aiohttp.ClientResponseError):
        await bot.download(of_bob.file_id)
    assert rule.struck == 1
    assert [len(telegram.calls_of("download", chat=person)) for person in (ann, bob)] == [1, 1]


async def test_a_fault_concerns_only_its_method_its_chat_and_its_turn(
    bot: Bot, telegram: Emulator, ann: Person
) -> None:
    bob = telegram.user("Bob")
    await bob.sends_text("/start")
    rule = telegram.misbehaves("sendMessage", ServerError(), chat=ann, skip=1, times=1)
    await bot.send_chat_action(ann.id, "typing")
    await bot.send_message(bob.id, "x")
    await bot.send_message(ann.id, "passes")
    with pytest.raises(TelegramServerError):
        await bot.send_message(ann.id, "fails")
    await bot.send_message(ann.id, "passes again")
    assert (received(ann), received(bob), rule.struck) == (["passes", "passes again"], ["x"], 1)


async def test_behaving_again_ends_all_faults(bot: Bot, telegram: Emulator, ann: Person) -> None:
    telegram.misbehaves("*", ServerError(), times=None)
    telegram.behaves()
    assert await bot.send_message(ann.id, "x")


def test_the_same_seed_strikes_the_same_calls() -> None:
    first, second = (Rule(Reset(), times=None, probability=0.3, seed=5) for _ in range(2))
    pattern = [first.strikes() for _ in range(1000)]
    assert pattern == [second.strikes() for _ in range(1000)]
    assert 250 < sum(pattern) < 350


async def test_flood_limits_let_bursts_pass_and_then_ask_for_patience() -> None:
    async with Emulator.running(flood_limits=True) as telegram, bot_of(telegram) as bot:
        ann = telegram.user("Ann")
        await ann.sends_text("/start")
        for number in range(5):
            await bot.send_message(ann.id, str(number))
        with pytest.raises(TelegramRetryAfter) as refusal:
            await bot.send_message(ann.id, "too fast")
        assert refusal.value.retry_after == 1
        assert await bot.send_chat_action(ann.id, "typing")
        await asyncio.sleep(1.1)
        assert await bot.send_message(ann.id, "patient")


async def test_groups_have_20_messages_a_minute() -> None:
    async with Emulator.running(flood_limits=True) as telegram, bot_of(telegram) as bot:
        group = telegram.group("Family", [telegram.user("Ann")])
        for number in range(20):
            await bot.send_message(group.id, str(number))
        with pytest.raises(TelegramRetryAfter) as refusal:
            await bot.send_message(group.id, "too many")
        assert refusal.value.retry_after == 3


async def test_a_group_that_became_a_supergroup_names_the_chat_that_it_is_now(
    bot: Bot, telegram: Emulator, ann: Person
) -> None:
    group = telegram.group("Family", [ann])
    status = await bot.send_message(group.id, "before")
    new = telegram.upgrades(group)
    assert str(new.id).startswith("-100")
    with pytest.raises(TelegramMigrateToChat) as refusal:
        await bot.edit_message_text("after", chat_id=group.id, message_id=status.message_id)
    assert refusal.value.migrate_to_chat_id == new.id
    assert (await bot.send_message(new.id, "here")).message_id == 1
    assert [message.text for message in group.messages] == ["before"]
