"""Restora's restoration library: pictures in, pictures out.

Knows no Telegram, queue or environment variable. ``import models`` is cheap: a public
name is imported when it is first used (PEP 562), so that listing weights, or catching
an error, does not load torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.checkpoints.state_dicts import detect_architecture, interpolate, load_network, load_state_dict
    from models.errors import (
        DamagedImage,
        DeviceError,
        DeviceUnavailable,
        ImageError,
        ImageTooComplex,
        ImageTooLarge,
        OptionsError,
        OutOfMemory,
        RestorationError,
        RestorationStopped,
        ResultTooLarge,
        SpoiledTile,
        UnsupportedFormat,
        WeightsError,
        WeightsMissing,
        WeightsRefused,
        WeightsUnavailable,
    )
    from models.options import RestoreOptions
    from models.registry import ModelSpec, find_model
    from models.restored import Restored
    from models.restorer import Restorer
    from models.weights.store import WeightsStore

__all__ = [
    "DamagedImage",
    "DeviceError",
    "DeviceUnavailable",
    "ImageError",
    "ImageTooComplex",
    "ImageTooLarge",
    "ModelSpec",
    "OptionsError",
    "OutOfMemory",
    "RestorationError",
    "RestorationStopped",
    "RestoreOptions",
    "Restored",
    "Restorer",
    "ResultTooLarge",
    "SpoiledTile",
    "UnsupportedFormat",
    "WeightsError",
    "WeightsMissing",
    "WeightsRefused",
    "WeightsStore",
    "WeightsUnavailable",
    "detect_architecture",
    "find_model",
    "interpolate",
    "load_network",
    "load_state_dict",
]

_HOMES = {
    "ModelSpec": "models.registry",
    "RestoreOptions": "models.options",
    "Restored": "models.restored",
    "Restorer": "models.restorer",
    "WeightsStore": "models.weights.store",
    "detect_architecture": "models.checkpoints.state_dicts",
    "find_model": "models.registry",
    "interpolate": "models.checkpoints.state_dicts",
    "load_network": "models.checkpoints.state_dicts",
    "load_state_dict": "models.checkpoints.state_dicts",
}  # every other public name is an error


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES.get(name, "models.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
