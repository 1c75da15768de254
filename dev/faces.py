"""``python -m dev.faces PHOTO OUT.jpg``: a photograph spoiled and restored, before and after, a row for each face.

The photograph is made small, noisy and over-compressed, and restored again at several strengths. Where the weights
folder has what restores faces, that is shown. Where it has only a detector, a restorer stands in that knows the answer,
the photograph itself. Then the picture shows what Restora does with a restored face, and not how good a network is.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from models import RestoreOptions, Restorer
from models.engine.device import available_cores, pick_engine
from models.engine.model import Model
from models.errors import RestorationError
from models.faces.alignment import align_face
from models.faces.face import Face
from models.faces.finding import FaceFinder
from models.faces.pipeline import FacePipeline
from models.loading import digest_of, load_model
from models.picture import Picture

RGB = NDArray[np.uint8]

SMALLER = 4  # times
GRAIN = 4.0  # levels, standard deviation
QUALITY = 70  # of the small JPEG
STRENGTHS = (50, 80, 100)
CELL = 300  # px
CAPTION = 30  # px
AROUND = 4.0  # eye distances: how much of the picture is shown of a face


class KnowsTheAnswer:
    """In place of a network: the faces of one picture as its sharp original has them.

    Args:
        photo: (H, W, 3) uint8 RGB, the original.
        faces: that are going to be restored, in that order, in pixels of ``photo``.
    """

    def __init__(self, photo: RGB, faces: Sequence[Face]) -> None:
        self._crops = [align_face(photo, face.landmarks).crop for face in faces]
        self._next = 0

    def __call__(self, crops: RGB, /) -> NDArray[np.float32]:
        """The next so many, whatever is shown; after the last the first again."""
        places = [(self._next + place) % len(self._crops) for place in range(len(crops))]
        self._next = places[-1] + 1
        return np.stack([self._crops[place] for place in places]).astype(np.float32)


def spoiled(photo: RGB) -> bytes:
    """A JPEG of the photograph, four times smaller, with grain."""
    height, width = photo.shape[:2]
    small = Image.fromarray(photo).resize((width // SMALLER, height // SMALLER), Image.Resampling.BOX)
    grain = np.random.default_rng(1).normal(0, GRAIN, (small.height, small.width, 1))
    noisy = (np.asarray(small, np.float32) + grain).round().clip(0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noisy).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def sheet(photo: RGB, weights_dir: Path) -> tuple[Image.Image, str]:
    """The rows, with a caption above each picture; and a sentence on what restored the faces.

    Args:
        photo: (H, W, 3) uint8 RGB, whose sides are multiples of four.
        weights_dir: with a detector.

    Raises:
        RestorationError: there is no detector, or no face large enough.
    """
    small = spoiled(photo)
    lq = _pixels(small)
    faces, restorer, has_network = _opened(photo, lq, weights_dir)
    shown = [("as it came", np.asarray(Image.fromarray(lq).resize(photo.shape[1::-1], Image.Resampling.BOX)))]
    try:
        for strength in tqdm((0, *STRENGTHS), unit="picture", disable=None):
            options = RestoreOptions(outscale=SMALLER, output_format="png", faces=float(strength))
            words = f"faces at {strength}" if strength else "without faces"
            shown.append((words, _pixels(restorer.restore(small, options).data)))
    finally:
        restorer.close()
    shown.append(("the photograph" if has_network else "the photograph (it stood in for GFPGAN)", photo))
    made = Image.new("RGB", (CELL * len(shown), CAPTION + CELL * len(faces)), "white")
    draw, font = ImageDraw.Draw(made), ImageFont.load_default(16)
    for column, (words, picture) in enumerate(shown):
        draw.text((CELL * (column + 0.5), CAPTION / 2), words, fill="black", font=font, anchor="mm")
        for row, face in enumerate(faces):
            made.paste(_around(picture, face), (CELL * column, CAPTION + CELL * row))
    by = "by the network in the weights folder" if has_network else "no network: the photograph itself stood in for one"
    return made, f"{len(faces)} faces restored, {by}"


def _opened(photo: RGB, lq: RGB, weights_dir: Path) -> tuple[list[Face], Restorer, bool]:
    """Faces that will be restored, in pixels of the photograph; what restores; whether that is a network."""
    whole = Restorer.open(weights_dir=weights_dir)
    finder = FaceFinder.among(weights_dir, pick_engine())
    small = Picture(pixels=lq)
    judge = FacePipeline(detector=finder.detector, second=finder.second, restorer=KnowsTheAnswer(photo, ()))
    found = judge.find(small)
    reasons = judge.reasons_to_leave(small, found)
    faces = [face.scaled((SMALLER, SMALLER)) for face, reason in zip(found, reasons, strict=True) if reason is None]
    if not faces:
        raise RestorationError(f"{len(found)} faces found, none large and sharp enough to be restored")
    if whole.faces_off is None:
        return faces, whole, True
    engine, name = pick_engine(), whole.models[0]
    model = Model(name, lambda: load_model(name, weights_dir), engine, digest=digest_of(name, weights_dir))
    pipeline = FacePipeline(detector=finder.detector, second=finder.second, restorer=KnowsTheAnswer(photo, faces))
    return faces, Restorer([model], engine=engine, threads=available_cores(), faces=pipeline), False


def _around(picture: RGB, face: Face) -> Image.Image:
    """A square of the picture with the face in its middle."""
    x, y = face.landmarks.mean(axis=0).tolist()
    reach = AROUND / 2 * face.eye_distance
    box = (x - reach, y - reach, x + reach, y + reach)
    return Image.fromarray(picture).resize((CELL, CELL), Image.Resampling.BICUBIC, box=_inside(box, picture))


def _inside(box: tuple[float, float, float, float], picture: RGB) -> tuple[float, float, float, float]:
    """The square moved, and made smaller where it must be, until it lies in the picture."""
    height, width = picture.shape[:2]
    side = min(box[2] - box[0], width, height)
    left, top = (min(max(0.0, low), whole - side) for low, whole in ((box[0], width), (box[1], height)))
    return left, top, left + side, top + side


def _pixels(file: bytes) -> RGB:
    with Image.open(io.BytesIO(file)) as image:
        return np.asarray(image.convert("RGB"))


def main(arguments: list[str] | None = None) -> int:
    """Make the sheet; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m dev.faces", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("photo", type=Path, help="sharp, with faces; publish only what you have the right to")
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights-dir", type=Path, default=Path("weights"))
    args = parser.parse_args(arguments)
    try:
        with Image.open(args.photo) as image:
            width, height = (side // SMALLER * SMALLER for side in image.size)
            photo = np.asarray(image.convert("RGB").crop((0, 0, width, height)))
        made, words = sheet(photo, args.weights_dir)
        made.save(args.out, quality=90)
        sys.stdout.write(f"{args.out}: {words}\n")
    except (RestorationError, OSError) as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
