"""The account of a run for people and for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dev.chaos.account import BROKEN, Account
from dev.chaos.breaking import Broken
from dev.chaos.evidence import Evidence
from dev.chaos.script import Settings
from dev.chaos.timings import Recovery, Spread, cancel_times, windows

WIDTH = 52


@dataclass(frozen=True, kw_only=True)
class Report:
    """A whole run."""

    settings: Settings
    began: float  # seconds since the epoch
    lasted_s: float
    settled_s: float
    roll_call_s: float  # until every worker had taken one more picture, and all of those were done
    evidence: Evidence
    account: Account
    broken: tuple[Broken, ...]
    recoveries: tuple[Recovery, ...]
    freed: Mapping[str, Sequence[float]]
    restarts: Mapping[str, int]
    ended_by_themselves: tuple[str, ...]
    deaf: tuple[str, ...]  # workers that took nothing at the end though they were up
    not_done: int

    @property
    def holds(self) -> bool:
        """Whether the promise was kept, and everybody still worked in the end."""
        return self.account.holds and not self.deaf

    def to_json(self) -> dict[str, Any]:
        """Everything, with times in seconds from the beginning of the run."""
        recovered: dict[bool, list[float]] = {True: [], False: []}  # by whether another worker was left
        for one in self.recoveries:
            recovered[not one.fault.startswith("all")].append(one.seconds)
        calm, disturbed = cancel_times(self.evidence, self.freed, self.broken)
        return {
            "seed": self.settings.seed,
            "settings": asdict(self.settings),
            "holds": self.holds,
            "lasted_s": round(self.lasted_s, 1),
            "settled_s": round(self.settled_s, 1),
            "roll_call_s": round(self.roll_call_s, 1),
            "account": {str(fate): count for fate, count in self.account.counts.items()},
            "strays": list(self.account.strays),
            "deaf": list(self.deaf),
            "looking_alive": list(self.account.looking_alive),
            "faults": dict(Counter(note.name for note in self.broken if not note.skipped)),
            "restarts": dict(self.restarts),
            "ended_by_themselves": list(self.ended_by_themselves),
            "wishes_not_done": self.not_done,
            "recovery_s": Spread(seconds=recovered[True]).to_json(),
            "recovery_after_all_s": Spread(seconds=recovered[False]).to_json(),
            "cancel_s": Spread(seconds=calm).to_json(),
            "cancel_disturbed_s": Spread(seconds=disturbed).to_json(),
            "window_s": {way: Spread(seconds=widths).to_json() for way, widths in windows(self.evidence).items()},
            "happened": [self._happened(note) for note in self.broken],
            "recoveries": [asdict(one) for one in self.recoveries],
            "jobs": self._jobs(),
        }

    def write(self, path: Path) -> None:
        """Write it all as JSON; the file appears whole."""
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".tmp")
        beside.write_text(json.dumps(self.to_json(), indent=1), "utf-8")
        beside.replace(path)

    def table(self) -> str:
        """The account, for a terminal."""
        told = self.to_json()
        happened = sum(not note.skipped for note in self.broken)
        load = f"{len(self.evidence.sent)} pictures of {self.settings.users} people, {self.settings.workers} workers"
        course = f"{happened} faults in {self.lasted_s:.0f} s, settled after {self.settled_s:.0f} s more"
        rows = [
            f"seed {self.settings.seed}: {load}, {course}",
            "",
            *(
                _row(str(fate) + (" ✗" if fate in BROKEN else ""), str(count))
                for fate, count in self.account.counts.items()
            ),
            _row("documents that belong to nobody ✗", str(len(self.account.strays))),
            _row("workers deaf in the end ✗", str(len(self.deaf))),
            "",
            _row("claimed again after the loss of a worker", _spread(told["recovery_s"])),
            _row("the same after the loss of all workers", _spread(told["recovery_after_all_s"])),
            _row("cancelled: from the wish to a free worker", _spread(told["cancel_s"])),
            _row("the same while something was broken", _spread(told["cancel_disturbed_s"])),
            _row("window of an edited result (harmless)", _spread(told["window_s"]["edited"])),
            _row("window of a sent result", _spread(told["window_s"]["sent"])),
            _row("pictures whose status was left looking alive", str(len(self.account.looking_alive))),
            "",
        ]
        rows += [f"✗ picture {one.sent.number}: {one.fate}: {one.reason}" for one in self.account.broken]
        rows += [f"✗ {stray}" for stray in self.account.strays]
        rows += [f"✗ {name} took no picture in the end" for name in self.deaf]
        rows.append("The promise was kept." if self.holds else "The promise was BROKEN.")
        return "\n".join(rows)

    def _happened(self, note: Broken) -> dict[str, Any]:
        known = asdict(note)
        known["at"], known["until"] = round(note.at - self.began, 2), round(note.until - self.began, 2)
        return known

    def _jobs(self) -> list[dict[str, Any]]:
        rows = []
        for verdict in self.account.verdicts:
            sent, job = verdict.sent, self.evidence.jobs.get(verdict.sent.number)
            row: dict[str, Any] = {
                "number": sent.number,
                "chat": sent.chat_id,
                "message": sent.message_id,
                "kind": sent.kind,
                "sent_s": round(sent.at - self.began, 2),
                "fate": str(verdict.fate),
                "reason": verdict.reason,
            }
            if job is not None:
                row |= {"state": str(job.state), "attempt": job.attempt, "tries": job.tries, "resent": job.resent}
                row["ended_s"] = round(job.ended_ms / 1000 - self.began, 2) if job.ended_ms else None
            rows.append(row)
        return rows


def _row(what: str, value: str) -> str:
    return f"  {what:<{WIDTH}} {value}"


def _spread(told: Mapping[str, Any]) -> str:
    if not told["count"]:
        return "not met"
    return f"median {told['median']:.2f} s, p99 {told['p99']:.2f} s, max {told['max']:.2f} s of {told['count']}"
