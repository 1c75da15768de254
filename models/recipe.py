"""How a result was made: enough to make the same bytes again on a machine of the same class.

A recipe is plain JSON. It has no time of day and no duration in it, because the same recipe has to give the same file;
``Restored.recipe`` adds both for the records.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from models.engine.device import Engine
from models.engine.model import Model
from models.engine.upsampler import Tiling
from models.errors import OptionsError
from models.options import RestoreOptions
from models.planning import Plan, Traits
from models.version import VERSION

NO_FACES: Mapping[str, object] = {"faces": 0, "faces_picked": None, "faces_left_out": [], "faces_sha256": {}}
OF_ANOTHER = "recipe_of_another"  # notice of a result
SEED = 0  # nothing here is left to chance; other programs look for the field


def recipe_of(
    options: RestoreOptions,
    chosen: Plan,
    traits: Traits,
    tiling: Tiling,
    *,
    model: Model,
    engine: Engine,
    threads: int,
    source: bytes,
    strength: float,
    faces: Mapping[str, object] | None = None,
    blend: float | None = None,
) -> dict[str, object]:
    """Write down how a picture is being made.

    Args:
        options: as given; what they leave open is filled in from the plan.
        chosen: the plan.
        traits: what the planner saw.
        tiling: how the picture is cut.
        model: the network.
        engine: that ran it in the end.
        threads: of torch and the encoders.
        source: the file as it came.
        strength: share of the network's picture in the result.
        faces: strength, choice and weights of face restoration, where there was any.
        blend: denoise strength of the network, if it was blended of a pair.
    """
    return {
        "version": VERSION,
        "source_sha256": hashlib.sha256(source).hexdigest(),
        "model": chosen.model,
        "model_sha256": model.digest,
        "blend": blend,
        "kind": traits.kind,
        "outscale": chosen.outscale,
        "reduced_to": list(chosen.lq_wh),
        "denoise": options.denoise,
        "strength": strength,
        **(faces or NO_FACES),
        "colour_lock": options.colour_lock,
        "seed": SEED,
        "output_format": options.output_format,
        "max_output_bytes": options.max_output_bytes,
        "tile": options.tile,
        "overlap": tiling.overlap,
        "border": tiling.border,
        "placement": tiling.placement,
        "device": engine.device.type,
        "dtype": engine.dtype_name,
        "threads": threads,
    }


def options_of(recipe: Mapping[str, Any], limits: RestoreOptions | None = None) -> RestoreOptions:
    """The options that make a recipe's result again of the same file, and say the same wishes of any other.

    Args:
        recipe: of :func:`recipe_of`, or read from a file.
        limits: where the limits come from, which are the machine's own business.

    Raises:
        OptionsError: it is no recipe, or one of its values is out of range.
    """
    wanted = (
        "model", "outscale", "reduced_to", "denoise", "strength", "colour_lock", "output_format",
        "max_output_bytes", "tile", "overlap", "border", "placement",
    )  # fmt: skip
    missing = [name for name in wanted if name not in recipe]
    if missing:
        raise OptionsError(f"this is no recipe of ours: it has no {', '.join(missing)}")
    limits = limits or RestoreOptions()
    values = {name: recipe[name] for name in wanted}
    # Recipes had no faces at first.
    faces, picked, left_out = (recipe.get(name, NO_FACES[name]) for name in ("faces", "faces_picked", "faces_left_out"))
    reduced_to = recipe["reduced_to"]
    if not isinstance(reduced_to, list | tuple):  # JSON has no tuples
        raise OptionsError(f"reduced_to must be a width and a height, not {reduced_to!r:.40}")
    return RestoreOptions(
        **{**values, "reduced_to": tuple(reduced_to)},
        source_sha256=recipe.get("source_sha256"),
        faces=faces,
        faces_picked=tuple(picked) if isinstance(picked, list) else picked,
        faces_left_out=tuple(left_out) if isinstance(left_out, list) else left_out,
        max_input_pixels=limits.max_input_pixels,
        max_input_bytes=limits.max_input_bytes,
        max_output_pixels=limits.max_output_pixels,
    )


def of_another(options: RestoreOptions, source: bytes) -> RestoreOptions | None:
    """The wishes without what they say about another file; None where they say nothing about another.

    Args:
        options: as given, of a recipe perhaps.
        source: the file as it came.
    """
    if options.source_sha256 in {None, hashlib.sha256(source).hexdigest()}:
        return None
    return replace(options, reduced_to=None, faces_picked=None, faces_left_out=(), source_sha256=None)
