"""Fixtures every test may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.redis_server import RedisServer, running_redis
from models.cli.process import prepare_process
from tasks.store import JobStore, connect

prepare_process()  # before any test imports torch

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of goldens and pictures that lies beside a developer's checkout."""
    folder = Path(os.environ.get("RESTORA_SHARED", REPOSITORY.parent / "shared"))
    if not (folder / "goldens").is_dir():
        pytest.skip(f"needs the goldens and pictures of {folder}, which is not here (see docs/architecture.md)")
    return folder


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One real Redis for all tests that do not break theirs."""
    with running_redis() as server:
        yield server


@pytest.fixture
def store(redis_server: RedisServer) -> Iterator[JobStore]:
    """A job store on an empty Redis."""
    redis = connect(redis_server.url)
    redis.flushdb()
    yield JobStore(redis)
    redis.close()
