"""Contestants in processes of their own, to which pictures are sent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.timing import Sample

RGB = NDArray[np.uint8]

SETTINGS = ("OMP_WAIT_POLICY", "THP_MEM_ALLOC_ENABLE")  # of our processes, that others do not have
END_S = 60.0


class Unavailable(Exception):  # noqa: N818  says what happened
    """A contestant cannot be had, or does not run here; the message says why."""


class Apart:
    """One contestant's process, to be closed after use.

    Args:
        words: for :mod:`benchmarks.apart_process`.
        environment: beside this process's own, without what Restora sets.

    Raises:
        Unavailable: it does not start.
    """

    def __init__(self, words: Sequence[str], environment: Mapping[str, str]) -> None:
        ours = {name: value for name, value in os.environ.items() if name not in SETTINGS}
        self._scratch = tempfile.TemporaryDirectory(prefix="restora-bench-")
        self._errors = (Path(self._scratch.name) / "errors").open("w+")
        self._process = subprocess.Popen(  # noqa: S603  our own script
            [sys.executable, str(Path(__file__).with_name("apart_process.py")), *words],
            env={**ours, **environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
        )  # fmt: skip
        if self._line() != "ready":
            why = self._why()
            self.close()
            raise Unavailable(why)

    def __call__(self, lq: RGB) -> tuple[Sample, RGB]:
        """Enlarge (H, W, 3); the clocks are those of its own process and leave out the transport."""
        source, target = (Path(self._scratch.name) / name for name in ("in.npy", "out.npy"))
        np.save(source, lq)
        assert self._process.stdin is not None  # noqa: S101  a pipe was asked for
        self._process.stdin.write(f"{source}\t{target}\n")
        self._process.stdin.flush()
        answer = self._line()
        if not answer:
            raise Unavailable(self._why())
        return Sample(*json.loads(answer)), np.load(target)

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=END_S)
        self._errors.close()
        self._scratch.cleanup()

    def _line(self) -> str:
        """The next answer, past whatever a library has to say; empty when there will be none."""
        assert self._process.stdout is not None  # noqa: S101  a pipe was asked for
        while line := self._process.stdout.readline():
            if line.startswith(("ready", "[")):
                return line.strip()
        return ""

    def _why(self) -> str:
        self._process.wait(END_S)
        self._errors.seek(0)
        lines = [line for line in self._errors.read().splitlines() if line.strip()]
        return lines[-1] if lines else f"it ended with status {self._process.returncode}"
