"""/privacy and /forget, as users see them. The bot is real; no worker, so that jobs stay where they are."""

from __future__ import annotations

import asyncio

import pytest

from bot.texts import BotTexts
from emulator import Slow
from tasks.messages import JobState
from tasks.store import RECORD_LIFETIME_S, UPDATE_REMEMBERED_S
from tests.bot.test_conversations import eventually, id_of, job_of, jpeg
from tests.tasks.conftest import UNLIMITED, wish
from tests.traces import traces_in_redis

pytestmark = pytest.mark.asyncio(loop_scope="session")

en, ru = BotTexts("en"), BotTexts("ru")


@pytest.fixture(autouse=True)
def _nobody_waits(world):
    world.stack.store.redis.flushdb()


def traces_of(world, *marks):
    return traces_in_redis(world.stack.store.redis, map(str, marks))


async def a_picture_of(user):
    photo = await user.sends_photo(jpeg())
    return photo, await user.receives_message(containing="queue")


@pytest.mark.parametrize("words", [en, ru])
async def test_privacy_says_what_is_kept_and_for_how_long(world, words):
    user = world.telegram.user("Pia", language_code=words.locale)
    await user.sends_text("/privacy")
    answer = await user.receives_text()
    assert answer.text == words.privacy()
    assert f" {RECORD_LIFETIME_S // (24 * 3600)} " in answer.text
    assert f" {UPDATE_REMEMBERED_S // 3600} " in answer.text
    assert "/forget" in answer.text


@pytest.mark.parametrize("words", [en, ru])
async def test_the_menu_and_the_manual_name_both_commands(words):
    assert {"privacy", "forget"} <= set(words.commands())
    assert "/privacy" in words.help()
    assert "/forget" in words.help()


async def test_forget_deletes_everything_of_this_user_and_says_so(world):
    ann, ben = world.telegram.user("Ann"), world.telegram.user("Ben")
    photos = [await a_picture_of(ann) for _ in range(2)]
    other, _ = await a_picture_of(ben)
    await ann.sends_text("/forget")
    assert (await ann.receives_text(containing="🧹")).text == en.forgotten(2, stopped=2, on_their_way=0)
    for _, status in photos:
        await ann.sees(status, containing=en.cancelled())
        assert status.buttons == ()
    assert traces_of(world, ann.id, *(photo.file_id for photo, _ in photos)) == []
    assert job_of(world, other).state is JobState.QUEUED
    await ann.sends_text("/forget")
    assert (await ann.receives_text(containing="nothing")).text == en.forgotten(0, stopped=0, on_their_way=0)


async def test_forget_says_of_a_result_on_its_way_that_it_will_arrive(world):
    user, store = world.telegram.user("Del"), world.stack.store
    photo, _ = await a_picture_of(user)
    store.begin_delivery(store.claim(["restore"], worker="test", lease_s=60), lease_s=60)
    await user.sends_text("/forget")
    assert (await user.receives_text(containing="🧹")).text == en.forgotten(1, stopped=0, on_their_way=1)
    assert store.get(id_of(photo)) is None


async def test_in_a_group_forget_is_about_its_sender_alone_there_and_everywhere(world):
    ann, ben = world.telegram.user("Ann"), world.telegram.user("Ben")
    group = world.telegram.group("Family", [ann, ben])
    await a_picture_of(ann)
    own, _ = await a_picture_of(ann.at(group))
    other, _ = await a_picture_of(ben.at(group))
    await ann.at(group).sends_text("/forget")
    await ann.at(group).receives_text(containing="🧹")
    assert traces_of(world, ann.id, own.file_id) == []
    assert job_of(world, other).state is JobState.QUEUED


async def test_a_picture_forgotten_before_its_status_message_left_is_not_shown_as_waiting(world):
    user = world.telegram.user("Fay")
    rule = world.telegram.misbehaves("sendMessage", Slow(1.5), times=1, chat=user)
    await user.sends_photo(jpeg())
    await eventually(lambda: rule.struck)  # or nothing would be sent at all
    await user.sends_text("/forget")
    status = await user.receives_message(containing="queue")
    await user.sees(status, containing=en.cancelled())
    assert status.buttons == ()
    assert traces_of(world, user.id) == []


@pytest.mark.parametrize("command", ["/restart", "/forget"])
async def test_a_job_of_another_bot_ends_without_a_word_in_our_messages(world, command):
    user, store = world.telegram.user("Two"), world.stack.store
    await user.sends_text("hello")
    answer = await user.receives_text(containing="pictures")
    others = store.submit(wish(user.id, 10_000), **UNLIMITED).job
    store.attach_status(others.id, answer.message_id)
    await user.sends_text(command)
    said = en.restarted(0, on_their_way=0) if command == "/restart" else en.forgotten(1, stopped=0, on_their_way=0)
    await user.receives_text(containing=said)
    await asyncio.sleep(0.3)  # words about stopped pictures come after the answer
    assert store.open_jobs(user.id) == []
    assert [call for call in world.telegram.calls_of("editMessageText") if call.chat_id == user.id] == []


async def test_the_button_of_a_forgotten_picture_does_no_harm(world):
    user = world.telegram.user("Bea")
    photo, status = await a_picture_of(user)
    world.stack.store.forget(user.id)
    query = await user.presses(status, f"cancel:{id_of(photo)}")
    async with asyncio.timeout(5):
        while query.answer is None:
            await asyncio.sleep(0.02)
    assert query.answer["text"] == en.already_over()
    assert traces_of(world, user.id) == []


async def test_a_forget_that_is_met_again_spares_what_was_sent_after_it(world):
    user = world.telegram.user("Again")
    wish = await user.sends_text("/forget")
    await user.receives_text(containing="nothing")
    photo, status = await a_picture_of(user)
    world.telegram.state.updates.put("message", wish.to_json())  # as after a crash that left no memory of it
    world.telegram.state.changed()
    await user.receives_text(containing="nothing")
    assert job_of(world, photo).state is JobState.QUEUED
    assert status.buttons == (en.cancel_button(),)


async def test_nothing_in_the_broker_names_anybody(world):
    user = world.telegram.user("Hint")
    photo, _ = await a_picture_of(user)
    hints = world.stack.store.redis.lrange("restore", 0, -1)
    assert hints
    keys = {key for key, _ in traces_of(world, user.id, photo.file_id)}
    assert {key.split(":")[1] for key in keys} == {"job", "queue", "user", "records", "turns"}


FORGED = [
    "cancel:",
    "cancel:9:9:9",
    "cancel:../../updates",
    "cancel:\x00",
    "cancel:{}",
    "restore",
    "cancel:" + "9" * 57,
]


@pytest.mark.parametrize("data", FORGED)
async def test_a_forged_button_is_answered_and_changes_nothing(world, data):
    user, redis = world.telegram.user("Mal"), world.stack.store.redis
    photo, status = await a_picture_of(user)

    def kept():  # but for signs of life of the bot, and how much it has just sent
        return {
            key for key in redis.scan_iter() if key not in {"restora:updates", "restora:bot"} and ":sending:" not in key
        }

    before = kept()
    query = await user.presses(status, data)
    async with asyncio.timeout(5):
        while query.answer is None:
            await asyncio.sleep(0.02)
    assert query.answer["text"] == en.unknown_button()
    assert kept() == before
    assert job_of(world, photo).state is JobState.QUEUED
