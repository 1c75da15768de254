"""What is left of somebody who was forgotten, and of pictures: nothing, in Redis as on the disk."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import pickle
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from PIL import Image
from pillow_heif import register_heif_opener

from bot.texts import BotTexts
from emulator import BadGateway, Reset, ServerError, Slow
from tasks.broker import TASK_NAME, client_app
from tasks.messages import JobState
from tests.system.conftest import grainy_photo, opened, picture, running_town
from tests.system.discretion import indiscretions, log_files
from tests.traces import everything_in, traces_in_redis, traces_on_disk

pytestmark = pytest.mark.asyncio(loop_scope="session")

en = BotTexts("en")
CONFIDENTIAL = "Прабабушка Аглая 1911 '\"%(x)s.png"
LONG = (1280, 960)  # px; more than ten seconds of work


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hamlet(tmp_path_factory):
    """One worker with the shipped model, and a folder for whatever anybody takes for temporary."""
    folder = tmp_path_factory.mktemp("hamlet")
    (folder / "tmp").mkdir()
    async with running_town(folder / "town", WORKER_MODEL="compact", TMPDIR=str(folder / "tmp")) as hamlet:
        hamlet.stack.store.redis.config_set("aof-use-rdb-preamble", "no")  # so that its file can be searched
        hamlet.temporary = folder / "tmp"
        yield hamlet


async def eventually(holds, timeout_s=30.0):
    async with asyncio.timeout(timeout_s):
        while not await holds():
            await asyncio.sleep(0.02)


async def in_state(town, message, *states):
    async def holds():
        job = await town.job_of(message)
        return (job.state if job else None) in states

    await eventually(holds)


async def answer_to(message, user):
    async def holds():
        return [answer for answer in user.chat.messages if answer.from_bot and answer.reply_to is message]

    await eventually(holds)
    return (await holds())[0]


async def lives(town, user):
    """A user who has sent all kinds of pictures, with all kinds of ends; tells what could give them away."""
    photo = await user.sends_photo(picture(24, 16))
    await user.receives_document(timeout=60)
    named = await user.sends_document(CONFIDENTIAL.replace(" ", f" {user.id} "), content=picture(16, 16))
    await user.receives_document(timeout=60)
    broken = await user.sends_document(f"broken {user.id}.png", content=b"no picture", mime_type="image/png")
    await in_state(town, broken, JobState.FAILED)
    await in_state(town, named, JobState.DONE)
    messages = [photo, named, broken]
    return messages, [str(user.id), *(message.file_id for message in messages)]


async def file_was_written_anew(town, marks):
    """Wait for the janitor's rewrite; once more if a message to the forgotten chat was counted after the first."""
    redis = town.stack.store.redis

    async def holds():
        return not redis.exists("restora:forgotten") and not redis.info("persistence")["aof_rewrite_in_progress"]

    async def nothing_passes_by():
        return not any(mark in value for _, value in everything_in(redis) for mark in marks)

    await eventually(holds)
    if aof_traces(town, marks):
        await eventually(nothing_passes_by)
        redis.delete("restora:rewritten")
        redis.set("restora:forgotten", 1)
        await eventually(holds)


def aof_traces(town, marks):
    folder = town.stack.folder / "redis"
    sought = [mark.encode() for mark in marks]
    files = [path for path in folder.rglob("*appendonly*") if path.is_file()]
    assert files
    return [path.name for path in files if any(mark in path.read_bytes() for mark in sought)]


async def test_who_is_forgotten_leaves_no_trace_in_redis_on_the_disk_or_in_logs(hamlet):
    redis, store = hamlet.stack.store.redis, hamlet.stack.store
    ann, ben = hamlet.telegram.user("Ann"), hamlet.telegram.user("Ben")
    (_, anns), (bens_messages, bens) = await lives(hamlet, ann), await lives(hamlet, ben)
    running = await ann.sends_document("work.jpg", content=grainy_photo(*LONG))
    await in_state(hamlet, running, JobState.RUNNING)
    status = await answer_to(running, ann)
    queued = [await ann.sends_photo(picture(20, 20)) for _ in range(2)]
    waiting = await ben.sends_photo(picture(20, 20))
    await in_state(hamlet, queued[1], JobState.QUEUED)
    await in_state(hamlet, waiting, JobState.QUEUED)
    anns += [message.file_id for message in (running, *queued)]
    assert len(traces_in_redis(redis, anns)) > 20
    assert aof_traces(hamlet, anns)

    await ann.sends_text("/forget")
    answer = await ann.receives_text(containing="🧹", timeout=20)
    assert answer.text == en.forgotten(6, stopped=3, on_their_way=0)
    assert traces_in_redis(redis, anns) == []

    await in_state(hamlet, waiting, JobState.DONE)  # the worker has dropped the running one, and said all it had to say
    await ann.sees(status, containing=en.cancelled())
    assert traces_in_redis(redis, anns) == []
    await file_was_written_anew(hamlet, anns)
    assert aof_traces(hamlet, anns) == []
    assert aof_traces(hamlet, bens)
    assert traces_on_disk([hamlet.temporary, hamlet.stack.folder], anns) == []
    assert [(await hamlet.job_of(message)).user_id for message in (*bens_messages, waiting)] == [ben.id] * 4
    assert len([message for message in ann.chat.messages if message.from_bot and message.kind == "document"]) == 2
    assert int(redis.get("restora:queued")) == 0
    assert store.open_jobs(ben.id) == []


async def test_a_result_on_its_way_arrives_and_brings_no_record_back(hamlet):
    hamlet.stack.store.redis.delete("restora:rewritten")
    user = hamlet.telegram.user("Dele")
    hamlet.telegram.misbehaves("editMessageMedia", Slow(1.5), times=1, chat=user)
    photo = await user.sends_photo(picture(16, 16))
    await in_state(hamlet, photo, JobState.DELIVERING)
    await user.sends_text("/forget")
    assert (await user.receives_text(containing="🧹")).text == en.forgotten(1, stopped=0, on_their_way=1)
    await user.receives_document(timeout=20)
    next_one = hamlet.telegram.user("Next")
    await next_one.sends_photo(picture(8, 8))
    await next_one.receives_document(timeout=30)  # so the worker is done with the one before
    assert traces_in_redis(hamlet.stack.store.redis, [str(user.id), photo.file_id]) == []
    await file_was_written_anew(hamlet, [str(user.id), photo.file_id])
    assert aof_traces(hamlet, [str(user.id), photo.file_id]) == []


@pytest.mark.parametrize(("method", "fault"), [("getFile", Slow(1.0)), ("download", Slow(1.0)), ("getFile", Reset())])
async def test_a_picture_forgotten_while_it_is_fetched_is_never_heard_of_again(hamlet, method, fault):
    user = hamlet.telegram.user("Fetch")
    hamlet.telegram.misbehaves(method, fault, times=3, chat=user)
    photo = await user.sends_photo(picture(16, 16))
    await in_state(hamlet, photo, JobState.RUNNING)
    await user.sends_text("/forget")
    await user.receives_text(containing="🧹")
    next_one = hamlet.telegram.user("Next")
    await next_one.sends_photo(picture(8, 8))
    await next_one.receives_document(timeout=30)
    assert traces_in_redis(hamlet.stack.store.redis, [str(user.id), photo.file_id]) == []
    assert [message for message in user.chat.messages if message.kind == "document"] == []
    hamlet.telegram.behaves()


def family(process):
    parent = psutil.Process(process.pid)
    return [parent, *parent.children(recursive=True)]


def written_bytes(processes):
    """What these processes had the kernel write to files, by process; whatever file it was, and if it was removed."""
    return {process.pid: process.io_counters().write_bytes for process in processes}


ALL_KINDS = {
    "JPEG": "jpg", "PNG": "png", "WEBP": "webp", "HEIF": "heic", "AVIF": "avif", "TIFF": "tif", "BMP": "bmp",
}  # fmt: skip


@pytest.mark.skipif(not Path("/proc/self/io").is_file(), reason="the kernel does not count what a process writes")
async def test_no_picture_and_no_result_touches_a_disk(hamlet, tmp_path):
    (tmp_path / "control").write_bytes(os.urandom(1 << 20))
    if psutil.Process().io_counters().write_bytes < 1 << 20:
        pytest.skip("the disk under the tests is none that the kernel counts")
    register_heif_opener()
    user = hamlet.telegram.user("Disk")
    await user.sends_photo(picture(8, 8))
    await user.receives_document(timeout=60)  # what is made once is there now
    processes = [*family(hamlet.bot), *family(hamlet.workers[0])]
    before, logs_before = written_bytes(processes), log_sizes(hamlet)
    sent = brought = 0
    for file_format, extension in ALL_KINDS.items():
        content = io.BytesIO()
        opened(grainy_photo(200, 150)).save(content, file_format)
        await user.sends_document(f"picture.{extension}", content=content.getvalue())
        sent += len(content.getvalue())
        brought += len((await user.receives_document(timeout=60)).content)
    transparent = io.BytesIO()
    Image.effect_noise((96, 96), 90).convert("RGBA").save(transparent, "PNG")
    await user.sends_document("alpha.png", content=transparent.getvalue())
    brought += len((await user.receives_document(timeout=60)).content)
    await user.sends_document("cut.png", content=transparent.getvalue()[:5000])
    await user.receives_text(containing=en.failed("damaged_image"), timeout=30)
    after = written_bytes(processes)
    grown = log_sizes(hamlet) - logs_before
    pages = 8 * 4096  # the kernel counts whole pages, of which a log fills the last one only in part
    assert sum(after[pid] - before[pid] for pid in after) < grown + pages < sent / 3 < brought / 3
    assert [path for path in hamlet.temporary.rglob("*") if path.is_file() and path.stat().st_size] == []
    kept = {path.relative_to(hamlet.stack.folder).parts[0] for path in hamlet.stack.folder.rglob("*")}
    assert kept == {"redis", "bot.log", "worker0.log"}


def log_sizes(town):
    return sum(path.stat().st_size for path in log_files(town.stack.folder))


async def test_logs_keep_their_counsel_whatever_breaks(hamlet):
    user = hamlet.telegram.user("Кассиопея Прекрасная", username="cassiopeia_rare")
    faults = {
        "sendMessage": Reset(),
        "editMessageText": BadGateway(),
        "getFile": BadGateway(),
        "download": Reset(),
        "editMessageMedia": ServerError(),
    }
    for method, fault in faults.items():
        hamlet.telegram.misbehaves(method, fault, times=1, chat=user)
    await user.sends_document(CONFIDENTIAL, content=picture(16, 16), mime_type="image/png")
    await user.receives_document(timeout=60)
    hamlet.telegram.behaves()
    await user.sends_document(
        CONFIDENTIAL + ".pdf", content=b"%PDF-1.7 confidential words", mime_type="application/pdf"
    )
    await user.receives_text(containing="PDF")
    await user.sends_text("/frobnicate the confidential words")
    await user.receives_text(containing="/help")
    assert indiscretions(hamlet) == []
    assert b"confidential words" not in b"".join(path.read_bytes() for path in log_files(hamlet.stack.folder))


class Exploit:
    """Would make a file if somebody opened it as a pickle."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


async def test_a_pickle_in_the_broker_is_never_opened_and_the_worker_lives(hamlet, tmp_path):
    trap = tmp_path / "opened"
    pickle.loads(pickle.dumps(Exploit(tmp_path / "works")))
    assert (tmp_path / "works").exists()
    for content_type, encoding in (("application/x-python-serialize", "binary"), ("application/json", "utf-8")):
        message = {
            "body": base64.b64encode(pickle.dumps(([Exploit(trap)], {}, {}))).decode(),
            "content-type": content_type,
            "content-encoding": encoding,
            "headers": {"task": TASK_NAME, "id": "trap", "lang": "py"},
            "properties": {
                "delivery_tag": f"trap-{encoding}",
                "delivery_info": {"exchange": "", "routing_key": "restore"},
                "body_encoding": "base64",
            },
        }
        hamlet.stack.store.redis.lpush("restore", json.dumps(message))
    user = hamlet.telegram.user("Live")
    await user.sends_photo(picture(8, 8))
    await user.receives_document(timeout=60)
    assert hamlet.stack.store.hints("restore") == 0
    assert not trap.exists()


async def test_nobody_can_command_a_worker_through_the_broker(hamlet):
    with client_app(hamlet.stack.redis.url) as app:
        assert await asyncio.to_thread(app.control.ping, timeout=1.0) == []
        await asyncio.to_thread(app.control.shutdown)
    user = hamlet.telegram.user("Calm")
    await user.sends_photo(picture(8, 8))
    await user.receives_document(timeout=60)
    assert hamlet.workers[0].exit_status is None


async def test_the_search_for_traces_finds_what_is_there(hamlet, tmp_path):
    redis = hamlet.stack.store.redis
    redis.rpush("test:list", "a-mark")
    redis.xadd("test:stream", {"field": "a-mark"})
    assert {key for key, _ in traces_in_redis(redis, ["a-mark"])} == {"test:list", "test:stream"}
    redis.delete("test:list", "test:stream")
    assert {"string", "hash", "zset"} <= {redis.type(key) for key, _ in everything_in(redis)}
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a-mark").write_bytes(b"")
    (tmp_path / "y").write_bytes(b"\0a-mark\0")
    assert len(traces_on_disk([tmp_path], ["a-mark"])) == 2
    log = hamlet.stack.folder / "bot.log"
    said = log.read_bytes()
    with log.open("ab") as file:
        file.write(hamlet.telegram.people[0].account.last_name.encode())
    found = indiscretions(hamlet)
    os.truncate(log, len(said))
    assert len(found) == 1
    assert found[0].startswith("bot.log has a name")
