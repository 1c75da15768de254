"""What ``weights list`` shows of a model, read without looking at a tensor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.errors import WeightsRefused
from models.registry import MODELS
from models.weights.file import read_label

State = Literal["present", "missing", "damaged"]
IMPORTED = "imported"


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
