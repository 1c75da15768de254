from __future__ import annotations

import pytest

from benchmarks.pictures import mosaic, smooth_noise
from benchmarks.seams import as_curve, difference, work_factor
from benchmarks.seed import Seed
from models.engine.model import hidden_overlap
from models.engine.upsampler import Tiling
from tests.models.toys import FLOAT32, compact, noise, upsampler_of


def test_a_cut_is_seen_as_far_as_the_network_looks_and_not_a_pixel_further():
    network = compact(scale=2, convolutions=4)
    reach = hidden_overlap(network)  # six convolutions of 3x3
    curve = as_curve("toy", difference(upsampler_of(network), mosaic(smooth_noise(64), 40, 16), cut=24), reach)
    assert reach == 6
    assert curve["distance"] == list(range(24))
    assert all(value > 0 for value in curve["mean"][:reach])
    assert max(curve["largest"][reach:]) == 0


def test_slabs_cost_what_they_overlap():
    assert work_factor(0) == 1
    assert work_factor(112) == pytest.approx(1.224)


def test_the_official_way_gives_our_own_float32_away_from_borders_and_cuts():
    network, lq = compact(scale=2, convolutions=2), noise(30, 420, 3)
    ours = upsampler_of(compact(scale=2, convolutions=2))(lq, Tiling(tile=0, overlap=0))
    theirs = Seed(network, FLOAT32.device, FLOAT32.dtype)(lq)
    assert theirs.shape == ours.shape
    inside = (slice(8, -20), slice(8, -20))
    # Its windows overlap by more than these four convolutions look.
    assert abs(ours[inside].astype(int) - theirs[inside]).max() <= 1
