"""The two images: what goes in, what stays out, and that what is in is enough."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dev.stack import CELERY_WORKER
from models.registry import MODELS
from tasks.settings import WorkerSettings
from tests.containers.files import REPOSITORY, arguments_of, instructions, is_sent_to_the_engine, last_stage

CODE = {"Dockerfile.bot": {"bot", "tasks", "locales"}, "Dockerfile.worker": {"models", "tasks", "locales"}}
SHIPPED = {"Dockerfile.bot": set(), "Dockerfile.worker": {"weights"}}  # folders that are not code
OURS = {"benchmarks", "bot", "dev", "emulator", "models", "tasks", "training", "web"}
dockerfiles = pytest.mark.parametrize("dockerfile", CODE)


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        ".env.production",
        ".git/config",
        ".venv/bin/python",
        "weights/RealESRGAN_x4plus.safetensors",
        "var/demo/photo.png",
        "tests/conftest.py",
        "bot/__pycache__/texts.cpython-311.pyc",
        "models/archs/__pycache__/rrdbnet.cpython-311.pyc",
        "docker-compose.override.yml",
    ],
)
def test_secrets_weights_and_rubbish_never_reach_the_engine(path: str) -> None:
    assert not is_sent_to_the_engine(path)


@pytest.mark.parametrize(
    "path",
    [
        "bot/__main__.py",
        "tasks/lua/claim.lua",
        "tasks/lua/parts/tally.lua",
        "locales/ru/LC_MESSAGES/restora.po",
        "models/archs/rrdbnet.py",
        "weights/README.md",
        *(f"weights/{spec.file}" for spec in MODELS.values() if spec.is_shipped),
    ],
)
def test_what_the_images_need_reaches_the_engine(path: str) -> None:
    assert (REPOSITORY / path).is_file() or path.endswith(".safetensors")
    assert is_sent_to_the_engine(path)


@dockerfiles
def test_everything_an_image_copies_is_there_and_it_copies_no_other_code(dockerfile: str) -> None:
    copies = [line for keyword in ("COPY", "ADD") for line in arguments_of(keyword, instructions(dockerfile))]
    sources = [source.rstrip("/") for line in copies if "--from" not in line for source in line.split()[:-1]]
    assert all((REPOSITORY / source).exists() for source in sources)
    assert all(is_sent_to_the_engine(source) for source in set(sources) - SHIPPED[dockerfile])
    assert {source for source in sources if (REPOSITORY / source).is_dir()} == CODE[dockerfile] | SHIPPED[dockerfile]


@dockerfiles
def test_an_image_runs_as_a_numbered_user_who_is_not_root(dockerfile: str) -> None:
    stage = last_stage(dockerfile)
    (user,) = arguments_of("USER", stage)
    uid, gid = user.split(":")
    assert min(int(uid), int(gid)) >= 1000
    made = " ".join(arguments_of("RUN", stage))
    assert f"--uid {uid} " in made
    assert f"--gid {gid} " in made
    keywords = [keyword for keyword, _ in stage]
    assert "RUN" not in keywords[keywords.index("USER") :]


@dockerfiles
def test_an_image_is_given_no_secret_and_keeps_no_cache(dockerfile: str) -> None:
    stage = instructions(dockerfile)
    assert not re.search(
        r"TOKEN|PASSWORD|SECRET|REDIS_URL", " ".join(arguments_of("ARG", stage) + arguments_of("ENV", stage))
    )
    for command in arguments_of("RUN", stage):
        assert command.count("pip install") == command.count("pip install --no-cache-dir")


@dockerfiles
def test_a_change_of_code_installs_nothing_again(dockerfile: str) -> None:
    lines = [" ".join(instruction) for instruction in last_stage(dockerfile)]
    last_install = max(index for index, line in enumerate(lines) if "pip install" in line)
    first_code = min(lines.index(f"COPY {folder}/ {folder}/") for folder in CODE[dockerfile])
    assert last_install < first_code


def test_the_bot_image_installs_nothing_heavy() -> None:
    (install,) = (line for line in arguments_of("RUN", instructions("Dockerfile.bot")) if "pip install" in line)
    assert re.findall(r"-r (\S+)", install) == ["requirements-bot.txt"]
    wanted = (REPOSITORY / "requirements-bot.txt").read_text("utf-8")
    assert not re.search(r"^(-r|torch|opencv|numpy|pillow)", wanted, re.MULTILINE | re.IGNORECASE)


def test_the_worker_image_fetches_what_a_worker_was_told_to_take_and_no_more() -> None:
    (command,) = arguments_of("CMD", last_stage("Dockerfile.worker"))
    assert re.search(r'python -m tasks\.weights --dir "\$WEIGHTS_DIR"', command)
    assert re.findall(r"\$\{WORKER_MODEL:-([^}]+)\}", command) == [WorkerSettings.model_fields["worker_model"].default]
    assert '--fetch "${FETCH_WEIGHTS:-needed}"' in command


def test_a_worker_told_to_end_hands_its_job_back() -> None:
    assert "REMAP_SIGTERM=SIGQUIT" in " ".join(arguments_of("ENV", last_stage("Dockerfile.worker")))
    (command,) = arguments_of("CMD", last_stage("Dockerfile.worker"))
    asked = re.escape(" ".join(CELERY_WORKER[1:]))  # as everywhere else
    assert re.search(rf"; +exec {asked}$", command)  # exec, or the shell would get the signal


@pytest.mark.parametrize("process", ["bot", "worker"])
def test_an_image_knows_how_its_process_is(process: str) -> None:
    (check,) = arguments_of("HEALTHCHECK", last_stage(f"Dockerfile.{process}"))
    assert check.endswith(f'CMD ["python", "-m", "tasks.health", "{process}"]')


@pytest.mark.parametrize(
    ("dockerfile", "statement"),
    [
        ("Dockerfile.bot", "import bot.__main__, tasks.health"),
        ("Dockerfile.worker", "import models.cli, tasks.app, tasks.health, tasks.restore, tasks.weights"),
    ],
)
def test_the_code_in_an_image_needs_none_that_is_not(tmp_path: Path, dockerfile: str, statement: str) -> None:
    for folder in CODE[dockerfile]:
        shutil.copytree(REPOSITORY / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    absent = OURS - CODE[dockerfile] | {"torch"}  # which a worker imports only in its children
    check = f"import sys; {statement}; sys.exit(', '.join({absent!r} & set(sys.modules)) or 0)"
    finished = subprocess.run(
        [sys.executable, "-B", "-c", check], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (finished.stderr, finished.returncode) == ("", 0)
