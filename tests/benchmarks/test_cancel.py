"""The table of the latencies says what was measured, and a promise that is not kept shows."""

from __future__ import annotations

import pytest

from benchmarks import cancel


@pytest.fixture
def measured(monkeypatch):
    """Latencies that are there without a town."""

    def give(**latencies_s):
        async def measure(stages, rounds, *, seed, folder):
            for stage in stages:
                stage.latencies_s += latencies_s[stage.name]

        monkeypatch.setattr(cancel, "measured", measure)

    return give


def run(tmp_path, *stages):
    return cancel.main(["--rounds", "3", "--out", str(tmp_path), "--stages", *stages])


def test_the_promise_is_kept_where_the_slowest_is_quick_enough(measured, tmp_path, capsys):
    measured(queued=[0.1, 0.2, 0.3], network=[0.5, 1.9, 0.4])
    assert run(tmp_path, "queued", "network") == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if "network" in line)
    assert [cell.strip() for cell in row.split("|")[1:-1]] == ["network", "3", "0.500", "1.90", "0"]


@pytest.mark.parametrize("latencies_s", [[0.1] * 50 + [2.5], []])
def test_one_slow_stop_in_fifty_or_none_at_all_breaks_it(measured, tmp_path, capsys, latencies_s):
    measured(encoding=latencies_s)
    assert run(tmp_path, "encoding") == 1
    assert "not within 2 s, or never met: encoding" in capsys.readouterr().out
