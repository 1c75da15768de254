"""Fixtures every test may use."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dev.redis_server import RedisServer, running_redis
from models.cli.process import prepare_process
from models.registry import DENOISE_PARTNERS, MODELS, SHIPPED_MODEL
from models.weights.file import pin_of
from tasks.store import JobStore, connect

prepare_process()  # before any test imports torch
os.environ.setdefault("OMP_NUM_THREADS", "1")  # for torch here; workers and commands choose their own number

REPOSITORY = Path(__file__).resolve().parent.parent
SYSTEM = "tests/system/"
BY_THEMSELVES = tuple(f"{SYSTEM}test_{name}.py" for name in ("faces", "privacy", "start", "watched"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes one of several processes longest first, and last what the others are free for by then."""
    items.sort(key=lambda item: (item.nodeid.startswith(BY_THEMSELVES), not item.nodeid.startswith(SYSTEM)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give a process whole files, and to one all of ``tests/system`` that share a town or must not be disturbed."""
    from xdist.scheduler import LoadFileScheduling

    class BySharing(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            scope: str = super()._split_scope(nodeid)
            return SYSTEM if scope.startswith(SYSTEM) and not scope.startswith(BY_THEMSELVES) else scope

    return BySharing(config, log)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Whatever number of threads a test lets torch have, the next one begins with one.

    Where several processes test at once, a layer of two threads waits for the one whose core is taken: measured on two
    busy cores, tests of the networks took a third less of the processor and a quarter of the time with one.
    """
    yield
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


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


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two tiny untrained networks as the shipped pair: float16, pinned, other weights in each."""
    import torch  # by most tests never needed
    from safetensors.torch import save_file

    from models.checkpoints.architecture import Architecture
    from models.checkpoints.state_dicts import build_network

    folder = tmp_path / "shipped"
    folder.mkdir()
    arguments = {"num_in_ch": 3, "num_out_ch": 3, "num_feat": 4, "num_conv": 2, "upscale": 4, "act_type": "prelu"}
    architecture = Architecture(name="SRVGGNetCompact", arguments=arguments)
    for seed, name in enumerate((SHIPPED_MODEL, DENOISE_PARTNERS[SHIPPED_MODEL])):
        torch.manual_seed(seed)
        path = folder / MODELS[name].file
        save_file({key: tensor.half() for key, tensor in build_network(architecture).state_dict().items()}, path)
        monkeypatch.setitem(MODELS, name, replace(MODELS[name], architecture=architecture, pin=pin_of(path)))
    monkeypatch.setattr("models.weights.store.SHIPPED_FOLDER", folder)
    return folder


@pytest.fixture
def nothing_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if somebody had deleted the files that came with the repository."""
    monkeypatch.setattr("models.weights.store.SHIPPED_FOLDER", tmp_path / "nowhere")
