"""What a plan is made from: the models at hand, the limits, and what the owner asked for."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, get_args

from models.errors import OptionsError

Kind = Literal["photo", "drawing", "text"]
KINDS: tuple[Kind, ...] = get_args(Kind)

JPEG_MAX_SIDE = 65_500  # px; libjpeg's limit


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A model that this machine could run.

    Args:
        name: of the registry.
        scale: what the network does to each side.
        purposes: the kinds of picture it was made for, at least one.
        rank: how good its pictures are, 0 the best; compared among models of one purpose only.
        seconds_per_pixel: of what the network sees, measured on this machine.
        startup_s: per picture, whatever its size; loading the model, if it is not loaded yet, belongs here.
        everyday: good enough to be what people usually get where the best would keep them waiting.

    Raises:
        OptionsError: a value outside its range.
    """

    name: str
    scale: int
    purposes: tuple[Kind, ...]
    rank: int
    seconds_per_pixel: float
    startup_s: float = 0.0
    everyday: bool = False

    def __post_init__(self) -> None:
        _require(self.scale >= 1, "scale", "1 or more", self.scale)
        known = bool(self.purposes) and set(self.purposes) <= set(KINDS)
        _require(known, "purposes", f"some of {', '.join(KINDS)}", self.purposes)
        _require(_is_amount(self.seconds_per_pixel), "seconds_per_pixel", "0 or more", self.seconds_per_pixel)
        _require(_is_amount(self.startup_s), "startup_s", "0 or more", self.startup_s)


@dataclass(frozen=True, kw_only=True, slots=True)
class Overhead:
    """Seconds around the network.

    The defaults were measured on two cores with AVX-512 while other work ran, and rounded up: looking at the picture,
    decoding a JPEG (5 ns a pixel), resizing the network's output (12 ns), encoding a JPEG of quality 95 (6 ns).

    Args:
        fixed_s: per picture.
        per_input_pixel_s: of the original.
        per_network_pixel_s: of what the network gives.
        per_output_pixel_s: of the result.
        per_grown_pixel_s: of a result larger than what the network gives, besides; 35 ns were counted on a processor's
            clock, up to 16000x12000.
    """

    fixed_s: float = 0.15
    per_input_pixel_s: float = 1e-8
    per_network_pixel_s: float = 2e-8
    per_output_pixel_s: float = 1e-8
    per_grown_pixel_s: float = 5e-8

    def __post_init__(self) -> None:
        for name in self.__slots__:
            _require(_is_amount(getattr(self, name)), name, "0 or more", getattr(self, name))


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """Limits that no plan exceeds, and the time it should keep to.

    Args:
        seconds: for one picture; None: as long as it takes. A wish may exceed it, the other limits never.
        patience_s: where the best model takes longer, an everyday one is better; None: it never is.
        reserve: share of ``seconds`` that stays free, for a machine that is busier than when it was measured.
        max_output_pixels: of the result.
        max_output_side: of the result.
        max_output_bytes: of the result's file; None: no limit.
        max_network_pixels: of what the network gives on the way to the result; None: no limit.
        overhead: seconds around the network.

    Raises:
        OptionsError: a value outside its range.
    """

    seconds: float | None = None
    patience_s: float | None = None
    reserve: float = 0.1
    max_output_pixels: int = 500_000_000
    max_output_side: int = JPEG_MAX_SIDE
    max_output_bytes: int | None = None
    max_network_pixels: int | None = None
    overhead: Overhead = field(default_factory=Overhead)

    def __post_init__(self) -> None:
        _require(self.seconds is None or self.seconds > 0, "seconds", "above 0", self.seconds)
        _require(self.patience_s is None or self.patience_s > 0, "patience_s", "above 0", self.patience_s)
        _require(0 <= self.reserve < 1, "reserve", "from 0 to below 1", self.reserve)
        for name in ("max_output_pixels", "max_output_side", "max_output_bytes", "max_network_pixels"):
            value = getattr(self, name)
            _require(value is None or value >= 1, name, "1 or more", value)

    @property
    def allowed_s(self) -> float:
        """Seconds that an estimate may reach; infinite without a limit."""
        return math.inf if self.seconds is None else self.seconds * (1 - self.reserve)

    @property
    def worth_waiting_s(self) -> float:
        """Seconds beyond which an everyday model is the better choice; infinite where it never is."""
        return math.inf if self.patience_s is None else self.patience_s


@dataclass(frozen=True, kw_only=True, slots=True)
class Wishes:
    """What the owner asked for; None leaves the choice to the planner.

    Args:
        model: name of a candidate.
        outscale: result side over the original's side, any number above zero.

    Raises:
        OptionsError: a value outside its range.
    """

    model: str | None = None
    outscale: float | None = None

    def __post_init__(self) -> None:
        fits = self.outscale is None or (math.isfinite(self.outscale) and self.outscale > 0)
        _require(fits, "outscale", "a number above 0", self.outscale)


def find_candidate(name: str, candidates: Iterable[Candidate]) -> Candidate:
    """The candidate of that name.

    Raises:
        OptionsError: there is none; the message names those there are.
    """
    by_name = {candidate.name: candidate for candidate in candidates}
    if name not in by_name:
        raise OptionsError(f"no model {name!r} to plan with, only {', '.join(sorted(by_name))}")
    return by_name[name]


def _is_amount(value: float) -> bool:
    return math.isfinite(value) and value >= 0


def _require(fits: bool, name: str, what: str, value: object) -> None:
    if not fits:
        raise OptionsError(f"{name} must be {what}, not {value!r}")
