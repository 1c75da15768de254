"""Floods: who is heard, who is refused, and that it is said once."""

from __future__ import annotations

import asyncio
import io
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bot.middlewares.floods import OVER_AT, REFUSED_AGAIN_AFTER_S, SAID_AGAIN_AFTER_S, SENT_AFTER_S, Floods, Refusals
from bot.texts import BotTexts
from emulator import Item, Slow

en = BotTexts("en")


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def jpeg(level=0):
    buffer = io.BytesIO()
    Image.new("RGB", (32, 24), (level % 256, 90, 30)).save(buffer, "JPEG")
    return buffer.getvalue()


def test_of_a_flood_one_is_refused_and_all_others_are_ignored():
    floods = Floods(20, clock=Clock())
    verdicts = [floods.judge(1) for _ in range(60)]
    assert verdicts == ["heard"] * 20 + ["refused"] + ["ignored"] * 39
    assert floods.judge(2) == "heard"


def test_a_flood_is_over_after_a_pause_and_the_next_one_is_refused_anew():
    clock = Clock()
    floods = Floods(20, clock=clock)
    for _ in range(30):
        floods.judge(1)
    clock.now += 60 * OVER_AT - 1
    assert floods.judge(1) == "ignored"
    clock.now += 5
    verdicts = [floods.judge(1) for _ in range(20)]
    assert verdicts.count("refused") == 1
    assert verdicts[0] == "heard"


def test_who_never_pauses_is_refused_once_and_for_all():
    clock = Clock()
    floods = Floods(20, clock=clock)
    verdicts = []
    for _ in range(2000):  # two a second
        verdicts.append(floods.judge(1))
        clock.now += 0.5
    assert verdicts.count("refused") == 1
    assert "heard" not in verdicts[100:]


@given(per_minute=st.integers(1, 30), pauses_s=st.lists(st.floats(0, 90), max_size=80), users=st.integers(1, 3))
def test_nobody_is_heard_more_often_than_the_limit_and_who_keeps_to_it_always_is(per_minute, pauses_s, users):
    clock = Clock()
    floods = Floods(per_minute, clock=clock)
    heard = []
    for number, pause_s in enumerate(pauses_s):
        clock.now += pause_s
        if floods.judge(number % users) == "heard":
            heard.append((number % users, clock.now))
    for user, at in heard:
        # What fits at once, and what a minute more makes room for.
        assert sum(1 for other, then in heard if other == user and at <= then < at + 60) <= 2 * per_minute
    slow = Floods(per_minute, clock=clock)
    for _ in range(50):
        assert slow.judge(7) == "heard"
        clock.now += 60 / per_minute + 0.01


def test_floods_of_long_ago_are_forgotten():
    clock = Clock()
    floods = Floods(20, clock=clock)
    for user in range(5000):
        floods.judge(user)
        clock.now += 1
    assert len(floods._counts) <= 1001


def test_a_refusal_of_forty_pictures_is_said_once_and_again_to_who_comes_back():
    clock = Clock()
    refusals = Refusals(clock=clock)
    said = []
    for _ in range(40):
        said.append(refusals.may_say(1, "user_limit"))
        clock.now += 0.1
    assert said == [True] + [False] * 39
    assert refusals.may_say(1, "queue_full")
    assert refusals.may_say(2, "user_limit")
    clock.now += REFUSED_AGAIN_AFTER_S
    assert refusals.may_say(1, "user_limit")


def test_a_refusal_is_said_again_now_and_then_to_who_does_not_stop():
    clock = Clock()
    refusals = Refusals(clock=clock)
    times = []
    for _ in range(100):
        if refusals.may_say(1, "user_limit"):
            times.append(clock.now)
        clock.now += 1.0
    assert times == [0.0, SAID_AGAIN_AFTER_S, 2 * SAID_AGAIN_AFTER_S, 3 * SAID_AGAIN_AFTER_S]


@pytest.fixture
def _nobody_waits(world):
    world.stack.store.redis.flushdb()


def answers_to(person):
    return [message.text for message in person.chat.messages if message.from_bot]


async def quiet(person, for_s=1.2):
    """Wait until nothing more comes."""
    while True:
        seen = len(answers_to(person))
        await asyncio.sleep(for_s)
        if len(answers_to(person)) == seen:
            return


@pytest.mark.asyncio(loop_scope="session")
async def test_every_line_that_somebody_types_has_its_answer(world):
    user = world.telegram.user("Wren")
    for line in ("/nonsense", "hello", "/nonsense"):
        await user.sends_text(line)
        assert (await user.receives_text()).text
        await asyncio.sleep(SENT_AFTER_S)


@pytest.mark.asyncio(loop_scope="session")
async def test_nothing_that_somebody_sends_by_itself_is_met_with_silence(world):
    una, vic, zip_ = [world.telegram.user(name) for name in ("Una", "Vic", "Zip")]
    moving = [vic.sends_video, vic.sends_video_note, vic.sends_animation]
    moving.append(lambda: vic.sends_document("a.gif", mime_type="image/gif"))
    for person, sends in [
        (una, [una.sends_voice, una.sends_contact, una.sends_location, una.sends_audio]),
        (vic, moving),
    ]:
        for send in sends:  # at once: a kind of its own each
            sent = await send()
            assert (await person.receives_text()).reply_to is sent
    for name, pause_s in [("a.zip", SENT_AFTER_S), ("b.txt", 0.0)]:  # of one kind, so quick is who waits for the answer
        sent = await zip_.sends_document(name, content=b"x")
        assert (await zip_.receives_text()).reply_to is sent
        await asyncio.sleep(pause_s)


@pytest.mark.asyncio(loop_scope="session")
async def test_each_album_of_what_cannot_be_restored_is_refused_once(world):
    user = world.telegram.user("Alba")
    for _ in range(2):
        items = [Item(b"%PDF", "document", f"{number}.pdf", mime_type="application/pdf") for number in range(3)]
        first, *_ = await user.sends_album(items)
        assert (await user.receives_text(containing=en.refusal("pdf"))).reply_to is first
    await quiet(user, for_s=0.4)
    assert len(answers_to(user)) == 2


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.usefixtures("_nobody_waits")
async def test_an_album_over_every_limit_gets_one_answer_of_each_kind(world):
    user = world.telegram.user("Alba")
    await user.sends_album([Item(content=jpeg(number)) for number in range(10)])
    await quiet(user)
    answers = answers_to(user)
    assert len([text for text in answers if "queue" in text]) == 3
    assert answers.count(en.user_limit(3)) == 1  # for the fourth to the eighth
    assert answers.count(en.too_many_pictures(8)) == 1  # for the ninth; the tenth gets nothing
    assert len(answers) == 5
    await user.sends_text("/restart")  # words are still heard
    await user.receives_text(containing="Stopped 3")


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.usefixtures("_nobody_waits")
async def test_a_refusal_for_a_limit_does_not_wait_for_the_status_messages_of_its_chat(world):
    user = world.telegram.user("Haste")
    # The first status message holds up the others.
    world.telegram.misbehaves("sendMessage", Slow(2), times=1, chat=user)
    *_, last = [await user.sends_photo(jpeg(number)) for number in range(4)]
    await user.sends_text("/privacy")
    answers = [await user.receives_message() for _ in range(5)]
    places = [number for number, answer in enumerate(answers) if answer.reply_to is last]
    assert (places, answers[places[0]].text) in [([0], en.user_limit(3)), ([1], en.user_limit(3))]
    assert answers[-1].text == en.privacy()  # what was asked later is answered later


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.usefixtures("_nobody_waits")
async def test_a_flood_is_answered_once_and_delays_nobody_elses_first_answer(world):
    flooder, others = world.telegram.user("Flo"), [world.telegram.user(f"Other {number}") for number in range(4)]
    for number in range(400):
        await flooder.sends_text(f"hello {number}")
        if number % 100 == 50:
            await others[number // 100].sends_photo(jpeg())
    began = time.monotonic()
    for other in others:
        await other.receives_message(containing="queue")
    assert time.monotonic() - began < 8  # answers to all of the flood would take 13
    await quiet(flooder)
    assert sorted(answers_to(flooder)) == sorted([en.refusal("text"), en.too_many_messages()])


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.usefixtures("_nobody_waits")
async def test_who_blocks_and_unblocks_the_bot_without_end_is_a_flood_like_any_other(world):
    user = world.telegram.user("Bloch")
    for _ in range(30):
        await user.blocks_bot()
        await user.unblocks_bot()
    await user.sends_text("hello")
    assert (await user.receives_text()).text == en.too_many_messages()
    assert world.stack.store.redis.zcard("restora:updates") <= 16  # what was handled: the limit, and what was answered


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.usefixtures("_nobody_waits")
async def test_in_a_group_a_flood_of_words_is_passed_over_until_a_picture_is_dropped_and_that_is_said_once(world):
    person = world.telegram.user("Gil")
    inside = person.at(world.telegram.group("Chatter", [person]))
    for number in range(20):
        await inside.sends_text(f"hello {number}")
    await quiet(inside)
    assert answers_to(inside) == []
    first = await inside.sends_photo(jpeg())
    await inside.sends_photo(jpeg())
    answer = await inside.receives_text()
    assert (answer.text, answer.reply_to) == (en.too_many_messages(), first)
    await quiet(inside)
    assert len(answers_to(inside)) == 1


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.usefixtures("_nobody_waits")
async def test_a_full_queue_is_said_once_for_an_album(world):
    for number in range(10):
        person = world.telegram.user(f"Filler {number}")
        await person.sends_album([Item(content=jpeg(number + i)) for i in range(3)])
        await person.receives_message(containing="queue")
        async with asyncio.timeout(5):
            while len(world.stack.store.open_jobs(person.id)) < 3:
                await asyncio.sleep(0.02)
    user = world.telegram.user("Late")
    await user.sends_album([Item(content=jpeg(number)) for number in range(5)])
    assert (await user.receives_text()).text == en.queue_full()
    await quiet(user)
    assert len(answers_to(user)) == 1
