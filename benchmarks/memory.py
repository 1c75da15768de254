"""(f): the most memory that restoring a picture takes, by its size, each in a process that has done nothing before.

``python -m benchmarks.memory PICTURE`` is that process. The one that starts it reads the kernel's high-water marks of
it and of the processes it starts, which decode. Their sum is what could have been used at the same time, no less.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil

from benchmarks.pictures import RGB, as_jpeg, of_pixels
from benchmarks.text import seconds, table

OUTSCALE = 2
LOOK_S = 0.02  # between two looks at the marks, which only rise
MOST_BYTES = 2_000_000_000  # what is promised for 24 megapixels at x2


def measure(
    picture: RGB,
    megapixels: Sequence[float],
    *,
    model: str,
    weights_dir: Path,
    device: str,
    done: Callable[[], object] = lambda: None,
) -> list[dict[str, object]]:
    """Rows of the table, as they go to the JSON file."""
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(prefix="restora-bench-") as scratch:
        for size in megapixels:
            file = Path(scratch) / "picture.jpg"
            file.write_bytes(as_jpeg(of_pixels(picture, size * 1e6)))
            rows.append({"model": model, "megapixels": size, **_restored(file, model, weights_dir, device)})
            done()
    return rows


def lines(rows: Sequence[dict[str, object]]) -> list[str]:
    """The table."""
    head = ("picture", "restorer, MB", "decoding, MB", "together, MB", "seconds")
    return table(
        head,
        [
            [
                f"{row['megapixels']} MP at ×{OUTSCALE}",
                *(f"{row[key] / 1e6:.0f}" for key in ("own_bytes", "children_bytes", "total_bytes")),  # type: ignore[operator]
                seconds(float(row["seconds"])),  # type: ignore[arg-type]
            ]
            for row in rows
        ],
    )


def main() -> int:
    """Restore one picture and say how long it took; the exit status."""
    from models.options import RestoreOptions
    from models.restorer import Restorer

    args = _arguments()
    restorer = Restorer.open(args.model, weights_dir=args.weights_dir, device=args.device)
    restored = restorer.restore(
        args.picture.read_bytes(), RestoreOptions(model=args.model, outscale=OUTSCALE, output_format="jpeg")
    )
    restorer.close()
    sys.stdout.write(json.dumps({"seconds": restored.seconds["total"], "stages": restored.seconds}) + "\n")
    return 0


def _restored(file: Path, model: str, weights_dir: Path, device: str) -> dict[str, object]:
    command = [sys.executable, "-m", "benchmarks.memory", str(file), "--model", model]
    command += ["--weights-dir", str(weights_dir.resolve()), "--device", device]
    folder = Path(__file__).resolve().parent.parent
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  ourselves
        marks: dict[int, int] = {}
        while process.poll() is None:
            for pid in _family(process.pid):
                marks[pid] = max(marks.get(pid, 0), _high_water(pid))
            time.sleep(LOOK_S)
        assert process.stdout is not None  # noqa: S101  a pipe was asked for
        said = process.stdout.read()
    if process.returncode:
        raise RuntimeError(f"the process that was to be measured ended with status {process.returncode}")
    own = marks.pop(process.pid)
    children = sum(marks.values())
    return {"own_bytes": own, "children_bytes": children, "total_bytes": own + children, **json.loads(said)}


def _family(pid: int) -> Iterator[int]:
    yield pid
    try:
        yield from (child.pid for child in psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return


def _high_water(pid: int) -> int:
    """``ru_maxrss`` would not do: the kernel lets a new program inherit it from the one that started it."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    marks = (line.split()[1] for line in text.splitlines() if line.startswith("VmHWM:"))
    return int(next(marks, "0")) * 1024


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--weights-dir", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
