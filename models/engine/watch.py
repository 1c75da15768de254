"""Progress out of, and a stop into, a network that is in the middle of its work.

A large tile keeps a processor busy for seconds. Forward-pre-hooks on the convolutions tell how far it is and ask,
a hundred times per tile, whether anybody still wants the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from torch import Tensor, nn

from models.stopping import check, never

Progress = Callable[[float], None]
ShouldStop = Callable[[], bool]

ROUNDING = 1e-9  # shares of hundreds of layers add up to one only about
STEP = 0.005  # of the whole; finer reports are not passed on


def no_progress(_fraction: float) -> None:
    """The caller does not want to know."""


class Watch:
    """Turns work done into rising fractions, and a wish to stop into RestorationStopped.

    Args:
        total: work to come, in any unit; network input pixels here.
        on_progress: called with rising fractions in [0, 1], from the thread that works.
        should_stop: asked often; has to be cheap.
    """

    def __init__(self, *, total: float, on_progress: Progress = no_progress, should_stop: ShouldStop = never) -> None:
        self._total = max(total, 1e-9)
        self._on_progress = on_progress
        self._should_stop = should_stop
        self._done = 0.0
        self._reported = -1.0

    @property
    def done(self) -> float:
        """Work finished so far; a mark to which :meth:`rewind` can return."""
        return self._done

    def rewind(self, done: float) -> None:
        """Work after the mark ``done`` has to be done again; the fractions reported never fall."""
        self._done = done

    def check(self) -> None:
        """Raise RestorationStopped if the caller wants to stop."""
        check(self._should_stop)

    def running(self, work: float) -> None:
        """Of what is being computed right now, ``work`` is done."""
        self._report(min((self._done + work) / self._total, 1.0))

    def finished(self, work: float) -> None:
        """What was being computed is complete; it was ``work`` in all."""
        self._done += work
        fraction = self._done / self._total
        self._report(1.0 if fraction > 1.0 - ROUNDING else fraction)

    def _report(self, fraction: float) -> None:
        if fraction >= self._reported + STEP or (fraction == 1.0 and self._reported < 1.0):
            self._reported = fraction
            self._on_progress(fraction)


def multiplications(conv: nn.Conv2d, lq: Tensor) -> float:
    """Multiplications of one convolution on (N, C, H, W); strides and missing padding left aside."""
    return float(conv.weight.numel()) * lq.shape[0] * lq.shape[-2] * lq.shape[-1]


@contextmanager
def before_each_convolution(network: nn.Module, do: Callable[[nn.Conv2d, Tensor], None]) -> Iterator[None]:
    """Call ``do(conv, its input)`` ahead of every convolution of every forward inside the ``with`` block."""

    def hook(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        do(cast("nn.Conv2d", module), arguments[0])

    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    handles = [conv.register_forward_pre_hook(hook) for conv in convolutions]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class ForwardWatch:
    """What the hooks do during one run over a picture: ask for a stop, and report work as input pixels.

    Args:
        watch: whom to tell and to ask.
        work_per_pixel: multiplications of the network per input pixel; 0 reports nothing within a forward.
    """

    def __init__(self, watch: Watch, work_per_pixel: float) -> None:
        self._watch = watch
        self._work_per_pixel = work_per_pixel
        self._before = 0.0  # multiplications of the convolutions that are through
        self._current = 0.0

    def __call__(self, conv: nn.Conv2d, lq: Tensor) -> None:
        """Called ahead of each convolution: the one before it is through by now."""
        self._watch.check()
        self._before += self._current
        self._current = multiplications(conv, lq)
        if self._work_per_pixel:
            self._watch.running(self._before / self._work_per_pixel)

    def end_of_forward(self, pixels: float) -> None:
        """The forward over ``pixels`` input pixels is through."""
        self._before = self._current = 0.0
        self._watch.finished(pixels)
