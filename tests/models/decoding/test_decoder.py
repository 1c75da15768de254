"""The process that decodes: its limits, its deaths, and that it leaves nothing behind."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from models.decoding import DecodeLimits, Decoder, decode_here
from models.errors import DamagedImage, ImageTooComplex, ImageTooLarge, OptionsError
from models.picture import Picture
from tests.conftest import REPOSITORY
from tests.models.toys import noise, png, saved

MEGABYTE = 1_000_000


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    with Decoder() as one:
        yield one


def zygote_of(decoder: Decoder) -> psutil.Process:
    decoder.decode(png(noise(2, 2, 3)))
    assert decoder._zygote is not None
    zygote = psutil.Process(decoder._zygote._process.pid)  # the restorers of other tests have one, too
    assert "models.decoding.zygote" in zygote.cmdline()
    return zygote


def slow_jpeg(passes: int = 90) -> bytes:
    """A progressive JPEG of noise that goes over its last details again and again."""
    return with_passes(Image.fromarray(noise(1024, 1024)), passes)


def with_passes(image: Image.Image, passes: int) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    plain = saved(image, "JPEG", quality=30, progressive=True)
    end = plain.rindex(b"\xff\xda")
    length = plain.index(b"\xff\xd9", end)
    return plain[:length] + plain[end:length] * passes + b"\xff\xd9"


FILES = {
    "PNG": lambda: png(noise(33, 21, 4)),
    "JPEG": lambda: saved(Image.fromarray(noise(33, 21, 3)), "JPEG"),
    "WEBP": lambda: saved(Image.fromarray(noise(33, 21, 4)), "WEBP"),
    "BMP": lambda: saved(Image.fromarray(noise(33, 21, 3)), "BMP"),
    "GIF": lambda: saved(Image.fromarray(noise(33, 21, 3)), "GIF"),
    "TIFF": lambda: saved(Image.fromarray(noise(33, 21, 4)), "TIFF"),
    "AVIF": lambda: saved(Image.fromarray(noise(33, 21, 4)), "AVIF"),
    "HEIF": lambda: saved(Image.fromarray(noise(66, 42, 3)), "HEIF"),
}


@pytest.mark.parametrize("format_", FILES)
def test_a_picture_is_the_same_from_there_as_from_here(decoder: Decoder, format_: str) -> None:
    data = FILES[format_]()
    there, here = decoder.decode(data), decode_here(data, DecodeLimits())
    assert there.format == format_
    for name in Picture.__slots__:
        ours, theirs = getattr(here, name), getattr(there, name)
        assert np.array_equal(ours, theirs) if isinstance(ours, np.ndarray) else ours == theirs, name


def test_pixels_from_there_can_be_written_to_and_outlive_the_decoder() -> None:
    pixels = noise(30, 20, 3)
    with Decoder() as decoder:
        picture = decoder.decode(png(pixels))
    picture.pixels[0, 0] = 7
    np.testing.assert_array_equal(picture.pixels[1:], pixels[1:])


def test_an_error_from_there_is_the_one_from_here(decoder: Decoder) -> None:
    data = png(np.zeros((11, 10, 3), np.uint8))
    with pytest.raises(ImageTooLarge, match=r"110 pixels \(10x11\), the limit is 109"):
        decoder.decode(data, DecodeLimits(max_pixels=109))
    with pytest.raises(DamagedImage):
        decoder.decode(data[:-30])


def test_what_takes_too_long_is_ended_in_time_and_the_next_picture_is_fine(decoder: Decoder) -> None:
    decoder.decode(png(noise(2, 2)))
    start = time.monotonic()
    with pytest.raises(ImageTooComplex, match=r"longer than 0\.05 s"):
        decoder.decode(slow_jpeg(), DecodeLimits(max_seconds=0.05))
    assert time.monotonic() - start < 4
    assert decoder.decode(png(noise(4, 6))).size_wh == (6, 4)


def test_a_jpeg_of_many_passes_is_refused_without_decoding_one() -> None:
    data = with_passes(Image.new("L", (6944, 4832), 100), 4000)
    start = time.process_time()
    with pytest.raises(ImageTooComplex, match="more than 100 scans"):
        decode_here(data, DecodeLimits())
    assert time.process_time() - start < 0.5


def test_more_memory_than_allowed_is_too_large_not_damaged(decoder: Decoder) -> None:
    data = saved(Image.new("RGB", (6000, 5000), (200, 100, 50)), "JPEG")
    with pytest.raises(ImageTooLarge, match="needs about 36"):
        decoder.decode(data, DecodeLimits(max_memory_bytes=100 * MEGABYTE))


WITHOUT_ESTIMATE = """
import os
import cv2, numpy
from models.decoding import DecodeLimits, zygote
DecodeLimits.check_memory = lambda *_, **__: None
data = cv2.imencode(".png", numpy.zeros((6000, 5000, 3), numpy.uint8))[1].tobytes()
strict = DecodeLimits(max_memory_bytes=60_000_000)
zygote._confine(strict)
print(zygote._decoded(data, strict, os.memfd_create("pixels")).decode())
"""


def test_memory_that_runs_out_on_the_way_is_too_large_as_well() -> None:
    # The estimate is switched off: what is left is the kernel's limit.
    program = [sys.executable, "-c", WITHOUT_ESTIMATE]
    run = subprocess.run(program, cwd=REPOSITORY, check=True, capture_output=True, text=True, timeout=60)
    assert "image_too_large" in run.stdout


def test_a_large_picture_fits_into_the_memory_it_is_given(decoder: Decoder) -> None:
    data = saved(Image.new("RGB", (7300, 5470), (200, 100, 50)), "JPEG", progressive=True, subsampling=0)
    measured = decoder.measure(data)
    assert isinstance(measured.outcome, Picture)
    assert measured.peak_bytes < 1000 * MEGABYTE


def test_a_picture_whose_channels_are_equal_takes_the_memory_of_one(decoder: Decoder) -> None:
    gray = noise(300, 500)
    picture = decoder.decode(png(np.dstack([gray] * 3)))
    assert picture.is_gray
    np.testing.assert_array_equal(picture.pixels, gray)


def test_a_killed_child_is_one_refused_picture(decoder: Decoder) -> None:
    zygote = zygote_of(decoder)
    killer = threading.Thread(target=kill_first_child, args=(zygote,))
    killer.start()
    with pytest.raises(ImageTooLarge, match="ended by the system"):
        decoder.decode(slow_jpeg())
    killer.join()
    assert decoder.decode(png(noise(4, 6))).size_wh == (6, 4)


def kill_first_child(zygote: psutil.Process) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for child in zygote.children():
            child.kill()
            return
        time.sleep(0.001)


def test_a_killed_zygote_is_replaced_even_in_the_middle_of_a_picture(decoder: Decoder) -> None:
    first = zygote_of(decoder)
    killer = threading.Timer(0.02, lambda: os.killpg(first.pid, signal.SIGKILL))
    killer.start()
    assert decoder.decode(slow_jpeg(passes=20)).size_wh == (1024, 1024)
    killer.join()
    assert zygote_of(decoder).pid != first.pid


def test_a_decoder_that_hangs_is_ended_from_outside_and_replaced(decoder: Decoder) -> None:
    zygote = zygote_of(decoder)
    zygote.suspend()
    with pytest.raises(ImageTooComplex, match=r"longer than 0\.1 s"):
        decoder.decode(png(noise(4, 6)), DecodeLimits(max_seconds=0.1))
    assert decoder.decode(png(noise(4, 6))).size_wh == (6, 4)
    assert zygote_of(decoder).pid != zygote.pid


def test_threads_get_their_own_pictures(decoder: Decoder) -> None:
    wrong: list[int] = []

    def work(seed: int) -> None:
        for turn in range(10):
            pixels = noise(20 + seed, 30, 3, seed=100 * seed + turn)
            if not np.array_equal(decoder.decode(png(pixels)).pixels, pixels):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_child_ignores_what_a_terminal_or_a_service_manager_sends_to_all(decoder: Decoder) -> None:
    zygote = zygote_of(decoder)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        zygote.send_signal(number)
    assert decoder.decode(png(noise(4, 6))).size_wh == (6, 4)
    assert zygote_of(decoder).pid == zygote.pid


PARENT = """
import os, sys
import cv2, numpy, psutil
from models.decoding import Decoder
picture = cv2.imencode(".png", numpy.zeros((3, 5), numpy.uint8))[1].tobytes()
decoder = Decoder()
decoder.decode(picture)
print(*(child.pid for child in psutil.Process().children()), flush=True)
{then}
"""


@pytest.mark.parametrize("then", ["os.kill(os.getpid(), 9)", "os._exit(0)", "sys.exit(0)", "raise SystemExit(3)"])
def test_the_zygote_ends_with_its_parent_however_that_ends(then: str) -> None:
    program = [sys.executable, "-c", PARENT.format(then=then)]
    run = subprocess.run(program, cwd=REPOSITORY, check=False, timeout=60, capture_output=True, text=True)
    (zygote,) = map(int, run.stdout.split())
    deadline = time.monotonic() + 10
    while psutil.pid_exists(zygote) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(zygote)


def test_a_forked_process_starts_a_zygote_of_its_own(decoder: Decoder) -> None:
    ours = zygote_of(decoder).pid
    then = (
        "child = os.fork()\n"
        "if child == 0:\n"
        "    ok = decoder.decode(picture).size_wh == (5, 3)\n"
        "    decoder.close()\n"
        "    os._exit(0 if ok else 1)\n"
        "status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])\n"
        "assert decoder.decode(picture).size_wh == (5, 3)\n"
        "sys.exit(status)"
    )
    program = [sys.executable, "-W", "error", "-c", PARENT.format(then=then)]
    assert subprocess.run(program, cwd=REPOSITORY, timeout=60, check=False).returncode == 0
    assert zygote_of(decoder).pid == ours


def test_the_child_knows_nothing_of_our_environment_and_loads_no_torch(decoder: Decoder) -> None:
    os.environ["BOT_TOKEN_FOR_TEST"] = "secret"
    zygote = zygote_of(decoder)
    del os.environ["BOT_TOKEN_FOR_TEST"]
    assert "BOT_TOKEN_FOR_TEST" not in zygote.environ()
    assert not [line.path for line in zygote.memory_maps() if "torch" in Path(line.path).name]
    assert zygote.num_threads() == 1


def test_what_libraries_write_goes_nowhere(decoder: Decoder, capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(saved(Image.fromarray(noise(40, 40, 3)), "TIFF", compression="tiff_lzw"))
    data[8:80] = b"\xff" * 72
    with pytest.raises(DamagedImage):
        decoder.decode(bytes(data))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "name", ["max_bytes", "max_pixels", "max_side", "max_scans", "max_memory_bytes", "max_seconds"]
)
def test_a_limit_that_admits_nothing_is_refused(name: str) -> None:
    with pytest.raises(OptionsError, match=name):
        DecodeLimits(**{name: 0})


def test_bytes_are_limited_before_they_go_anywhere() -> None:
    with Decoder() as decoder, pytest.raises(ImageTooLarge, match="11 bytes, the limit is 10"):
        decoder.decode(io.BytesIO(b"0123456789a").getvalue(), DecodeLimits(max_bytes=10))
