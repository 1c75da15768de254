"""What a caller may ask of one restoration, checked where it is made."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from typing import Literal, TypeGuard, get_args

from models.engine.tiling import Placement
from models.errors import OptionsError

OutputFormat = Literal["auto", "png", "jpeg", "webp"]

MAX_TILE = 4096  # px; activations of a larger window fill tens of gigabytes
MAX_OVERLAP = 512  # px; several times what any of the networks looks at
MAX_BORDER = 512
BORDER = 10  # px; RealESRGANer's
LARGEST = 1e100  # of any number; far beyond any use
MAX_FACES = 1000  # numbers beyond are no faces
PATIENCE_S = 10.0  # two cores with bfloat16 do 400x300 with RealESRGAN_x4plus in it, a GPU what people send as photos


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoreOptions:
    """Wishes and limits for one picture.

    Args:
        model: name of a loaded model; None leaves the choice to the planner.
        outscale: result side over input side, any number above zero; None leaves the choice to the planner.
        reduced_to: width and height that the picture is reduced to before the network sees it, as a recipe has it;
            None leaves it to the planner.
        source_sha256: of the file that ``reduced_to``, ``faces_picked`` and ``faces_left_out`` are about, as a recipe
            has it; for any other they mean nothing and do not count. None: they are about whichever comes.
        denoise: 1 leaves a picture as clean as the network makes it, 0 gives it all the noise of the input; None is 1.
        strength: share of the network's picture in a result as large as the original, from 0 to 1; None: by how noisy
            and how sharp the original is, see :mod:`models.planning.shares`. Means nothing where the picture grows.
        faces: strength of face restoration: 0 does nothing to faces, 100 shows all that the network made of them, but
            in the picture's own colours and grain, inside of its mask, and no more than the likeness allows; None:
            :data:`models.faces.pipeline.DEFAULT_STRENGTH` where the weights for it are loaded and the picture is no
            drawing, or where faces are picked or left out; else 0.
        faces_picked: numbers of the faces to restore, as the preview counts them; None: all.
        faces_left_out: numbers of faces to leave as they are.
        colour_lock: hold the low frequencies of the colours to those of the input.
        output_format: ``auto`` chooses by what is in the picture.
        max_input_pixels: larger pictures are refused before their pixels are decoded.
        max_input_bytes: larger files are refused unread.
        max_output_pixels: a larger result is refused before work starts.
        max_output_bytes: a larger file is encoded again in less space or refused; None: no limit.
        max_seconds: the planner keeps to it, or refuses the picture before work starts. Where ``outscale`` or ``model``
            is given, that wish is obeyed instead, the quickest way if none is in time. None: no limit.
        patience_s: where the best model would take longer, the everyday one is taken if it is quicker; None: the
            best within ``max_seconds``.
        tile: width of a slab, and rows at a time, in input pixels; 0: the whole picture at once; None: chosen for the
            machine. Side of a tile where ``placement`` is not ``streamed``.
        overlap: pixels beside a slab that only the network sees; None: as many as make the cut invisible.
        border: pixels the picture is reflected by on every side before the network, and cut off again after it.
        placement: ``streamed`` cuts nothing unless the memory asks for it, see :mod:`models.engine.rows`; ``shifted``
            and ``clipped`` cut tiles, see :func:`models.engine.tiling.tile_grid`.

    Raises:
        OptionsError: a value outside its range or of another type, as a recipe from anywhere may have; the message
            names option and value.
    """

    model: str | None = None
    outscale: float | None = None
    reduced_to: tuple[int, int] | None = None
    source_sha256: str | None = None
    denoise: float | None = None
    strength: float | None = None
    faces: float | None = None
    faces_picked: tuple[int, ...] | None = None
    faces_left_out: tuple[int, ...] = ()
    colour_lock: bool = True
    output_format: OutputFormat = "auto"
    max_input_pixels: int = 40_000_000
    max_input_bytes: int = 200_000_000
    max_output_pixels: int = 500_000_000  # about 1.5 GB as uint8 RGB
    max_output_bytes: int | None = None
    max_seconds: float | None = None
    patience_s: float | None = PATIENCE_S
    tile: int | None = None
    overlap: int | None = None
    border: int = BORDER
    placement: Placement = "streamed"

    def __post_init__(self) -> None:
        _name("model", self.model)
        _size("reduced_to", self.reduced_to)
        _name("source_sha256", self.source_sha256)
        _switch("colour_lock", self.colour_lock)
        _choice("output_format", self.output_format, get_args(OutputFormat))
        _choice("placement", self.placement, get_args(Placement))
        _positive("outscale", self.outscale)
        _share("denoise", self.denoise)
        _share("strength", self.strength)
        _percent("faces", self.faces)
        _numbers("faces_picked", self.faces_picked, optional=True)
        _numbers("faces_left_out", self.faces_left_out, optional=False)
        _positive("max_seconds", self.max_seconds)
        _positive("patience_s", self.patience_s)
        _at_least_one("max_output_bytes", self.max_output_bytes)
        for name in ("max_input_pixels", "max_input_bytes", "max_output_pixels"):
            _at_least_one(name, getattr(self, name), optional=False)
        _range("tile", self.tile, MAX_TILE)
        _range("overlap", self.overlap, MAX_OVERLAP)
        _range("border", self.border, MAX_BORDER, optional=False)


def _name(name: str, value: object) -> None:
    if not isinstance(value, str | None):
        raise OptionsError(f"{name} must be a text, not {_shown(value)}")


def _switch(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise OptionsError(f"{name} must be true or false, not {_shown(value)}")


def _size(name: str, value: object) -> None:
    fits = isinstance(value, tuple) and len(value) == 2 and all(_is_int(side) and side >= 1 for side in value)
    if value is not None and not fits:
        raise OptionsError(f"{name} must be a width and a height of 1 px or more, not {_shown(value)}")


def _choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise OptionsError(f"{name} is one of {', '.join(choices)}, not {_shown(value)}")


def _positive(name: str, value: object) -> None:
    if value is not None and not (_is_number(value) and value > 0):
        raise OptionsError(f"{name} must be a number above 0, not {_shown(value)}")


def _share(name: str, value: object) -> None:
    if value is not None and not (_is_number(value) and 0 <= value <= 1):
        raise OptionsError(f"{name} must be from 0 to 1, not {_shown(value)}")


def _percent(name: str, value: object) -> None:
    if value is not None and not (_is_number(value) and 0 <= value <= 100):
        raise OptionsError(f"{name} must be from 0 to 100, not {_shown(value)}")


def _numbers(name: str, value: object, *, optional: bool) -> None:
    if optional and value is None:
        return
    if not isinstance(value, tuple) or not all(_is_int(number) and 1 <= number <= MAX_FACES for number in value):
        raise OptionsError(f"{name} must be numbers of faces, from 1 to {MAX_FACES:,}, not {_shown(value)}")


def _at_least_one(name: str, value: object, *, optional: bool = True) -> None:
    if not (optional and value is None) and not (_is_int(value) and value >= 1):
        raise OptionsError(f"{name} must be 1 or more, not {_shown(value)}")


def _range(name: str, value: object, most: int, *, optional: bool = True) -> None:
    if not (optional and value is None) and not (_is_int(value) and 0 <= value <= most):
        raise OptionsError(f"{name} must be from 0 to {most} px, not {_shown(value)}")


def _is_int(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> TypeGuard[float]:
    # An integer of JSON may have thousands of digits, which no float has room for. False for what is not a number.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST


def _shown(value: object) -> str:
    """A value in an error message, on one line and no longer than that."""
    return reprlib.repr(value)
