"""What happens in a run, drawn from its seed: who sends which picture when, who changes their mind, what breaks.

The same seed and settings give the same script. When each thing really happens, and which job it then meets, depends on
the machine.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any

from tasks.messages import PictureKind

SMALL_CELL, LARGE_CELL = 16, 96  # px; pictures of 96x80, a fraction of a second, and of 576x480, a second or more
KINDS: tuple[PictureKind, ...] = ("photo", "document", "sticker")
KIND_WEIGHTS = (5, 4, 2)
CANCELLED_SHARE = 0.06  # of all pictures, by the button
RESTARTED_SHARE = 0.015  # of all pictures: their sender says /restart soon after
LARGE_SHARE = 0.12
FAULTS_FOR = 3.0  # times as long as pictures are sent: a slow machine has work when the last one was sent


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run is asked for. ``pace`` is pictures per second, ``every_s`` the mean time between two faults."""

    seed: int = 1
    jobs: int = 500
    users: int = 50
    workers: int = 3
    pace: float = 2.0
    every_s: float = 1.5
    settle_s: float = 180.0
    lease_s: float = 3.0
    faults: tuple[str, ...] = ()  # only faults whose names begin with one of these; empty: all


@dataclass(frozen=True, kw_only=True)
class Send:
    """A user sends picture ``number``."""

    at_s: float
    user: int
    number: int
    kind: PictureKind
    cell: int
    file_format: str


@dataclass(frozen=True, kw_only=True)
class Cancel:
    """A user presses the button of picture ``number`` or, without one, says /restart.

    With ``when_running`` they wait, for a moment, until a worker holds the job.
    """

    at_s: float
    user: int
    number: int | None
    when_running: bool = False


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something breaks. ``draw`` in [0, 1) chooses among what is there to be broken."""

    at_s: float
    name: str
    options: dict[str, Any] = field(default_factory=dict)
    draw: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Script:
    """A whole run, each list in the order of time."""

    sends: tuple[Send, ...]
    cancels: tuple[Cancel, ...]
    faults: tuple[Fault, ...]


Draw = random.Random


def _down(low_s: float, high_s: float) -> Any:
    return lambda rng: {"for_s": round(rng.uniform(low_s, high_s), 2)}


def _calls(*methods: str, most: int = 2, **spans: tuple[float, float]) -> Any:
    """Options of a Telegram fault: which method, how often, and numbers drawn from their spans."""

    def draw(rng: Draw) -> dict[str, Any]:
        numbers = {name: round(rng.uniform(low, high), 2) for name, (low, high) in spans.items()}
        return {"method": rng.choice(methods), "times": rng.randint(1, most), **numbers}

    return draw


_ANY = ("*", "*", "editMessageMedia", "sendMessage", "editMessageText", "getFile", "download", "answerCallbackQuery")
_UPLOADS = ("editMessageMedia", "sendDocument")

# name: (weight, options). Restarted workers cost seconds of the machine, so the cheap faults are the frequent ones.
FAULTS: dict[str, tuple[float, Any]] = {
    "child killed": (2.5, lambda _: {"aimed": True}),
    "worker killed": (2.5, lambda rng: {"aimed": rng.random() < 0.8}),
    "worker killed in delivery": (1.5, lambda _: {"stage": "delivering"}),
    "all workers killed": (0.5, lambda _: {}),
    "worker told to end": (1.5, lambda _: {}),
    "worker frozen": (2, lambda rng: {"for_leases": round(rng.uniform(1.2, 2.0), 2), "aimed": True}),
    "child frozen": (1.5, lambda rng: {"for_leases": round(rng.uniform(1.2, 2.0), 2), "aimed": True}),
    "worker's parent frozen": (1, lambda rng: {"for_leases": round(rng.uniform(1.2, 2.0), 2)}),
    "bot killed": (2.5, lambda _: {}),
    "bot told to end": (1, lambda _: {}),
    "redis stopped": (2.5, _down(0.3, 3.0)),
    "redis killed": (2.5, _down(0.3, 3.0)),
    "redis connections cut": (4, lambda _: {}),
    "redis frozen": (2.5, _down(0.5, 6.0)),
    "telegram RetryAfter": (6, _calls(*_ANY, seconds=(1, 4))),
    "telegram RetryAfter long": (1.5, _calls(*_UPLOADS, most=1, seconds=(21, 25))),
    "telegram ServerError": (5, _calls(*_ANY, "getUpdates", most=3)),
    "telegram BadGateway": (5, _calls(*_ANY, "getUpdates", most=3)),
    "telegram Slow": (5, _calls(*_ANY, most=4, seconds=(0.5, 3))),
    "telegram Hang": (1, _calls("getFile", "editMessageText", "download", "editMessageMedia", "sendMessage", most=1)),
    "telegram Reset": (5, _calls(*_ANY, *_UPLOADS, "getUpdates", most=3)),
    "telegram ResetAfter": (7, _calls(*_ANY, *_UPLOADS, "getUpdates", most=2)),
    "telegram ResetDuringUpload": (5, _calls(*_UPLOADS, most=2)),
    "telegram Blocked": (1.5, _calls("editMessageMedia", "editMessageText", "sendMessage", most=1)),
    "telegram FileTooBig": (1.5, _calls("getFile", most=1)),
    "telegram MessageGone": (4, _calls("editMessageMedia", most=2)),
    "telegram MessageGone, then ResetAfter": (3, _calls("editMessageMedia", most=1)),
}


def write_script(settings: Settings) -> Script:
    """Draw a run."""
    people, trouble = (random.Random(f"{settings.seed} {part}") for part in ("people", "trouble"))  # noqa: S311
    sends = tuple(_sends(settings, people))
    cancels = tuple(sorted(_cancels(sends, people), key=lambda cancel: cancel.at_s))
    return Script(sends=sends, cancels=cancels, faults=tuple(_faults(settings, FAULTS_FOR * sends[-1].at_s, trouble)))


def _sends(settings: Settings, rng: Draw) -> list[Send]:
    times = sorted(rng.uniform(0.0, settings.jobs / settings.pace) for _ in range(settings.jobs))
    return [_send(at_s, number, settings, rng) for number, at_s in enumerate(times)]


def _send(at_s: float, number: int, settings: Settings, rng: Draw) -> Send:
    (kind,) = rng.choices(KINDS, KIND_WEIGHTS)
    large = kind != "sticker" and rng.random() < LARGE_SHARE
    file_format = {"photo": "JPEG", "sticker": "WEBP"}.get(kind) or rng.choice(["PNG", "JPEG", "WEBP"])
    return Send(
        at_s=round(at_s, 3),
        user=rng.randrange(settings.users),
        number=number,
        kind=kind,
        cell=LARGE_CELL if large else SMALL_CELL,
        file_format=file_format,
    )


def _cancels(sends: tuple[Send, ...], rng: Draw) -> list[Cancel]:
    cancels = []
    for send in sends:
        later = Cancel(at_s=round(send.at_s + rng.uniform(0.0, 2.0), 3), user=send.user, number=send.number)
        chance = rng.random() / (3.0 if send.cell == LARGE_CELL else 1.0)  # who waits longer is more likely to give up
        when_running = rng.random() < 0.6
        if chance < CANCELLED_SHARE:
            cancels.append(replace(later, when_running=when_running))
        elif chance < CANCELLED_SHARE + RESTARTED_SHARE:
            cancels.append(replace(later, number=None))
    return cancels


def _faults(settings: Settings, until_s: float, rng: Draw) -> list[Fault]:
    chosen = {name: fault for name, fault in FAULTS.items() if not settings.faults or name.startswith(settings.faults)}
    names, weights = list(chosen), [weight for weight, _ in chosen.values()]
    faults: list[Fault] = []
    at_s = 0.0
    while settings.every_s > 0 and names:
        at_s += rng.uniform(0.3, 1.7) * settings.every_s
        if at_s > until_s:
            break
        (name,) = rng.choices(names, weights)
        options, draw = chosen[name][1](rng), rng.random()
        faults.append(Fault(at_s=round(at_s, 3), name=name, options=options, draw=draw))
    return faults
