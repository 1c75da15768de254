"""Muon for the convolutions in between, Adam for everything else.

Source: "Muon: an optimizer for hidden layers in neural networks", Jordan et al. 2024, https://kellerjordan.github.io:
the momentum of a matrix is replaced by the nearest orthogonal one, found by a few Newton-Schulz steps, so that every
direction of it moves as fast. Convolutions are matrices of output channels by everything else.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # coefficients of the source
STEPS = 5
NESTEROV = 0.95


class Muon(Optimizer):
    """Orthogonal steps for convolutions of one shape.

    Args:
        kernels: (out, in, h, w) all of one shape.
        lr: the norm of a step relative to an orthogonal matrix of the kernel's shape.
        weight_decay: decoupled, as AdamW's.
    """

    def __init__(self, kernels: Iterable[Tensor], *, lr: float, weight_decay: float = 0.0) -> None:
        super().__init__(list(kernels), {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, _closure: None = None) -> None:  # type: ignore[override]
        """Move every kernel."""
        for group in self.param_groups:
            kernels = [kernel for kernel in group["params"] if kernel.grad is not None]
            if not kernels:
                continue
            updates = torch.stack([self._momentum(kernel).flatten(1) for kernel in kernels])
            for kernel, update in zip(kernels, orthogonal(updates), strict=True):
                kernel.mul_(1 - group["lr"] * group["weight_decay"])
                kernel.add_(update.view_as(kernel), alpha=-group["lr"])

    def _momentum(self, kernel: Tensor) -> Tensor:
        assert kernel.grad is not None  # noqa: S101 - for the type checker
        state = self.state[kernel]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(kernel)
        momentum: Tensor = state["momentum"]
        momentum.lerp_(kernel.grad, 1 - NESTEROV)
        return kernel.grad.lerp(momentum, NESTEROV)


def orthogonal(matrices: Tensor) -> Tensor:
    """The orthogonal matrices nearest to (N, rows, columns) wide ones, roughly: singular values from 0.7 to 1.2."""
    a, b, c = NEWTON_SCHULZ
    x: Tensor = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(STEPS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


def make_optimizers(network: nn.Module, *, lr: float, kernel_lr: float, weight_decay: float) -> list[Optimizer]:
    """Adam alone, or with Muon for the square kernels where ``kernel_lr`` is not 0."""
    everything = dict(network.named_parameters())
    inner = {
        name: value
        for name, value in everything.items()
        if kernel_lr and value.ndim == 4 and value.shape[0] == value.shape[1]
    }
    rest = [value for name, value in everything.items() if name not in inner]
    adam = torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.99), weight_decay=weight_decay)
    return [adam, *([Muon(inner.values(), lr=kernel_lr, weight_decay=weight_decay)] if inner else [])]
