"""Fixtures every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of goldens and pictures that lies beside a developer's checkout."""
    folder = Path(os.environ.get("RESTORA_SHARED", REPOSITORY.parent / "shared"))
    if not (folder / "goldens").is_dir():
        pytest.skip(
            f"needs the goldens and pictures of {folder}, which is not here (see docs/architecture.md)"
        )
    return folder
