"""Figures of a run as CSV, for a spreadsheet or a plot."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path


class Log:
    """One file; its columns are those of its first line.

    Args:
        path: of the file.
        since: steps done; later lines, of a run that was cut off after its last checkpoint, are taken out.
    """

    def __init__(self, path: Path, *, since: int = 0) -> None:
        self._path = path
        self._path.parent.mkdir(parents=True, exist_ok=True)
        kept = [row for row in self._rows() if _is_whole(row) and int(row["step"]) <= since] if since else []
        self._columns = list(kept[0]) if kept else []
        if path.exists():
            self._write(kept, "w")

    def add(self, step: int, values: Mapping[str, float], **more: float) -> None:
        """Append a line."""
        row = {"step": str(step), **{name: f"{value:.6g}" for name, value in {**values, **more}.items()}}
        if set(row) - set(self._columns):  # a loss that joined later: the lines before it have none
            before = self._rows() if self._columns else []
            self._columns = [*self._columns, *(name for name in row if name not in self._columns)]
            self._write(before, "w")
        self._write([row], "a")

    def _rows(self) -> list[dict[str, str]]:
        if not self._path.exists():
            return []
        with self._path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def _write(self, rows: list[dict[str, str]], mode: str) -> None:
        with self._path.open(mode, newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self._columns, restval="")
            if mode == "w" and self._columns:
                writer.writeheader()
            writer.writerows(rows)


def _is_whole(row: dict[str, str]) -> bool:
    """Whether a line was written to its end before the process was killed."""
    return row.get("step", "").isdecimal() and None not in row.values()
