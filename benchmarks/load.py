"""``python -m benchmarks.load``: a long queue, and many chats at once.

``--queue N``: a real Redis with N waiting jobs of N/10 users, small and large pictures mixed; how long accepting one,
telling its place, cancelling it and the steps of a worker take then, /restart of a user with a tenth of all jobs, and
how long anybody else waits for Redis meanwhile. Exit status 1 where the 99th percentile of accepting, place, cancelling
or that waiting is above 50 ms.

``--chats N``: the real bot, real workers and a real Redis against the emulator with its flood control on. N people send
a small photo each at random moments of a minute. The first answer is timed by the emulator: from the moment it has the
photo to the moment at which ``sendMessage`` arrives. Then everybody's picture is waited for and every job accounted
for. Exit status 1 where the 99th percentile is above 500 ms, the bot takes more than 200 MB, or a job is missing.

Without either, both with their defaults.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from PIL import Image
from tqdm import tqdm

from benchmarks.text import table
from dev.redis_server import NoRedisServerError, running_redis
from dev.signals import until_signal
from dev.stack import Process, ProcessDiedError, Stack
from emulator import Emulator, Person
from tasks.messages import Accepted, Job, JobState, RestorePhoto, WorkerCard, job_id
from tasks.store import JobStore, connect

DEFAULT_QUEUE, DEFAULT_CHATS = 20_000, 1_000
SAMPLES = 1_000  # of each step
SIZES = ((512, 512), (1280, 960), (3840, 2160))
ESTIMATES = ((50_000, 0.5), (1_000_000, 4.0), (10_000_000, 12.0))
STEP_LIMIT_S, ANSWER_LIMIT_S, BOT_LIMIT_BYTES = 0.05, 0.5, 200e6
PROMISED = ("accept", "place", "cancel", "others, during that /restart")
PHOTO_WH = (64, 48)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share of all does not exceed; not a number for none."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


@dataclass
class Steps:
    """Seconds that each step took, time and again."""

    seconds: dict[str, list[float]] = field(default_factory=dict)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Time the block."""
        began = time.perf_counter()
        yield
        self.seconds.setdefault(step, []).append(time.perf_counter() - began)

    def too_slow(self) -> list[str]:
        """The promised steps that were not."""
        return [step for step in PROMISED if percentile(self.seconds[step], 0.99) > STEP_LIMIT_S]

    def lines(self) -> list[str]:
        """As a table, in milliseconds."""
        rows = [
            [step, f"{len(took)}", *(f"{1000 * percentile(took, share):.2f}" for share in (0.5, 0.99, 1.0))]
            for step, took in self.seconds.items()
        ]
        return table(("step, ms", "times", "median", "99th percentile", "longest"), rows)


def long_queue(store: JobStore, count: int, *, seed: int = 0) -> Steps:
    """Fill a queue with ``count`` jobs and time what happens to some of them."""
    chance = random.Random(seed)  # noqa: S311  a load, not a secret
    steps = Steps()
    store.announce(WorkerCard(name="a:1", queues=("restore",), device="cpu", dtype="float32", estimates=ESTIMATES))
    jobs: list[Job] = []
    for number in tqdm(range(count), desc="filling the queue", unit=" jobs", file=sys.stderr, disable=None):
        user = 1 if number % 10 == 0 else chance.randrange(2, max(3, count // 10))
        wish = _wish(user, number, chance.choice(SIZES))
        with steps.timed("accept" if number >= 0.9 * count else "accept, while it fills"):
            answer = store.submit(wish, user_limit=count, total_limit=count)
        if not isinstance(answer, Accepted):
            raise RuntimeError(f"a queue for {count} jobs did not take number {number}")  # noqa: TRY004  no wrong type
        jobs.append(answer.job)
    samples = min(SAMPLES, count // 4)
    others = [job for job in jobs if job.user_id != 1]
    for job in tqdm(chance.sample(others, samples), desc="places", unit=" jobs", file=sys.stderr, disable=None):
        with steps.timed("place"):
            store.place(job)
    for job in tqdm(chance.sample(others, samples), desc="cancelling", unit=" jobs", file=sys.stderr, disable=None):
        with steps.timed("cancel"):
            store.cancel(job.user_id, job.id)
    for _ in tqdm(range(samples), desc="working", unit=" jobs", file=sys.stderr, disable=None):
        _work(store, steps)
    last = next(job for job in reversed(others) if store.place(job) is not None)
    with _watched(steps, "others, during that /restart", lambda: store.place(last)), steps.timed("/restart"):
        stopped = store.cancel_all(1)
    steps.seconds[f"/restart that stops {len(stopped)} jobs"] = steps.seconds.pop("/restart")
    with _watched(steps, "others, while the queue is moved", lambda: store.place(last)):
        store.reroute("restore", "gpu")
    return steps


def _work(store: JobStore, steps: Steps) -> None:
    with steps.timed("claim"):
        job = store.claim(["restore"], worker="a:1", lease_s=60)
    if job is None:
        raise RuntimeError("the queue is empty")
    with steps.timed("renew the lease"):
        store.renew(job, lease_s=60, progress=0.5)
    with steps.timed("begin and end the delivery"):
        store.begin_delivery(job, lease_s=60)
        store.finish(job, JobState.DONE)


@contextmanager
def _watched(steps: Steps, name: str, call: Callable[[], object]) -> Iterator[None]:
    """Time ``call`` again and again beside the block."""
    ended = threading.Event()

    def watch() -> None:
        while True:
            with steps.timed(name):
                call()
            if ended.wait(0.001):
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _wish(user: int, message: int, size_wh: tuple[int, int]) -> RestorePhoto:
    return RestorePhoto(
        bot_id=1, chat_id=user, message_id=message, user_id=user, locale="en", kind="photo",
        file_id=f"file-{message}", pixels=size_wh[0] * size_wh[1],
    )  # fmt: skip


@dataclass
class Crowd:
    """What became of many chats."""

    answers_s: list[float]
    bot_bytes: list[int]
    fates: Counter[str]
    refused_calls: Counter[str]
    sending_s: float
    whole_s: float

    def shortcomings(self) -> list[str]:
        """What was promised and did not hold, in words."""
        words = []
        if not percentile(self.answers_s, 0.99) <= ANSWER_LIMIT_S:
            words.append(f"the 99th percentile of the first answer is above {ANSWER_LIMIT_S * 1000:.0f} ms")
        if max(self.bot_bytes, default=0) > BOT_LIMIT_BYTES:
            words.append(f"the bot took more than {BOT_LIMIT_BYTES / 1e6:.0f} MB")
        words += [f"{count} {fate}" for fate, count in self.fates.items() if fate not in ENDS_WELL]
        return words

    def lines(self) -> list[str]:
        """As a table."""
        shares = (("median", 0.5), ("90th percentile", 0.9), ("99th percentile", 0.99), ("longest", 1.0))
        answered = [
            [f"first answer, {name}", f"{1000 * percentile(self.answers_s, share):.0f} ms"] for name, share in shares
        ]
        rows = [
            *answered,
            ["photos sent in", f"{self.sending_s:.1f} s"],
            ["all over after", f"{self.whole_s:.1f} s"],
            ["memory of the bot, most", f"{max(self.bot_bytes, default=0) / 1e6:.0f} MB"],
            *([f"jobs: {fate}", f"{count}"] for fate, count in sorted(self.fates.items())),
            *([f"refused: {call}", f"{count}"] for call, count in sorted(self.refused_calls.items())),
        ]
        return table((f"{sum(self.fates.values())} chats", ""), rows)


DELIVERED, APOLOGISED = "done and delivered once", "failed and told"
ENDS_WELL = (DELIVERED, APOLOGISED)


async def many_chats(count: int, *, within_s: float, workers: int, patience_s: float, seed: int = 0) -> Crowd:
    """Let ``count`` people send a photo each, and see to the end what comes of it."""
    chance = random.Random(seed)  # noqa: S311  a load, not a secret
    with tempfile.TemporaryDirectory(prefix="restora-load-") as folder:
        async with (
            Emulator.running(flood_limits=True) as telegram,
            Stack(Path(folder), token=telegram.token, api_url=telegram.api_url) as stack,
        ):
            bot = stack.start_bot(MAX_QUEUED_JOBS=str(10 * count))
            await stack.workers_are_ready(
                *(stack.start_worker(f"worker{number}", WORKER_MODEL="compact") for number in range(workers))
            )
            await telegram.is_polled(timeout=60)
            people = [telegram.user(f"Person {number}") for number in range(count)]
            began = time.monotonic()
            memory: list[int] = []
            watching = asyncio.create_task(_watch_memory(bot, memory))
            moments = sorted(chance.uniform(0, within_s) for _ in people)
            await _send_photos(people, moments, chance)
            sending_s = time.monotonic() - began
            await _until_all_over(telegram, stack.store, count, patience_s if workers else 2.0)
            whole_s = time.monotonic() - began
            watching.cancel()
            fates = Counter(await asyncio.to_thread(_fates, telegram, stack.store, people))
            answers_s = [answer for person in people if (answer := _first_answer_s(telegram, person)) is not None]
            refused = Counter(f"{call.method}: {call.error}" for call in telegram.calls if call.error)
            return Crowd(answers_s, memory, fates, refused, sending_s, whole_s)


async def _send_photos(people: Sequence[Person], moments: Sequence[float], chance: random.Random) -> None:
    photos = [_photo(chance) for _ in range(16)]
    began = time.monotonic()
    pairs = list(zip(people, moments, strict=True))
    for number, (person, moment) in enumerate(
        tqdm(pairs, desc="sending", unit=" photos", file=sys.stderr, disable=None)
    ):
        await asyncio.sleep(max(0.0, began + moment - time.monotonic()))
        await person.sends_photo(photos[number % len(photos)])


def _photo(chance: random.Random) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", PHOTO_WH, tuple(chance.randrange(256) for _ in range(3))).save(buffer, "JPEG")
    return buffer.getvalue()


async def _watch_memory(bot: Process, memory: list[int]) -> None:
    process = psutil.Process(bot.pid)
    while True:
        memory.append(process.memory_full_info().pss if hasattr(process, "memory_maps") else process.memory_info().rss)
        await asyncio.sleep(0.5)


async def _until_all_over(telegram: Emulator, store: JobStore, count: int, patience_s: float) -> None:
    """Wait until nothing is on its way any more, for at most ``patience_s``."""
    deadline = time.monotonic() + patience_s
    with tqdm(total=count, desc="waiting for results", unit=" jobs", file=sys.stderr, disable=None) as bar:
        while time.monotonic() < deadline:
            done = sum(1 for call in telegram.calls if call.method == "editMessageMedia" and call.executed)
            bar.update(max(0, done - bar.n))
            left = await asyncio.to_thread(lambda: store.waiting("restore") + int(store.redis.zcard("restora:leases")))
            if not left and not telegram.pending_updates:
                break
            await asyncio.sleep(1.0)
    await asyncio.sleep(2.0)  # what is still being said


def _fates(telegram: Emulator, store: JobStore, people: Sequence[Person]) -> Iterator[str]:
    """What became of everybody's photo, by the books and by what the chat shows."""
    bot_id = int(telegram.token.partition(":")[0])
    for person in people:
        photo = next(message for message in person.chat.messages if not message.from_bot)
        job = store.get(job_id(bot_id, person.id, photo.message_id))
        documents = [message for message in person.chat.messages if message.from_bot and message.kind == "document"]
        told = any("😔" in message.text for message in person.chat.messages if message.from_bot)
        if job is None:
            yield "never accepted"
        elif job.state is JobState.DONE:
            yield DELIVERED if len(documents) == 1 else f"done and delivered {len(documents)} times"
        elif job.state is JobState.FAILED:
            yield APOLOGISED if told else "failed and not told"
        else:
            yield f"still {job.state}"


def _first_answer_s(telegram: Emulator, person: Person) -> float | None:
    photo = next(event for event in person.chat.timeline if event.message and not event.message.from_bot)
    call = next(iter(telegram.calls_of("sendMessage", chat=person)), None)
    return call.started - photo.time if call else None


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and tell whether the promises held."""
    args = _arguments(arguments)
    both = args.queue is None and args.chats is None
    shortcomings: list[str] = []
    document: dict[str, object] = {}
    try:
        if both or args.queue is not None:
            count = DEFAULT_QUEUE if args.queue is None else args.queue
            with running_redis() as server:
                redis = connect(server.url)
                steps = long_queue(JobStore(redis), count)
                redis.close()
            _say("\n".join([f"{count} jobs in the queue:", "", *steps.lines(), ""]))
            shortcomings += [f"{step}: above {STEP_LIMIT_S * 1000:.0f} ms" for step in steps.too_slow()]
            document["queue"] = {"jobs": count, "seconds": steps.seconds}
        if both or args.chats is not None:
            count = DEFAULT_CHATS if args.chats is None else args.chats
            crowds: list[Crowd] = []

            async def gather_crowd() -> None:
                crowds.append(
                    await many_chats(count, within_s=args.within, workers=args.workers, patience_s=args.patience)
                )

            if not asyncio.run(until_signal(gather_crowd())):
                return 130
            (crowd,) = crowds
            _say("\n".join([f"{count} chats in {args.within:g} s, {args.workers} workers:", "", *crowd.lines(), ""]))
            shortcomings += crowd.shortcomings()
            document["chats"] = vars(crowd)
    except (NoRedisServerError, ProcessDiedError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    if args.out:
        args.out.write_text(json.dumps(document, indent=1), encoding="utf-8")
    _say("; ".join(shortcomings) if shortcomings else "All of it held.")
    return 1 if shortcomings else 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--queue", type=int, metavar="N", help=f"jobs that wait; {DEFAULT_QUEUE} unless given")
    parser.add_argument("--chats", type=int, metavar="N", help=f"people who send a photo; {DEFAULT_CHATS} unless given")
    parser.add_argument("--within", type=float, default=60.0, metavar="S", help="seconds in which they do (60)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="real workers (1)")
    parser.add_argument("--patience", type=float, default=900.0, metavar="S",
                        help="seconds after which results are not waited for any more (900)")  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write every figure as JSON")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
