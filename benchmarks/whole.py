"""(e), (g) and (h): whole pictures, file to file: what goes on around the network, growth, and estimates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch

from benchmarks.pictures import RGB, as_jpeg, of_pixels
from benchmarks.text import seconds, table
from benchmarks.timing import Runs, Sample, Spread, alternate, growth_exponent, timed
from models.engine.model import CutWishes, Model
from models.engine.rows import RowStream
from models.engine.tiling import round_up, shifted_spans
from models.engine.trunk import Streamable
from models.engine.upsampler import Tiling, Upsampler, reflect
from models.engine.watch import Watch
from models.options import RestoreOptions
from models.restored import Restored
from models.restorer import Restorer

OUTSCALE = 4
STAGES = ("decode", "plan", "upscale", "colours", "encode", "total")
BRIEF_S = 2.0  # shorter runs are repeated: they cost little and vary most
REPEATS = 3

Done = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Trip:
    """One picture's way, as it goes to the JSON file."""

    model: str
    picture: str
    pixels: int
    result_pixels: int
    result_bytes: int
    estimate_s: float
    seconds: dict[str, float]


def trip(restorer: Restorer, name: str, data: bytes, options: RestoreOptions) -> Trip:
    """Restore one file."""
    restored = restorer.restore(data, options)
    return as_trip(restored, name)


def as_trip(restored: Restored, name: str) -> Trip:
    """What is kept of a result."""
    (width, height), (wide, high) = restored.size_in_wh, restored.size_out_wh
    return Trip(
        model=restored.model, picture=name, pixels=width * height, result_pixels=wide * high,
        result_bytes=len(restored.data), estimate_s=restored.estimate_s, seconds=restored.seconds,
    )  # fmt: skip


def around(
    restorer: Restorer, model: Model, upsampler: Upsampler, picture: RGB, *, repeats: int, bare: bool, done: Done
) -> dict[str, object]:
    """(e) for one model: the stages of a photo's way, and the network alone on the same photo in turn.

    Args:
        restorer: that has the model.
        model: for how the photo is cut.
        upsampler: of the same network, number format and device.
        picture: the photo, sent as JPEG of quality 90 and enlarged as much as the network does.
        repeats: how often.
        bare: run the network alone, too.
        done: called after each run.
    """
    data = as_jpeg(picture)
    options = RestoreOptions(model=model.name, outscale=model.scale, output_format="jpeg")
    size_wh = picture.shape[1], picture.shape[0]
    tiling = model.tiling(size_wh, CutWishes(border=options.border), upsampler.engine)
    trips: list[Trip] = []

    def whole() -> None:
        trips.append(trip(restorer, "photo", data, options))

    contestants: dict[str, Callable[[], tuple[Sample, None]]] = {"whole": lambda: timed(whole)}
    if bare:
        contestants["bare"] = lambda: timed(lambda: alone(upsampler, picture, tiling))
    runs = alternate(contestants, repeats, done)
    return {
        "model": model.name,
        "size_wh": list(size_wh),
        "stages": {stage: asdict(Spread.of([one.seconds[stage] for one in trips])) for stage in STAGES},
        "trips": [asdict(one) for one in trips],
        "whole_s": _samples(runs["whole"]),
        "bare_s": _samples(runs["bare"]) if bare else None,
    }


def assembling(row: dict[str, object]) -> float | None:
    """Median seconds that cutting, rounding and assembling take within ``upscale``; None where it was not measured."""
    if row["bare_s"] is None:
        return None
    bare = [sample["wall_s"] for sample in cast("list[dict[str, float]]", row["bare_s"])]
    return max(0.0, _stage(row, "upscale") - float(np.median(bare)))


def overhead(row: dict[str, object], assembling_s: float) -> tuple[float, float]:
    """Seconds around the network, and their share of the network's own."""
    network = _stage(row, "upscale") - assembling_s
    around_s = _stage(row, "total") - network
    return around_s, around_s / network


@torch.inference_mode()
def alone(upsampler: Upsampler, picture: RGB, tiling: Tiling) -> None:
    """The network over all rows of a picture, as it is streamed, and nothing else; the result stays on the device."""
    padded = reflect(picture, tiling.border, align=upsampler.align)
    height, width = padded.shape[:2]
    device, dtype = upsampler.engine.device, upsampler.engine.dtype
    lq = torch.from_numpy(padded).to(device, dtype).div_(255).permute(2, 0, 1).unsqueeze(0)
    step = round_up(tiling.rows or tiling.tile or height, upsampler.align)
    overlap = round_up(tiling.overlap, upsampler.align)
    for span in shifted_spans(width, tiling.tile or width, overlap, upsampler.align):
        stream = RowStream(cast("Streamable", upsampler.network), height // upsampler.align, Watch(total=1))
        for top in range(0, height, step):
            rows = lq[:, :, top : top + step, span.window_start : span.window_stop]
            for _ in stream.push(rows.contiguous(memory_format=torch.channels_last)):
                pass
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def growth(restorer: Restorer, name: str, picture: RGB, megapixels: Sequence[float], done: Done) -> list[Trip]:
    """(g): trips of one model through rising sizes; of brief ones the middle one of three."""
    trips = []
    options = RestoreOptions(model=name, outscale=OUTSCALE, output_format="jpeg")
    for size in megapixels:
        data = as_jpeg(of_pixels(picture, size * 1e6))
        several = [trip(restorer, f"{size} MP", data, options)]
        while len(several) < REPEATS and several[0].seconds["total"] < BRIEF_S:
            several.append(trip(restorer, f"{size} MP", data, options))
        trips.append(sorted(several, key=lambda one: one.seconds["total"])[len(several) // 2])
        done()
    return trips


def album(restorer: Restorer, files: Iterable[Path], done: Done) -> list[Trip]:
    """(h): pictures as people send them, with all choices left to the planner."""
    trips = []
    for file in files:
        trips.append(trip(restorer, file.name, file.read_bytes(), RestoreOptions()))
        done()
    return trips


def estimate_error(trips: Sequence[Trip]) -> float:
    """Median of |estimated - real| / real."""
    return float(np.median([abs(one.estimate_s - one.seconds["total"]) / one.seconds["total"] for one in trips]))


def exponents(trips: Sequence[Trip]) -> dict[str, float]:
    """With which power of the pixels the whole, and the network's stage, grow."""
    sizes = [one.pixels for one in trips]
    return {stage: growth_exponent(sizes, [one.seconds[stage] for one in trips]) for stage in ("total", "upscale")}


def stage_lines(rows: Sequence[dict[str, object]], assembling_s: float) -> list[str]:
    """(e) as a table, medians."""
    head = ("model", *STAGES, "around the network, s", "share of it")
    cells = []
    for row in rows:
        around_s, share = overhead(row, assembling_s)
        cells.append(
            [str(row["model"]), *(seconds(_stage(row, stage)) for stage in STAGES), seconds(around_s), f"{share:.1%}"]
        )
    return [
        *table(head, cells),
        "",
        f"Of upscale, {seconds(assembling_s)} s are cutting, rounding and assembling: what the quicker model takes",
        "beyond its network alone, run in turn. They count as around the network, for both: results are as large.",
    ]


def growth_lines(trips: Sequence[Trip]) -> list[str]:
    """(g) as a table."""
    head = ("model, picture", "result, MP", "upscale, s", "total, s", "total, s/MP", "estimate, s")
    return table(
        head,
        [
            [
                f"{one.model}, {one.picture}",
                f"{one.result_pixels / 1e6:.1f}",
                seconds(one.seconds["upscale"]),
                seconds(one.seconds["total"]),
                f"{one.seconds['total'] / one.pixels * 1e6:.2f}",
                seconds(one.estimate_s),
            ]
            for one in trips
        ],
    )


def _stage(row: dict[str, object], stage: str) -> float:
    return cast("dict[str, dict[str, float]]", row["stages"])[stage]["median"]


def _samples(runs: Runs[None]) -> list[dict[str, float]]:
    return [asdict(sample) for sample in runs.samples]
