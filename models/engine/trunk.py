"""How a network describes itself, so that it can be run a few rows at a time.

Both of our networks are a long trunk of 3x3 convolutions at the size of the (folded) input, and a short tail that
makes the enlarged picture of it. The trunk is a list of layers over numbered feature maps: map 0 is what goes in, map
k is what layer k makes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """One convolution of a trunk: ``(((conv(inputs) activated) * w1 + map1) * w2 + map2) ...``.

    Args:
        conv: 3x3, one pixel of zero padding.
        inputs: feature maps it sees, their channels one after the other.
        activate: what follows it, in place where it can.
        shortcuts: feature map and the weight of what the layer made when that map is added, in turn.
    """

    conv: nn.Conv2d
    inputs: tuple[int, ...]
    activate: Callable[[Tensor], Tensor] | None = None
    shortcuts: tuple[tuple[int, float], ...] = ()


class Streamable(Protocol):
    """A network that can be run row by row."""

    scale: int
    unshuffle: int
    tail_reach: int  # pixels of the folded picture that the tail looks up and down, left and right

    def fold(self, lq: Tensor) -> Tensor:
        """(N, 3, H, W) to what the first layer sees, ``unshuffle`` times smaller."""
        ...

    def layers(self) -> tuple[Layer, ...]:
        """The trunk; its last map is what the tail gets."""
        ...

    def tail(self, features: Tensor, folded: Tensor) -> Tensor:
        """The last map and map 0, both (N, C, h, w), to (N, 3, h * unshuffle * scale, ...), not clamped."""
        ...


def is_streamable(network: nn.Module) -> bool:
    """Whether ``network`` describes itself as :class:`Streamable`."""
    return all(hasattr(network, name) for name in ("fold", "layers", "tail", "tail_reach"))
