"""Single degradations and whole pipelines: fixed by a seed, gentle to their input, and as strong as they say."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.test_imports import loaded_by
from training.degradations import (
    BICUBIC,
    PIPELINES,
    SCALE,
    Antialiased,
    AnyFilter,
    Chain,
    Dust,
    Fading,
    GaussianBlur,
    GaussianNoise,
    Jpeg,
    Mixture,
    OneOf,
    PoissonNoise,
    RandomBlur,
    RandomResize,
    RandomSinc,
    Range,
    Sharpening,
    Sometimes,
    WebP,
    as_floats,
    as_levels,
    named,
)
from training.degradations.blur import LARGEST, gaussian_kernel, sinc_kernel
from training.drawings import drawing

SINGLE = {
    "gaussian blur": GaussianBlur(1.5),
    "random blur": RandomBlur(),
    "random sinc": RandomSinc(),
    "sharpening": Sharpening(),
    "jpeg": Jpeg(),
    "jpeg of a crop": Jpeg(shifted=True, full_colour=0.5),
    "webp": WebP(),
    "gaussian noise": GaussianNoise(),
    "poisson noise": PoissonNoise(),
    "dust": Dust(Range(2000, 2000)),  # as much that every small picture gets some
    "fading": Fading(),
}
SEEDS = range(6)
ROUNDING = 1e-5  # what a sum of float32 weights may be off


@pytest.fixture(scope="module")
def picture():
    """(64, 96, 3) float32, read-only, so that writing to it fails."""
    whole = as_floats(drawing(5)[100:164, 200:296])
    whole.setflags(write=False)
    return whole


@pytest.fixture(params=SINGLE, name="single")
def _single(request):
    return SINGLE[request.param]


@pytest.fixture(params=PIPELINES, name="pipeline")
def _pipeline(request):
    return PIPELINES[request.param]


def spoiled(degradation, picture, seed):
    return degradation(picture, np.random.default_rng(seed))


# Laws of every one.


def test_the_same_seed_spoils_in_the_same_way(single, picture):
    for seed in SEEDS:
        np.testing.assert_array_equal(spoiled(single, picture, seed), spoiled(single, picture, seed))


def test_another_seed_spoils_in_another_way(single, picture):
    if not isinstance(single, GaussianBlur):  # which leaves nothing to chance
        assert len({spoiled(single, picture, seed).tobytes() for seed in SEEDS}) > 1


def test_shape_type_and_range_stay_and_the_input_is_left_alone(single, picture):
    before = picture.copy()
    for seed in SEEDS:
        result = spoiled(single, picture, seed)
        assert (result.shape, result.dtype) == (picture.shape, np.float32)
        assert result.min() >= -ROUNDING
        assert result.max() <= 1 + ROUNDING
        assert not np.array_equal(result, picture)
    np.testing.assert_array_equal(picture, before)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_black_and_white_stay_in_range(single, level):
    result = spoiled(single, np.full((16, 16, 3), level, np.float32), 0)
    assert np.isfinite(result).all()
    assert -ROUNDING <= result.min() <= result.max() <= 1 + ROUNDING


def test_a_pipeline_with_the_same_seed_gives_the_same_pair(pipeline, picture):
    for seed in SEEDS:
        first, again = (pipeline.pair(picture, np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(first.lq, again.lq)
        np.testing.assert_array_equal(first.gt, again.gt)
        np.testing.assert_array_equal(spoiled(pipeline, picture, seed), first.lq)


def test_a_pipeline_makes_a_quarter_of_256_levels_and_leaves_its_input_alone(pipeline, picture):
    before = picture.copy()
    for seed in SEEDS:
        gt, lq = pipeline.pair(picture, np.random.default_rng(seed))
        assert gt.shape == picture.shape
        assert lq.shape == (16, 24, 3)
        for each in (gt, lq):
            assert each.dtype == np.float32
            np.testing.assert_array_equal(as_floats(as_levels(each)), each)
    np.testing.assert_array_equal(picture, before)


@pytest.mark.parametrize("shape", [(62, 64), (64, 63)])
def test_a_pipeline_refuses_sides_that_have_no_quarter(pipeline, shape):
    with pytest.raises(ValueError, match=f"sides must divide by 4, these are {shape[1]}x{shape[0]}"):
        pipeline.pair(np.zeros((*shape, 3), np.float32), np.random.default_rng(0))


def test_only_a_scanned_print_changes_the_truth(pipeline, picture):
    same = [np.array_equal(pipeline.pair(picture, np.random.default_rng(seed)).gt, picture) for seed in range(12)]
    assert not any(same) if pipeline.name == "scanned print" else all(same) or pipeline.name == "as-sent"


def test_every_degradation_here_is_tested_here():
    import training.degradations as package

    steps = {getattr(package, name) for name in package.__all__ if isinstance(getattr(package, name), type)}
    single = {
        step for step in steps if step.__module__.rpartition(".")[2] in {"blur", "compression", "noise", "prints"}
    }
    assert single == {type(each) for each in SINGLE.values()}


def test_degradations_load_no_torch():
    assert "torch" not in loaded_by("training.degradations")


# Levels.


def test_levels_come_back_from_floats_as_they_were():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(as_levels(as_floats(levels)), levels)


def test_levels_are_rounded_to_nearest_and_clipped():
    assert as_levels(np.array([-0.5, 0.49 / 255, 0.51 / 255, 1.5], np.float32)).tolist() == [0, 0, 1, 255]


# Kernels.


@pytest.mark.parametrize("shape", ["gaussian", "generalised", "plateau"])
@pytest.mark.parametrize("size", [7, 13, 21])
@pytest.mark.parametrize(("sigma_x", "sigma_y", "angle", "beta"), [(0.2, 0.2, 0, 1), (3, 0.4, 1.1, 0.5), (2, 3, -2, 4)])
def test_a_blurring_kernel_sums_to_one_and_looks_the_same_turned_by_half(size, shape, sigma_x, sigma_y, angle, beta):
    kernel = gaussian_kernel(size, sigma_x, sigma_y, angle, shape=shape, beta=beta)
    assert (kernel.shape, kernel.dtype) == ((size, size), np.float32)
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    assert (kernel >= 0).all()
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-7)
    assert kernel.argmax() == kernel.size // 2


def test_a_round_gaussian_is_opencvs():
    theirs = cv2.getGaussianKernel(21, 1.7, cv2.CV_64F)
    np.testing.assert_allclose(gaussian_kernel(21, 1.7, 1.7, 0.3), theirs @ theirs.T, atol=1e-7)


def test_a_long_gaussian_lies_along_its_angle():
    across = gaussian_kernel(21, 3.0, 0.5, 0.0)
    assert across[10].sum() > 0.7
    np.testing.assert_allclose(gaussian_kernel(21, 3.0, 0.5, np.pi / 2), across.T, atol=1e-7)


def test_a_plateau_is_flatter_and_a_generalised_gaussian_steeper_at_its_edge():
    kernels = {shape: gaussian_kernel(21, 3, 3, 0, shape=shape, beta=3) for shape in ("generalised", "plateau")}
    for kernel in kernels.values():
        assert kernel[10, 11] == pytest.approx(kernel[10, 10], rel=0.01)  # flat in the middle
        assert kernel[10, 16] < 0.1 * kernel[10, 10]  # and over at twice the width


# J1 to ten digits: Abramowitz and Stegun, Handbook of Mathematical Functions, table 9.1.
J1 = {
    0.0: 0.0,
    1.0: 0.4400505857,
    2.0: 0.5767248078,
    5.0: -0.3275791376,
    10.0: 0.0434727462,
    20.0: 0.0668331242,
    50.0: -0.0975118281,
}


def test_the_bessel_function_has_the_values_of_the_tables():
    from training.degradations.blur import _bessel_j1

    np.testing.assert_allclose(_bessel_j1(np.array([*J1])), [*J1.values()], atol=1e-10)


@pytest.mark.parametrize("size", [7, 13, 21])
@pytest.mark.parametrize("cutoff", [np.pi / 3, 2.0, np.pi])
def test_a_sinc_kernel_sums_to_one_and_rings(size, cutoff):
    kernel = sinc_kernel(size, cutoff)
    assert (kernel.shape, kernel.dtype) == ((size, size), np.float32)
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    assert kernel.min() < 0 < kernel.max() == kernel[size // 2, size // 2]
    np.testing.assert_array_equal(kernel, kernel.T)


def test_a_sinc_kernel_has_the_proportions_of_its_closed_form():
    """h(r) = c J1(c r) / (2 pi r), and c² / (4 pi) in the middle; with c = 1 and r = 1, 2, 5, 10 from the table."""
    kernel = sinc_kernel(21, 1.0)
    for r in (1, 2, 5, 10):  # px
        assert kernel[10, 10 + r] / kernel[10, 10] == pytest.approx(2 * J1[r] / r, abs=2e-5)


# How strong each is, and when.


def test_a_kernel_of_the_paper_is_7_to_21_px_wide(monkeypatch, picture):
    from training.degradations import blur

    drawn = {}

    def remembered(picture, kernel):
        drawn.setdefault(kernel.shape, 0)
        return picture

    monkeypatch.setattr(blur, "filtered", remembered)
    rng = np.random.default_rng(0)
    for _ in range(100):
        RandomBlur()(picture, rng)
        RandomSinc()(picture, rng)
    assert sorted(drawn) == [(side, side) for side in range(7, LARGEST + 1, 2)]


def test_blur_takes_gradients_away_and_sharpening_brings_some_back(picture):
    def steepness(whole):
        return np.abs(np.diff(whole, axis=1)).mean()

    soft = spoiled(GaussianBlur(1.0), picture, 0)
    assert steepness(soft) < 0.8 * steepness(picture)
    assert steepness(spoiled(Sharpening(), soft, 0)) > 1.1 * steepness(soft)


def test_jpeg_and_webp_really_lose_and_lose_more_at_lower_quality(picture):
    for lossy in (Jpeg, WebP):
        lost = [np.abs(spoiled(lossy(Range(q, q)), picture, 0) - picture).mean() for q in (95, 60, 30)]
        assert 0.001 < lost[0] < lost[1] < lost[2] < 0.2, lossy


def test_jpeg_halves_colours_unless_told_otherwise():
    """Stripes of two colours that are equally light: only their colour can be lost."""
    stripes = np.empty((32, 32, 3), np.float32)
    stripes[:, ::2], stripes[:, 1::2] = (0.8, 0.3, 0.5), (0.2, 0.6, 0.52)
    whole, halved = (
        np.ptp(spoiled(Jpeg(Range(95, 95), full_colour=share), stripes, 0)[..., 0]) for share in (1.0, 0.0)
    )
    assert whole > 0.5
    assert halved < 0.3


def test_jpeg_cut_off_its_grid_has_seams_elsewhere(picture):
    seams = set()
    for seed in range(8):
        change = spoiled(Jpeg(Range(5, 5), shifted=True), picture, seed) - picture
        steps = np.abs(np.diff(change.mean(axis=2), axis=1)).mean(axis=0)
        seams.add(int(np.argmax([steps[start::8].mean() for start in range(8)])))
    assert len(seams) > 2


@pytest.mark.parametrize("sigma", [2, 20])
def test_gaussian_noise_is_as_strong_as_it_says(sigma):
    gray = np.full((128, 128, 3), 0.5, np.float32)
    noise = spoiled(GaussianNoise(Range(sigma, sigma), gray=0), gray, 0) - gray
    assert noise.std() * 255 == pytest.approx(sigma, rel=0.02)
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.05


def test_poisson_noise_is_that_of_counted_photons():
    """Variance of a count is its mean: at a level L of 255, times the scale."""
    for level in (0.2, 0.8):
        flat = np.full((128, 128, 3), level, np.float32)
        noise = spoiled(PoissonNoise(Range(0.5, 0.5), gray=0), flat, 0) - flat
        assert noise.std() * 255 == pytest.approx(0.5 * np.sqrt(level * 255), rel=0.03)


@pytest.mark.parametrize("kind", [GaussianNoise, PoissonNoise])
def test_gray_noise_is_the_same_in_all_channels(kind):
    flat = np.full((32, 32, 3), 0.5, np.float32)
    noise = spoiled(kind(gray=1), flat, 0) - flat
    assert noise.std() > 0
    np.testing.assert_array_equal(noise[..., 0], noise[..., 1])
    np.testing.assert_array_equal(noise[..., 0], noise[..., 2])


def test_dust_marks_few_pixels_and_leaves_all_others():
    changed = [
        (spoiled(Dust(Range(300, 300)), np.full((200, 200, 3), 0.5, np.float32), s) != 0.5).mean() for s in SEEDS
    ]
    assert 0.0001 < np.mean(changed) < 0.05


def test_fading_takes_contrast_and_blue(picture):
    faded = spoiled(Fading(Range(0.6, 0.6), Range(0.1, 0.1), Range(0.2, 0.2), gray=0), picture, 0)
    assert np.ptp(faded[..., 0]) < 0.61
    assert faded[..., 2].max() <= 0.7 * 0.8 + ROUNDING
    gray = spoiled(Fading(warmth=Range(0, 0), gray=1), picture, 0)
    np.testing.assert_array_equal(gray[..., 0], gray[..., 2])


def test_a_resize_keeps_to_its_factors_and_shares():
    rng, black = np.random.default_rng(0), np.zeros((100, 100, 3), np.float32)
    resize = RandomResize(larger=(0.2, Range(1.0, 1.5)), smaller=(0.7, Range(0.15, 1.0)))
    sides = np.array([resize(black, rng).shape[0] for _ in range(600)])
    assert (sides.min(), sides.max()) == (pytest.approx(15, abs=1), pytest.approx(150, abs=1))
    assert (sides > 100).mean() == pytest.approx(0.2, abs=0.05)
    assert (sides < 100).mean() == pytest.approx(0.7, abs=0.05)


def test_nothing_is_made_narrower_than_8_px():
    tiny = RandomResize(larger=(0, Range(1, 1)), smaller=(1, Range(0.01, 0.01)))
    assert spoiled(tiny, np.zeros((100, 40, 3), np.float32), 0).shape == (8, 8, 3)
    assert spoiled(tiny, np.zeros((4, 100, 3), np.float32), 0).shape == (4, 8, 3)


@pytest.mark.parametrize("filter_", [AnyFilter(), Antialiased(), BICUBIC])
def test_a_final_size_is_met_whatever_came(filter_):
    for seed in SEEDS:
        result = filter_(np.full((37, 23, 3), 0.5, np.float32), 10, 12, np.random.default_rng(seed))
        assert (result.shape, result.dtype) == ((12, 10, 3), np.float32)
        np.testing.assert_allclose(result, 0.5, atol=0.003)


def test_clean_is_pillows_bicubic(picture):
    from PIL import Image

    theirs = Image.fromarray(as_levels(picture)).resize((24, 16), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(as_levels(spoiled(PIPELINES["clean"], picture, 0)), np.asarray(theirs))


# The ranges of the paper, written down once more: arXiv 2107.10833, appendix, and the released settings.


def steps_of(degradation):
    """Every single step inside of chains, choices and chances."""
    if isinstance(degradation, Chain):
        return [step for each in degradation.steps for step in steps_of(each)]
    if isinstance(degradation, OneOf):
        return [step for _, each in degradation.steps for step in steps_of(each)]
    return steps_of(degradation.step) if isinstance(degradation, Sometimes) else [degradation]


def test_real_esrgan_has_the_paper_s_ranges_in_the_paper_s_order():
    early, late = PIPELINES["real-esrgan"].ways
    first = [
        RandomBlur(Range(0.2, 3.0), sinc=0.1, beta_generalised=Range(0.5, 4.0), beta_plateau=Range(1.0, 2.0)),
        RandomResize(larger=(0.2, Range(1.0, 1.5)), smaller=(0.7, Range(0.15, 1.0))),
        GaussianNoise(Range(1, 30), gray=0.4),
        PoissonNoise(Range(0.05, 3.0), gray=0.4),
        Jpeg(Range(30, 95)),
    ]
    second = [
        RandomBlur(Range(0.2, 1.5), sinc=0.1, beta_generalised=Range(0.5, 4.0), beta_plateau=Range(1.0, 2.0)),
        RandomResize(larger=(0.3, Range(1.0, 1.2)), smaller=(0.4, Range(0.3, 1.0))),
        GaussianNoise(Range(1, 25), gray=0.4),
        PoissonNoise(Range(0.05, 2.5), gray=0.4),
    ]
    sinc, jpeg = RandomSinc(Range(np.pi / 3, np.pi)), Jpeg(Range(30, 95))
    assert steps_of(early.large) == first + second
    assert steps_of(early.small) == [sinc, jpeg]
    assert steps_of(late.large) == [*first, *second, jpeg]
    assert steps_of(late.small) == [sinc]


def chances(degradation):
    """The probabilities of steps that only sometimes happen, in order."""
    if isinstance(degradation, Chain):
        return [chance for each in degradation.steps for chance in chances(each)]
    if isinstance(degradation, Sometimes):
        return [degradation.probability, *chances(degradation.step)]
    return []


def test_the_second_blur_and_the_last_sinc_happen_in_four_of_five_pictures():
    early, late = PIPELINES["real-esrgan"].ways
    assert [chances(part) for part in (early.large, early.small, late.large, late.small)] == [
        [0.8],
        [0.8],
        [0.8],
        [0.8],
    ]


def test_a_chat_photo_ends_as_jpeg_of_about_80_with_halved_colours():
    last = steps_of(PIPELINES["chat photo"].ways[0].small)[-1]
    assert last == Jpeg(Range(75, 87), full_colour=0.0, shifted=True)


# Putting together.


def counted(draws):
    names, counts = np.unique(draws, return_counts=True)
    return dict(zip(names.tolist(), (counts / len(draws)).tolist(), strict=True))


def marker(level):
    return lambda picture, _rng: np.full_like(picture, level)


def test_one_of_several_is_drawn_by_weight(picture):
    choice, rng = OneOf(((3, marker(0.25)), (1, marker(0.5)))), np.random.default_rng(0)
    shares = counted([float(choice(picture, rng)[0, 0, 0]) for _ in range(800)])
    assert shares == {0.25: pytest.approx(0.75, abs=0.05), 0.5: pytest.approx(0.25, abs=0.05)}


def test_sometimes_happens_as_often_as_it_says(picture):
    step, rng = Sometimes(0.3, marker(2.0)), np.random.default_rng(0)
    assert np.mean([step(picture, rng)[0, 0, 0] == 2 for _ in range(800)]) == pytest.approx(0.3, abs=0.05)


def test_a_chain_keeps_its_order(picture):
    assert spoiled(Chain((marker(0.25), lambda each, _: each * 2)), picture, 0)[0, 0, 0] == 0.5


class Remembering:
    """A pipeline that only says it was asked."""

    def __init__(self, name, seen):
        self.name, self.seen = name, seen

    def pair(self, hq, _rng):
        self.seen.append(self.name)
        return hq, hq


def test_a_mixture_draws_by_weight_and_leaves_out_what_has_none(picture):
    seen, rng = [], np.random.default_rng(0)
    mixture = Mixture(
        "mine", tuple((weight, Remembering(name, seen)) for name, weight in zip("abc", (6, 2, 0), strict=True))
    )
    for _ in range(800):
        mixture.pair(picture, rng)
    assert counted(seen) == {"a": pytest.approx(0.75, abs=0.05), "b": pytest.approx(0.25, abs=0.05)}


def test_as_sent_is_made_of_its_five_kinds():
    parts = {part.name: weight for weight, part in PIPELINES["as-sent"].parts}
    assert sum(parts.values()) == pytest.approx(1)
    assert set(parts) == {"chat photo", "screenshot", "saved again and again", "scanned print", "sticker"}
    assert all(name in PIPELINES for name in parts)


def test_a_range_draws_between_its_ends_and_evenly_in_logarithms_where_asked():
    rng = np.random.default_rng(0)
    plain, logs = ([Range(1, 100, log=log).draw(rng) for _ in range(2000)] for log in (False, True))
    assert 1 <= min(plain) < max(plain) <= 100
    assert 1 <= min(logs) < max(logs) <= 100
    assert np.mean(plain) == pytest.approx(50.5, rel=0.05)
    assert np.median(logs) == pytest.approx(10, rel=0.2)


def test_an_unknown_name_is_refused_with_those_that_are_known():
    with pytest.raises(ValueError, match="no degradation is called 'rain'; there are clean, blur-noise-jpeg"):
        named("rain")


def test_pipelines_are_found_by_their_own_names():
    assert {name: pipeline.name for name, pipeline in PIPELINES.items()} == {name: name for name in PIPELINES}
    assert SCALE == 4
