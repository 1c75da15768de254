"""The game of "Generative adversarial nets", Goodfellow et al. 2014, judged pixel by pixel as in Real-ESRGAN."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def generator_loss(logits_of_sr: Tensor) -> Tensor:
    """How far the discriminator is from taking answers for real ones."""
    return functional.softplus(-logits_of_sr).mean()


def discriminator_loss(logits_of_real: Tensor, logits_of_sr: Tensor) -> Tensor:
    """How badly the discriminator tells the two apart; log 2 where it guesses."""
    return (functional.softplus(-logits_of_real).mean() + functional.softplus(logits_of_sr).mean()) / 2
