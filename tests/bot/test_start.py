"""A bot that cannot start says why in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from dev.redis_server import free_port

REPOSITORY = Path(__file__).resolve().parents[2]
TOKEN = "123456789:AAof-nobody_at_Telegram_000000000000"


def test_a_bot_api_that_cannot_be_reached_is_named_without_a_traceback_or_the_token(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "BOT_TOKEN": TOKEN, "TELEGRAM_API_URL": address}
    finished = subprocess.run(
        [sys.executable, "-m", "bot"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    *tries, last = finished.stderr.splitlines()
    assert last == f"restora bot: no Bot API answers at {address} (TelegramNetworkError)"
    assert all("trying again" in line for line in tries)
    assert TOKEN not in finished.stderr
    assert finished.returncode == 1
