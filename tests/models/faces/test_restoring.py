"""Faces through a restorer: all of them, or told that they failed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.errors import OutOfMemory, RestorationStopped
from models.faces import restoring
from models.faces.restoring import NetworkFaceRestorer, RestoredCrop, failure_of, restore_crops
from tests.models.faces.pictures import another_face
from tests.models.toys import BFLOAT16, FLOAT32

Stack = NDArray[np.uint8]


class Brighter(nn.Module):
    """Adds a tenth of the range; its answer has a tail as GFPGAN's may have."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1, bias=False)
        self.conv.weight.data = torch.eye(3)[:, :, None, None]
        self.sizes: list[int] = []

    def forward(self, faces: Tensor) -> tuple[Tensor, list[Tensor]]:
        assert faces.min() >= -1
        assert faces.max() <= 1
        self.sizes.append(len(faces))
        return self.conv(faces) + 0.2, []


def crops(count: int) -> list[Stack]:
    return [another_face(seed).astype(np.uint8) for seed in range(count)]


def brighter(stack: Stack) -> NDArray[np.float32]:
    return stack.astype(np.float32) + 10


def test_a_network_gets_minus_one_to_one_and_gives_levels_unclipped() -> None:
    stack = np.stack(crops(3))
    levels = NetworkFaceRestorer(Brighter(), FLOAT32)(stack)
    assert levels.dtype == np.float32
    np.testing.assert_allclose(levels, stack + 25.5, atol=1e-3)
    assert levels.max() > 255


def test_sixteen_bits_are_as_good_as_eight_can_show() -> None:
    stack = np.stack(crops(1))
    levels = NetworkFaceRestorer(Brighter(), BFLOAT16)(stack)
    assert np.abs(levels - (stack + 25.5)).max() < 1.5


def test_no_more_faces_at_once_than_there_is_memory_for(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Brighter()
    restorer = NetworkFaceRestorer(network, FLOAT32)
    monkeypatch.setitem(restoring.MOST_AT_ONCE, "cpu", 16)
    monkeypatch.setattr(restoring, "VALUES_PER_FACE", 100_000_000)
    monkeypatch.setattr(restoring, "free_bytes", lambda _engine: 10_000_000_000)
    assert restorer.at_once == 2
    restorer(np.stack(crops(5)))
    assert network.sizes == [2, 2, 1]
    monkeypatch.setattr(restoring, "free_bytes", lambda _engine: 100_000)
    assert restorer.at_once == 1


def test_a_network_can_be_stopped_between_its_convolutions() -> None:
    restorer = NetworkFaceRestorer(Brighter(), FLOAT32)
    with pytest.raises(RestorationStopped):
        restorer(np.stack(crops(1)), should_stop=lambda: True)
    restorer(np.stack(crops(1)))


def test_all_faces_come_back_in_order_and_progress_rises() -> None:
    fractions: list[float] = []
    lq = crops(5)
    made = restore_crops(brighter, lq, at_once=2, on_progress=fractions.append)
    for crop, result in zip(lq, made, strict=True):
        assert result.levels is not None
        assert result.failure is None
        np.testing.assert_array_equal(result.levels, crop.astype(np.float32) + 10)
    assert fractions == [0.4, 0.8, 1.0]


def test_a_wish_to_stop_is_asked_for_between_stacks() -> None:
    asked: list[int] = []

    def should_stop() -> bool:
        asked.append(1)
        return len(asked) == 3

    seen: list[int] = []

    def restorer(stack: Stack) -> NDArray[np.float32]:
        seen.append(len(stack))
        return brighter(stack)

    with pytest.raises(RestorationStopped):
        restore_crops(restorer, crops(4), should_stop=should_stop)
    assert seen == [1, 1]


def no_numbers(stack: Stack) -> NDArray[np.float32]:
    made = brighter(stack)
    made[:, 300, 200, 1] = np.nan
    return made


def infinite(stack: Stack) -> NDArray[np.float32]:
    made = brighter(stack)
    made[:, 0, 0, 0] = np.inf
    return made


def one_colour(stack: Stack) -> NDArray[np.float32]:
    return np.full(stack.shape, 128, np.float32)


def smaller(stack: Stack) -> NDArray[np.float32]:
    return brighter(stack)[:, ::2, ::2]


def too_few(stack: Stack) -> NDArray[np.float32]:
    return brighter(stack)[1:]


def failing(_stack: Stack) -> NDArray[np.float32]:
    raise ValueError("a bug")


def out_of_memory(_stack: Stack) -> NDArray[np.float32]:
    raise OutOfMemory("no")


def noise(stack: Stack) -> NDArray[np.float32]:
    return np.random.default_rng(0).uniform(0, 255, stack.shape).astype(np.float32)


def upside_down(stack: Stack) -> NDArray[np.float32]:
    return 255 - brighter(stack)


BAD = [no_numbers, infinite, one_colour, smaller, too_few, failing, out_of_memory, noise, upside_down]


@pytest.mark.parametrize("restorer", BAD)
@pytest.mark.parametrize("at_once", [1, 3])
def test_what_cannot_be_right_is_reported_and_never_handed_on(restorer: restoring.FaceRestorer, at_once: int) -> None:
    for made in restore_crops(restorer, crops(2), at_once=at_once):
        assert made.levels is None
        assert made.failure


def test_a_face_that_fails_does_not_take_its_neighbours_with_it() -> None:
    lq = crops(4)

    def moody(stack: Stack) -> NDArray[np.float32]:
        if any((crop == lq[2]).all() for crop in stack):
            raise RuntimeError("not this one")
        return brighter(stack)

    made = restore_crops(moody, lq, at_once=4)
    assert [crop.failure is None for crop in made] == [True, True, False, True]


@pytest.mark.parametrize("kind", [OutOfMemory, MemoryError, torch.OutOfMemoryError])
def test_where_memory_runs_out_it_is_given_back_and_faces_go_one_at_a_time(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int | str] = []
    monkeypatch.setattr(restoring, "give_back_memory", lambda: sizes.append("given back"))

    def greedy(stack: Stack) -> NDArray[np.float32]:
        sizes.append(len(stack))
        if len(stack) > 1:
            raise kind("no room for so many")
        return brighter(stack)

    made = restore_crops(greedy, crops(4), at_once=3)
    assert sizes == [3, "given back", 1, 1, 1, 1]
    assert [crop.failure for crop in made] == [None] * 4


def test_a_face_that_does_not_fit_alone_fails_after_a_second_try_and_the_others_do_not() -> None:
    lq = crops(3)
    tries: list[int] = []

    def greedy(stack: Stack) -> NDArray[np.float32]:
        if (stack[0] == lq[1]).all():
            tries.append(1)
            raise OutOfMemory("not this one")
        return brighter(stack)

    made = restore_crops(greedy, lq)
    assert [crop.failure for crop in made] == [None, "out of memory", None]
    assert len(tries) == 2


def test_a_network_is_not_started_where_the_system_would_kill_it(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Brighter()
    restorer = NetworkFaceRestorer(network, FLOAT32)
    monkeypatch.setattr(restoring, "free_bytes", lambda _engine: 500_000_000)
    with pytest.raises(OutOfMemory, match="a face needs 720 MB, 500 MB are free"):
        restorer(np.stack(crops(1)))
    assert network.sizes == []


def test_a_stop_passes_through() -> None:
    def stopped(_stack: Stack) -> NDArray[np.float32]:
        raise RestorationStopped("enough")

    with pytest.raises(RestorationStopped, match="enough"):
        restore_crops(stopped, crops(1))


def test_a_face_with_little_in_it_may_become_anything_but_flat() -> None:
    dim = np.full((512, 512, 3), 20, np.uint8)
    assert failure_of(dim, another_face()) is None
    assert failure_of(dim, np.full(dim.shape, 20, np.float32)) == "one colour"


def test_no_faces_are_no_work() -> None:
    assert restore_crops(failing, []) == ()
    assert RestoredCrop(None, "x").levels is None
