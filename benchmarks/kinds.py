"""``python -m benchmarks.kinds``: how well photographs, drawings and text are told apart, and the fit behind it.

Prints the confusion of ``models.planning.look_at`` on pictures of sources that the fit never saw. With ``--fit`` it
first fits the weights anew from the other sources and prints them as they stand in ``models/planning/kinds.py``.

Photographs come from the folder ``images`` that lies beside a developer's checkout. Drawings come from Debian
packages, unpacked with ``dpkg-deb -x`` into one folder each below ``--extra``: renpy-demo, renpy-thequestion,
openclipart-png, tuxpaint-stamps-default, hedgewars-data, gimp-help-en, wesnoth-1.16-data, and gcompris-qt-data, whose
pictures lie within resource files (``--carve`` takes them out); and from npm packages unpacked as ``npm-NAME``:
live2d-widget-model-{haru,shizuku,koharu,miku,epsilon2_1,z16,izumi,unitychan}, comicgen. Text is rendered here, with
the fonts of fonts-dejavu, fonts-liberation and fonts-freefont-ttf below ``--extra``.
"""

from __future__ import annotations

import argparse
import io
import random
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from models.picture import Picture
from models.planning.kinds import value_of
from models.planning.marks import marks
from models.planning.offers import Kind
from models.planning.traits import look_at
from models.planning.views import PAGE_SIDE, THUMB_SIDE, sampled, shrunk, visible_part

SHARED = Path("../shared/images")
LEAST_SIDE = 100  # px; icons below say nothing
RIDGE = 20.0  # with 1, single marks weigh so much that odd pictures with few exact colours are mistaken
ROOTS = (
    "textured", "text", "edges_by_flats", "flat", "almost_flat", "vivid", "strong", "exact_8_colours", "ink",
    "smooth_flat", "smooth_textured", "smooth_areas", "ground",
)  # fmt: skip
WINDOWS = 3  # of a sheet of drawn parts
WORDS = re.findall(
    r"\S+",
    "the quick brown fox jumps over lazy dog while seven wizards forge boxes of liquid jade and every photograph "
    "restored from albums 1984 2,750 3.14 (see page 12) however nothing remains hidden; invoice total amount due "
    "съешь же ещё этих мягких французских булок да выпей чаю итого к оплате 1 250,00 руб договор подписан",
)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Pictures of one kind from one place."""

    kind: Kind
    test: bool
    pattern: str  # below SHARED or --extra
    only: str = ""  # regular expression that the path must match
    but: str = r"^\b$"  # and must not
    most: int = 100


CLIPART_FOR_TEST = "/(animals|food|people|transportation)/"
SOURCES = (
    Source(kind="photo", test=False, pattern="train/bsds500/*", most=140),
    Source(kind="photo", test=False, pattern="train/photos/*"),
    Source(kind="photo", test=False, pattern="gcompris-carved/*", only=r"(categorization|explore)_", most=150),
    Source(kind="photo", test=False, pattern="gcompris-carved/*", only=r"paintings_1?\d?\d\.", most=60),
    Source(kind="photo", test=False, pattern="tuxpaint*/**/animals/**/*", only=r"/(birds)/", but="cartoon"),
    Source(
        kind="photo", test=True, pattern="tuxpaint*/**/animals/**/*", only=r"/(mammals|fish)/", but="cartoon|hedgehog"
    ),
    Source(kind="photo", test=True, pattern="train/sunhays80/*"),
    Source(kind="photo", test=True, pattern="eval/*/*", but="comic|ppt3"),
    Source(kind="photo", test=True, pattern="faces/*"),
    Source(kind="photo", test=True, pattern="photos/*", but="_0014|_0030"),
    Source(kind="photo", test=True, pattern="gcompris-carved/*", only=r"paintings_2\d\d\.", but="_219"),
    Source(kind="photo", test=True, pattern="mate-backgrounds/**/nature/*"),
    Source(kind="drawing", test=False, pattern="openclipart-png/**/*", but=CLIPART_FOR_TEST, most=200),
    Source(kind="drawing", test=False, pattern="tuxpaint*/**/*", only="/town/.*cartoon", most=40),
    Source(kind="drawing", test=False, pattern="gcompris-carved/*", only=r"lang_"),
    Source(kind="drawing", test=False, pattern="hedgewars-data/**/Missions/**/*", most=40),
    Source(
        kind="drawing", test=False, pattern="renpy-demo/**/images/*", only="eileen|lucy|logo|launcher|popup|concert"
    ),
    Source(kind="drawing", test=False, pattern="npm-live2d*/**/*", but="unitychan|koharu|miku"),
    Source(kind="drawing", test=True, pattern="npm-live2d*/**/*", only="unitychan|koharu|miku"),
    Source(kind="drawing", test=True, pattern="npm-comicgen*/**/*"),
    Source(kind="drawing", test=True, pattern="renpy-thequestion/**/images/*", only="sylvie"),
    Source(kind="drawing", test=True, pattern="openclipart-png/**/*", only=CLIPART_FOR_TEST, most=80),
    Source(kind="drawing", test=True, pattern="tuxpaint*/**/*", only="cartoon|asl_m|dreydl|hedgehog", but="/town/"),
    Source(kind="drawing", test=True, pattern="photos/*", only="_0014|_0030"),
    Source(kind="drawing", test=True, pattern="stickers/*", only="flat_art"),
    Source(kind="drawing", test=True, pattern="eval/set14/comic.png"),
)
TEXT_PAGES, TEXT_TEST_PAGES = 160, 80


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One picture as somebody might send it."""

    kind: Kind
    test: bool
    name: str
    way: str
    picture: Picture


def main() -> int:
    """Fit if asked to, then print the confusion; the exit status."""
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    args = _arguments()
    if args.carve:
        carve(args.extra)
    if args.fit:
        fit(args)
    report(args)
    return 0


def fit(args: argparse.Namespace) -> None:
    """Print weights for photographs against the rest, and for text against drawings."""
    seen = [(sample.kind, found) for sample in samples(args, test=False) if (found := _found(sample.picture))]
    kinds = np.array([kind for kind, _ in seen])
    names = [*seen[0][1], *(f"root_{name}" for name in ROOTS)]
    values = np.array([[value_of(name, found) for name in names] for _, found in seen])
    say(f"# {len(seen)} samples: " + ", ".join(f"{(kinds == kind).sum()} {kind}" for kind in np.unique(kinds)))
    made = kinds != "photo"
    for name, rows, yes in (("MADE", slice(None), made), ("WRITTEN", made, kinds[made] == "text")):
        bias, slopes = logistic(values[rows], yes)
        shown = ", ".join(f'"{mark}": {slope:.3f}' for mark, slope in zip(names, slopes, strict=True))
        say(f"{name} = Weights(bias={bias:.3f}, slopes={{{shown}}})")


def logistic(values: NDArray[np.float64], yes: NDArray[np.bool_]) -> tuple[float, NDArray[np.float64]]:
    """Bias and slopes of a ridge logistic regression by Newton's method, both classes weighing the same."""
    centre, spread = values.mean(axis=0), values.std(axis=0) + 1e-9
    x = np.c_[(values - centre) / spread, np.ones(len(values))]
    importance = np.where(yes, 0.5 / yes.mean(), 0.5 / (1 - yes.mean()))
    ridge = np.diag([RIDGE] * (x.shape[1] - 1) + [1e-9])

    def loss(w: NDArray[np.float64]) -> float:
        return float((importance * (np.logaddexp(0, x @ w) - yes * (x @ w))).sum() + w @ ridge @ w / 2)

    w = np.zeros(x.shape[1])
    for _ in range(60):
        p = 1 / (1 + np.exp(-np.clip(x @ w, -500, 500)))
        gradient = x.T @ (importance * (p - yes)) + ridge @ w
        step = np.linalg.solve((x * (importance * p * (1 - p))[:, None]).T @ x + ridge, gradient)
        while loss(w - step) > loss(w) and np.abs(step).max() > 1e-6:
            step /= 2  # Newton's steps overshoot where the classes are nearly separated
        w -= step
    slopes = w[:-1] / spread
    return float(w[-1] - slopes @ centre), slopes


def report(args: argparse.Namespace) -> None:
    """Confusion of unseen sources, by kind and by the way the picture came; then what was mistaken."""
    table: dict[tuple[str, str], dict[str, int]] = {}
    mistaken = []
    for sample in samples(args, test=True):
        traits = look_at(sample.picture)
        for way in ("all", sample.way):
            row = table.setdefault((sample.kind, way), {"photo": 0, "drawing": 0, "text": 0})
            row[traits.kind] += 1
        if traits.kind != sample.kind:
            mistaken.append(f"{sample.name} ({sample.way}): {traits.kind} {traits.kind_confidence:.2f}")
    say(f"{'is':8} {'came as':10} {'n':>5}  photo drawing text")
    for (kind, way), row in sorted(table.items()):
        count = sum(row.values())
        shares = "  ".join(f"{100 * row[found] / count:5.1f}" for found in ("photo", "drawing", "text"))
        say(f"{kind:8} {way:10} {count:5}  {shares}")
    say("\n".join(mistaken))


def say(line: str) -> None:
    """One line of the report, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def samples(args: argparse.Namespace, *, test: bool) -> Iterator[Sample]:
    """Every picture of the sources, each in some of the ways it might come."""
    for number, source in enumerate(source for source in SOURCES if source.test == test):
        rng = random.Random(number)  # noqa: S311  (the same pictures every time, no secrets)
        for path in _paths(source, args):
            try:
                with Image.open(path) as opened:
                    image = opened.convert("RGBA" if _see_through(opened) else "RGB")
            except OSError:
                continue
            if min(image.size) >= LEAST_SIDE:
                parts = _windows(image, rng) if "live2d" in str(path) else [image]
                for part in parts:
                    yield from _in_some_ways(source.kind, f"{path.parent.name}/{path.name}", part, rng, test=test)
    rng = random.Random(1 if test else 0)  # noqa: S311  (as above)
    fonts = sorted(path for path in args.extra.glob("fonts-*/**/*.ttf") if _is_plain(path) and _for_test(path) == test)
    for number in range(TEXT_TEST_PAGES if test else TEXT_PAGES):
        font = rng.choice(fonts)
        yield from _in_some_ways("text", f"{number} {font.name}", page(rng, font), rng, test=test)


def page(rng: random.Random, font: Path) -> Image.Image:
    """A page or screen of text."""
    width = rng.choice([320, 480, 640, 800, 1080, 1280, 1654])
    height = min(1800, int(width * rng.choice([0.5, 0.75, 1.0, 1.33, 1.41, 1.9])))
    size = max(rng.choice([11, 13, 14, 16, 18, 20, 24, 28, 32]), width // 75)
    ink, paper = rng.choice(
        [((0, 0, 0), (255, 255, 255)), ((20, 20, 20), (250, 250, 245)), ((230, 230, 230), (25, 25, 28)),
         ((60, 45, 40), (235, 225, 200)), ((0, 30, 120), (255, 255, 255)), ((40, 40, 40), (205, 205, 200))]
    )  # fmt: skip
    image = Image.new("RGB", (width, height), paper)
    draw, letters = ImageDraw.Draw(image), ImageFont.truetype(str(font), size)
    margin = rng.choice([8, width // 20, width // 10])
    y = margin
    while y < height - margin - size:
        line = ""
        while draw.textlength(line, font=letters) < width - 2 * margin - 6 * size and rng.random() > 0.03:
            line += rng.choice(WORDS) + " "
        if rng.random() > 0.12:
            draw.text((margin, y), line, font=letters, fill=ink)
        y += int(size * 1.4)
    return image


def _in_some_ways(kind: Kind, name: str, image: Image.Image, rng: random.Random, *, test: bool) -> Iterator[Sample]:
    """As it is, as Telegram would send it, and in two of the other ways."""
    ways: dict[str, Callable[[Image.Image, random.Random], Image.Image]] = {"small": _small, "soft": _soft, "q40": _q40}
    if kind == "photo":
        ways |= {"gray": _gray, "noisy": _noisy, "dithered": _dithered, "sepia": _sepia}
    chosen = rng.sample(sorted(ways), 2)
    for way in ("as it is", "telegram", *chosen):
        sent = image if way == "as it is" else {**ways, "telegram": _telegram}[way](image, rng)
        yield Sample(kind=kind, test=test, name=name, way=way, picture=_picture(sent))


def _picture(image: Image.Image) -> Picture:
    pixels = np.asarray(image)
    if image.mode == "RGBA":
        return Picture(pixels=np.ascontiguousarray(pixels[..., :3]), alpha=np.ascontiguousarray(pixels[..., 3]))
    return Picture(pixels=pixels)


def _found(picture: Picture) -> dict[str, float] | None:
    part = visible_part(picture)
    if part is None:
        return None
    whole = sampled(part)
    return marks(shrunk(whole, THUMB_SIDE), shrunk(whole, PAGE_SIDE))


def _on_ground(image: Image.Image, rng: random.Random) -> Image.Image:
    """Telegram's photos have no transparency: most people's pictures come on white."""
    if image.mode != "RGBA":
        return image
    ground = Image.new(
        "RGBA", image.size, rng.choice([(255, 255, 255), (255, 255, 255), (40, 44, 52), (150, 190, 220)])
    )
    ground.alpha_composite(image)
    return ground.convert("RGB")


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    with Image.open(file) as opened:
        return opened.convert(image.mode)


def _telegram(image: Image.Image, rng: random.Random) -> Image.Image:
    image = _on_ground(image, rng)
    image.thumbnail((1280, 1280), Image.Resampling.BICUBIC)
    return _jpeg(image, 85)


def _q40(image: Image.Image, rng: random.Random) -> Image.Image:
    return _jpeg(_on_ground(image, rng), rng.choice([30, 40, 50]))


def _small(image: Image.Image, rng: random.Random) -> Image.Image:
    image = _on_ground(image, rng)
    side = rng.choice([96, 128, 160, 200, 320])
    image = image.copy()
    image.thumbnail((side, side), Image.Resampling.BICUBIC)
    return _jpeg(image, 90)


def _soft(image: Image.Image, rng: random.Random) -> Image.Image:
    image = _on_ground(image, rng)
    return _jpeg(image.filter(ImageFilter.GaussianBlur(rng.choice([1.0, 1.5, 2.0]))), 85)


def _gray(image: Image.Image, rng: random.Random) -> Image.Image:
    return _jpeg(_on_ground(image, rng).convert("L"), 85)


def _sepia(image: Image.Image, rng: random.Random) -> Image.Image:
    gray = np.asarray(_on_ground(image, rng).convert("L"), np.float32)[..., None]
    return _jpeg(Image.fromarray(np.clip(gray * [0.9, 0.78, 0.6] + [24, 18, 10], 0, 255).astype(np.uint8)), 85)


def _noisy(image: Image.Image, rng: random.Random) -> Image.Image:
    pixels = np.asarray(_on_ground(image, rng), np.float32)
    noise = np.random.default_rng(rng.randrange(2**32)).normal(0, rng.choice([5, 10, 20]), pixels.shape)
    return _jpeg(Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8)), 85)


def _dithered(image: Image.Image, rng: random.Random) -> Image.Image:
    return _on_ground(image, rng).convert("1").convert("L")


def _windows(image: Image.Image, rng: random.Random) -> Iterator[Image.Image]:
    """Parts of a sheet of drawn parts, as large as a face, some reduced as small pictures are."""
    for _ in range(WINDOWS):
        side = min(rng.choice([512, 768, 1024]), *image.size)
        corners = [(rng.randint(0, image.width - side), rng.randint(0, image.height - side)) for _ in range(6)]
        parts = [image.crop((x, y, x + side, y + side)) for x, y in corners]
        fullest = max(parts, key=lambda part: float(np.asarray(part.convert("RGBA"))[..., 3].mean()))
        fullest.thumbnail((rng.choice([160, 224, 384, 512]),) * 2, Image.Resampling.BICUBIC)
        yield fullest


def _see_through(image: Image.Image) -> bool:
    return "A" in image.getbands() or "transparency" in image.info


def _paths(source: Source, args: argparse.Namespace) -> list[Path]:
    found = {
        path.resolve(): path
        for base in (args.shared, args.extra)
        for path in sorted(base.glob(source.pattern))
        if path.suffix.lower() in {".png", ".jpg", ".webp"}
        and re.search(source.only, str(path))
        and not re.search(source.but, str(path))
    }
    paths = sorted(found.values())
    return random.Random(0).sample(paths, min(source.most, len(paths)))  # noqa: S311  (as above)


def _is_plain(path: Path) -> bool:
    """Fonts with Latin and Cyrillic letters."""
    return re.match(r"(DejaVu(Sans|Serif)|Liberation|Free(Sans|Serif|Mono))", path.name) is not None


def _for_test(path: Path) -> bool:
    return path.name.startswith("Liberation")


def carve(extra: Path) -> None:
    """Take the pictures out of GCompris' resource files."""
    folder = extra / "gcompris-carved"
    folder.mkdir(exist_ok=True)
    for file in sorted(extra.glob("gcompris-qt-data/**/*.rcc")):
        data = file.read_bytes()
        for number, found in enumerate(re.finditer(b"RIFF....WEBPVP8", data, re.DOTALL)):
            end = found.start() + 8 + int.from_bytes(data[found.start() + 4 : found.start() + 8], "little")
            (folder / f"{file.stem}_{number}.webp").write_bytes(data[found.start() : end])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=SHARED, help="pictures beside the checkout (%(default)s)")
    parser.add_argument("--extra", type=Path, required=True, help="folder of unpacked packages")
    parser.add_argument("--carve", action="store_true", help="take GCompris' pictures out of its resource files first")
    parser.add_argument("--fit", action="store_true", help="fit the weights and print them")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
