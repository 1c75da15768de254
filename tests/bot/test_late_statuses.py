"""A status message that would come too late to tell anything does not come at all."""

from __future__ import annotations

import asyncio

import pytest

from bot.texts import BotTexts
from emulator import ResetAfter, RetryAfter
from tasks.messages import JobState
from tests.bot.test_conversations import eventually, job_of, jpeg
from tests.bot.test_floods import answers_to, quiet

pytestmark = pytest.mark.asyncio(loop_scope="session")

en = BotTexts("en")


@pytest.fixture(autouse=True)
def _nobody_waits(world):
    world.stack.store.redis.flushdb()


async def pictures_whose_answers_wait(world, user, count=3):
    """Pictures that were taken, while Telegram wants a second of silence in the chat."""
    rule = world.telegram.misbehaves("sendMessage", RetryAfter(1), chat=user)
    photos = [await user.sends_photo(jpeg()) for _ in range(count)]
    await eventually(lambda: rule.struck and len(world.stack.store.open_jobs(user.id)) == count)
    return photos


def answers_not_taken(world):
    return world.bot.log.read_text().count("an answer was not taken")


async def test_restart_is_answered_before_any_word_about_the_pictures_it_stopped(world):
    user, redis = world.telegram.user("Rita"), world.stack.store.redis
    photos = await pictures_whose_answers_wait(world, user)
    await user.sends_text("/restart")
    await eventually(lambda: job_of(world, photos[0]).state is JobState.CANCELLED)
    assert redis.zcard("restora:untold") == 3  # should the bot die now, a janitor says it
    assert (await user.receives_text()).text == en.restarted(3, 0)
    await eventually(lambda: not redis.zcard("restora:untold"))
    await quiet(user, for_s=0.4)
    assert answers_to(user) == [en.restarted(3, 0)]


async def test_pictures_stopped_from_another_chat_count_as_told_when_the_answer_there_has_left(world):
    user, redis = world.telegram.user("Elsie"), world.stack.store.redis
    group = world.telegram.group("Family", [user])
    failed_before = answers_not_taken(world)
    world.telegram.misbehaves("sendMessage", RetryAfter(300), times=1, chat=group)
    photos = [await user.at(group).sends_photo(jpeg()) for _ in range(3)]
    await eventually(lambda: answers_not_taken(world) == failed_before + 3)
    world.telegram.misbehaves("sendMessage", RetryAfter(1), times=1, chat=user)
    await user.sends_text("/restart")
    await eventually(lambda: job_of(world, photos[0]).state is JobState.CANCELLED)
    await asyncio.sleep(0.3)
    assert redis.zcard("restora:untold") == 3
    assert (await user.receives_text()).text == en.restarted(3, 0)
    await eventually(lambda: not redis.zcard("restora:untold"))


async def test_pictures_whose_end_could_not_be_answered_are_left_to_a_janitor(world):
    user, redis = world.telegram.user("Refused"), world.stack.store.redis
    photos = await pictures_whose_answers_wait(world, user, count=2)
    failed_before = answers_not_taken(world)
    world.telegram.misbehaves("sendMessage", RetryAfter(300), times=1, chat=user)
    await user.sends_text("/restart")
    await eventually(lambda: answers_not_taken(world) > failed_before)
    await asyncio.sleep(0.3)
    assert {job_of(world, photo).state for photo in photos} == {JobState.CANCELLED}
    assert redis.zcard("restora:untold") == 2


async def test_no_status_message_comes_after_the_result(world):
    user, store = world.telegram.user("Quick"), world.stack.store
    await pictures_whose_answers_wait(world, user)
    held = [store.claim(["restore"], worker="test", lease_s=60) for _ in range(3)]
    assert store.finish(store.begin_delivery(held[0], lease_s=60), JobState.DONE)
    store.begin_delivery(held[1], lease_s=60)
    status = await user.receives_message()
    assert (status.text, status.reply_to.message_id) == (en.started(), held[2].message_id)
    await quiet(user, for_s=0.4)
    assert len(answers_to(user)) == 1
    assert world.telegram.calls_of("deleteMessage", chat=user) == []


async def test_a_picture_that_is_done_while_its_status_message_waits_for_its_turn_gets_none(world):
    user, store = world.telegram.user("Turn"), world.stack.store
    for _ in range(5):  # a private chat takes so many at once, and then one a second
        await user.sends_text("/help")
        await user.receives_text()
    await user.sends_photo(jpeg())
    await eventually(lambda: store.open_jobs(user.id))
    store.finish(store.begin_delivery(store.claim(["restore"], worker="test", lease_s=60), lease_s=60), JobState.DONE)
    await user.sends_text("/privacy")
    assert (await user.receives_text()).text == en.privacy()


async def test_the_button_of_a_status_message_whose_number_got_lost_turns_it_into_the_word_that_it_was_stopped(world):
    user = world.telegram.user("Stray")
    world.telegram.misbehaves("sendMessage", ResetAfter(), times=1, chat=user)
    world.telegram.misbehaves("sendMessage", RetryAfter(1), times=1, chat=user, skip=1)
    photo = await user.sends_photo(jpeg())
    stray = await user.receives_message(containing="queue")
    assert (await user.clicks(en.cancel_button(), on=stray)).text == en.cancelled()
    assert job_of(world, photo).status_message_id == 0
    await user.sees(stray, containing=en.cancelled())
    assert stray.buttons == ()
    await asyncio.sleep(1.1)
    assert answers_to(user) == [en.cancelled()]
    assert world.stack.store.redis.zcard("restora:untold") == 0
