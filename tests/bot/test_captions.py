"""Pictures that come with a command: as its caption, or as what it answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.texts import BotTexts
from emulator import TOKEN, Item
from tasks.messages import JobState
from tests.bot.test_conversations import eventually, id_of, job_of, jpeg
from tests.bot.test_floods import answers_to
from tests.tasks.conftest import UNLIMITED, wish

pytestmark = pytest.mark.asyncio(loop_scope="session")

en, ru = BotTexts("en"), BotTexts("ru")


@pytest.fixture(autouse=True)
def _nobody_waits(world):
    world.stack.store.redis.flushdb()


def meets_again(world, message):
    """As after a crash that left no memory of the update."""
    world.telegram.state.updates.put("message", message.to_json())
    world.telegram.state.changed()


@pytest.mark.parametrize("caption", ["/upscale_image", "/upscale_image please 2x", "/upscale_image@restora_bot"])
async def test_a_picture_below_which_upscale_image_stands_is_taken_as_if_it_stood_alone(world, caption):
    user = world.telegram.user("Cap")
    photo = await user.sends_photo(jpeg(), caption=caption)
    document = await user.sends_document("a.png", content=jpeg(), mime_type="image/png", caption=caption)
    for sent in (photo, document):
        status = await user.receives_message()
        assert "queue" in status.text
        assert status.reply_to is sent
    assert [job_of(world, sent).state for sent in (photo, document)] == [JobState.QUEUED] * 2
    assert len(answers_to(user)) == 2


@pytest.mark.parametrize(
    ("caption", "answer"),
    [
        ("/start", en.start("Cap")),
        ("/help", en.help()),
        ("/privacy", en.privacy()),
        ("/restart", en.restarted(0, 0)),
        ("/forget", en.forgotten(0, stopped=0, on_their_way=0)),
    ],
)
async def test_another_command_below_a_picture_is_answered_and_then_the_picture_is_taken(world, caption, answer):
    user = world.telegram.user("Cap")
    photo = await user.sends_photo(jpeg(), caption=caption)
    assert (await user.receives_text()).text == answer
    assert (await user.receives_text(containing="queue")).reply_to is photo
    assert job_of(world, photo).state is JobState.QUEUED


@pytest.mark.parametrize("caption", ["/restart", "/forget"])
async def test_a_wish_below_a_picture_ends_what_came_before_and_not_that_picture_even_if_it_is_met_again(
    world, caption
):
    user, store = world.telegram.user("Cap"), world.stack.store
    before = await user.sends_text("/help")
    await user.receives_text()
    earlier = replace(wish(user.id, before.message_id), bot_id=int(TOKEN.partition(":")[0]))
    store.submit(earlier, **UNLIMITED)
    photo = await user.sends_photo(jpeg(), caption=caption)
    await user.receives_text(containing="Stopped 1")
    await user.receives_text(containing="queue")
    assert [job.id for job in store.open_jobs(user.id)] == [id_of(photo)]
    meets_again(world, photo)
    await user.receives_text(containing=("Nothing of yours", "nothing about you")[caption == "/forget"])
    assert [job.id for job in store.open_jobs(user.id)] == [id_of(photo)]


@pytest.mark.parametrize("wished", ["/restart", "/forget"])
async def test_a_wish_below_the_second_picture_of_an_album_does_not_end_the_first(world, wished):
    user = world.telegram.user("Alba")
    earlier = await user.sends_photo(jpeg())
    await user.receives_message(containing="queue")
    album = [Item(jpeg(colour=(80, 0, 0))), Item(jpeg(colour=(160, 0, 0)), caption=wished)]
    sent = await user.sends_album(album)
    for said in ("queue", "Stopped 1", "queue"):
        await user.receives_text(containing=said)
    open_ids = {job.id for job in world.stack.store.open_jobs(user.id)}
    assert open_ids == {id_of(message) for message in sent}
    assert id_of(earlier) not in open_ids


async def test_no_picture_of_an_album_with_a_command_below_it_is_lost(world):
    user = world.telegram.user("Alba")
    sent = await user.sends_album([Item(jpeg(colour=(i * 80, 0, 0))) for i in range(3)], caption="/upscale_image")
    for _ in sent:
        await user.receives_message(containing="queue")
    assert {job_of(world, message).state for message in sent} == {JobState.QUEUED}


@pytest.mark.parametrize("wished", ["/restart", "/forget"])
async def test_a_wish_that_is_met_again_spares_an_older_picture_that_was_asked_for_after_it(world, monkeypatch, wished):
    ann, bob = world.telegram.user("Ann"), world.telegram.user("Bob")
    group = world.telegram.group("Family", [ann, bob])
    monkeypatch.setattr(world.telegram.state, "privacy_mode", True)
    photo = await bob.at(group).sends_photo(jpeg())
    inside = ann.at(group)
    said = ("Nothing of yours", "nothing about you")[wished == "/forget"]
    wish_of_ann = await inside.sends_text(f"{wished}@restora_bot")
    await inside.receives_text(containing=said)
    await inside.sends_text("/upscale_image@restora_bot", reply_to=photo)
    await inside.receives_text(containing="queue")
    meets_again(world, wish_of_ann)
    await inside.receives_text(containing=said)
    assert job_of(world, photo).state is JobState.QUEUED


async def test_in_a_group_upscale_image_takes_the_picture_that_it_answers_for_whoever_asked(world, monkeypatch):
    ann, bob = world.telegram.user("Ann"), world.telegram.user("Bob")
    group = world.telegram.group("Family", [ann, bob])
    monkeypatch.setattr(world.telegram.state, "privacy_mode", True)  # as most bots have it
    photo = await bob.at(group).sends_photo(jpeg())
    inside = ann.at(group)
    ask = await inside.sends_text("/upscale_image@restora_bot", reply_to=photo)
    status = await inside.receives_text(containing="queue")
    assert status.reply_to is photo
    await eventually(lambda: job_of(world, photo).status_message_id == status.message_id)
    assert job_of(world, photo).user_id == ann.id
    meets_again(world, ask)
    again = await bob.at(group).sends_text("/upscale_image@restora_bot", reply_to=photo)
    for message in (ask, again):  # one job, however many ask for it
        answer = await inside.receives_text()
        assert (answer.text, answer.reply_to) == (en.already_at_work(), message)
    assert job_of(world, photo).user_id == ann.id
    world.stack.store.cancel(ann.id, id_of(photo))
    await inside.sends_text("/upscale_image@restora_bot", reply_to=photo)
    await inside.receives_text(containing=en.had_before())


async def test_in_a_group_two_who_ask_for_one_picture_at_once_get_one_status_message(world, monkeypatch):
    monkeypatch.setattr(world.telegram.state, "privacy_mode", True)
    ann, bob = world.telegram.user("Ann"), world.telegram.user("Bob")
    group = world.telegram.group("Family", [ann, bob])
    photo = await ann.at(group).sends_photo(jpeg())
    for person in (ann, bob):
        await person.at(group).sends_text("/upscale_image@restora_bot", reply_to=photo)
    await eventually(lambda: len(answers_to(ann.at(group))) == 2)
    status, other = answers_to(ann.at(group))
    assert "queue" in status
    assert other == en.already_at_work()
    assert job_of(world, photo).user_id == ann.id


async def test_upscale_image_says_why_it_cannot_take_what_it_answers_and_else_how_to_ask(world):
    user = world.telegram.user("Ned", language_code="ru")
    inside = user.at(world.telegram.group("Family", [user]))
    scan = await inside.sends_document("a.pdf", content=b"%PDF-1.7", mime_type="application/pdf")
    ask = await inside.sends_text("/upscale_image", reply_to=scan)
    answer = await inside.receives_text()
    assert (answer.text, answer.reply_to) == (ru.refusal("pdf"), ask)
    await inside.sends_document("b.zip", content=b"PK", mime_type="application/zip", caption="/upscale_image")
    assert (await inside.receives_text()).text == ru.refusal("document")
    words = await inside.sends_text("hello")
    await inside.sends_text("/upscale_image", reply_to=words)
    assert (await inside.receives_text()).text == ru.ask_for_picture_in_group()


async def test_in_a_group_a_picture_for_another_bot_is_left_to_that_bot_with_all_of_its_album(world):
    user = world.telegram.user("Ann")
    group = world.telegram.group("Family", [user])
    inside = user.at(group)
    sent = [await inside.sends_photo(jpeg(), caption="/upscale_image@other_bot")]
    sent += await inside.sends_album([jpeg(colour=(i, 0, 0)) for i in range(2)], caption="/resize@other_bot")
    ours = await inside.sends_photo(jpeg(), caption="/resize@Restora_Bot")
    assert (await inside.receives_text()).reply_to is ours
    assert [world.stack.store.get(id_of(message)) for message in sent] == [None] * 3
    private = await user.sends_photo(jpeg(), caption="/upscale_image@other_bot")  # no other bot is here
    await user.receives_text(containing="queue")
    assert job_of(world, private).state is JobState.QUEUED
