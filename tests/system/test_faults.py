"""What happens when something breaks."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import psutil
import pytest

from bot.texts import BotTexts
from emulator import (
    BadGateway,
    Blocked,
    MessageGone,
    Reset,
    ResetAfter,
    ResetDuringUpload,
    RetryAfter,
    ServerError,
)
from tasks.messages import JobState, job_id
from tests.system.conftest import (
    BOT_ID,
    LEASE_S,
    documents_of,
    ended,
    grainy_photo,
    opened,
    picture,
    running_town,
    started,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

en = BotTexts("en")
LONG = (320, 240)  # px; seconds of work even on a quick machine


async def test_restart_frees_the_worker_within_two_seconds_and_no_result_comes(frail):
    user = frail.telegram.user("Rita")
    photos = [await user.sends_photo(grainy_photo(1280, 960)) for _ in range(3)]
    await started(frail, photos[0])
    await asyncio.sleep(1.0)
    began = time.time()
    await user.sends_text("/restart")
    await user.receives_text(containing="Stopped 3 pictures")
    small = await user.sends_photo(picture(16, 16))
    document = await user.receives_document(timeout=20)
    assert document.reply_to is small
    assert (await frail.job_of(small)).started_ms / 1000 - began < 2.0
    assert {(await frail.job_of(photo)).state for photo in photos} == {JobState.CANCELLED}
    assert len(documents_of(frail, user)) == 1
    async with asyncio.timeout(15):  # they are changed after what matters more
        while sum(message.from_bot and message.text == en.cancelled() for message in user.chat.messages) < 3:
            await asyncio.sleep(0.05)


async def test_the_cancel_button_stops_a_running_job(frail):
    user = frail.telegram.user("Canny")
    photo = await user.sends_photo(grainy_photo(1280, 960))
    status = await user.receives_message()
    await user.sees(status, containing="%", timeout=20)
    answer = await user.clicks(en.cancel_button())
    assert answer.text == en.cancelled()
    await user.sees(status, containing=en.cancelled())
    await asyncio.sleep(4)  # longer than any progress edit still under way
    assert status.text == en.cancelled()
    assert (await frail.job_of(photo)).state is JobState.CANCELLED


async def test_a_killed_child_costs_time_but_no_picture(frail):
    user = frail.telegram.user("Kim")
    photo = await user.sends_photo(grainy_photo(*LONG))
    await started(frail, photo)
    (child,) = psutil.Process(frail.workers[0].pid).children()
    child.kill()
    document = await user.receives_document(timeout=60)
    assert opened(document.content).size == (4 * LONG[0], 4 * LONG[1])
    assert (await frail.job_of(photo)).attempt == 2
    assert len(documents_of(frail, user)) == 1


async def test_a_killed_worker_is_replaced_by_another_within_the_lease(frail):
    user = frail.telegram.user("Max")
    photo = await user.sends_photo(grainy_photo(*LONG))
    await started(frail, photo)
    frail.workers[0].kill()
    frail.start_worker()
    killed = time.time()
    async with asyncio.timeout(60):
        while (await frail.job_of(photo)).attempt < 2:
            await asyncio.sleep(0.05)
    assert (await frail.job_of(photo)).started_ms / 1000 - killed < LEASE_S + 5 + 20  # lease, round, models loading
    await user.receives_document(timeout=60)
    assert len(documents_of(frail, user)) == 1


def decoding_process(worker):
    """The process that decodes for a worker's child; it starts with the first picture."""
    (found,) = [
        process
        for process in psutil.Process(worker.pid).children(recursive=True)
        if "models.decoding.zygote" in process.cmdline()
    ]
    return found


@pytest.mark.parametrize("end", ["told to end", "killed", "its child killed"])
async def test_the_process_that_decodes_ends_with_its_worker_however_that_ends(frail, end):
    user, (worker,) = frail.telegram.user("Zoe"), frail.workers
    photo = await user.sends_photo(picture(16, 16))
    await user.receives_document(timeout=30)
    await ended(frail, photo)
    (child,) = psutil.Process(worker.pid).children()
    decoding = decoding_process(worker)
    if end == "told to end":
        await asyncio.to_thread(worker.stop)
    elif end == "killed":
        worker.kill()
    else:
        child.kill()
    gone, _ = await asyncio.to_thread(psutil.wait_procs, [decoding], 10)
    assert gone == [decoding]
    if end == "its child killed":  # the next child has one of its own
        photo = await user.sends_photo(picture(16, 16))
        document = await user.receives_document(timeout=60)
        assert document.reply_to is photo
        assert decoding_process(worker).pid != decoding.pid


async def test_a_killed_decoding_process_costs_no_picture(frail):
    user = frail.telegram.user("Zack")
    await user.sends_photo(picture(16, 16))
    await user.receives_document(timeout=30)
    decoding_process(frail.workers[0]).kill()
    photo = await user.sends_photo(picture(16, 16))
    document = await user.receives_document(timeout=30)
    assert document.reply_to is photo
    assert (await frail.job_of(photo)).attempt == 1


async def test_a_worker_told_to_leave_hands_its_job_back_at_once(frail):
    frail.workers[0].stop()
    leaving = frail.start_worker(REMAP_SIGTERM="SIGQUIT", WORKER_SOFT_SHUTDOWN_S="1")
    await frail.stack.workers_are_ready(leaving)
    user = frail.telegram.user("Leo")
    photo = await user.sends_photo(grainy_photo(1280, 960))
    await started(frail, photo)
    os.kill(leaving.pid, signal.SIGTERM)
    status = await asyncio.to_thread(leaving.stop, 30)
    job = await frail.job_of(photo)
    assert (status, job.state, job.tries) == (0, JobState.QUEUED, 0)


async def test_redis_may_restart_during_a_job(frail):
    user = frail.telegram.user("Red")
    photo = await user.sends_photo(grainy_photo(*LONG))
    await started(frail, photo)
    await asyncio.to_thread(frail.stack.redis.stop)
    await asyncio.sleep(1)
    await asyncio.to_thread(frail.stack.redis.start)
    await user.receives_document(timeout=60)
    next_photo = await user.sends_photo(picture(16, 16))
    document = await user.receives_document(timeout=60)
    assert document.reply_to is next_photo
    assert len(documents_of(frail, user)) == 2


async def test_redis_may_be_killed_while_jobs_wait(frail):
    user = frail.telegram.user("Kill")
    photos = [await user.sends_photo(grainy_photo(*LONG)), *[await user.sends_photo(picture(12, 12)) for _ in range(4)]]
    await started(frail, photos[0])
    await asyncio.sleep(1.2)  # the append-only file is written every second
    await asyncio.to_thread(frail.stack.redis.kill)
    await asyncio.to_thread(frail.stack.redis.start)
    documents = await user.receives_documents(5, timeout=90)
    assert sorted(d.reply_to.message_id for d in documents) == sorted(p.message_id for p in photos)


async def test_a_lost_hint_is_repeated_by_the_janitor(frail):
    user = frail.telegram.user("Hint")
    long = await user.sends_photo(grainy_photo(*LONG))
    await started(frail, long)
    photo = await user.sends_photo(picture(16, 16))
    async with asyncio.timeout(10):
        while await frail.job_of(photo) is None:
            await asyncio.sleep(0.02)
    frail.stack.store.redis.delete("restore")  # the broker's list: every hint is gone, the jobs are not
    await user.receives_documents(2, timeout=60)


async def test_a_hint_too_many_does_nothing(frail):
    for _ in range(5):
        frail.stack.store.redis.rpush("restore", *(frail.stack.store.redis.lrange("restore", 0, 0) or []) or ["{}"])
    frail.stack.store.redis.delete("restore")
    user = frail.telegram.user("Surplus")
    await user.sends_photo(picture(16, 16))
    await user.receives_document(timeout=30)


@pytest.mark.parametrize(
    "fault", [RetryAfter(2), ServerError(), BadGateway(), Reset(), ResetAfter(), ResetDuringUpload()]
)
async def test_a_delivery_by_edit_arrives_exactly_once_whatever_telegram_does(town, fault):
    user = town.telegram.user("Edit")
    town.telegram.misbehaves("editMessageMedia", fault, times=1, chat=user)
    photo = await user.sends_photo(picture(16, 16))
    await user.receives_text(containing=en.ready(), timeout=40)
    (document,) = documents_of(town, user)
    assert document.reply_to is photo
    assert ((await town.job_of(photo)).state, (await town.job_of(photo)).attempt) == (JobState.DONE, 1)


async def test_a_deleted_status_message_makes_the_result_a_reply(town):
    user = town.telegram.user("Del")
    town.telegram.misbehaves("editMessageMedia", MessageGone(), times=1, chat=user)
    photo = await user.sends_photo(picture(16, 16))
    await user.receives_message()
    document = await user.receives_document(timeout=30)
    assert document.reply_to is photo
    assert len(documents_of(town, user)) == 1


async def test_a_send_whose_answer_was_lost_is_repeated_and_flagged(town):
    user = town.telegram.user("Resend")
    town.telegram.misbehaves("editMessageMedia", MessageGone(), times=1, chat=user)
    town.telegram.misbehaves("sendDocument", ResetAfter(), times=1, chat=user)
    photo = await user.sends_photo(picture(16, 16))
    await user.receives_documents(2, timeout=40)
    await ended(town, photo)
    assert (await town.job_of(photo)).resent


async def test_a_429_on_progress_delays_no_result_beyond_it(town):
    user = town.telegram.user("Prog")
    town.telegram.misbehaves("editMessageText", RetryAfter(3), times=1, chat=user)
    await user.sends_photo(grainy_photo(*LONG))
    await user.receives_document(timeout=90)
    assert len(town.telegram.calls_of("sendMessage", chat=user)) <= 2  # the status and, at most, "ready"


async def test_a_user_who_blocks_the_bot_ends_the_job_and_nobody_elses(town):
    gone, here = town.telegram.user("Gone"), town.telegram.user("Here")
    town.telegram.misbehaves("editMessageMedia", Blocked(), times=5, chat=gone)
    town.telegram.misbehaves("editMessageText", Blocked(), times=50, chat=gone)
    lost = await gone.sends_photo(picture(16, 16))
    await here.sends_photo(picture(16, 16))
    await here.receives_document(timeout=30)
    async with asyncio.timeout(20):
        while (await town.job_of(lost)).state is not JobState.FAILED:
            await asyncio.sleep(0.05)
    assert (await town.job_of(lost)).error == "chat_closed"
    assert town.stack.store.redis.zscore("restora:untold", job_id(BOT_ID, gone.id, lost.message_id)) is None


async def test_a_chat_under_a_long_flood_wait_holds_up_nobody_else_and_gets_its_picture(frail):
    slow, quick = frail.telegram.user("Slow"), frail.telegram.user("Quick")
    frail.telegram.misbehaves("editMessageMedia", RetryAfter(21), times=1, chat=slow)
    waiting = await slow.sends_photo(picture(16, 16))
    await started(frail, waiting)
    began = time.monotonic()
    await quick.sends_photo(picture(16, 16))
    await quick.receives_document(timeout=20)
    assert time.monotonic() - began < 20
    await slow.receives_document(timeout=60)
    assert len(documents_of(frail, slow)) == 1
    assert (await frail.job_of(waiting)).tries == 1
    assert len(frail.telegram.calls_of("getFile", chat=slow)) == 1  # the work was not done again


async def test_a_picture_that_would_take_too_long_is_refused_with_advice(tmp_path, weights):
    async with running_town(tmp_path, PICTURE_BUDGET_S="1") as town:
        user = town.telegram.user("Huge")
        photo = await user.sends_document("huge.jpg", content=picture(6000, 6000, file_format="JPEG"))
        await user.receives_text(containing=en.failed("image_too_large"), timeout=20)
        assert (await town.job_of(photo)).state is JobState.FAILED
        await user.sends_photo(picture(8, 8))
        await user.receives_document(timeout=20)
