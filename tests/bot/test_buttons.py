"""What a press of the Cancel button does, also a forged one: a client may send any data and name any message."""

from __future__ import annotations

import asyncio

import pytest
from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.types import ReplyParameters

from bot.texts import BotTexts
from tasks.messages import JobState
from tests.bot.test_conversations import eventually, id_of, job_of, jpeg

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHANNEL = {"id": -1007000000001, "type": "channel", "title": "News"}

en = BotTexts("en")


@pytest.fixture(autouse=True)
def _nobody_waits(world):
    world.stack.store.redis.flushdb()


async def a_picture_of(world, person):
    photo = await person.sends_photo(jpeg())
    status = await person.receives_message(containing="queue")
    await eventually(lambda: job_of(world, photo).status_message_id == status.message_id)
    return photo, status


async def answer_to(query):
    async with asyncio.timeout(5):
        while query.answer is None:
            await asyncio.sleep(0.02)
    return query.answer["text"]


async def test_a_press_forged_with_ones_own_job_deletes_nobody_elses_status_message(world):
    ann, mal = world.telegram.user("Ann"), world.telegram.user("Mal")
    group = world.telegram.group("Family", [ann, mal])
    photo, status = await a_picture_of(world, ann.at(group))
    own, own_status = await a_picture_of(world, mal.at(group))
    query = await mal.at(group).presses(status, f"cancel:{id_of(own)}")
    assert await answer_to(query) == en.cancelled()
    await mal.at(group).sees(own_status, containing=en.cancelled())  # the last that follows from the press
    assert not status.deleted
    assert [job_of(world, each).state for each in (photo, own)] == [JobState.QUEUED, JobState.CANCELLED]


async def test_a_press_forged_with_a_job_of_another_chat_deletes_nothing_there(world):
    ann, mal = world.telegram.user("Ann"), world.telegram.user("Mal")
    group = world.telegram.group("Family", [ann, mal])
    _, status = await a_picture_of(world, ann.at(group))
    await mal.sends_text("/help")
    own, own_status = await a_picture_of(world, mal)
    query = await mal.at(group).presses(status, f"cancel:{id_of(own)}")
    assert await answer_to(query) == en.cancelled()
    await mal.sees(own_status, containing=en.cancelled())
    assert not status.deleted


async def a_picture_of_the_channel(world, person, group):
    photo = await person.at(group).sends_photo(jpeg())
    await person.at(group).receives_message(containing="queue")
    world.stack.store.forget(person.id)
    photo.extra["sender_chat"] = CHANNEL  # what was sent on behalf of a channel is met once more, as such
    world.telegram.state.updates.put("message", photo.to_json())
    world.telegram.state.changed()
    status = await person.at(group).receives_message(containing="queue")
    await eventually(lambda: job_of(world, photo).status_message_id == status.message_id)
    assert job_of(world, photo).user_id == CHANNEL["id"]
    return photo, status


async def test_a_picture_sent_in_the_name_of_a_channel_can_be_stopped_by_its_button(world):
    ann = world.telegram.user("Ann")
    group = world.telegram.group("Talk", [ann])
    photo, status = await a_picture_of_the_channel(world, ann, group)
    assert (await ann.at(group).clicks(en.cancel_button(), on=status)).text == en.cancelled()
    assert job_of(world, photo).state is JobState.CANCELLED
    await ann.at(group).sees(status, containing=en.cancelled())


async def test_the_button_of_a_channels_picture_stops_no_other_picture_of_that_channel(world):
    ann = world.telegram.user("Ann")
    groups = [world.telegram.group(name, [ann]) for name in ("Talk", "Other talk")]
    (photo, _), (_, status) = [await a_picture_of_the_channel(world, ann, group) for group in groups]
    query = await ann.at(groups[1]).presses(status, f"cancel:{id_of(photo)}")
    assert await answer_to(query) == en.unknown_button()
    assert job_of(world, photo).state is JobState.QUEUED


@pytest.mark.parametrize("state", ["queued", "delivering", "done"])
async def test_who_presses_the_button_of_somebody_elses_picture_hears_that_it_is_not_theirs_to_stop(world, state):
    ann, ben = world.telegram.user("Ann"), world.telegram.user("Ben")
    group, store = world.telegram.group("Family", [ann, ben]), world.stack.store
    photo, status = await a_picture_of(world, ann.at(group))
    if state != "queued":
        held = store.begin_delivery(store.claim(["restore"], worker="test", lease_s=60), lease_s=60)
        assert state != "done" or store.finish(held, JobState.DONE)
    query = await ben.at(group).presses(status, f"cancel:{id_of(photo)}")
    assert await answer_to(query) == (en.already_over() if state == "done" else en.not_theirs_to_stop())
    assert job_of(world, photo).state == state


async def test_a_press_elsewhere_does_not_tell_whether_somebodys_picture_is_in_work(world):
    ann, mal = world.telegram.user("Ann"), world.telegram.user("Mal")
    photo, _ = await a_picture_of(world, ann)
    await mal.sends_text("/help")
    answer = await mal.receives_text()
    bot_id = id_of(photo).partition(":")[0]
    there = [f"cancel:{job_id}" for job_id in (id_of(photo), id_of(photo) + "9", f"{bot_id}:{mal.id}", f"{mal.id}:1:2")]
    heard = {await answer_to(await mal.presses(answer, data)) for data in there}
    assert heard == {en.unknown_button()}
    own = await mal.presses(answer, f"cancel:{bot_id}:{mal.id}:1")
    assert await answer_to(own) == en.already_over()


def over_without_a_status(world, photo, end):
    """The job ends as if the bot had died before it could note the number of the status message."""
    store = world.stack.store
    store.redis.hdel(f"restora:job:{id_of(photo)}", "status_message_id")
    held = store.begin_delivery(store.claim(["restore"], worker="test", lease_s=60), lease_s=60)
    assert store.finish(held, end)


@pytest.mark.parametrize("end", [JobState.DONE, JobState.FAILED])
async def test_a_status_message_whose_job_ended_without_it_goes_when_its_button_is_pressed(world, end):
    ann = world.telegram.user("Ann")
    photo, stray = await a_picture_of(world, ann)
    over_without_a_status(world, photo, end)
    assert (await ann.clicks(en.cancel_button(), on=stray)).text == en.already_over()
    await ann.sees_deleted(stray)


async def test_a_press_forged_upon_ones_result_does_not_delete_it(world):
    ann = world.telegram.user("Ann")
    photo, _ = await a_picture_of(world, ann)
    over_without_a_status(world, photo, JobState.DONE)
    session = AiohttpSession(api=TelegramAPIServer.from_base(world.telegram.api_url))
    async with Bot(world.telegram.token, session=session) as worker:
        await worker.send_message(ann.id, "the result", reply_parameters=ReplyParameters(message_id=photo.message_id))
    result = await ann.receives_message()
    assert await answer_to(await ann.presses(result, f"cancel:{id_of(photo)}")) == en.already_over()
    await asyncio.sleep(0.2)
    assert not result.deleted
