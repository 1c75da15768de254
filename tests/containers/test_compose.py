"""docker-compose.yml: fenced in, durable, and clear about what it needs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from models.cli.weights import MIRROR_VARIABLE
from tasks.settings import BotSettings, WorkerSettings
from tests.containers.files import COMPOSE, REPOSITORY, arguments_of, block, last_stage, service

SERVICES = ("redis", "bot", "worker")
EXAMPLE = (REPOSITORY / ".env.example").read_text("utf-8")
SETTINGS = {name.upper() for name in (*BotSettings.model_fields, *WorkerSettings.model_fields)}


def test_no_service_can_be_reached_from_outside() -> None:
    assert not re.search(r"^\s*(ports|network_mode|privileged|pid|ipc):", COMPOSE, re.MULTILINE)
    assert "docker.sock" not in COMPOSE


def test_redis_is_only_in_a_network_without_a_way_out() -> None:
    assert re.findall(r"networks: (.*)", service("redis")) == ["[queue]"]
    assert re.search(r"^  queue: \{internal: true\}$", block(COMPOSE, "networks:"), re.MULTILINE)


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize(
    "line",
    [
        "restart: unless-stopped",
        "init: true",
        "read_only: true",
        "cap_drop: [ALL]",
        'security_opt: ["no-new-privileges:true"]',
        "mem_limit: ",
        "stop_grace_period: ",
        "options: {max-size: ",
    ],
)
def test_every_service_is_fenced_in(name: str, line: str) -> None:
    assert re.search(rf"^ +{re.escape(line)}", service(name), re.MULTILINE)


@pytest.mark.parametrize("name", ["bot", "worker"])
def test_a_process_waits_for_redis_to_be_well(name: str) -> None:
    assert "redis: {condition: service_healthy}" in service(name)
    assert "healthcheck:" in service("redis")


def test_a_worker_gets_the_time_it_takes_to_hand_its_job_back() -> None:
    (grace_s,) = re.findall(r"stop_grace_period: (\d+)s", service("worker"))
    assert int(grace_s) >= 40  # 20 s for the job to end, as much for a result that is being sent


@pytest.mark.parametrize(
    "line", ["requirepass .", "appendonly yes", "appendfsync everysec", "maxmemory \\d", "maxmemory-policy noeviction"]
)
def test_redis_keeps_what_it_was_given_and_gives_it_to_nobody_else(line: str) -> None:
    assert re.search(rf"^ +{line}", service("redis"), re.MULTILINE)
    assert 'volumes: ["redis:/data"]' in service("redis")


def test_every_variable_is_explained_somewhere() -> None:
    explained = EXAMPLE + (REPOSITORY / "docs" / "operations.md").read_text("utf-8")
    named = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", COMPOSE))
    assert named >= {"BOT_TOKEN", "REDIS_PASSWORD"}
    assert {name for name in named if name not in explained} == set()


def test_every_setting_it_gives_a_process_exists() -> None:
    environments = block(COMPOSE, "x-environment:") + block(service("worker"), "    environment:")
    given = set(re.findall(r"^ +([A-Z_]+): ", environments, re.MULTILINE))
    assert {"BOT_TOKEN", "REDIS_URL", "WEIGHTS_DIR"} <= given <= SETTINGS


def test_every_line_of_the_example_is_read_by_somebody() -> None:
    lines = set(re.findall(r"^#?([A-Z_]+)=", EXAMPLE, re.MULTILINE))
    (command,) = arguments_of("CMD", last_stage("Dockerfile.worker"))
    assert lines - SETTINGS - {MIRROR_VARIABLE} - set(re.findall(r"\$\{([A-Z_]+)", command)) <= set(
        re.findall(r"\$\{([A-Z_]+)", COMPOSE)
    )


def test_the_default_password_is_the_one_of_the_example() -> None:
    (example,) = re.findall(r"^#REDIS_PASSWORD=(.*)$", EXAMPLE, re.MULTILINE)
    assert set(re.findall(r"\$\{REDIS_PASSWORD:-([^}]*)\}", COMPOSE)) == {example}


def test_no_volume_hides_what_ships_with_the_image() -> None:
    mounted = re.findall(r"\w+:(/[^\"\]]+)", " ".join(re.findall(r"volumes: (\[.*\])", service("worker"))))
    (given,) = re.findall(r"WEIGHTS_DIR: (\S+)", service("worker"))
    (workdir,) = arguments_of("WORKDIR", last_stage("Dockerfile.worker"))
    assert mounted == [given]
    assert not given.startswith(workdir)
    assert f"WEIGHTS_DIR={given} " in " ".join(arguments_of("ENV", last_stage("Dockerfile.worker")))


@pytest.fixture
def configure(tmp_path: Path) -> list[str]:
    """The command that resolves the file in an empty folder; it needs Docker's client, no engine."""
    probe = ["docker", "compose", "version"]
    if shutil.which("docker") is None or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("needs docker compose")
    file = REPOSITORY / "docker-compose.yml"
    return ["docker", "compose", "--file", str(file), "--project-directory", str(tmp_path), "config", "--quiet"]


@pytest.mark.parametrize("line", ["", "BOT_TOKEN=\n"])
def test_without_a_token_compose_stops_with_one_line_that_says_what_to_do(
    configure: list[str], tmp_path: Path, line: str
) -> None:
    (tmp_path / ".env").write_text(line)
    finished = subprocess.run(configure, capture_output=True, text=True, env={"PATH": os.environ["PATH"]}, check=False)
    assert finished.returncode != 0
    (complaint,) = finished.stderr.strip().splitlines()
    assert "BOT_TOKEN" in complaint
    assert "@BotFather" in complaint
    assert ".env" in complaint


def test_the_token_is_the_only_line_that_is_needed(configure: list[str], tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("BOT_TOKEN=1:x\n")
    finished = subprocess.run(configure, capture_output=True, text=True, env={"PATH": os.environ["PATH"]}, check=False)
    assert (finished.stderr, finished.returncode) == ("", 0)
