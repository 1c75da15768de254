"""Work that nobody wants any more ends at once, also where it is one call that cannot be interrupted."""

from __future__ import annotations

import contextvars
import io
import threading
import time

import cv2
import numpy as np
import psutil
import pytest
from PIL import Image

from models.decoding import DecodeLimits, Decoder
from models.encoding import encode
from models.encoding import webp as webp_module
from models.errors import DamagedImage, RestorationStopped
from models.picture import Picture
from models.stopping import Errands


def after(seconds):
    """A wish to stop that comes so many seconds from now."""
    at = time.monotonic() + seconds
    return lambda: time.monotonic() > at


def never():
    return False


def noise(width, height, channels=3):
    return np.random.default_rng(1).integers(0, 256, (height, width, channels), np.uint8)


@pytest.fixture
def errands():
    errands = Errands("test")
    yield errands
    errands.close()


def test_an_errand_returns_and_raises_as_the_call_does(errands):
    assert errands.run(lambda: 7, never) == 7
    with pytest.raises(DamagedImage):
        errands.run(lambda: (_ for _ in ()).throw(DamagedImage("x")), never)
    assert errands.run(lambda: 8, never) == 8


def test_errands_are_run_by_one_thread_with_the_callers_context(errands):
    variable = contextvars.ContextVar("variable", default=0)
    variable.set(5)
    first, second = (errands.run(lambda: (threading.get_ident(), variable.get()), never) for _ in range(2))
    assert first == second
    assert first[1] == 5
    assert first[0] != threading.get_ident()


def test_an_errand_that_hangs_is_left_behind_and_the_next_one_does_not_wait_for_it(errands):
    release = threading.Event()
    began = time.monotonic()
    with pytest.raises(RestorationStopped):
        errands.run(lambda: release.wait(20), after(0.2))
    assert errands.run(lambda: "next", never) == "next"
    assert time.monotonic() - began < 10
    release.set()


def test_a_decoding_is_stopped_with_its_process_and_the_next_picture_is_read():
    data = cv2.imencode(".png", np.zeros((6000, 5000, 3), np.uint8))[1].tobytes()  # half a second of work
    small = io.BytesIO()
    Image.fromarray(noise(8, 8)).save(small, "PNG")
    before = psutil.Process().children()
    with Decoder() as decoder:
        decoder.decode(small.getvalue())
        (zygote,) = set(psutil.Process().children()) - set(before)
        began = time.monotonic()
        with pytest.raises(RestorationStopped):
            decoder.decode(data, DecodeLimits(max_seconds=60), should_stop=lambda: bool(zygote.children()))
        assert time.monotonic() - began < 5
        assert not zygote.is_running() or zygote.status() == psutil.STATUS_ZOMBIE
        assert decoder.decode(small.getvalue()).size_wh == (8, 8)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("wanted", "channels"), [("png", 3), ("jpeg", 3), ("png", 4)])
def test_an_encoding_is_stopped_between_two_strips(wanted, channels, threads):
    pixels = noise(1500, 1500, channels)
    alpha = np.ascontiguousarray(pixels[..., 3]) if channels == 4 else None
    picture = Picture(pixels=np.ascontiguousarray(pixels[..., :3]), alpha=alpha)
    asked = []

    def stop_at_the_third():
        asked.append(None)
        return len(asked) > 2

    with pytest.raises(RestorationStopped):
        encode(picture, wanted, threads=threads, should_stop=stop_at_the_third)
    if threads == 1:
        assert len(asked) == 3
    assert encode(picture, wanted, threads=threads).size_wh == (1500, 1500)


def test_a_webp_is_left_behind_and_only_one_at_a_time():
    pixels = noise(1600, 1200, 4)
    picture = Picture(pixels=np.ascontiguousarray(pixels[..., :3]), alpha=np.ascontiguousarray(pixels[..., 3]))
    began = time.monotonic()
    for _ in range(2):
        with pytest.raises(RestorationStopped):
            encode(picture, "webp", should_stop=after(0.1))
    assert time.monotonic() - began < 5
    assert webp_module._writing.locked()  # the first is still at it, the second never began
    with webp_module._writing:
        pass
