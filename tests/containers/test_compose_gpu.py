"""docker-compose.gpu.yml: a GPU and the torch that can use it for the worker, and nothing else changed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from emulator import TOKEN
from models.engine.device import pick_engine
from models.errors import DeviceUnavailable
from tasks.settings import WorkerSettings
from tests.containers.files import REPOSITORY, arguments_of, block, last_stage

GPU = (REPOSITORY / "docker-compose.gpu.yml").read_text("utf-8")
WORKER = block(block(GPU, "services:"), "  worker:")
DOCUMENTS = [(REPOSITORY / name).read_text("utf-8") for name in ("docs/operations.md", ".env.example")]


def test_it_is_about_the_worker_alone_and_opens_nothing() -> None:
    assert re.findall(r"^(\w[\w-]*):", GPU, re.MULTILINE) == ["services"]
    assert re.findall(r"^  (\w+):", GPU, re.MULTILINE) == ["worker"]
    assert re.findall(r"^    (\w+):", GPU, re.MULTILINE) == ["build", "environment", "mem_limit", "deploy"]
    assert not re.search(r"privileged|ports|runtime|cap_add|security_opt|/dev/", GPU)


def test_one_gpu_is_reserved_as_the_compose_specification_says() -> None:
    devices = block(WORKER, "          devices:")
    assert [line.strip() for line in devices.splitlines()[1:]] == [
        "- driver: nvidia",
        "count: 1",
        "capabilities: [gpu]",
    ]
    path = re.findall(r"^ +(\w+):$", block(WORKER, "    deploy:"), re.MULTILINE)
    assert path == ["deploy", "resources", "reservations", "devices"]


def test_the_image_takes_torch_from_the_index_that_has_the_cuda_build() -> None:
    """An empty address adds no index to the default one; the same image without this file takes the CPU build."""
    assert re.findall(r"^ +TORCH_INDEX_URL: (.*)$", block(WORKER, "    build:"), re.MULTILINE) == [
        "${TORCH_INDEX_URL:-}"
    ]
    stage = last_stage("Dockerfile.worker")
    assert "TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu" in arguments_of("ARG", stage)
    install = next(line for line in arguments_of("RUN", stage) if "torch.txt" in line)
    (added,) = re.findall(r"\$\{TORCH_INDEX_URL:\+[^}]*\}", install)
    shown = subprocess.run(
        ["sh", "-c", f"printf %s {added}"], capture_output=True, text=True, env={"TORCH_INDEX_URL": ""}, check=True
    )
    assert shown.stdout == ""


def test_the_worker_is_told_what_a_worker_understands(monkeypatch: pytest.MonkeyPatch) -> None:
    given = dict(re.findall(r"^      ([A-Z_]+): \$\{\1:-([^}]+)\}$", block(WORKER, "    environment:"), re.MULTILINE))
    assert set(given) == {"WORKER_DEVICE", "WORKER_QUEUES", "WORKER_MEMORY"}
    assert f"    mem_limit: ${{WORKER_MEMORY:-{given['WORKER_MEMORY']}}}\n" in WORKER
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = WorkerSettings(bot_token=TOKEN, _env_file=None)
    assert settings.worker_queues == ("gpu", "restore")
    assert settings.worker_memory == 8 * 2**30
    try:
        assert pick_engine(settings.worker_device).device.type == "cuda"
    except DeviceUnavailable as error:  # and is not replaced by the processor
        assert "cuda" in str(error)  # noqa: PT017 - either is right, by whether there is one


def test_every_variable_is_explained_and_its_command_as_well() -> None:
    named = set(re.findall(r"\$\{([A-Z_]+)", GPU))
    assert {name for name in named if not any(name in text for text in DOCUMENTS)} == set()
    (command,) = re.findall(r"^#   (docker compose .*)$", GPU, re.MULTILINE)
    assert command in DOCUMENTS[0]


def test_compose_puts_both_files_together(tmp_path: Path) -> None:
    probe = ["docker", "compose", "version"]
    if shutil.which("docker") is None or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("needs docker compose")
    (tmp_path / ".env").write_text("BOT_TOKEN=1:x\n")
    files = [part for name in ("yml", "gpu.yml") for part in ("--file", str(REPOSITORY / f"docker-compose.{name}"))]
    finished = subprocess.run(
        ["docker", "compose", *files, "--project-directory", str(tmp_path), "config", "--format", "json"],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
        check=False,
    )
    assert (finished.stderr, finished.returncode) == ("", 0)
    worker = json.loads(finished.stdout)["services"]["worker"]
    assert worker["build"]["dockerfile"] == "Dockerfile.worker"
    assert worker["build"]["args"] == {"TORCH_INDEX_URL": ""}
    (device,) = worker["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["count"], device["capabilities"]) == ("nvidia", 1, ["gpu"])
    assert (worker["environment"]["WORKER_DEVICE"], worker["environment"]["WEIGHTS_DIR"]) == ("cuda", "/weights")
    assert worker["read_only"] and worker["cap_drop"] == ["ALL"]  # noqa: PT018 - one law: still fenced in
