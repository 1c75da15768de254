"""What ``weights list`` shows of a model, read without loading a tensor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.errors import WeightsRefused
from models.registry import MODELS, ModelSpec
from models.weights.file import pin_of, read_label

State = Literal["present", "missing", "damaged"]
IMPORTED = "imported"
SHIPPED = "the Restora repository"  # the source of what was not fetched from anywhere


@dataclass(frozen=True, kw_only=True)
class ModelRow:
    """One line of the list; ``bytes`` is what lies here or, while missing, what would be downloaded."""

    name: str
    state: State
    scale: int | None
    bytes: int
    licence: str
    source: str | None
    purpose: str


def row_of(name: str, path: Path) -> ModelRow:
    """Describe a model, registered or lying at ``path``."""
    spec = MODELS.get(name)
    if spec is not None and spec.is_shipped:
        return _shipped_row(spec, path)
    scale, licence, purpose = (spec.scale, spec.licence, spec.purpose) if spec else (None, "unknown", IMPORTED)
    state: State = "missing"
    size, source = spec.pin.bytes if spec else 0, None
    if path.is_file():
        size = path.stat().st_size
        try:
            label = read_label(path)
        except WeightsRefused:
            state = "damaged"
        else:
            state, scale, licence, source = "present", label.architecture.scale, label.licence, label.source
    return ModelRow(name=name, state=state, scale=scale, bytes=size, licence=licence, source=source, purpose=purpose)


def _shipped_row(spec: ModelSpec, path: Path) -> ModelRow:
    state: State = "missing"
    if path.is_file():
        try:
            state = "present" if pin_of(path) == spec.pin else "damaged"
        except WeightsRefused:
            state = "damaged"
    return ModelRow(
        name=spec.name,
        state=state,
        scale=spec.scale,
        bytes=path.stat().st_size if state != "missing" else spec.pin.bytes,
        licence=spec.licence,
        source=SHIPPED if state == "present" else None,
        purpose=spec.purpose,
    )
