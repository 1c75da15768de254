"""How much of the network's picture goes into a result that is no larger than the original.

At ×1 every network here takes something away: of sharp photographs saved at JPEG quality 90 it made 34 dB where
leaving them alone keeps 40 (``python -m benchmarks.choices``). What it takes away is worth losing where it is noise, or
where the finest detail is not there anyway; otherwise most of the original stays.
"""

from __future__ import annotations

from models.planning.traits import Traits

LEAST_SHARE = 0.25  # of a clean and sharp picture: the result stays within 46 dB of it
NOISY = 5.0  # levels of 8 bits; from here on the network's picture is the better one


def network_share(traits: Traits, outscale: float) -> float:
    """From ``LEAST_SHARE`` to 1; 1 wherever the picture grows."""
    if outscale > 1 or traits.empty_octaves:
        return 1.0
    return min(1.0, LEAST_SHARE + (1 - LEAST_SHARE) * traits.noise / NOISY)
