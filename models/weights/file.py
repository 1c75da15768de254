"""Our own weight files: safetensors with a label, sealed against damage.

The metadata says which model this is, where it came from and which network it fits, and carries
``seal``: SHA-256 over the rest of the metadata and every key, dtype, shape and byte. A seal shows damage
and mix-ups, not malice; whoever can write the file can seal it again, but a safetensors file
runs no code. Free of torch. Format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from models.checkpoints.architecture import Architecture
from models.errors import WeightsRefused, WeightsUnavailable
from models.registry import Pin

READABLE = 0o644  # safetensors writes for its owner alone; a worker may run as somebody else


@dataclass(frozen=True, kw_only=True)
class Label:
    """What a weight file says about itself; ``source_sha256`` is that of the file it was made from."""

    name: str
    source: str
    source_sha256: str
    licence: str
    architecture: Architecture

    def to_metadata(self) -> dict[str, str]:
        """As safetensors keep it: strings only."""
        return {**vars(self), "architecture": self.architecture.to_json()}


def write_sealed(path: Path, state: Mapping[str, NDArray[Any]], label: Label) -> None:
    """Write a weight file; it appears whole or not at all.

    Raises:
        WeightsUnavailable: the folder cannot be written to; nothing is left behind.
    """
    metadata = label.to_metadata()
    contiguous = {key: np.asarray(array, order="C") for key, array in state.items()}  # a lone number stays one
    metadata["seal"] = _seal(metadata, sorted(contiguous.items()))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        save_file(contiguous, temporary, metadata)
        temporary.chmod(READABLE)
        _flush(temporary)
        temporary.replace(path)
    except (OSError, SafetensorError) as exc:
        raise WeightsUnavailable(f"cannot write {path}: {exc}") from exc
    finally:
        temporary.unlink(missing_ok=True)


def read_label(path: Path) -> Label:
    """Read what a file says about itself, without looking at its tensors.

    Raises:
        WeightsRefused: damaged, or not written by ``write_sealed``.
    """
    try:
        with safe_open(path, framework="np") as file:
            return _label(file.metadata(), path)
    except (OSError, SafetensorError) as exc:
        raise WeightsRefused(f"{path} is damaged: {exc}") from exc


def verify_sealed(path: Path) -> Label:
    """Hash the whole file and compare with its seal.

    Raises:
        WeightsRefused: damaged, or not written by ``write_sealed``.
    """
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata()
            label = _label(metadata, path)
            tensors = ((key, file.get_tensor(key)) for key in sorted(file.keys()))
            found = _seal({key: value for key, value in metadata.items() if key != "seal"}, tensors)
    except (OSError, SafetensorError, TypeError, ValueError) as exc:
        raise WeightsRefused(f"{path} is damaged: {exc}") from exc
    if found != metadata["seal"]:
        raise WeightsRefused(f"{path} is damaged: its seal is broken")
    return label


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in lower-case hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pin_of(path: Path) -> Pin:
    """Size and SHA-256 of a file.

    Raises:
        WeightsRefused: it cannot be read.
    """
    try:
        return Pin(bytes=path.stat().st_size, sha256=sha256_of(path))
    except OSError as exc:
        raise WeightsRefused(f"cannot read {path}: {exc.strerror}") from exc


def _label(metadata: Mapping[str, str] | None, path: Path) -> Label:
    fields = dict(metadata or {})
    try:
        fields.pop("seal")
        return Label(
            name=fields["name"],
            source=fields["source"],
            source_sha256=fields["source_sha256"],
            licence=fields["licence"],
            architecture=Architecture.from_json(fields["architecture"]),
        )
    except WeightsRefused as exc:
        raise WeightsRefused(f"{path} is damaged: {exc}") from exc
    except KeyError as exc:
        raise WeightsRefused(
            f"{path} has no label of ours; bring it in with: python -m models weights import {path.name}"
        ) from exc


def _seal(metadata: Mapping[str, str], tensors: Iterable[tuple[str, NDArray[Any]]]) -> str:
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for key, array in tensors:
        digest.update(json.dumps([key, array.dtype.str, array.shape]).encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _flush(path: Path) -> None:
    with path.open("r+b") as file:
        os.fsync(file.fileno())
