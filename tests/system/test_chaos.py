"""The chaos bench in its short form; ``make chaos`` is the long one."""

from __future__ import annotations

import json

import pytest

from dev.chaos.bench import run
from dev.chaos.script import Settings

# This seed kills a worker, a worker's child, the bot and Redis, freezes a worker, and has seven troubles of Telegram.
SHORT = Settings(seed=488, jobs=36, users=8, workers=2, pace=4.0, every_s=0.8, settle_s=100.0)


@pytest.mark.timeout(300)
async def test_nothing_is_lost_doubled_or_misdelivered_while_everything_breaks(tmp_path):
    report = await run(SHORT, tmp_path / "processes")
    assert report.holds, report.table()
    happened = [note for note in report.broken if not note.skipped]
    assert len(happened) >= 8
    assert {note.name.split()[0] for note in happened} >= {"telegram", "redis"}
    report.write(tmp_path / "report.json")
    told = json.loads((tmp_path / "report.json").read_text())
    assert len(told["jobs"]) >= SHORT.jobs
    assert told["account"]["delivered once"] > SHORT.jobs / 2
