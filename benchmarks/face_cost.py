"""What faces cost beside their networks: seconds for each, and memory. ``python -m benchmarks.faces --cost`` shows it.

A picture of 1280x960 with 20 faces, and one that a single face fills, enlarged four times, go through the very steps
of ``models.faces.pipeline``: found, judged, aligned, restored, compared, pasted, guarded. In place of GFPGAN and SFace
stand cheap functions; the time inside of these and of the detector's network is taken off. Every contestant is a
process of its own that has done nothing before, ``python -m benchmarks.face_cost CASE``, and so are its twins without
faces, whose peak of memory is taken off. A third one has GFPGAN's network work on every face, once: what it holds does
not depend on its weights, which are random, but what it answers does, so the cheap function's answer is taken instead.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.text import table
from models.archs import GFPGANv1Clean, RetinaFace
from models.checkpoints.files import load_state_dict
from models.engine.device import pick_engine
from models.faces.detectors import RetinaFaceDetector
from models.faces.pipeline import FacePipeline
from models.faces.restoring import FaceRestorer, NetworkFaceRestorer
from models.picture import Picture

RGB = NDArray[np.uint8]

SIZE_WH = (1280, 960)
SCALE = 4
GRID = (5, 4)  # columns and rows of a group
HEAD = 0.9  # of a cell of the grid, or of the picture's height: how high a head's crop is
BACKGROUND = 96
STRENGTH = 80.0
GOAL_S = 0.040  # on the clock, per face, without networks, on two quiet cores
GOAL_BYTES = 1_500_000_000  # more than without faces, for a group of 20


@dataclass
class Clocks:
    """Seconds on the wall and of the processor by step; what runs inside of networks is taken off."""

    wall_s: dict[str, float] = field(default_factory=dict)
    cpu_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str, sign: int = 1) -> Iterator[None]:
        """Time what happens inside; with -1 take it off."""
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self.wall_s[name] = self.wall_s.get(name, 0.0) + sign * (time.perf_counter() - wall)
            self.cpu_s[name] = self.cpu_s.get(name, 0.0) + sign * (time.process_time() - cpu)

    def without(self, name: str, network: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, whose time does not count in that step."""

        def timed(*args: Any, **more: Any) -> Any:
            with self.step(name, -1):
                return network(*args, **more)

        return timed


def group(head: RGB) -> RGB:
    """(960, 1280, 3): one face twenty times, every second one mirrored."""
    picture = np.full((*SIZE_WH[::-1], 3), BACKGROUND, np.uint8)
    wide, high = SIZE_WH[0] // GRID[0], SIZE_WH[1] // GRID[1]
    side = round(HEAD * min(wide, high))
    small = cv2.resize(head, (side, side), interpolation=cv2.INTER_AREA)
    for index in range(GRID[0] * GRID[1]):
        top, left = index // GRID[0] * high + (high - side) // 2, index % GRID[0] * wide + (wide - side) // 2
        picture[top : top + side, left : left + side] = small[:, :: (-1) ** index]
    return picture


def portrait(head: RGB) -> RGB:
    """(960, 1280, 3): one face that fills most of it."""
    picture = np.full((*SIZE_WH[::-1], 3), BACKGROUND, np.uint8)
    left = (SIZE_WH[0] - SIZE_WH[1]) // 2
    large = cv2.resize(head, (SIZE_WH[1], SIZE_WH[1]), interpolation=cv2.INTER_CUBIC)
    picture[:, left : left + SIZE_WH[1]] = large
    return picture


CASES: Mapping[str, Callable[[RGB], RGB]] = {"group": group, "portrait": portrait}


def sharper(crops: RGB) -> NDArray[np.float32]:
    """In place of GFPGAN: the same faces, crisper, so that there is a difference to show."""
    made = crops.astype(np.float32)
    soft = np.stack([cv2.GaussianBlur(levels, (0, 0), 3) for levels in made])
    return np.asarray(made + 0.8 * (made - soft), np.float32)


def alike(crop: RGB) -> NDArray[np.float32]:
    """In place of SFace: everybody is found to be themselves."""
    small = cv2.resize(crop, (8, 8), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    return np.asarray(small / max(float(np.linalg.norm(small)), 1e-6), np.float32)


def worked_by_gfpgan(crops: RGB, network: NetworkFaceRestorer) -> NDArray[np.float32]:
    """The cheap answer after the network's work, one face at a time as on any CPU."""
    network(crops)
    return sharper(crops)


class Contest:
    """One picture and everything that restores its faces; with ``gfpgan`` that network does its work, too."""

    def __init__(self, case: str, head: RGB, retinaface: Path, *, gfpgan: bool = False) -> None:
        network = RetinaFace()
        network.load_state_dict(load_state_dict(retinaface), strict=True)
        self.original = Picture(pixels=CASES[case](head))
        size_wh = SIZE_WH[0] * SCALE, SIZE_WH[1] * SCALE
        self.plain = np.asarray(cv2.resize(self.original.pixels, size_wh, interpolation=cv2.INTER_CUBIC), np.uint8)
        self._network = network
        self._restorer: FaceRestorer = sharper
        if gfpgan:
            restoring = NetworkFaceRestorer(GFPGANv1Clean(), pick_engine("cpu", "float32"))
            self._restorer = partial(worked_by_gfpgan, network=restoring)

    def run(self) -> tuple[Clocks, int]:
        """Once through; the clocks, and how many faces were restored."""
        clocks = Clocks()
        detector = RetinaFaceDetector(self._network)
        forward = RetinaFace.forward.__get__(self._network)
        self._network.forward = clocks.without("find", forward)  # type: ignore[method-assign]
        faces = FacePipeline(
            detector=detector,
            restorer=clocks.without("restore and compare", self._restorer),
            embedder=clocks.without("paste and guard", alike),
        )
        with clocks.step("find"):
            found = faces.find(self.original)
        with clocks.step("judge"):
            reasons = faces.reasons_to_leave(self.original, found)
        with clocks.step("restore and compare"):
            ready = faces.restore(self.original, found, self.plain, reasons=reasons)
        picture = self.plain.copy()
        with clocks.step("paste and guard"):
            reports = ready.show(picture, strength=STRENGTH)
        return clocks, sum(report.is_restored for report in reports)


def measure(head: Path, retinaface: Path, *, threads: int, repeats: int) -> list[dict[str, Any]]:
    """A row for each case.

    Raises:
        RuntimeError: a process ended in an error, which it has told on stderr.
    """
    rows = []
    for case in CASES:
        words = [case, "--head", str(head), "--retinaface", str(retinaface), "--threads", str(threads)]
        row, plain = apart([*words, "--repeats", str(repeats)]), apart([*words, "--repeats", "0"])
        whole = apart([*words, "--gfpgan"])
        rows.append(
            {
                "case": case,
                **row,
                "more_bytes": row["peak_bytes"] - plain["peak_bytes"],
                "more_bytes_with_network": whole["peak_bytes"] - plain["peak_bytes"],
            }
        )
    return rows


def lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The table, in Markdown."""
    steps = list(rows[0]["wall_s"])
    head = ("per face, ms on the clock (of the processor)", *(str(row["case"]) for row in rows))
    cells = [[step, *(_shown(row["wall_s"][step], row["cpu_s"][step], row["faces"]) for row in rows)] for step in steps]
    cells.append(["together", *(_shown(*(sum(row[clock].values()) for clock in ("wall_s", "cpu_s")), row["faces"])
                                for row in rows)])  # fmt: skip
    cells.append(["faces restored", *(f"{row['faces']}" for row in rows)])
    cells.append(["memory more than without faces, MB", *(f"{row['more_bytes'] / 1e6:.0f}" for row in rows)])
    with_network = (f"{row['more_bytes_with_network'] / 1e6:.0f}" for row in rows)
    cells.append(["the same with GFPGAN's network and its work, MB", *with_network])
    return table(head, cells)


def missed(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The cases that take longer, or more, than they should."""
    return [
        str(row["case"])
        for row in rows
        if sum(row["wall_s"].values()) / max(1, row["faces"]) > GOAL_S or row["more_bytes_with_network"] > GOAL_BYTES
    ]


def main() -> int:
    """One case in this process, as a line of JSON; the exit status."""
    args = _arguments()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    head = cv2.imread(str(args.head), cv2.IMREAD_COLOR)
    if head is None:
        sys.stderr.write(f"{args.head} is no picture\n")
        return 1
    rgb = np.asarray(cv2.cvtColor(head, cv2.COLOR_BGR2RGB), np.uint8)
    contest = Contest(args.case, rgb, args.retinaface, gfpgan=args.gfpgan)
    runs = [contest.run() for _ in range(args.repeats + 1)][1:] if args.repeats else []
    runs += [contest.run()] if args.gfpgan else []
    document: dict[str, Any] = {"faces": runs[-1][1] if runs else 0, "peak_bytes": _peak_bytes()}
    for clock in ("wall_s", "cpu_s"):
        all_s = [asdict(clocks)[clock] for clocks, _ in runs]
        document[clock] = {step: float(np.median([one[step] for one in all_s])) for step in (all_s[0] if all_s else ())}
    sys.stdout.write(json.dumps(document) + "\n")
    return 0


def apart(words: Sequence[str]) -> dict[str, Any]:
    """One case in a process that has done nothing before: what :func:`main` says there.

    Raises:
        RuntimeError: it ended in an error.
    """
    folder = Path(__file__).resolve().parent.parent
    with tempfile.TemporaryFile("w+") as errors:
        done = subprocess.run(  # noqa: S603  ourselves
            [sys.executable, "-m", "benchmarks.face_cost", *words],
            cwd=folder, stdout=subprocess.PIPE, stderr=errors, text=True, check=False,
        )  # fmt: skip
        errors.seek(0)
        if done.returncode:
            raise RuntimeError(f"the process that was to be measured ended: {errors.read()[-300:]}")
    row: dict[str, Any] = json.loads(done.stdout)
    return row


def _shown(wall_s: float, cpu_s: float, faces: int) -> str:
    return f"{1e3 * wall_s / max(1, faces):.1f} ({1e3 * cpu_s / max(1, faces):.1f})"


def _peak_bytes() -> int:
    """The kernel's high-water mark of this process; ``ru_maxrss`` would have that of the one that started it."""
    text = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("VmHWM:"))) * 1024


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.face_cost", description=(__doc__ or "").split(".")[0])
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--head", type=Path, required=True, help="a face, upright on the template of FFHQ")
    parser.add_argument("--retinaface", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=0, help="0: everything is loaded, and nothing done")
    parser.add_argument("--gfpgan", action="store_true", help="once, with GFPGAN's network, for its memory")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
