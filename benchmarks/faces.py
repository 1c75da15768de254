"""``python -m benchmarks.faces``: which faces are found, and how steadily their landmarks lie.

Every picture is changed in five ways that leave the faces where they are (mirrored, half the size, JPEG of quality 30,
gray, blurred), and looked at again. Steadiness is the mean distance of a landmark from where it lay in the unchanged
picture, over the distance of the eyes; and what that does to the aligned crop, in pixels of its corners of 512. Beside
it the crops that their authors had aligned, whose landmarks ought to lie on the template.

Three contestants: RetinaFace in one pass, as facexlib's helper runs it; YuNet in a picture of at most 640 px; and
``models.faces.find_faces``, which asks both. All steadiness is on the same faces: those that RetinaFace and YuNet both
found, and so are faces without anybody's judgement. With ``--nobody`` it also counts what is found in photographs
without people. The exit status is 1 where ours is worse than the better of the two in a row, and where they agreed on
no face. The pictures are not ours and show people: nothing but figures leaves this program.

With ``--cost`` it measures something else, what faces cost beside their networks: see :mod:`benchmarks.face_cost`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks import face_cost, machine
from benchmarks.pictures import SHARED
from benchmarks.text import table
from models.archs import RetinaFace
from models.checkpoints.files import load_state_dict
from models.errors import RestorationError
from models.faces.alignment import (
    TEMPLATE,
    TEMPLATE_SIDE,
    Affine,
    estimate_affine,
    invert,
    least_squares_affine,
    scaling,
    transform,
)
from models.faces.detection import MIRRORED, find_faces
from models.faces.detectors import RetinaFaceDetector, YuNetDetector
from models.faces.face import Face

RGB = NDArray[np.uint8]
Points = NDArray[np.float64]
Finder = Callable[[RGB], Sequence[Face]]

ONE_PASS, YUNET, OURS = "RetinaFace, one pass", "YuNet, at most 640 px", "ours"
JPEG_QUALITY = 30
BLUR_SIGMA = 2.0  # px
FOLDERS = ("images/faces", "images/photos")
ALIGNED = ("codeformer_crop_", "codeformer_gray_", "gfpgan_crop_")  # how files with a face on the template start
NOBODY = "images/train/photos"
SOMEBODY = ("nextcloud_Nextcloud_community", "azzamsa_Ubuntu_Party", "azzamsa_Planking", "azzamsa_Sitting_Here")
SURE = 0.9  # of RetinaFace; below it both take a lion for a man
SAME = 0.6  # eye distances between the middles of two faces that are one
CORNERS = np.array([(0, 0), (1, 0), (0, 1), (1, 1)]) * (TEMPLATE_SIDE - 1.0)


@dataclass
class Steadiness:
    """One contestant under one change."""

    landmarks: list[float] = field(default_factory=list)
    corners: list[float] = field(default_factory=list)
    corners_least_squares: list[float] = field(default_factory=list)
    lost: int = 0

    def add(self, face: Face, again: Points) -> None:
        """Hold a face against its landmarks in the changed picture, brought back."""
        self.landmarks.append(apart(face.landmarks, again) / face.eye_distance)
        self.corners.append(corner_shift(estimate_affine(face.landmarks), estimate_affine(again)))
        both = least_squares_affine(face.landmarks), least_squares_affine(again)
        self.corners_least_squares.append(corner_shift(*both))


@dataclass
class Findings:
    """Everything that was measured."""

    found: dict[str, int]
    alone: dict[str, int]
    missed: dict[str, int]
    steadiness: dict[str, dict[str, Steadiness]]
    template: dict[str, Steadiness]
    agreed: int = 0


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; the exit status."""
    args = _arguments(arguments)
    if args.cost:
        return cost(args)
    try:
        finders = contestants(args.retinaface, args.yunet)
    except RestorationError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    pictures = dict(opened(args.pictures, args.most))
    if not pictures:
        sys.stderr.write(f"no pictures in {', '.join(map(str, args.pictures))}; name folders with --pictures\n")
        return 1
    findings = measured(pictures, finders)
    if not findings.agreed:  # and so there is nothing that could be better or worse
        sys.stderr.write(f"no face in {len(pictures)} pictures that both detectors find; name others with --pictures\n")
        return 1
    lines = report(findings, len(pictures))
    document = as_json(findings)
    if args.nobody is not None:
        false = found_where_nobody_is(args.nobody, finders, args.most)
        document["false"] = false
        lines += ["", f"Found in {false['pictures']} photographs without people: {in_words(false['faces'])}."]
    sys.stdout.writelines(f"{line}\n" for line in lines)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "faces.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (args.out / "faces.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return int(bool(worse_rows(findings)))


def cost(args: argparse.Namespace) -> int:
    """Measure what faces cost beside their networks, print, write; the exit status."""
    head = args.head or next((path for path in sorted(args.pictures[0].glob(f"{ALIGNED[0]}*"))), None)
    for path, option in ((head, "--head"), (args.retinaface, "--retinaface")):
        if path is None or not path.is_file():
            sys.stderr.write(f"{path or 'a picture of one upright face'} is not there; name a file with {option}\n")
            return 1
    known = machine.facts(torch.device("cpu"))
    try:
        rows = face_cost.measure(head, args.retinaface, threads=args.threads, repeats=args.repeats)
    except RuntimeError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    missed, (width, height) = face_cost.missed(rows), face_cost.SIZE_WH
    told = [
        f"{machine.in_words({**known, 'load_at_end': machine.load()})}.",
        f"{width}x{height} enlarged {face_cost.SCALE} times, {args.threads} threads, median of {args.repeats} runs.",
        "",
        *face_cost.lines(rows),
        "",
        f"More than {1e3 * face_cost.GOAL_S:.0f} ms a face, or 1.5 GB more: {', '.join(missed) or 'none'}.",
    ]
    sys.stdout.writelines(f"{line}\n" for line in told)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "face_cost.md").write_text("\n".join(told) + "\n", encoding="utf-8")
        (args.out / "face_cost.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return int(bool(missed))


def contestants(retinaface: Path, yunet: Path) -> dict[str, Finder]:
    """The three, by the names they have in the table."""
    network = RetinaFace()
    network.load_state_dict(load_state_dict(retinaface), strict=True)
    one_pass, second = RetinaFaceDetector(network), YuNetDetector(yunet)
    return {ONE_PASS: one_pass, YUNET: second, OURS: lambda image: find_faces(image, one_pass, second=second)}


def opened(folders: Sequence[Path], most: int | None) -> Iterator[tuple[str, RGB]]:
    """Name and pixels of every picture that OpenCV reads."""
    files = sorted(file for folder in folders if folder.is_dir() for file in folder.iterdir())
    for file in files[:most]:
        if (picture := cv2.imread(str(file), cv2.IMREAD_COLOR)) is not None:
            yield file.name, np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def measured(pictures: Mapping[str, RGB], finders: Mapping[str, Finder]) -> Findings:
    """All contestants on all pictures under all changes."""
    findings = Findings(
        found=dict.fromkeys(finders, 0),
        alone=dict.fromkeys(finders, 0),
        missed=dict.fromkeys(finders, 0),
        steadiness={change: {name: Steadiness() for name in finders} for change in CHANGES},
        template={name: Steadiness() for name in finders},
    )
    for picture_name, image in tqdm(pictures.items(), unit=" pictures", file=sys.stderr, disable=None):
        found = {name: tuple(finder(image)) for name, finder in finders.items()}
        sure = [face for face in found[ONE_PASS] if face.score >= SURE and same(face, found[YUNET]) is not None]
        findings.agreed += len(sure)
        for name, faces in found.items():
            findings.found[name] += len(faces)
            findings.alone[name] += sum(same(face, sure) is None for face in faces)
            findings.missed[name] += sum(same(face, faces) is None for face in sure)
        everybody_s = [{name: same(face, faces) for name, faces in found.items()} for face in sure]
        everybody_s = [faces for faces in everybody_s if all(faces.values())]
        for change, apply in CHANGES.items():
            changed, back = apply(image)
            for name, finder in finders.items():
                again = [moved(face, back) for face in finder(changed)]
                note(findings.steadiness[change][name], [faces[name] for faces in everybody_s], again)
        if picture_name.startswith(ALIGNED):
            template = [(TEMPLATE + 0.5) * image.shape[0] / TEMPLATE_SIDE - 0.5]
            for name in finders:
                note(findings.template[name], [faces[name] for faces in everybody_s], template)
    return findings


def note(steadiness: Steadiness, faces: Sequence[Face | None], again: Sequence[Points]) -> None:
    """Match faces with those of the changed picture, and hold them against one another."""
    for face in faces:
        if face is None:
            continue
        distances = [float(np.linalg.norm((face.landmarks - other).mean(0))) for other in again]
        nearest = int(np.argmin(distances)) if distances else -1
        if nearest >= 0 and distances[nearest] < SAME * face.eye_distance:
            steadiness.add(face, again[nearest])
        else:
            steadiness.lost += 1


def same(face: Face, others: Sequence[Face]) -> Face | None:
    """The one of the others that is this face."""
    distances = [float(np.linalg.norm((face.landmarks - other.landmarks).mean(0))) for other in others]
    nearest = int(np.argmin(distances)) if distances else -1
    return others[nearest] if nearest >= 0 and distances[nearest] < SAME * face.eye_distance else None


def moved(face: Face, back: Callable[[Points], Points]) -> Points:
    """Its landmarks, brought back into the unchanged picture."""
    return back(face.landmarks.astype(np.float64))


def mirrored(image: RGB) -> tuple[RGB, Callable[[Points], Points]]:
    """Left is right."""
    turn = np.array((-1, 1)), np.array((image.shape[1] - 1, 0))
    return np.ascontiguousarray(image[:, ::-1]), lambda points: points[list(MIRRORED)] * turn[0] + turn[1]


def halved(image: RGB) -> tuple[RGB, Callable[[Points], Points]]:
    """Half as wide and high, by the mean of areas."""
    height, width = image.shape[:2]
    small_wh = max(1, round(width / 2)), max(1, round(height / 2))
    back = scaling((width / small_wh[0], height / small_wh[1]))
    return np.asarray(cv2.resize(image, small_wh, interpolation=cv2.INTER_AREA)), lambda points: transform(back, points)


def as_poor_jpeg(image: RGB) -> tuple[RGB, Callable[[Points], Points]]:
    """Through a small file."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    poor = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(poor, cv2.COLOR_BGR2RGB), np.uint8), stays


def in_gray(image: RGB) -> tuple[RGB, Callable[[Points], Points]]:
    """Without colours."""
    return np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2).astype(np.uint8), stays


def blurred(image: RGB) -> tuple[RGB, Callable[[Points], Points]]:
    """Out of focus."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), BLUR_SIGMA), np.uint8), stays


def stays(points: Points) -> Points:
    """Nothing moved."""
    return points


CHANGES: dict[str, Callable[[RGB], tuple[RGB, Callable[[Points], Points]]]] = {
    "mirrored": mirrored,
    "half size": halved,
    f"JPEG {JPEG_QUALITY}": as_poor_jpeg,
    "gray": in_gray,
    f"blur, sigma {BLUR_SIGMA:g} px": blurred,
}


def apart(some: NDArray[np.float32], others: Points) -> float:
    """Mean distance of landmarks."""
    return float(np.linalg.norm(some - others, axis=1).mean())


def corner_shift(first: Affine, second: Affine) -> float:
    """How far the corners of one aligned crop lie from those of another, in pixels of the crop."""
    return float(np.linalg.norm(transform(second, transform(invert(first), CORNERS)) - CORNERS, axis=1).mean())


def found_where_nobody_is(folder: Path, finders: Mapping[str, Finder], most: int | None) -> dict[str, object]:
    """What each contestant takes for a face in photographs of landscapes, animals and things."""
    counts = dict.fromkeys(finders, 0)
    pictures = [(name, image) for name, image in opened([folder], most) if not name.startswith(SOMEBODY)]
    for _, image in tqdm(pictures, unit=" pictures", file=sys.stderr, disable=None):
        for name, finder in finders.items():
            counts[name] += len(finder(image))
    return {"pictures": len(pictures), "faces": counts}


def worse_rows(findings: Findings) -> list[str]:
    """Where ours is not as good as the better detector."""
    rows = [
        change
        for change, by_name in findings.steadiness.items()
        if mean(by_name[OURS].landmarks) > min(mean(by_name[name].landmarks) for name in (ONE_PASS, YUNET))
        or by_name[OURS].lost > min(by_name[name].lost for name in (ONE_PASS, YUNET))
    ]
    return rows + ["found"] * bool(findings.missed[OURS])


def report(findings: Findings, pictures: int) -> list[str]:
    """The tables, in Markdown."""
    names, worse = list(findings.found), worse_rows(findings)
    rows = [
        ["found of those", *(f"{findings.agreed - findings.missed[name]}" for name in names)],
        ["found beside them", *(f"{findings.alone[name]}" for name in names)],
        *([change, *(shown(by_name[name]) for name in names)] for change, by_name in findings.steadiness.items()),
        ["from the template", *(shown(findings.template[name]) for name in names)],
    ]
    count = len(next(iter(findings.steadiness.values()))[OURS].landmarks)
    return [
        f"{pictures} pictures; {findings.agreed} faces that RetinaFace and YuNet both find. Steadiness of {count}:",
        "mean distance of a landmark over that of the eyes; in brackets the mean shift of the aligned crop's corners,",
        "px of 512, by the least median of squares and by least squares; how many faces were not found again.",
        "",
        *table(("", *names), rows),
        "",
        f"Ours is worse in: {', '.join(worse)}." if worse else "Ours is as good or better in every row.",
    ]


def shown(one: Steadiness) -> str:
    """A cell."""
    lost = f", {one.lost} lost" if one.lost else ""
    return f"{mean(one.landmarks):.3f} ({mean(one.corners):.0f}, {mean(one.corners_least_squares):.0f}){lost}"


def in_words(counts: object) -> str:
    """``RetinaFace, one pass: 3; ours: 0``."""
    assert isinstance(counts, dict)  # noqa: S101  made above
    return "; ".join(f"{name}: {count}" for name, count in counts.items())


def mean(values: Sequence[float]) -> float:
    """Not a number for none."""
    return float(np.mean(values)) if values else float("nan")


def as_json(findings: Findings) -> dict[str, object]:
    """Every figure of every face, without any name."""
    return {
        "found": findings.found,
        "agreed": findings.agreed,
        "alone": findings.alone,
        "missed": findings.missed,
        "steadiness": {
            change: {name: vars(one) for name, one in by_name.items()}
            for change, by_name in {**findings.steadiness, "template": findings.template}.items()
        },
    }


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faces", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--pictures", type=Path, nargs="+", default=[SHARED / name for name in FOLDERS], metavar="DIR")
    parser.add_argument("--nobody", type=Path, nargs="?", const=SHARED / NOBODY, metavar="DIR",
                        help="also count what is found in photographs without people")  # fmt: skip
    parser.add_argument("--retinaface", type=Path, default=SHARED / "weights/mobilenet0.25_Final.pth", metavar="FILE")
    parser.add_argument("--yunet", type=Path, default=SHARED / "weights/face_detection_yunet_2026may.onnx",
                        metavar="FILE")  # fmt: skip
    parser.add_argument("--most", type=int, metavar="N", help="only the first so many pictures of all folders")
    parser.add_argument("--cost", action="store_true", help="what faces cost beside their networks, nothing else")
    parser.add_argument("--head", type=Path, metavar="FILE", help="for --cost: one upright face on FFHQ's template")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="for --cost (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=7, metavar="N", help="for --cost (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write a table and its figures")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
