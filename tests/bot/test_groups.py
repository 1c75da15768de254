"""What is different where more people than one read along, and what nobody wants an answer to."""

from __future__ import annotations

import pytest

from emulator.messages import Version
from tests.bot.test_conversations import en

pytestmark = pytest.mark.asyncio(loop_scope="session")


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
