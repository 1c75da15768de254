"""What ``weights list`` shows of a model, read without loading a tensor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.checkpoints.architecture import Architecture, Role
from models.errors import WeightsRefused
from models.registry import DOES, MODELS, ModelSpec, Pin
from models.weights.file import pin_of, read_label

State = Literal["present", "missing", "damaged", "wrong"]
IMPORTED = "imported"
SHIPPED = "the Restora repository"  # the source of what was not fetched from anywhere
COUNTED = {"num_block": "blocks", "num_conv": "convolutions", "num_feat": "features"}  # arguments worth telling
OFFICIAL = "the official file"  # the source of what is kept as it came, wherever it came from


@dataclass(frozen=True, kw_only=True)
class ModelRow:
    """One line of the list; ``bytes`` is what lies here or, while missing, what would be downloaded.

    ``state`` is ``wrong`` where somebody put another file under the official one's name; it is never used. ``role`` is
    None where only a damaged file could tell it; ``scale`` also where the model enlarges nothing.
    """

    name: str
    role: Role | None
    state: State
    scale: int | None
    bytes: int
    licence: str
    reservations: str
    source: str | None
    purpose: str


def row_of(name: str, path: Path) -> ModelRow:
    """Describe a model, registered or lying at ``path``."""
    spec = MODELS.get(name)
    if spec is not None and (spec.is_shipped or spec.is_onnx):
        return _pinned_row(spec, path)
    architecture, licence, reservations, purpose = None, "unknown", "", IMPORTED
    if spec is not None:
        architecture, licence, purpose = spec.architecture, spec.licence, spec.purpose
        reservations = spec.reservations
    state: State = "missing"
    size, source = spec.pin.bytes if spec else 0, None
    if spec is not None and not path.is_file() and (by_hand := path.with_name(spec.file)).is_file():
        is_official = _pin_or_none(by_hand) == spec.pin
        state, source = ("present", spec.file) if is_official else ("wrong", None)
        size = by_hand.stat().st_size
    if path.is_file():
        size = path.stat().st_size
        try:
            label = read_label(path)
        except WeightsRefused:
            state = "damaged"
        else:
            state, architecture, licence, source = "present", label.architecture, label.licence, label.source
            purpose = purpose if spec is not None else f"{IMPORTED}: {summary(architecture)}"
    return ModelRow(
        name=name,
        role=architecture.role if architecture else None,
        state=state,
        scale=_scale(architecture),
        bytes=size,
        licence=licence,
        reservations=reservations,
        source=source,
        purpose=purpose,
    )


def summary(architecture: Architecture) -> str:
    """What a network does, and its name and size in a few words: ``enlarges pictures x4, RRDBNet of 23 blocks``."""
    does, name = DOES[architecture.role], architecture.name
    scale = f" x{architecture.scale}" if architecture.role == "upsampler" else ""
    counted = ((key, word) for key, word in COUNTED.items() if key in architecture.arguments)
    sizes = " and ".join(f"{architecture.arguments[key]} {word}" for key, word in counted)
    return f"{does}{scale}, {name}{f' of {sizes}' if sizes else ''}"


def _pin_or_none(path: Path) -> Pin | None:
    try:
        return pin_of(path)
    except WeightsRefused:
        return None


def _scale(architecture: Architecture | None) -> int | None:
    return architecture.scale if architecture is not None and architecture.role == "upsampler" else None


def _pinned_row(spec: ModelSpec, path: Path) -> ModelRow:
    """Of a file that is used as it is: shipped, or ONNX."""
    state: State = "missing"
    if path.is_file():
        state = "present" if _pin_or_none(path) == spec.pin else "damaged"
    return ModelRow(
        name=spec.name,
        role=spec.role,
        state=state,
        scale=_scale(spec.architecture),
        bytes=path.stat().st_size if state != "missing" else spec.pin.bytes,
        licence=spec.licence,
        reservations=spec.reservations,
        source=None if state != "present" else SHIPPED if spec.is_shipped else OFFICIAL,
        purpose=spec.purpose,
    )
