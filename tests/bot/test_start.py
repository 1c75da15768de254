"""A bot that cannot start says why in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dev.redis_server import free_port
from tests.web_server import serving

REPOSITORY = Path(__file__).resolve().parents[2]
TOKEN = "123456789:AAof-nobody_at_Telegram_000000000000"


def started(folder: Path, address: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "BOT_TOKEN": TOKEN, "TELEGRAM_API_URL": address}
    return subprocess.run(
        [sys.executable, "-m", "bot"], cwd=folder, env=env, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("status", [401, 404])  # Telegram's words for a token that was revoked, and for one never given
def test_a_token_that_telegram_does_not_know_is_said_in_one_line(tmp_path: Path, status: int) -> None:
    refusal = json.dumps({"ok": False, "error_code": status, "description": "no"}).encode()
    with serving({"": (status, {"Content-Type": "application/json"}, refusal)}) as telegram:
        finished = started(tmp_path, telegram.url)
    unknown = "restora bot: Telegram does not know this BOT_TOKEN; @BotFather shows the right one\n"
    assert (finished.stderr, finished.returncode) == (unknown, 1)


def test_a_bot_api_that_cannot_be_reached_is_named_without_a_traceback_or_the_token(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    finished = started(tmp_path, address)
    *tries, last = finished.stderr.splitlines()
    assert last == f"restora bot: no Bot API answers at {address} (TelegramNetworkError)"
    assert all("trying again" in line for line in tries)
    assert TOKEN not in finished.stderr
    assert finished.returncode == 1
