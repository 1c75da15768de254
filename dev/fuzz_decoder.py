"""``python -m dev.fuzz_decoder``: spoiled pictures into the decoder; only pictures and typed errors may come out.

What else comes out, or takes more than ten seconds or a gigabyte, is kept under ``var/fuzz`` and makes the exit
status 1. Every input follows from the corpus, the seed and its number, so each can be made again.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import logging
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image
from tqdm import tqdm

from dev.mutations import mutate
from models.decoding import DecodeLimits, Decoder, Measured, decode_here
from models.errors import ImageError
from models.picture import Picture

REPOSITORY = Path(__file__).resolve().parent.parent
HOSTILE = REPOSITORY.parent / "shared" / "images" / "hostile"
FINDINGS = REPOSITORY / "var" / "fuzz"
MAX_S, MAX_MEMORY = 10.0, 1_000_000_000
LIMITS = DecodeLimits(max_pixels=40_000_000, max_bytes=100_000_000)
USUAL_PIXELS = 250_000  # larger pictures are taken as much more rarely, for they take as much longer


@dataclass
class Tally:
    """What came of a run."""

    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    peak_bytes: int = 0


def main() -> int:
    """Run, and say what was found."""
    parser = argparse.ArgumentParser(prog="python -m dev.fuzz_decoder", description=__doc__)
    parser.add_argument("--inputs", type=int, default=50_000, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of chance (default: %(default)s)")
    parser.add_argument("--corpus", type=Path, help="folder of files to spoil (default: the hostile set, or made ones)")
    parser.add_argument("--inside", action="store_true", help="decode in this process: faster, and it may die of it")
    parser.add_argument("--first", type=int, default=0, help="number of the first input, to make one again")
    arguments = parser.parse_args()
    start = time.monotonic()
    with Decoder() as decoder:
        tally = fuzz(
            corpus(arguments.corpus),
            range(arguments.first, arguments.first + arguments.inputs),
            seed=arguments.seed,
            decoder=None if arguments.inside else decoder,
        )
    seconds = time.monotonic() - start
    print(f"{arguments.inputs:,} inputs in {seconds:.0f} s, {arguments.inputs / seconds:.0f} per second")
    for outcome, count in tally.outcomes.most_common():
        print(f"  {count:>8,}  {outcome}")
    print(f"slowest {tally.slowest_s:.2f} s, most memory {tally.peak_bytes / 1e6:.0f} MB")
    print(f"findings: {len(tally.findings)}", *tally.findings[:50], sep="\n  ")
    return 1 if tally.findings else 0


def corpus(folder: Path | None) -> list[bytes]:
    """The files to spoil, always in the same order."""
    folder = folder or (HOSTILE if HOSTILE.is_dir() else None)
    if folder is None:
        return made()
    return [path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file() and path.suffix != ".json"]


def made() -> list[bytes]:
    """Small pictures of every format that can be written here."""
    decode_here(_saved(Image.new("L", (1, 1)), "PNG"), LIMITS)  # which teaches Pillow to write HEIF
    chance = np.random.default_rng(0)
    colours = Image.fromarray(chance.integers(0, 256, (24, 40, 4), np.uint8))
    opaque, gray = colours.convert("RGB"), colours.convert("L")
    exif = Image.Exif()
    exif[0x0112] = 6
    return [
        *(_saved(colours, format_) for format_ in ("PNG", "WEBP", "TIFF", "AVIF", "HEIF")),
        *(_saved(opaque, format_) for format_ in ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")),
        *(_saved(gray, format_) for format_ in ("PNG", "JPEG", "TIFF")),
        _saved(opaque, "JPEG", progressive=True, exif=exif),
        _saved(colours.convert("CMYK"), "JPEG"),
        _saved(colours, "WEBP", lossless=True, exif=exif),
        _saved(opaque.quantize(16), "PNG", transparency=3),
        _saved(opaque, "TIFF", compression="tiff_lzw"),
        *(_saved(opaque, format_, save_all=True, append_images=[opaque] * 3) for format_ in ("GIF", "PNG", "WEBP")),
    ]


def fuzz(seeds: Sequence[bytes], numbers: range, *, seed: int, decoder: Decoder | None) -> Tally:
    """Decode one spoiled file for each number.

    Args:
        seeds: the corpus.
        numbers: of the inputs.
        seed: of chance.
        decoder: None: in this process.
    """
    tally = Tally()
    weights = [_weight(attempt(data, decoder).outcome) for data in seeds]
    for number in tqdm(numbers, unit=" inputs", disable=not sys.stderr.isatty()):
        chance = Random(f"{seed}:{number}")  # noqa: S311  (chance that can be had again is what is wanted)
        data = mutate(chance.choices(seeds, weights)[0], chance, seeds)
        measured = attempt(data, decoder)
        _count(tally, measured)
        if wrong := finding(measured):
            tally.findings.append(f"input {number} of seed {seed}: {wrong}")
            _keep(data, number, seed, wrong)
    return tally


def _weight(outcome: Picture | ImageError) -> float:
    """How often a seed is taken, judged by its size and never by the clock: the same on every machine."""
    pixels = outcome.size_wh[0] * outcome.size_wh[1] if isinstance(outcome, Picture) else 0
    return min(1.0, USUAL_PIXELS / max(1, pixels))


def attempt(data: bytes, decoder: Decoder | None) -> Measured:
    """Decode, however that goes; an exception that is none of ours has the status -1000."""
    start = time.monotonic()
    try:
        if decoder:
            return decoder.measure(data, LIMITS)
        outcome: Picture | ImageError = decode_here(data, LIMITS)
    except ImageError as exc:
        outcome = exc
    except Exception as exc:  # noqa: BLE001  (this is what is looked for)
        outcome, status = ImageError(f"{type(exc).__name__}: {exc}"), -1000
        return Measured(outcome=outcome, seconds=time.monotonic() - start, peak_bytes=0, status=status)
    return Measured(outcome=outcome, seconds=time.monotonic() - start, peak_bytes=0, status=0)


def finding(measured: Measured) -> str:
    """What is wrong with an outcome; empty if nothing is."""
    if measured.seconds > MAX_S:
        return f"took {measured.seconds:.1f} s"
    if measured.peak_bytes > MAX_MEMORY:
        return f"took {measured.peak_bytes:,} bytes"
    if measured.status is not None and (measured.status > 0 or measured.status == -1000):
        return f"an exception that is none of ours: {measured.outcome}"
    if isinstance(measured.outcome, Picture):
        return _wrong_picture(measured.outcome)
    message = str(measured.outcome)
    return "" if message and "\n" not in message else f"a message of no or several lines: {message!r}"


def _wrong_picture(picture: Picture) -> str:
    width, height = picture.size_wh
    if not 1 <= width * height <= LIMITS.max_pixels or picture.pixels.shape[2:] not in {(), (3,)}:
        return f"a picture of the shape {picture.pixels.shape}"
    alpha = picture.alpha
    if alpha is not None and (alpha.shape != (height, width) or alpha.dtype != picture.pixels.dtype):
        return f"alpha of the shape {alpha.shape} for {picture.pixels.shape}"
    return ""


def _count(tally: Tally, measured: Measured) -> None:
    kind = "picture" if isinstance(measured.outcome, Picture) else type(measured.outcome).__name__
    died = f" (the child ended with signal {-measured.status})" if measured.status and measured.status < 0 else ""
    tally.outcomes[kind + died] += 1
    tally.slowest_s = max(tally.slowest_s, measured.seconds)
    tally.peak_bytes = max(tally.peak_bytes, measured.peak_bytes)


def _keep(data: bytes, number: int, seed: int, wrong: str) -> None:
    FINDINGS.mkdir(parents=True, exist_ok=True)
    path = FINDINGS / hashlib.sha256(data).hexdigest()[:16]
    path.with_suffix(".bin").write_bytes(data)
    path.with_suffix(".json").write_text(json.dumps({"seed": seed, "number": number, "wrong": wrong}, indent=1))


def _saved(image: Image.Image, format_: str, **how: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format_, **how)
    return file.getvalue()


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # Pillow's remarks about broken files
    sys.exit(main())
