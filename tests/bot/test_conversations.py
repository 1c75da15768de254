"""What the real bot answers, as a user sees it."""

from __future__ import annotations

import asyncio
import io
import itertools

import psutil
import pytest
from PIL import Image

from bot.texts import BotTexts
from emulator import TOKEN, BadGateway, Blocked, Item, Reset, ResetAfter, RetryAfter, ServerError, Slow
from tasks.messages import JobState, job_id

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(autouse=True)
def _nobody_waits(world):
    world.stack.store.redis.flushdb()


en, ru = BotTexts("en"), BotTexts("ru")


def jpeg(width=64, height=48, colour=(90, 120, 30)):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "JPEG")
    return buffer.getvalue()


def id_of(message):
    return job_id(int(TOKEN.partition(":")[0]), message.chat.id, message.message_id)


def job_of(world, message):
    job = world.stack.store.get(id_of(message))
    assert job is not None
    return job


async def eventually(holds, timeout_s=5.0):
    async with asyncio.timeout(timeout_s):
        while not holds():
            await asyncio.sleep(0.02)


async def test_start_greets_by_name_and_shows_the_keyboard(world):
    ann = world.telegram.user("Ann")
    await ann.sends_text("/start")
    await ann.receives_text(containing="Hello, Ann!")
    assert ann.keyboard == ((en.button_restore(),), (en.button_help(), en.button_restart()))


async def test_a_russian_is_greeted_in_russian(world):
    user = world.telegram.user("Аня", language_code="ru-RU")
    await user.sends_text("/start")
    await user.receives_text(containing="Здравствуйте, Аня!")


async def test_a_language_we_do_not_have_gets_english(world):
    user = world.telegram.user("Jürgen", language_code="de")
    await user.sends_text("/start")
    await user.receives_text(containing="Hello, Jürgen!")


async def test_a_name_full_of_markup_is_just_a_name(world):
    user = world.telegram.user("<b>&_*[Eve](x)")
    await user.sends_text("/start")
    await user.receives_text(containing="Hello, <b>&_*[Eve](x)!")


@pytest.mark.parametrize("words", [en, ru])
async def test_the_keys_of_the_keyboard_do_what_the_commands_do(world, words):
    user = world.telegram.user("Key", language_code=words.locale)
    await user.sends_text("/start")
    await user.receives_text()
    for key, answer in [
        (words.button_help(), words.help()),
        (words.button_restore(), words.ask_for_picture()),
        (words.button_restart(), words.restarted(0, 0)),
    ]:
        await user.presses_key(key)
        assert (await user.receives_text()).text == answer


async def test_the_menu_lists_the_commands_in_both_languages(world):
    assert set(world.telegram.commands()) == {"start", "help", "upscale_image", "restart", "privacy", "forget"}
    assert world.telegram.commands("ru") == ru.commands()
    assert world.telegram.commands("ru") != world.telegram.commands()


async def test_a_photo_becomes_a_job_of_its_largest_size_with_a_status_message(world):
    user = world.telegram.user("Phil")
    photo = await user.sends_photo(jpeg(1600, 1200))
    status = await user.receives_message(containing="queue")
    job = job_of(world, photo)
    assert (job.state, job.kind, job.user_id, job.pixels) == (JobState.QUEUED, "photo", user.id, 1280 * 960)
    assert job.file_id == photo.file_id
    await eventually(lambda: job_of(world, photo).status_message_id == status.message_id)
    assert status.buttons == (en.cancel_button(),)
    assert status.reply_to is photo


@pytest.mark.parametrize(
    ("name", "mime_type"),
    [
        ("a.png", "image/png"),
        ("a.jpg", "image/jpeg"),
        ("a.webp", "image/webp"),
        ("a.jpg", "image/jpg"),
        ("PHOTO.JPEG", "application/octet-stream"),
        ("picture.PNG", None),
        ("IMG_0001.HEIC", "image/heic"),
        ("IMG_0001.HEIC", None),
        ("photo.heif", "image/heif"),
        ("photo.avif", "image/avif"),
        ("scan.tif", "image/tiff"),
        ("drawing.bmp", "image/x-ms-bmp"),
    ],
)
async def test_a_picture_file_becomes_a_job(world, name, mime_type):
    user = world.telegram.user("Doc")
    sent = await user.sends_document(name, content=jpeg(), mime_type=mime_type)
    await user.receives_message(containing="queue")
    job = job_of(world, sent)
    assert (job.kind, job.file_name) == ("document", name)


async def test_a_static_sticker_becomes_a_job(world):
    user = world.telegram.user("Stig")
    buffer = io.BytesIO()
    Image.new("RGBA", (512, 300)).save(buffer, "WEBP")
    sent = await user.sends_sticker(buffer.getvalue())
    await user.receives_message(containing="queue")
    assert job_of(world, sent).kind == "sticker"


REFUSALS = [
    ("animated_sticker", lambda user: user.sends_sticker(b"tgs", is_animated=True)),
    ("video_sticker", lambda user: user.sends_sticker(b"webm", is_video=True)),
    ("animation", lambda user: user.sends_animation()),
    ("animation", lambda user: user.sends_document("a.gif", content=b"GIF89a", mime_type="image/gif")),
    ("video", lambda user: user.sends_video()),
    ("video", lambda user: user.sends_video_note()),
    ("video", lambda user: user.sends_document("a.mp4", content=b"mp4", mime_type="video/mp4")),
    ("pdf", lambda user: user.sends_document("a.pdf", content=b"%PDF-1.7", mime_type="application/pdf")),
    ("document", lambda user: user.sends_document("a.zip", content=b"PK", mime_type="application/zip")),
    ("document", lambda user: user.sends_document("a", content=b"x", mime_type=None)),
    (
        "file_too_large",
        lambda user: user.sends_document("a.png", file_size=20 * 1024 * 1024 + 1, mime_type="image/png"),
    ),
    ("text", lambda user: user.sends_text("please")),
    ("unknown_command", lambda user: user.sends_text("/frobnicate")),
    ("other", lambda user: user.sends_voice()),
    ("other", lambda user: user.sends_location()),
    ("other", lambda user: user.sends_contact()),
]


@pytest.mark.parametrize(("code", "sends"), REFUSALS)
@pytest.mark.parametrize("words", [en, ru])
async def test_what_cannot_be_restored_is_refused_in_one_sentence_and_makes_no_job(world, code, sends, words):
    user = world.telegram.user("Ruth", language_code=words.locale)
    sent = await sends(user)
    assert (await user.receives_text()).text == words.refusal(code)
    assert world.stack.store.get(id_of(sent)) is None


async def test_every_refusal_has_words_of_its_own():
    codes = {code for code, _ in REFUSALS}
    for words in (en, ru):
        assert len({words.refusal(code) for code in codes}) == len(codes)


async def test_the_place_in_the_queue_counts_the_jobs_before(world):
    first, second = world.telegram.user("First"), world.telegram.user("Second")
    await first.sends_photo(jpeg())
    await first.receives_message(containing="queue")
    await second.sends_photo(jpeg())
    await second.receives_message(containing="number 2 in the queue")


async def test_the_cancel_button_stops_that_job_alone(world):
    user = world.telegram.user("Canny")
    one, two = await user.sends_photo(jpeg()), await user.sends_photo(jpeg())
    status = await user.receives_message(containing="queue")
    await user.receives_message(containing="queue")
    answer = await user.clicks(en.cancel_button(), on=status)
    assert answer.text == en.cancelled()
    await user.sees(status, containing=en.cancelled())
    await eventually(lambda: not world.stack.store.redis.zcard("restora:untold"))  # no janitor needs to say it
    assert status.buttons == ()
    assert [job_of(world, message).state for message in (one, two)] == [JobState.CANCELLED, JobState.QUEUED]


async def test_nobody_cancels_somebody_elses_job(world):
    owner, other = world.telegram.user("Owner"), world.telegram.user("Other")
    photo = await owner.sends_photo(jpeg())
    await owner.receives_message(containing="queue")
    await other.sends_photo(jpeg())
    own_status = await other.receives_message(containing="queue")
    query = await other.presses(own_status, f"cancel:{id_of(photo)}")
    assert query is not None
    await other.sends_text("/restart")
    await other.receives_text(containing="Stopped 1")
    assert job_of(world, photo).state is JobState.QUEUED


async def test_restart_stops_everything_of_this_user_and_says_how_many(world):
    user, other = world.telegram.user("Rita"), world.telegram.user("Otto")
    photos = [await user.sends_photo(jpeg()) for _ in range(3)]
    statuses = [await user.receives_message(containing="queue") for _ in photos]
    bystander = await other.sends_photo(jpeg())
    await other.receives_message(containing="queue")
    await user.sends_text("/restart")
    assert (await user.receives_text(containing="Stopped 3")).text == en.restarted(3, 0)
    for status in statuses:
        await user.sees(status, containing=en.cancelled())
    assert {job_of(world, photo).state for photo in photos} == {JobState.CANCELLED}
    assert job_of(world, bystander).state is JobState.QUEUED


async def test_after_restart_the_next_picture_is_answered_before_the_old_ones_are_changed(world):
    user = world.telegram.user("Rico")
    statuses = []
    for _ in range(3):
        await user.sends_photo(jpeg())
        statuses.append(await user.receives_message(containing="queue"))
    await user.sends_text("/restart")
    await user.sends_photo(jpeg())
    await user.receives_message(containing="Stopped 3")
    await user.receives_message(containing="queue", timeout=5)
    assert any(status.text != en.cancelled() for status in statuses)
    for status in statuses:
        await user.sees(status, containing=en.cancelled())


async def test_a_user_with_too_many_pictures_is_asked_to_wait(world):
    user = world.telegram.user("Manny")
    for _ in range(3):
        await user.sends_photo(jpeg())
        await user.receives_message(containing="queue")
    await user.sends_photo(jpeg())
    assert (await user.receives_text()).text == en.user_limit(3)


async def test_upscale_image_stops_only_jobs_that_run_for_more_than_ten_minutes(world):
    user, store = world.telegram.user("Olga"), world.stack.store
    photos = [await user.sends_photo(jpeg()) for _ in range(3)]
    for _ in photos:
        await user.receives_message(containing="queue")
    claimed = [store.claim(["restore"], worker="test", lease_s=60) for _ in range(2)]
    assert {job.user_id for job in claimed} == {user.id}
    store.redis.hincrby(f"restora:job:{claimed[0].id}", "started_ms", -601_000)
    await user.sends_text("/upscale_image")
    reply = await user.receives_text(containing=en.ask_for_picture())
    assert reply.text.startswith(en.stopped_overlong(1))
    states = [store.get(id_of(photo)).state for photo in photos]
    assert sorted(states) == [JobState.CANCELLED, JobState.QUEUED, JobState.RUNNING]
    await user.sends_text("/restart")
    await user.receives_text(containing="Stopped 2")


async def test_an_album_is_one_job_per_picture(world):
    user = world.telegram.user("Alba")
    sent = await user.sends_album([Item(content=jpeg(colour=(i * 80, 0, 0))) for i in range(3)])
    for _ in sent:
        await user.receives_message(containing="queue")
    assert {job_of(world, message).state for message in sent} == {JobState.QUEUED}


async def test_an_update_delivered_twice_makes_one_job_and_one_answer(world):
    user = world.telegram.user("Twice")
    world.telegram.misbehaves("getUpdates", Slow(0.5), times=1)
    photo = await user.sends_photo(jpeg())
    update = next(
        update for update in world.telegram.pending_updates if update.get("message", {}).get("photo") is not None
    )
    await user.receives_message(containing="queue")
    world.telegram.delivers_again(update)
    await user.receives_nothing(for_s=1.5)
    assert job_of(world, photo).state is JobState.QUEUED


async def test_a_chat_that_must_wait_holds_up_no_other(world):
    slow, quick = world.telegram.user("Slow"), world.telegram.user("Quick")
    world.telegram.misbehaves("sendMessage", RetryAfter(3), times=1, chat=slow)
    await slow.sends_text("/help")
    await quick.sends_text("/help")
    await quick.receives_text(timeout=1.5)
    await slow.receives_text(containing="/upscale_image", timeout=8)


@pytest.mark.parametrize("fault", [Reset(), ServerError(), BadGateway()])
async def test_an_answer_that_did_not_get_through_is_said_again(world, fault):
    user = world.telegram.user("Deaf")
    world.telegram.misbehaves("sendMessage", fault, times=1, chat=user)
    photo = await user.sends_photo(jpeg())
    status = await user.receives_message(containing="queue")
    await eventually(lambda: job_of(world, photo).status_message_id == status.message_id)


async def test_of_two_status_messages_the_one_nobody_knows_goes_when_its_button_is_pressed(world):
    user = world.telegram.user("Stray")
    world.telegram.misbehaves("sendMessage", ResetAfter(), times=1, chat=user)
    photo = await user.sends_photo(jpeg())
    stray, status = [await user.receives_message(containing="queue") for _ in range(2)]
    await eventually(lambda: job_of(world, photo).status_message_id == status.message_id)
    assert (await user.clicks(en.cancel_button(), on=stray)).text == en.cancelled()
    await user.sees_deleted(stray)
    await user.sees(status, containing=en.cancelled())


async def test_a_restart_that_is_met_again_spares_what_was_sent_after_it(world):
    user = world.telegram.user("Again")
    restart = await user.sends_text("/restart")
    await user.receives_text(containing="Nothing of yours")
    photo = await user.sends_photo(jpeg())
    await user.receives_message(containing="queue")
    world.telegram.state.updates.put("message", restart.to_json())  # as after a crash that left no memory of it
    world.telegram.state.changed()
    await user.receives_text(containing="Nothing of yours")
    assert job_of(world, photo).state is JobState.QUEUED


async def test_a_user_who_blocked_the_bot_breaks_nothing(world):
    gone, here = world.telegram.user("Gone"), world.telegram.user("Here")
    world.telegram.misbehaves("sendMessage", Blocked(), times=1, chat=gone)
    await gone.sends_text("/start")
    await here.sends_text("/start")
    await here.receives_text(containing="Here")


async def test_in_a_group_only_pictures_are_answered(world):
    ann, bob = world.telegram.user("Ann"), world.telegram.user("Bob")
    group = world.telegram.group("Family", [ann, bob])
    await ann.at(group).sends_text("look at this")
    photo = await ann.at(group).sends_photo(jpeg())
    status = await ann.at(group).receives_message()
    assert status.reply_to is photo


async def test_the_idle_bot_takes_less_than_120_megabytes(world):
    assert psutil.Process(world.bot.pid).memory_info().rss < 120e6


async def test_the_log_names_neither_token_nor_file(world):
    user = world.telegram.user("Log")
    await user.sends_document("secret-holiday.png", content=jpeg(), mime_type="image/png")
    await user.receives_message(containing="queue")
    await user.sends_text("/restart")
    log = world.bot.log.read_text()
    assert world.telegram.token not in log
    assert "secret-holiday" not in log
    assert list(itertools.filterfalse(lambda line: "ERROR" not in line, log.splitlines())) == []
