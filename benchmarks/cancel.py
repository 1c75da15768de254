"""``python -m benchmarks.cancel``: how soon a worker is free again when somebody stops their picture, at every stage.

The real bot, a real worker with the shipped model and a real Redis, against the emulator. In each round a picture is
brought into the stage, a small one of somebody else is queued behind it, and its owner sends /restart or presses
Cancel. The clock runs from that message to the moment the worker claims the next picture; for a picture that only
waits, to the moment Redis has it as cancelled. The promise is a 99th percentile under two seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from PIL import Image
from tqdm import tqdm

from benchmarks.machine import facts, in_words
from benchmarks.pictures import smooth_noise
from benchmarks.text import seconds, table
from dev.drawings import worn_photo
from dev.stack import Process, Stack
from emulator import TOKEN, Emulator, Message, Person, Slow
from tasks.buttons import CANCEL_PREFIX
from tasks.messages import FINAL_STATES, Job, JobState, job_id

PROMISE_S = 2.0
BOT_ID = int(TOKEN.partition(":")[0])
SILENCE_S = 25.0  # of a Telegram that does not answer; longer than anybody here waits
MOMENT_S = 0.5  # a stop comes at any moment of so long after the stage was seen
STAGE_S = 60.0  # until a picture has to be in its stage
ENVIRONMENT = {
    "WORKER_MODEL": "compact",
    "PATIENCE_S": "300",
    "MAX_OUTPUT_BYTES": "16500000",  # too little for the transparent picture as PNG: it becomes a WebP, for seconds
}


class MissedError(Exception):
    """The picture was through before it could be stopped: the round says nothing."""


@dataclass
class Place:
    """Everything that runs."""

    telegram: Emulator
    stack: Stack
    worker: Process
    victim: Person
    other: Person
    rng: random.Random
    pictures: dict[str, bytes]

    def job_of(self, message: Message) -> Job | None:
        """The record of a message's picture."""
        return self.stack.store.get(job_id(BOT_ID, message.chat.id, message.message_id))

    async def until(self, holds: Callable[[], object], *, of: Message | None = None) -> None:
        """Wait for something; a picture that has ended meanwhile will never do it."""
        deadline = time.monotonic() + STAGE_S
        while not holds():
            job = self.job_of(of) if of else None
            if (job and job.state in FINAL_STATES) or time.monotonic() > deadline:
                raise MissedError
            await asyncio.sleep(0.01)

    def is_decoding(self) -> bool:
        """Whether the worker's decoding process has a child at work."""
        for process in psutil.Process(self.worker.pid).children(recursive=True):
            try:
                if "models.decoding.zygote" in process.cmdline() and process.children():
                    return True
            except psutil.Error:
                continue
        return False


@dataclass
class Stage:
    """How a picture is brought to where it shall be stopped."""

    name: str
    bring: Callable[[Place], Awaitable[Message]]
    latencies_s: list[float] = field(default_factory=list)
    missed: int = 0

    @property
    def median_s(self) -> float:
        """Half of the rounds took no longer."""
        return float(np.median(self.latencies_s))

    @property
    def p99_s(self) -> float:
        """99 of 100 rounds took no longer; of fewer than a hundred, all."""
        return float(np.quantile(self.latencies_s, 0.99, method="higher"))


async def sent(place: Place, name: str) -> Message:
    """The victim's picture, once a worker has it."""
    message = await place.victim.sends_document(f"picture.{'png' if name == 'clear' else 'jpg'}", place.pictures[name])
    await place.until(lambda: (job := place.job_of(message)) and job.state is JobState.RUNNING, of=message)
    return message


async def queued(place: Place) -> Message:
    """Behind a picture that is never fetched."""
    place.telegram.misbehaves("getFile", Slow(SILENCE_S), times=1, chat=place.other)
    holder = await place.other.sends_document("small.jpg", place.pictures["small"])
    await place.until(lambda: (job := place.job_of(holder)) and job.state is JobState.RUNNING)
    message = await place.victim.sends_document("small.jpg", place.pictures["small"])
    await place.until(lambda: (job := place.job_of(message)) and job.status_message_id, of=message)
    return message


async def fetching(place: Place) -> Message:
    """While Telegram is silent, before or during the download."""
    place.telegram.misbehaves(place.rng.choice(["getFile", "download"]), Slow(SILENCE_S), times=1, chat=place.victim)
    return await sent(place, "small")


async def decoding(place: Place) -> Message:
    """While the process that decodes has a child."""
    message = await sent(place, "large")
    await place.until(place.is_decoding, of=message)
    return message


async def network(place: Place) -> Message:
    """Where the progress says so."""
    message = await sent(place, "photo")
    await place.until(lambda: (job := place.job_of(message)) and 0.02 < job.progress < 0.8, of=message)
    return message


async def encoding(place: Place) -> Message:
    """After the last report of the network, while WebP after WebP is tried."""
    message = await sent(place, "clear")
    await place.until(lambda: (job := place.job_of(message)) and job.progress > 0.94, of=message)
    return message


STAGES = {"queued": queued, "fetching": fetching, "decoding": decoding, "network": network, "encoding": encoding}


async def stop_after_a_moment(place: Place, message: Message) -> float:
    """Have the victim stop the picture; tells when."""
    job = place.job_of(message)
    await asyncio.sleep(place.rng.random() * MOMENT_S)
    status = next((m for m in place.victim.chat.messages if job and m.message_id == job.status_message_id), None)
    now = place.telegram.state.clock()
    if status is not None and place.rng.random() < 0.5:
        await place.victim.presses(status, f"{CANCEL_PREFIX}{job.id if job else ''}")
    else:
        await place.victim.sends_text("/restart")
    return now


async def one_round(place: Place, stage: Stage) -> None:
    """Measure once; clean up in any case."""
    try:
        message = await stage.bring(place)
        follower = await place.other.sends_photo(place.pictures["small"])
        await place.until(lambda: (job := place.job_of(follower)) and job.status_message_id)
        began = await stop_after_a_moment(place, message)
        await place.until(lambda: (job := place.job_of(message)) and job.state is JobState.CANCELLED, of=message)
        if stage.bring is not queued:
            await place.until(lambda: (job := place.job_of(follower)) and job.started_ms)
        stopped, free = place.job_of(message), place.job_of(follower)
        if stopped and free:
            ended_ms = stopped.ended_ms if stage.bring is queued else free.started_ms
            stage.latencies_s.append(ended_ms / 1000 - began)
    except MissedError:
        stage.missed += 1
    finally:
        place.telegram.behaves()
        for person in (place.victim, place.other):
            await asyncio.to_thread(place.stack.store.cancel_all, person.id)
        await idle(place)


async def idle(place: Place) -> None:
    """Wait until the worker has nothing to do."""
    async with asyncio.timeout(STAGE_S):
        while place.stack.store.redis.zcard("restora:leases") or place.stack.store.waiting("restore"):
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.2)


async def measured(stages: list[Stage], rounds: int, *, seed: int, folder: Path) -> None:
    """Fill the stages; they take turns, so that a busy minute of the machine hits all of them."""
    async with (
        Emulator.running() as telegram,
        Stack(folder, token=telegram.token, api_url=telegram.api_url, env=ENVIRONMENT) as stack,
    ):
        bot, worker = stack.start_bot(), stack.start_worker()
        await stack.workers_are_ready(worker)
        await stack.bot_is_ready(bot)
        people = telegram.user("Vic"), telegram.user("Olga")
        place = Place(telegram, stack, worker, *people, random.Random(seed), pictures())  # noqa: S311  # repeatable
        with tqdm(total=rounds * len(stages), unit=" rounds", file=sys.stderr, disable=None) as bar:
            for _ in range(rounds):
                for stage in stages:
                    bar.set_description(stage.name)
                    await one_round(place, stage)
                    bar.update()


def pictures() -> dict[str, bytes]:
    """What is sent: of little work, and of much work in one stage each."""
    texture = smooth_noise(1024)
    large = Image.fromarray(np.tile(texture, (5, 7, 1)))  # 37 megapixels
    grain = np.random.default_rng(1).normal(0, 40, (600, 800, 4))
    clear = np.clip(np.dstack([texture, texture])[:600, :800, :4] + grain, 0, 255).astype(np.uint8)
    return {
        "small": _file(Image.fromarray(texture[:16, :16]), "JPEG"),
        "large": _file(large, "JPEG", quality=60, progressive=True),
        "photo": worn_photo(1280, 960),
        "clear": _file(Image.fromarray(clear), "PNG"),
    }


def _file(image: Image.Image, file_format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def report(stages: list[Stage]) -> list[str]:
    """A table with a line for each stage."""
    rows = [
        [
            stage.name,
            str(len(stage.latencies_s)),
            *(map(seconds, (stage.median_s, stage.p99_s)) if stage.latencies_s else ("", "")),
            str(stage.missed),
        ]
        for stage in stages
    ]
    return table(["stopped while", "rounds", "median s", "99th percentile s", "too late"], rows)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; exit status 1 where the promise is not kept or nothing could be measured."""
    args = _arguments(arguments)
    stages = [Stage(name, STAGES[name]) for name in args.stages]
    known = facts(torch.device("cpu"))
    with tempfile.TemporaryDirectory(prefix="restora-bench-") as folder:
        asyncio.run(measured(stages, args.rounds, seed=args.seed, folder=Path(folder)))
    lines = [f"Seconds from the message that stops a picture to a free worker; {in_words(known)}", "", *report(stages)]
    sys.stdout.writelines(f"{line}\n" for line in lines)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "cancel.md").write_text("\n".join(lines) + "\n", "utf-8")
    document = {"machine": known, "seed": args.seed, "latencies_s": {s.name: s.latencies_s for s in stages}}
    (args.out / "cancel.json").write_text(json.dumps(document, indent=1), "utf-8")
    broken = [stage.name for stage in stages if not stage.latencies_s or stage.p99_s >= PROMISE_S]
    if broken:
        sys.stdout.write(f"\nnot within {PROMISE_S:g} s, or never met: {', '.join(broken)}\n")
    return 1 if broken else 0


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cancel", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=40, help="of each stage (%(default)s)")
    parser.add_argument("--stages", nargs="+", choices=list(STAGES), default=list(STAGES), help="all, unless named")
    parser.add_argument("--seed", type=int, default=1, help="of when and how the stop comes (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("var/bench"), help="where the numbers go (%(default)s)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
