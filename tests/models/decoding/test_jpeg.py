"""JPEG files that end early, and kinds of JPEG that nobody here reads."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image, ImageCms

from models.decoding import DecodeLimits, decode_here
from models.errors import DamagedImage, ImageError, UnsupportedFormat
from models.picture import Picture
from tests.models.toys import noise, saved

EOI = b"\xff\xd9"
SMOOTH = np.asarray(Image.fromarray(noise(24, 32, 3)).resize((256, 192), Image.Resampling.BICUBIC))
SCENE = np.kron(noise(12, 16, 3), np.ones((16, 16, 1), np.uint8))


def read(data: bytes) -> Picture:
    return decode_here(data, DecodeLimits())


def cut(data: bytes, share: float) -> bytes:
    """Some of the pixels' data, and an end behind them."""
    start = data.index(b"\xff\xda")
    start += 2 + int.from_bytes(data[start + 2 : start + 4])
    return data[: start + int((len(data) - 2 - start) * share)].rstrip(b"\xff") + EOI


KINDS = {
    "baseline": {},
    "4:4:4": {"subsampling": 0},
    "optimised": {"optimize": True},
    "restarts": {"restart_marker_blocks": 5},
    "restarts in rows": {"restart_marker_rows": 1},
}


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_jpeg_cut_off_and_ended_is_refused(kind: str, mode: str) -> None:
    data = saved(Image.fromarray(SCENE).convert(mode), "JPEG", **KINDS[kind])
    assert read(data).size_wh == (256, 192)
    for share in (0, 0.05, 0.5, 0.9):
        with pytest.raises(DamagedImage, match="ends before its last rows"):
            read(cut(data, share))


@pytest.mark.parametrize("marks", range(24))
def test_a_jpeg_cut_off_at_any_of_its_restart_marks_is_refused(marks: int) -> None:
    data = saved(Image.fromarray(SCENE), "JPEG", restart_marker_blocks=7)  # 192 blocks, hence 27 marks
    parts = re.split(rb"(?=\xff[\xd0-\xd7])", data)
    assert len(parts) == 28
    with pytest.raises(DamagedImage, match="ends before its last rows"):
        read(b"".join(parts[: marks + 1]) + EOI)


def test_a_progressive_jpeg_without_the_rest_of_its_first_pass_is_refused() -> None:
    data = saved(Image.fromarray(SCENE), "JPEG", progressive=True)
    with pytest.raises(DamagedImage, match="ends before its last rows"):
        read(cut(data, 0.05))


def scan_ends(data: bytes) -> list[tuple[int, int]]:
    """Where the pixels of each scan begin and end."""
    starts = [
        at + 2 + int.from_bytes(data[at + 2 : at + 4]) for at in (m.start() for m in re.finditer(b"\xff\xda", data))
    ]
    marker = re.compile(rb"\xff[\x01-\xcf\xd8-\xff]")
    return [(start, found.start()) for start in starts if (found := marker.search(data, start))]


@pytest.mark.parametrize("how", [{}, {"restart_marker_blocks": 20}, {"subsampling": 0}, {"quality": 95}])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_progressive_jpeg_cut_off_in_any_pass_and_ended_is_refused(mode: str, how: dict[str, object]) -> None:
    data = saved(Image.fromarray(SMOOTH).convert(mode), "JPEG", progressive=True, **how)
    for start, stop in scan_ends(data):
        for share in (0.1, 0.5, 0.8) if stop - start > 100 else ():  # there is next to nothing in the last two of CMYK
            with pytest.raises(DamagedImage, match="ends before its last rows"):
                read(data[: start + int((stop - start) * share)].rstrip(b"\xff") + EOI)


@pytest.mark.parametrize("how", [{}, {"restart_marker_blocks": 20}, {"quality": 30}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_progressive_jpeg_that_ends_properly_behind_any_of_its_passes_is_what_it_shows(
    mode: str, how: dict[str, object]
) -> None:
    data = saved(Image.fromarray(SMOOTH).convert(mode), "JPEG", progressive=True, **how)
    ends = [stop for _, stop in scan_ends(data)]
    assert len(ends) >= 6
    for stop in ends:
        coarse = data[:stop] + EOI
        with Image.open(io.BytesIO(coarse)) as image:
            np.testing.assert_array_equal(read(coarse).pixels, np.asarray(image))
        assert read(coarse).notices == ()


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.99])
def test_a_progressive_jpeg_without_its_end_is_refused(share: float) -> None:
    data = saved(Image.fromarray(SMOOTH), "JPEG", progressive=True)
    with pytest.raises(DamagedImage):
        read(data[: int(len(data) * share)])


def test_a_jpeg_that_says_it_is_higher_than_its_pixels_is_refused() -> None:
    data = bytearray(saved(Image.fromarray(SCENE), "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    assert int.from_bytes(data[at : at + 2]) == 192
    data[at : at + 2] = (384).to_bytes(2)
    with pytest.raises(DamagedImage):
        read(bytes(data))


@pytest.mark.parametrize("how", [{}, {"progressive": True}, {"optimize": True}, {"restart_marker_blocks": 3}])
@pytest.mark.parametrize("size", [(1, 1), (7, 300), (64, 64), (65, 33)])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_gray_picture_is_whole(mode: str, size: tuple[int, int], how: dict[str, object]) -> None:
    # Of just the gray that stands for what is missing, all over or in its lower half.
    lower = Image.new("RGB", size, (128, 128, 128))
    lower.paste((200, 30, 90), (0, 0, size[0], size[1] // 2))
    for image in (Image.new(mode, size, 128 if mode == "L" else (128,) * len(mode)), lower.convert(mode)):
        assert read(saved(image, "JPEG", **how)).size_wh == size


@pytest.mark.parametrize("colour", [(128, 128, 128), (200, 30, 90)])
@pytest.mark.parametrize("junk", [b"junk" * 1000, bytes(5000), EOI, b"\xff" * 100])
def test_what_is_behind_the_end_does_not_matter(colour: tuple[int, int, int], junk: bytes) -> None:
    data = saved(Image.new("RGB", (100, 80), colour), "JPEG")
    whole = read(data).pixels
    np.testing.assert_array_equal(read(data + junk).pixels, whole)
    np.testing.assert_array_equal(read(data + saved(Image.fromarray(SCENE), "JPEG")).pixels, whole)
    np.testing.assert_array_equal(read(data[:-2] + bytes(50) + EOI + junk).pixels, whole)


def with_frame(**changes: int) -> bytes:
    """A sound file, some bytes of whose header are others."""
    data = bytearray(saved(Image.fromarray(SCENE), "JPEG"))
    at = data.index(b"\xff\xc0")
    for offset, value in ((1, changes.get("kind")), (4, changes.get("depth")), (9, changes.get("channels"))):
        if value is not None:
            data[at + offset] = value
    return bytes(data)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": 0xC1, "depth": 12}, "12 bits is not read here"),
        ({"kind": 0xC5}, "of this kind"),
        ({"kind": 0xF7}, "of this kind"),
        ({"channels": 2}, "of 2 channels"),
    ],
)
def test_kinds_of_jpeg_that_are_not_read_are_called_so(changes: dict[str, int], words: str) -> None:
    with pytest.raises(UnsupportedFormat, match=words):
        read(with_frame(**changes))


@pytest.mark.parametrize("data", [b"\xff\xd8\xff", b"\xff\xd8\xff\xd9", b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(500)])
def test_a_refusal_never_names_a_reader_that_is_not_there(data: bytes) -> None:
    with pytest.raises(ImageError) as caught:
        read(data)
    assert "MPO" not in str(caught.value)


def test_the_first_of_two_views_comes_without_a_word() -> None:
    views = io.BytesIO()
    Image.fromarray(SCENE).save(views, "MPO", save_all=True, append_images=[Image.new("RGB", (256, 192))])
    with Image.open(io.BytesIO(views.getvalue())) as image:
        assert image.format == "MPO"
    picture = read(views.getvalue())
    assert (picture.size_wh, picture.notices, picture.format) == ((256, 192), (), "JPEG")


@pytest.mark.parametrize("spoil", ["missing", "doubled", "misnumbered"])
def test_a_profile_that_lacks_a_part_is_ignored_and_said_so(spoil: str) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain = saved(Image.fromarray(SCENE), "JPEG")
    first, second = (
        b"\xff\xe2" + (16 + len(part)).to_bytes(2) + b"ICC_PROFILE\0" + bytes([number, 2]) + part
        for number, part in ((1, srgb[:300]), (2, srgb[300:]))
    )
    whole = read(plain[:2] + first + second + plain[2:])
    assert (whole.tagged, whole.notices) == (True, ())
    third = second.replace(b"ICC_PROFILE\0\2", b"ICC_PROFILE\0\3")
    parts = {"missing": first, "doubled": first + second + second, "misnumbered": first + third + third}[spoil]
    picture = read(plain[:2] + parts + plain[2:])
    assert (picture.tagged, picture.notices) == (False, ("profile_ignored",))
