"""Imports point one way."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY

HEAVY = {"torch", "cv2", "numpy", "models"}


def loaded_by(module: str) -> set[str]:
    """Top-level names in ``sys.modules`` of a fresh interpreter that imports one module."""
    program = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return set(run.stdout.split())


@pytest.mark.parametrize("module", ["bot", "bot.__main__", "tasks.store", "tasks.broker", "tasks.health"])
def test_the_light_half_loads_neither_torch_nor_opencv(module):
    assert not loaded_by(module) & HEAVY


def test_the_bot_needs_nothing_its_own_requirements_do_not_bring():
    assert not loaded_by("bot.__main__") & {"requests", "filelock", "safetensors", "PIL", "tqdm", "emulator", "dev"}


@pytest.mark.parametrize("module", ["bot.__main__", "tasks.app"])
def test_what_serves_metrics_is_loaded_only_where_they_are_served(module):
    assert "prometheus_client" not in loaded_by(module)


def test_the_workers_parent_process_loads_no_torch():
    assert not loaded_by("tasks.app") & {"torch", "cv2", "emulator", "dev"}


@pytest.mark.parametrize(
    "module", ["models", "models.options", "models.planning", "models.encoding", "models.decoding"]
)
def test_of_the_library_only_what_runs_networks_loads_torch(module):
    assert "torch" not in loaded_by(module)


def imported_by(package: str) -> dict[str, set[str]]:
    """The top-level names that the files of a package import anywhere, also inside functions."""
    found = {}
    for path in (REPOSITORY / package).rglob("*.py"):
        names = set()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
        found[str(path.relative_to(REPOSITORY))] = names
    return found


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("bot", {"models", "torch", "cv2", "numpy", "PIL", "emulator", "dev"}),
        ("tasks", {"bot", "torch", "cv2", "aiogram", "emulator", "dev"}),
        (
            "models",
            {"bot", "tasks", "celery", "redis", "aiogram", "emulator", "dev", "torchvision", "basicsr", "realesrgan"},
        ),
        ("emulator", {"bot", "tasks", "models", "torch", "cv2", "dev"}),
    ],
)
def test_no_package_imports_what_lies_above_it(package, forbidden):
    assert {path: names & forbidden for path, names in imported_by(package).items() if names & forbidden} == {}


def test_models_reads_no_environment_outside_its_command_line():
    for path in (REPOSITORY / "models").rglob("*.py"):
        if "cli" not in path.parts:
            assert "os.environ" not in path.read_text("utf-8"), path
            assert "getenv" not in path.read_text("utf-8"), path
