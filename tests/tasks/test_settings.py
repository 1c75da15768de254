"""``.env.example`` and the settings classes say the same."""

from __future__ import annotations

import re

import pytest

from tasks.settings import BotSettings, SettingsError, WorkerSettings, load_settings
from tasks.store import LONGEST_LEASE_S
from tests.conftest import REPOSITORY

TOKEN = "123456789:" + "A" * 35
OF_COMPOSE = {"REDIS_PASSWORD"}
OF_THE_COMMAND_LINE = {"RESTORA_WEIGHTS_MIRROR", "FETCH_WEIGHTS"}


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in settings_names():
        monkeypatch.delenv(name, raising=False)


def settings_names():
    return {name.upper() for kind in (BotSettings, WorkerSettings) for name in kind.model_fields}


def examples():
    text = (REPOSITORY / ".env.example").read_text("utf-8")
    return dict(re.findall(r"^#?([A-Z][A-Z_]+)=(.*)$", text, flags=re.MULTILINE))


def test_every_setting_is_in_the_example_and_nothing_else():
    assert set(examples()) - OF_COMPOSE - OF_THE_COMMAND_LINE == settings_names()


@pytest.mark.parametrize("kind", [BotSettings, WorkerSettings])
def test_the_defaults_in_the_example_are_the_defaults(kind, monkeypatch):
    monkeypatch.setenv("BOT_TOKEN", TOKEN)
    defaults = load_settings(kind)
    for name, value in examples().items():
        if name.lower() in kind.model_fields and name not in ("BOT_TOKEN", "FACES", "WORKER_THREADS"):
            monkeypatch.setenv(name, value)
    assert load_settings(kind) == defaults


@pytest.mark.parametrize("token", ["", "x", "123:short", "123456789:" + "A" * 35 + " ", "abc:" + "A" * 35])
def test_a_malformed_token_is_refused_without_showing_it(monkeypatch, token):
    monkeypatch.setenv("BOT_TOKEN", token)
    with pytest.raises(SettingsError) as caught:
        load_settings(BotSettings)
    assert "BOT_TOKEN" in str(caught.value)
    assert not token or token not in str(caught.value)


def test_the_environment_wins_over_the_file(monkeypatch, tmp_path):
    (tmp_path / ".env").write_text(f"BOT_TOKEN={TOKEN}\nLOG_LEVEL=DEBUG\n")
    assert load_settings(BotSettings).log_level == "DEBUG"
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    assert load_settings(BotSettings).log_level == "ERROR"


def test_an_empty_line_of_the_file_means_the_default(tmp_path):
    (tmp_path / ".env").write_text(f"BOT_TOKEN={TOKEN}\nTELEGRAM_API_URL=\n")
    assert load_settings(BotSettings).telegram_api_url == "https://api.telegram.org"


def test_secrets_do_not_show_in_the_settings(monkeypatch):
    monkeypatch.setenv("BOT_TOKEN", TOKEN)
    monkeypatch.setenv("REDIS_URL", "redis://:hunter2@localhost/0")
    assert TOKEN not in repr(load_settings(WorkerSettings))
    assert "hunter2" not in repr(load_settings(WorkerSettings))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3g", 3 << 30),
        ("1500M", 1500 << 20),
        ("1.5g", 3 << 29),
        ("2GiB", 2 << 30),
        ("700mb", 700 << 20),
        ("4096", 4096),
    ],
)
def test_memory_is_written_as_docker_has_it(monkeypatch, text, number):
    monkeypatch.setenv("BOT_TOKEN", TOKEN)
    monkeypatch.setenv("WORKER_MEMORY", text)
    assert load_settings(WorkerSettings).worker_memory == number


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WORKER_MEMORY", "lots"),
        ("WORKER_MEMORY", "0g"),
        ("WORKER_MEMORY", "-3g"),
        ("METRICS_PORT", "0"),
        ("METRICS_PORT", "65536"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_a_setting_of_what_is_watched_is_named_when_it_makes_no_sense(monkeypatch, name, value):
    monkeypatch.setenv("BOT_TOKEN", TOKEN)
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"{name}='{value}'"):
        load_settings(WorkerSettings)


def test_no_lease_is_longer_than_the_sweep_takes_for_possible(monkeypatch):
    monkeypatch.setenv("BOT_TOKEN", TOKEN)
    monkeypatch.setenv("LEASE_S", str(LONGEST_LEASE_S))
    assert load_settings(WorkerSettings).lease_s == LONGEST_LEASE_S
    monkeypatch.setenv("LEASE_S", str(LONGEST_LEASE_S + 0.001))
    with pytest.raises(SettingsError, match="LEASE_S"):
        load_settings(WorkerSettings)
