"""A network fed by rows gives what it gives for the whole picture, and holds no more than it needs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from models.archs import RRDBNet, SRVGGNetCompact
from models.engine import rows
from models.engine.rows import RowStream, work_shares
from models.engine.watch import STEP, Watch
from models.errors import RestorationStopped
from tests.models.toys import Dense, compact

NETWORKS: dict[str, Callable[[], SRVGGNetCompact | RRDBNet]] = {
    "compact": compact,
    "dense x4": lambda: Dense(4),
    "dense x2": lambda: Dense(2),
    "dense x1": lambda: Dense(1),
}
every_network = pytest.mark.parametrize("name", NETWORKS)


def any_watch() -> Watch:
    return Watch(total=1)


def picture(height: int, width: int, *, seed: int = 0) -> Tensor:
    lq = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))
    return lq.contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def streamed(network: nn.Module, lq: Tensor, steps: Sequence[int], watch: Watch | None = None) -> Tensor:
    """Push ``steps`` folded rows at a time, the last number again and again."""
    fold = network.unshuffle
    stream = RowStream(network, lq.shape[2] // fold, watch or any_watch())
    made, top = [], 0
    for step in itertools.chain(steps, itertools.repeat(steps[-1])):
        if top >= lq.shape[2]:
            break
        parts = list(stream.push(lq[:, :, top : top + step * fold]))
        assert all(part.shape[2] for part in parts)
        made += parts
        top += step * fold
    return torch.cat(made, dim=2)


@every_network
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 24),
    steps=st.lists(st.integers(1, 45), min_size=1, max_size=4),
    seed=st.integers(0, 9),
)
@settings(max_examples=25, deadline=None)
@torch.inference_mode()
def test_rows_give_what_the_whole_picture_gives(
    name: str, height: int, width: int, steps: list[int], seed: int
) -> None:
    network = NETWORKS[name]()
    lq = picture(height * network.unshuffle, width * network.unshuffle, seed=seed)
    torch.testing.assert_close(streamed(network, lq, steps), network(lq), atol=1e-5, rtol=0)


@every_network
@pytest.mark.parametrize("height", [1, 2, 3, 50])
@torch.inference_mode()
def test_one_row_at_a_time_is_enough(name: str, height: int) -> None:
    network = NETWORKS[name]()
    lq = picture(height * network.unshuffle, 8 * network.unshuffle)
    torch.testing.assert_close(streamed(network, lq, [1]), network(lq), atol=1e-5, rtol=0)


@torch.inference_mode()
def test_a_first_push_smaller_than_the_network_is_deep_gives_nothing_yet() -> None:
    network, lq = compact(), picture(40, 8)  # six convolutions: the first row has to wait for six more
    stream = RowStream(network, 40, any_watch())
    assert list(stream.push(lq[:, :, :6])) == []
    (first,) = stream.push(lq[:, :, 6:7])
    assert first.shape == (1, 3, 4, 32)
    torch.testing.assert_close(first, network(lq)[:, :, :4], atol=1e-5, rtol=0)


@torch.inference_mode()
def test_a_row_that_is_missing_above_shows_so_the_laws_can_fail() -> None:
    network, lq = compact(), picture(40, 8)
    off = streamed(network, lq[:, :, 1:], [8]) - network(lq)[:, :, 4:]
    assert off.abs().max() > 1e-3


@every_network
@torch.inference_mode()
def test_the_tail_may_go_a_few_columns_at_a_time(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = NETWORKS[name]()
    lq = picture(20 * network.unshuffle, 33 * network.unshuffle)
    whole = network(lq)
    for pixels in (1, 50, 301):
        monkeypatch.setattr(rows, "TAIL_PIXELS", pixels)
        torch.testing.assert_close(streamed(network, lq, [7]), whole, atol=1e-5, rtol=0)


@every_network
@pytest.mark.parametrize("steps", [[1], [7], [100]])
def test_the_work_reported_adds_up_to_the_pixels_of_the_picture(name: str, steps: list[int]) -> None:
    network = NETWORKS[name]()
    height, width = 30 * network.unshuffle, 10 * network.unshuffle
    fractions: list[float] = []
    watch = Watch(total=height * width, on_progress=fractions.append)
    streamed(network, picture(height, width), steps, watch)
    assert watch.done == pytest.approx(height * width)
    assert fractions == sorted(set(fractions))
    assert fractions[-1] == pytest.approx(1, abs=STEP)
    assert sum(work_shares(network.layers())) == pytest.approx(1)


def values_held(stream: RowStream) -> int:
    return sum(0 if kept._held is None else kept._held.untyped_storage().nbytes() // 4 for kept in stream._maps)


@torch.inference_mode()
def most_values_held(network: nn.Module, height: int, width: int, step: int) -> int:
    stream = RowStream(network, height, any_watch())
    lq = picture(height * network.unshuffle, width * network.unshuffle)
    held = []
    for rows_pushed in lq.split(step * network.unshuffle, dim=2):
        list(stream.push(rows_pushed))
        held.append(values_held(stream))
    return max(held)


@every_network
@pytest.mark.parametrize("step", [1, 4])
def test_what_is_held_does_not_grow_with_the_height(name: str, step: int) -> None:
    network = NETWORKS[name]()
    low, high = (most_values_held(network, height, 8, step) for height in (80, 320))
    assert low == high


@every_network
def test_what_is_held_grows_with_the_width_alone(name: str) -> None:
    network = NETWORKS[name]()
    narrow, wide = (most_values_held(network, 80, width, 4) for width in (8, 24))
    assert wide == 3 * narrow


@every_network
def test_a_stop_is_heard_before_every_convolution(name: str) -> None:
    network = NETWORKS[name]()
    lq = picture(24 * network.unshuffle, 8 * network.unshuffle)

    def questions(stop_at: int) -> int:
        asked = itertools.count()
        try:
            streamed(network, lq, [5], Watch(total=1, should_stop=lambda: next(asked) == stop_at))
        except RestorationStopped:
            return next(asked)
        return -next(asked)

    whole = -questions(-1)
    assert whole >= 2 * len(network.layers())
    assert [questions(last) for last in range(0, whole, 7)] == [last + 1 for last in range(0, whole, 7)]


@every_network
@torch.inference_mode()
def test_bfloat16_by_rows_is_as_near_to_float32_as_bfloat16_of_the_whole(name: str) -> None:
    network = NETWORKS[name]()
    lq = picture(40 * network.unshuffle, 20 * network.unshuffle)
    exact = network(lq)
    network.to(torch.bfloat16)
    whole, by_rows = network(lq.bfloat16()), streamed(network, lq.bfloat16(), [9])
    error, reference = ((sr.float() - exact).square().mean().sqrt().item() for sr in (by_rows, whole))
    assert 0 < error < 1.5 * reference
