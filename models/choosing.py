"""The planner, asked about real pictures and loaded models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from models.encoding import fits_some_format
from models.encoding.formats import MAX_SIDES
from models.engine.model import Model
from models.errors import OptionsError, ResultTooLarge
from models.options import RestoreOptions
from models.picture import Picture
from models.planning import RATINGS, Budget, Candidate, Plan, Traits, Wishes, network_share, plan
from models.planning.offers import JPEG_MAX_SIDE, KINDS
from models.registry import ALIASES, DEFAULT_MODEL, SHIPPED_MODEL
from models.weights import WeightsStore

Models = Mapping[str, Model]


def choose(models: Models, picture: Picture, traits: Traits, options: RestoreOptions, *, planes: int) -> Plan:
    """What to do with a picture.

    Before it is refused, or made less of, for want of time, the machine is measured again: it may have been busy
    with something else the last time.

    Args:
        models: that are loaded, by name.
        picture: upright, as it was decoded.
        traits: what was seen in it.
        options: wishes and limits.
        planes: how often the network has to run.

    Raises:
        OptionsError: a model is wished for that is not loaded, or the size to reduce to is no reduction.
        ImageTooLarge: nothing fits the time.
        ResultTooLarge: the result fits no limit, or no format.
    """
    budget = budget_of(options)
    chosen = _planned(models, picture, traits, options, budget=replace(budget, seconds=None), planes=planes)
    if chosen.estimate_s > budget.allowed_s:
        model = models[chosen.model]
        model.calibrate(model.engine_for(precise=picture.is_16_bit))
        chosen = _planned(models, picture, traits, options, budget=budget, planes=planes)
    if options.reduced_to is not None:
        _check_reduction(options.reduced_to, picture.size_wh)
        chosen = replace(chosen, lq_wh=options.reduced_to)
    if not fits_some_format(picture, chosen.size_out_wh, options.output_format):
        width, height = chosen.size_out_wh
        raise ResultTooLarge(f"a result of {width}x{height} has longer sides than {options.output_format} can hold")
    return chosen


def candidates_of(models: Models, *, precise: bool = False, border_share: float = 1.0) -> tuple[Candidate, ...]:
    """The loaded models as the planner sees them.

    Args:
        models: by name.
        precise: whether they will run in float32.
        border_share: pixels of the picture with its reflected border over pixels of the picture.
    """
    return tuple(
        Candidate(
            name=name,
            scale=model.scale,
            purposes=RATINGS[name].purposes if name in RATINGS else KINDS,
            rank=RATINGS[name].rank if name in RATINGS else 0,
            everyday=name in RATINGS and RATINGS[name].everyday,
            seconds_per_pixel=model.seconds(1, precise=precise) * border_share,
        )
        for name, model in models.items()
    )


def share_of(chosen: Plan, traits: Traits, options: RestoreOptions) -> float:
    """How much of the network's picture goes into the result."""
    return network_share(traits, chosen.outscale) if options.strength is None else options.strength


def budget_of(options: RestoreOptions) -> Budget:
    """What the planner is told; the result has to fit the format asked for."""
    side = JPEG_MAX_SIDE
    if options.output_format != "auto":
        side = min(side, MAX_SIDES[options.output_format])
    return Budget(
        seconds=options.max_seconds,
        patience_s=options.patience_s,
        max_output_pixels=options.max_output_pixels,
        max_output_side=side,
        max_output_bytes=options.max_output_bytes if options.outscale is None else None,
    )


def names_here(weights_dir: Path) -> tuple[str, ...]:
    """The models that the planner rates and that are in the folder or shipped; the shipped one first."""
    present = {row.name for row in WeightsStore(weights_dir).list() if row.state == "present"}
    order = {SHIPPED_MODEL: 0, DEFAULT_MODEL: 1}
    return tuple(sorted(present & RATINGS.keys(), key=lambda name: (order.get(name, len(order)), name)))


def _check_reduction(reduced_to: tuple[int, int], size_wh: tuple[int, int]) -> None:
    if any(less > side for less, side in zip(reduced_to, size_wh, strict=True)):
        (width, height), (to_width, to_height) = size_wh, reduced_to
        raise OptionsError(f"reduced_to of {to_width}x{to_height} is larger than the picture of {width}x{height}")


def _planned(
    models: Models, picture: Picture, traits: Traits, options: RestoreOptions, *, budget: Budget, planes: int
) -> Plan:
    width, height = picture.size_wh
    border_share = (width + 2 * options.border) * (height + 2 * options.border) / (width * height)
    candidates = candidates_of(models, precise=picture.is_16_bit, border_share=border_share)
    wished = options.model if options.model is None or options.model in models else ALIASES.get(options.model)
    wishes = Wishes(model=wished or options.model, outscale=options.outscale)
    return plan(picture.size_wh, traits, candidates, budget, wishes, planes=planes)
