"""A batch depends on seed and step alone, and its parts show the same place."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from training.batches import Batches
from training.errors import DataError
from training.patches import Patches

SIDE = 24  # px, of the degraded patches


@pytest.fixture
def exact(tmp_path):
    """Patches whose truth is the degraded one with every pixel sixteen times, so that places can be compared."""
    rng = np.random.default_rng(0)
    lq = rng.integers(0, 256, (6, SIDE, SIDE, 3), dtype=np.uint8)
    gt = np.repeat(np.repeat(lq, 4, axis=1), 4, axis=2)
    return Patches(gt=gt, lq=lq, splits=("train",) * 5 + ("validation",), true=(True,) * 6, folder=tmp_path, digest="")


@pytest.fixture
def batches(exact):
    return Batches(exact, 255 - exact.gt, batch=8, crop=10, margin=3, seed=0)


def every(batches, steps=20):
    numbers = batches.usable()
    return [batches.at(step, numbers) for step in range(steps)]


def test_a_batch_depends_on_seed_and_step_alone(batches):
    numbers = batches.usable()
    late, early = batches.at(7, numbers), batches.at(3, numbers)  # in any order
    for ours, theirs in zip([*late, *early], [*batches.at(7, numbers), *batches.at(3, numbers)], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(late.lq, early.lq)
    assert not np.array_equal(late.lq, replace(batches, seed=1).at(7, numbers).lq)


def test_shapes_and_types_are_as_promised(batches):
    batch = batches.at(0, batches.usable())
    assert (batch.lq.shape, batch.lq.dtype) == ((8, 10, 10, 3), np.uint8)
    for large in (batch.gt, batch.teacher):
        assert (large.shape, large.dtype) == ((8, 40, 40, 3), np.float32)


def test_flipped_and_turned_crops_stay_aligned_with_truth_and_teacher(batches):
    for batch in every(batches):
        enlarged = np.repeat(np.repeat(batch.lq, 4, axis=1), 4, axis=2)
        np.testing.assert_array_equal(batch.gt, enlarged)
        np.testing.assert_array_equal(batch.teacher, 255 - enlarged.astype(np.float32))


def test_crops_are_flipped_and_turned_in_all_eight_ways_and_keep_off_the_margin(batches, exact):
    found, places = set(), set()
    for batch in every(batches, 60):
        for crop in batch.lq:
            for number in range(5):
                for way in range(8):
                    whole = np.rot90(exact.lq[number][:, ::-1] if way // 4 else exact.lq[number], way % 4)
                    corners = np.argwhere((whole[: SIDE - 9, : SIDE - 9] == crop[0, 0]).all(axis=2))
                    for top, left in corners:
                        if np.array_equal(whole[top : top + 10, left : left + 10], crop):
                            found.add(way)
                            places.add((int(top), int(left)))
    assert found == set(range(8))
    tops, lefts = zip(*places, strict=True)
    assert min(tops) == min(lefts) == 3
    assert max(tops) == max(lefts) == SIDE - 3 - 10


def test_validation_patches_are_never_drawn(batches, exact):
    assert batches.usable().tolist() == [0, 1, 2, 3, 4]
    exact.lq[5] = 7
    assert not any((batch.lq == 7).all(axis=(1, 2, 3)).any() for batch in every(batches))


def test_a_crop_may_be_all_of_a_patch(exact):
    batch = Batches(exact, None, batch=2, crop=18, margin=3, seed=0).at(0, np.array([0]))
    assert batch.lq.shape == (2, 18, 18, 3)
    assert batch.teacher is None


def flat_patches(tmp_path, count=4):
    """Patches of one level each: what is added to them can be seen."""
    levels = np.linspace(110, 140, count).astype(np.uint8)[:, None, None, None]
    lq = np.broadcast_to(levels, (count, SIDE, SIDE, 3)).copy()
    return Patches(
        gt=np.repeat(np.repeat(lq, 4, axis=1), 4, axis=2),
        lq=lq,
        splits=("train",) * count,
        true=(True,) * count,
        folder=tmp_path,
        digest="",
    )


def test_patches_are_left_as_they_are(tmp_path):
    patches = flat_patches(tmp_path)
    before = patches.lq.copy(), patches.gt.copy()
    for keep_noise in (False, True):
        every(Batches(patches, patches.gt, batch=4, crop=10, margin=0, seed=0, keep_noise=keep_noise), 4)
    np.testing.assert_array_equal(patches.lq, before[0])
    np.testing.assert_array_equal(patches.gt, before[1])


def test_kept_noise_is_added_to_the_question_and_enlarged_to_both_answers(tmp_path):
    patches = flat_patches(tmp_path)
    plain = Batches(patches, patches.gt - 10, batch=6, crop=16, margin=2, seed=0)
    noisy = replace(plain, keep_noise=True)
    sigmas = []
    for step in range(12):
        # Chance is used otherwise, so the level of each crop is read off its answers.
        batch = noisy.at(step, noisy.usable())
        for lq, gt, teacher in zip(batch.lq, batch.gt, batch.teacher, strict=True):
            np.testing.assert_allclose(gt - teacher, 10, atol=1e-3)
            level = min((110, 120, 130, 140), key=lambda each: abs(each - float(np.median(lq))))
            grain = lq.astype(np.float32) - level
            enlarged = cv2.resize(grain, (64, 64), interpolation=cv2.INTER_CUBIC)
            np.testing.assert_allclose(gt, level + enlarged, atol=1e-3)
            sigmas.append(grain.std())
    assert 0.5 < min(sigmas) < 6
    assert 18 < max(sigmas) < 27  # levels; from 1 to 25


def test_noise_is_only_kept_where_there_was_next_to_none(tmp_path):
    patches = flat_patches(tmp_path)
    rng = np.random.default_rng(0)
    patches.lq[1] = np.clip(patches.lq[1] + rng.normal(0, 20, patches.lq[1].shape), 0, 255)
    noisy = Batches(patches, None, batch=2, crop=16, margin=2, seed=0, keep_noise=True)
    assert noisy.usable().tolist() == [0, 2, 3]
    assert replace(noisy, keep_noise=False).usable().tolist() == [0, 1, 2, 3]


def test_where_there_is_no_truth_the_teacher_s_answer_stands_in(exact):
    untrue = replace(exact, true=(False,) * 6)
    for keep_noise in (False, True):
        batches = Batches(untrue, 255 - exact.gt, batch=4, crop=10, margin=3, seed=0, keep_noise=keep_noise)
        for batch in (batches.at(step, np.arange(5)) for step in range(4)):
            np.testing.assert_array_equal(batch.gt, batch.teacher)


def test_where_no_patch_can_be_used_it_is_said(exact):
    only = replace(exact, splits=("validation",) * 6)
    with pytest.raises(DataError, match="no patch can be used: prepare more, or with cleaner degradations"):
        Batches(only, None, batch=2, crop=16, margin=2, seed=0).usable()
