"""The course of a run as a picture: pictures sent, ended and open over time, and what was broken when."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")  # before pyplot: there may be no screen

import matplotlib.pyplot as plt

from dev.chaos.report import Report

DPI = 100
ROWS = {
    "telegram": "Telegram",
    "redis": "Redis",
    "bot": "bot",
    "worker": "workers",
    "worker's": "workers",
    "child": "workers",
    "all": "workers",
}
SHORTEST_S = 0.4  # what breaks only for a moment can be seen, too


def draw_course(report: Report, path: Path) -> None:
    """Write the picture, a PNG."""
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(11, 5.5), sharex=True, height_ratios=(3, 1.2), layout="constrained"
    )
    jobs = [report.evidence.jobs.get(sent.number) for sent in report.evidence.sent]
    sent = np.sort([sent.at - report.began for sent in report.evidence.sent])
    ended = np.sort([job.ended_ms / 1000 - report.began for job in jobs if job is not None and job.ended_ms])
    above.step(sent, np.arange(1, len(sent) + 1), where="post", label="sent")
    above.step(ended, np.arange(1, len(ended) + 1), where="post", label="ended")
    times = np.sort(np.concatenate([sent, ended]))
    waiting = np.searchsorted(sent, times, "right") - np.searchsorted(ended, times, "right")
    above.fill_between(times, waiting, step="post", alpha=0.3, color="tab:gray", label="open")
    above.set(ylabel="pictures", title=f"Seed {report.settings.seed}")
    above.legend(loc="upper left")
    names = list(dict.fromkeys(ROWS.values()))
    for note in report.broken:
        if not note.skipped:
            row = names.index(ROWS[note.name.split()[0]])
            width = max(SHORTEST_S, note.until - note.at)
            below.broken_barh([(note.at - report.began, width)], (row - 0.35, 0.7), color=f"C{row + 2}")
    below.set(yticks=range(len(names)), yticklabels=names, xlabel="seconds", ylim=(len(names) - 0.5, -0.5))
    figure.savefig(path, dpi=DPI)
    plt.close(figure)
