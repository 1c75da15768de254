from __future__ import annotations

from pathlib import Path

import pytest

from tests.models.cli.small_model import bring


@pytest.fixture(scope="package")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    bring(folder)
    return folder
