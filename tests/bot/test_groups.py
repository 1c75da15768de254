"""What is different where more people than one read along, and what nobody wants an answer to."""

from __future__ import annotations

import pytest

from emulator import Slow
from emulator.messages import Version
from tasks.messages import JobState
from tests.bot.test_conversations import en, eventually, job_of, jpeg

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(autouse=True)
def _nobody_waits(world):
    world.stack.store.redis.flushdb()


@pytest.mark.parametrize(("command", "answer"), [("/start", "Hello"), ("/help", "/privacy"), ("/restart", "Nothing")])
async def test_what_one_member_of_a_group_asks_gives_nobody_a_keyboard(world, command, answer):
    ann, bob = world.telegram.user("Ann"), world.telegram.user("Bob")
    group = world.telegram.group("Family", [ann, bob])
    await ann.at(group).sends_text(command)
    await bob.at(group).receives_text(containing=answer)
    assert (ann.at(group).keyboard, bob.at(group).keyboard) == ((), ())


async def test_a_service_message_is_not_answered_but_what_comes_after_it_is(world):
    user = world.telegram.user("Pina")
    await user.sends_text("/help")
    answer = await user.receives_text()
    for part in (
        {"pinned_message": answer.to_json()},
        {"message_auto_delete_timer_changed": {"message_auto_delete_time": 60}},
        {"write_access_allowed": {}},
    ):
        world.telegram.state.post(user.chat, user.account, Version(world.telegram.state.clock()), extra=part)
    voice = await user.sends_voice()
    refusal = await user.receives_text()
    assert (refusal.text, refusal.reply_to) == (en.refusal("other"), voice)
    assert [message.from_bot for message in user.chat.messages].count(True) == 2


async def test_a_refusal_follows_a_group_that_became_a_supergroup_before_it_was_said(world):
    ann = world.telegram.user("Ann")
    group = world.telegram.group("Family", [ann])
    rule = world.telegram.misbehaves("sendMessage", Slow(0.3), times=1, chat=group)
    await ann.at(group).sends_document("a.png", file_size=20 * 1024 * 1024 + 1, mime_type="image/png")
    await eventually(lambda: rule.struck)
    there = ann.at(world.telegram.upgrades(group))
    refusal = await there.receives_text()
    assert (refusal.text, refusal.reply_to) == (en.refusal("file_too_large"), None)


async def test_a_picture_of_a_group_that_became_a_supergroup_is_answered_in_that(world):
    ann = world.telegram.user("Ann")
    group = world.telegram.group("Family", [ann])
    rule = world.telegram.misbehaves("sendMessage", Slow(0.3), times=1, chat=group)
    photo = await ann.at(group).sends_photo(jpeg())
    await eventually(lambda: rule.struck)
    there = ann.at(world.telegram.upgrades(group))
    status = await there.receives_message(containing="queue")
    assert status.buttons == ()  # which would stay when the result has come, as a message of its own
    await there.sends_text("/restart")
    assert (await there.receives_text()).text == en.restarted(1, 0)
    job = job_of(world, photo)
    assert (job.state, job.status_message_id) == (JobState.CANCELLED, 0)
    await eventually(lambda: not world.stack.store.redis.zcard("restora:untold"))


@pytest.mark.parametrize("how", ["button", "command"])
async def test_a_picture_stopped_after_its_group_became_a_supergroup_is_not_said_to_be_stopped_once_more(world, how):
    ann = world.telegram.user("Ann")
    group = world.telegram.group("Family", [ann])
    photo = await ann.at(group).sends_photo(jpeg())
    status = await ann.at(group).receives_message(containing="queue")
    await eventually(lambda: job_of(world, photo).status_message_id == status.message_id)
    there = ann.at(world.telegram.upgrades(group))
    if how == "button":
        assert (await ann.at(group).clicks(en.cancel_button(), on=status)).text == en.cancelled()
    else:
        await there.sends_text("/restart")
        assert (await there.receives_text()).text == en.restarted(1, 0)
    assert job_of(world, photo).state is JobState.CANCELLED
    await eventually(lambda: not world.stack.store.redis.zcard("restora:untold"))
