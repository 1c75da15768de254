"""What Telegram says in words that aiogram does not know costs nobody anything else it says."""

from __future__ import annotations

import json

import pytest
import pytest_asyncio
from aiogram import Bot
from aiogram.exceptions import ClientDecodeError, TelegramBadRequest
from aiogram.methods import GetUpdates, SendMessage

from bot.session import Session, lost_what_it_held
from emulator import TOKEN, Slow
from tasks.messages import JobState
from tests.bot.test_conversations import en, eventually, id_of, job_of, jpeg

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(autouse=True)
def _nobody_waits(request):
    if "world" in request.fixturenames:
        request.getfixturevalue("world").stack.store.redis.flushdb()


ANN = {"id": 7, "is_bot": False, "first_name": "Ann"}
CHAT = {"id": 7, "type": "private", "first_name": "Ann"}
MESSAGE = {"message_id": 5, "date": 1, "chat": CHAT, "from": ANN}
PHOTO = [{"file_id": "f", "file_unique_id": "u", "width": 90, "height": 60}]
NEW_ORIGIN = {"type": "telepathy", "date": 1}
WORD = {"update_id": 12, "message": {**MESSAGE, "text": "hello"}}


@pytest_asyncio.fixture(loop_scope="session")
async def bot():
    async with Bot(TOKEN, session=Session()) as bot:
        yield bot


def read(bot, method, result):
    content = json.dumps({"ok": True, "result": result})
    return bot.session.check_response(bot, method, 200, content).result


def read_updates(bot, *updates):
    return read(bot, GetUpdates(), list(updates))


UNREADABLE = {
    "forward_origin": NEW_ORIGIN,
    "external_reply": {"origin": NEW_ORIGIN},
    "paid_media": {"star_count": 1, "paid_media": [{"type": "hologram"}]},
    "chat_background_set": {"type": {"type": "weather"}},
    "poll": {"id": "1", "question": "?", "options": [], "total_voter_count": 0},
    "gift": {},
    "giveaway": {"chats": [], "winners_selection_date": 1},
    "reply_to_message": {**MESSAGE, "forward_origin": NEW_ORIGIN},
}


@pytest.mark.parametrize("part", UNREADABLE)
async def test_a_part_that_cannot_be_read_costs_neither_its_picture_nor_the_other_updates(bot, caplog, part):
    broken = {"update_id": 11, "message": {**MESSAGE, "photo": PHOTO, part: UNREADABLE[part]}}
    first, second = read_updates(bot, broken, WORD)
    assert (first.update_id, first.message.photo[0].file_id, first.message.from_user.id) == (11, "f", 7)
    assert first.message.bot is bot  # or nobody could answer it
    assert (second.update_id, second.message.text) == (12, "hello")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"message.{part}" in caplog.text


@pytest.mark.parametrize(
    "message",
    [
        {**MESSAGE, "chat": {"id": "x"}},
        {"message_id": 5},
        "words",
        {**MESSAGE, "from": {"id": 7}},
        {**MESSAGE, "from": {"id": 1087968824, "is_bot": True, "first_name": "Group"}, "sender_chat": {"id": -1}},
    ],
)
async def test_of_a_message_that_names_no_chat_or_sender_only_the_number_is_left_to_confirm_it(bot, message):
    first, second = read_updates(bot, {"update_id": 11, "message": message}, WORD)
    assert (first.model_dump(exclude_none=True), second.message.text) == ({"update_id": 11}, "hello")


async def test_a_button_below_a_message_that_cannot_be_read_whole_still_knows_its_picture(bot):
    status = {
        **MESSAGE,
        "message_id": 6,
        "text": "Got it",
        "reply_to_message": {**MESSAGE, "forward_origin": NEW_ORIGIN},
    }
    query = {"id": "1", "from": ANN, "chat_instance": "c", "data": "cancel:1", "message": status}
    (update,) = read_updates(bot, {"update_id": 11, "callback_query": query})
    assert (update.callback_query.data, update.callback_query.message.reply_to_message.message_id) == ("cancel:1", 5)


async def test_an_answer_below_a_picture_that_cannot_be_read_whole_tells_its_number(bot):
    sent = {**MESSAGE, "message_id": 6, "reply_to_message": {**MESSAGE, "forward_origin": NEW_ORIGIN}}
    assert read(bot, SendMessage(chat_id=7, text="x"), sent).message_id == 6


@pytest.mark.parametrize("result", [{"text": "x"}, "words", [1]])
async def test_what_is_no_answer_at_all_is_an_error_as_before(bot, result):
    with pytest.raises(ClientDecodeError):
        read(bot, SendMessage(chat_id=7, text="x"), result)
    with pytest.raises(ClientDecodeError):
        read(bot, GetUpdates(), [result])


async def test_a_refusal_is_one_as_before(bot):
    with pytest.raises(TelegramBadRequest):
        bot.session.check_response(bot, GetUpdates(), 400, '{"ok": false, "error_code": 400, "description": "no"}')


async def test_a_bot_that_meets_what_it_cannot_read_goes_on_listening_and_restores_that_picture(world):
    ann, bob = world.telegram.user("Ann"), world.telegram.user("Bob")
    photo = await ann.sends_photo(jpeg())
    await ann.receives_message(containing="queue")
    forwarded = {**photo.to_json(), "message_id": 900, "forward_origin": NEW_ORIGIN}
    world.telegram.state.updates.put("message", {**forwarded, "message_id": 901, "from": {"id": ann.id}})
    world.telegram.state.updates.put("message", forwarded)
    await bob.sends_text("/help")
    assert (await bob.receives_text(timeout=5)).text == en.help()
    status = await ann.receives_message(containing="queue")
    job = f"{id_of(photo).rpartition(':')[0]}:900"
    await eventually(lambda: world.stack.store.get(job).status_message_id == status.message_id)
    assert job_of(world, photo).file_id == world.stack.store.get(job).file_id


NO_NAME = {"file_id": "f", "width": 90, "height": 60}  # nor a file_unique_id, as all files have
LOST = {"document": NO_NAME, "photo": [NO_NAME], "sticker": NO_NAME}


@pytest.mark.parametrize("kind", LOST)
async def test_a_message_whose_picture_itself_cannot_be_read_says_so_and_is_logged_as_such(bot, caplog, kind):
    broken = {"update_id": 11, "message": {**MESSAGE, kind: LOST[kind]}}
    first, second = read_updates(bot, broken, WORD)
    assert (lost_what_it_held(first.message), lost_what_it_held(second.message)) == (True, False)
    assert first.message.bot is bot
    assert f"nothing is left of what was sent, it cannot be read: message.{kind}" in caplog.text


@pytest.mark.parametrize(
    "parts",
    [
        {"photo": [*PHOTO, NO_NAME]},
        {"document": {**PHOTO[0], "thumbnail": NO_NAME}},
        {"text": "hello", "document": NO_NAME},
        {"chat_background_set": {"type": {"type": "weather"}}},
        {"gift": {}},
    ],
)
async def test_a_message_of_which_something_is_left_or_that_nobody_said_is_not_called_lost(bot, parts):
    (update,) = read_updates(bot, {"update_id": 11, "message": {**MESSAGE, **parts}})
    assert not lost_what_it_held(update.message)


async def test_who_sends_what_cannot_be_read_hears_so_and_a_group_that_did_not_ask_hears_nothing(world):
    ann = world.telegram.user("Ann")
    in_group = ann.at(world.telegram.group("Family", [ann]))
    said, helped = [], []
    for at in (ann, in_group):
        said.append((await at.sends_text("/help")).to_json())
        helped.append((await at.receives_text(timeout=5)).text)
    for number, message in enumerate(said):
        del message["text"], message["entities"]
        lost = {**message, "message_id": 900 + number, "document": NO_NAME}
        world.telegram.state.updates.put("message", lost)
    assert (await ann.receives_text(timeout=5)).text == en.refusal("other")
    await in_group.sends_text("/help")
    assert (await in_group.receives_text(timeout=5)).text == helped[1]  # and nothing before it


async def test_a_picture_that_was_deleted_before_it_could_be_answered_is_answered_all_the_same(world):
    user = world.telegram.user("Della")
    world.telegram.misbehaves("sendMessage", Slow(0.3), times=1, chat=user)
    photo = await user.sends_photo(jpeg())
    await eventually(lambda: world.stack.store.get(id_of(photo)) is not None)
    await user.deletes_message(photo)
    status = await user.receives_message(containing="queue", timeout=5)
    assert (status.reply_to, status.buttons) == (None, (en.cancel_button(),))
    await eventually(lambda: job_of(world, photo).status_message_id == status.message_id)


async def test_a_refusal_of_what_was_deleted_meanwhile_is_said_all_the_same(world):
    user = world.telegram.user("Rufus")
    world.telegram.misbehaves("getUpdates", Slow(0.3), times=1)
    await user.deletes_message(await user.sends_document("a.zip", content=b"PK", mime_type="application/zip"))
    assert (await user.receives_text(timeout=5)).text == en.refusal("document")


async def test_who_unblocks_the_bot_will_be_told_what_became_of_the_picture(world):
    user, store = world.telegram.user("Una"), world.stack.store
    photo = await user.sends_photo(jpeg())
    await user.receives_message(containing="queue")
    job = store.claim(["restore"], worker="test", lease_s=60)
    await user.blocks_bot()
    store.finish(job, JobState.FAILED, error="chat_closed")
    store.stop_telling(job)
    await user.unblocks_bot()
    await eventually(lambda: [due.id for due in store.take_untold()] == [id_of(photo)])
