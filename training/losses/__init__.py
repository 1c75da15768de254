"""What training makes small."""

from __future__ import annotations

from training.losses.adversarial import discriminator_loss, generator_loss
from training.losses.perceptual import VGG19Features, perceptual_loss
from training.losses.pixels import charbonnier, gradient_loss, spectrum_loss

__all__ = [
    "VGG19Features",
    "charbonnier",
    "discriminator_loss",
    "generator_loss",
    "gradient_loss",
    "perceptual_loss",
    "spectrum_loss",
]
