"""A network that sees black as a little less than black.

Beside pure black, networks trained on photographs can go astray: hardly any photograph has a lone bright pixel, a
star, on black, and nothing taught the network what to make of it. On a ground of some levels it knows what to do. So
the picture is shown to it with its blacks lifted, and what it answers is put back down. Both are affine, and so is what
the first and the last convolution do: they take it over, and the network stays the one it was in size and time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from models.errors import RestorationError
from models.weights.file import sha256_of, verify_sealed, write_sealed
from training.errors import DataError

LIFT = 20 / 255  # where black is; at 8 / 255 two dots side by side still lead astray, at 16 nothing did


def lifted(state: Mapping[str, np.ndarray], lift: float = LIFT) -> dict[str, np.ndarray]:
    """Weights of a network that answers ``x`` as the old one answers ``x * (1 - lift) + lift``, put back down.

    Args:
        state: of an SRVGGNetCompact, any floating dtype.
        lift: brightness of black, in [0, 1).

    Returns:
        The same keys, shapes and dtypes. At the very border the answers differ: the padding, black before, is black
        still, which is darker than anything the old network was shown there.
    """
    last = max(int(name.split(".")[1]) for name in state)
    wide = {name: values.astype(np.float64) for name, values in state.items()}
    first_weight = wide["body.0.weight"]
    wide["body.0.bias"] = wide["body.0.bias"] + lift * first_weight.sum(axis=(1, 2, 3))
    wide["body.0.weight"] = first_weight * (1 - lift)
    for name in (f"body.{last}.weight", f"body.{last}.bias"):
        wide[name] = wide[name] / (1 - lift)  # the picture itself, which the network adds, needs nothing
    return {name: values.astype(state[name].dtype) for name, values in wide.items()}


def lift_file(source: Path, target: Path) -> str:
    """Lift the blacks of an exported network.

    Args:
        source: a .safetensors file that ``python -m training export`` wrote.
        target: file to write; its name becomes the model's.

    Returns:
        A sentence with size and digest.

    Raises:
        DataError: it cannot be read or written, is of another architecture, or lifted already.
    """
    note = f", blacks lifted by {LIFT * 255:.0f} of 255"
    try:
        label = verify_sealed(source)
        if label.architecture.name != "SRVGGNetCompact":
            raise DataError(f"{source} is a {label.architecture.name}, whose blacks cannot be lifted")
        if label.source.endswith(note):
            raise DataError(f"{source} is lifted already")
        label = replace(label, name=target.stem, source=label.source + note, source_sha256=sha256_of(source))
        write_sealed(target, lifted(load_file(source)), label)
    except (OSError, RestorationError) as exc:
        raise DataError(f"cannot make {target} of {source}: {exc}") from exc
    return f"{target}: {target.stat().st_size} bytes, SHA-256 {sha256_of(target)}"
