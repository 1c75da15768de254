"""Checkpoint files on this machine: what is there, whether it is sound, and how the rest gets there."""

from __future__ import annotations

from models.weights.store import DEFAULT_FOLDER, StoredModel, WeightsStore

__all__ = ["DEFAULT_FOLDER", "StoredModel", "WeightsStore"]
