"""Colours of every kind come out as the sRGB a colour engine makes of them."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from models.decoding import DecodeLimits, boxes, decode_here
from models.decoding.canvas import turn
from models.decoding.printing import offset_profile
from models.decoding.profiles import BT709 as BT709_POINTS
from models.decoding.profiles import colorants, icc_profile, profile_of
from models.picture import Picture
from tests.models.toys import noise, png, saved

P3, BT2020, BT709 = 12, 9, 1
SRGB_CURVE, GAMMA_22, LINEAR, PQ, HLG = 13, 4, 8, 16, 18


def read(data: bytes) -> Picture:
    return decode_here(data, DecodeLimits())


def converted(profile: bytes, *colours: tuple[int, ...], mode: str = "RGB") -> list[list[int]]:
    """What Little CMS makes of some colours."""
    source = Image.frombytes(mode, (len(colours), 1), bytes(level for colour in colours for level in colour))
    transform = ImageCms.buildTransform(io.BytesIO(profile), ImageCms.createProfile("sRGB"), mode, "RGB")
    result = ImageCms.applyTransform(source, transform)
    assert result is not None
    return np.asarray(result)[0].tolist()


def with_chunk(data: bytes, kind: bytes, body: bytes) -> bytes:
    """A PNG with one more chunk behind its header."""
    chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return data[:33] + chunk + data[33:]


def test_a_profile_made_from_numbers_moves_colours_as_the_standard_says() -> None:
    profile = profile_of(P3, SRGB_CURVE)
    assert profile is not None
    # Display P3's (200, 150, 100) computed by hand: linear light, matrix of P3 to sRGB, curve.
    light = ((np.array([200, 150, 100]) / 255 + 0.055) / 1.055) ** 2.4
    matrix = np.array([[1.2249, -0.2249, 0.0], [-0.0421, 1.0421, 0.0], [-0.0196, -0.0786, 1.0983]])
    by_hand = 255 * (1.055 * (matrix @ light) ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(converted(profile, (200, 150, 100))[0], by_hand, atol=1.5)


@pytest.mark.parametrize(("primaries", "transfer"), [(1, 13), (2, 2), (1, 1), (1, 6), (77, 99), (0, 0)])
def test_numbers_that_mean_srgb_or_nothing_change_nothing(primaries: int, transfer: int) -> None:
    assert profile_of(primaries, transfer) is None


@pytest.mark.parametrize("transfer", [SRGB_CURVE, GAMMA_22, LINEAR, PQ, HLG])
def test_grays_stay_neutral_and_in_order_in_every_made_space(transfer: int) -> None:
    profile = profile_of(BT2020, transfer)
    assert profile is not None
    grays = np.array(converted(profile, *((level,) * 3 for level in range(256))))
    assert int(np.ptp(grays, axis=1).max()) <= 1
    assert (np.diff(grays[:, 0]) >= 0).all()
    assert grays[0, 0] == 0
    assert grays[255, 0] > 245


def test_the_white_of_paper_in_an_hdr_picture_is_bright_but_not_the_brightest() -> None:
    paper_pq, paper_hlg = round(0.58 * 255), round(0.75 * 255)  # BT.2408: 203 cd/m²
    for transfer, code in ((PQ, paper_pq), (HLG, paper_hlg)):
        profile = profile_of(BT2020, transfer)
        assert profile is not None
        assert 220 <= converted(profile, (code,) * 3)[0][0] <= 240


def test_the_colour_space_of_a_png_by_number_outranks_its_profile() -> None:
    pixels = np.full((4, 4, 3), (200, 150, 100), np.uint8)
    adobe = profile_of(BT2020, GAMMA_22)
    assert adobe is not None
    profile = profile_of(P3, SRGB_CURVE)
    assert profile is not None
    data = with_chunk(png(pixels, icc_profile=adobe), b"cICP", bytes([P3, SRGB_CURVE, 0, 1]))
    assert read(data).pixels[0, 0].tolist() == converted(profile, (200, 150, 100))[0]


def test_an_avif_that_gives_its_colour_space_by_number_is_converted() -> None:
    pixels = np.kron(noise(4, 4, 3), np.ones((16, 16, 1), np.uint8))
    plain = saved(Image.fromarray(pixels), "AVIF", quality=95, subsampling="4:4:4")
    at = plain.index(b"colrnclx") + 8
    wide = plain[:at] + struct.pack(">HH", P3, SRGB_CURVE) + plain[at + 4 :]
    assert boxes.describe(wide).nclx == (P3, SRGB_CURVE)
    assert boxes.describe(wide).size_wh == (64, 64)
    profile = profile_of(P3, SRGB_CURVE)
    assert profile is not None
    unconverted = read(plain).pixels
    expected = converted(profile, *map(tuple, unconverted[::16, ::16].reshape(-1, 3).tolist()))
    assert read(wide).pixels[::16, ::16].reshape(-1, 3).tolist() == expected


def test_inks_look_as_on_paper_without_a_profile() -> None:
    paper, black, cyan, green, rich = (0, 0, 0, 0), (0, 0, 0, 255), (255, 0, 0, 0), (255, 0, 255, 0), (255,) * 4
    colours = converted(offset_profile(), paper, black, cyan, green, rich, mode="CMYK")
    expected = [(255, 255, 255), (35, 31, 32), (0, 174, 239), (0, 166, 80), (0, 0, 0)]
    np.testing.assert_allclose(colours, expected, atol=3)


def test_a_print_file_without_a_profile_is_no_negative() -> None:
    image = Image.new("CMYK", (32, 32), (0, 0, 0, 0))
    for format_ in ("JPEG", "TIFF"):
        np.testing.assert_allclose(read(saved(image, format_)).pixels, 255, atol=2)


def test_lab_is_turned_into_colours() -> None:
    lab = Image.merge("LAB", [Image.new("L", (4, 4), level) for level in (137, 208, 195)])  # of sRGB red
    red = read(saved(lab, "TIFF")).pixels[0, 0]
    np.testing.assert_allclose(red, [255, 0, 0], atol=12)


def test_channels_that_are_equal_everywhere_are_one() -> None:
    gray = noise(70, 30)
    same = np.dstack([gray] * 3)
    for data in (png(same), saved(Image.fromarray(same), "WEBP", lossless=True), saved(Image.fromarray(same), "BMP")):
        np.testing.assert_array_equal(read(data).pixels, gray)
    almost = same.copy()
    almost[69, 29, 2] ^= 1
    np.testing.assert_array_equal(read(png(almost)).pixels, almost)


def test_equal_channels_with_alpha_keep_both() -> None:
    gray, alpha = noise(70, 30), noise(70, 30, seed=1)
    picture = read(png(np.dstack([gray, gray, gray, alpha])))
    np.testing.assert_array_equal(picture.pixels, gray)
    np.testing.assert_array_equal(picture.alpha, alpha)


def test_grays_are_gray_in_a_wide_space_too_but_not_in_an_odd_one() -> None:
    same = np.dstack([noise(8, 8)] * 3)
    wide = profile_of(BT2020, GAMMA_22)
    assert wide is not None
    assert read(png(same, icc_profile=wide)).is_gray
    odd = wide.replace(b"rXYZ", b"tXYZ").replace(b"gXYZ", b"rXYZ").replace(b"tXYZ", b"gXYZ")  # red and green swapped
    assert read(png(same, icc_profile=odd)).is_gray
    tinted = bytearray(wide)
    at = int.from_bytes(wide[wide.index(b"rXYZ") + 4 :][:4])
    tinted[at + 8 : at + 12] = struct.pack(">i", 60_000)  # red's X doubled: equal channels are pink
    assert not read(png(same, icc_profile=bytes(tinted))).is_gray


def test_16_bit_tiff_keeps_its_levels_and_is_turned_once() -> None:
    levels = noise(6, 9, 3, dtype=np.uint16)
    done, data = cv2.imencode(".tiff", levels[..., ::-1])
    assert done
    np.testing.assert_array_equal(read(data.tobytes()).pixels, levels)
    for orientation in range(1, 9):
        picture = read(tiff_with_orientation(levels, orientation))
        np.testing.assert_array_equal(picture.pixels, turn(levels, orientation))


def tiff_with_orientation(levels: NDArray[np.uint16], orientation: int) -> bytes:
    """A TIFF made by hand: 16-bit RGB in one strip."""
    height, width = levels.shape[:2]
    entries = [
        (256, 3, 1, width), (257, 3, 1, height), (258, 3, 3, 8), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 200),
        (274, 3, 1, orientation), (277, 3, 1, 3), (278, 3, 1, height), (279, 4, 1, levels.nbytes),
    ]  # fmt: skip
    head = struct.pack("<2sHI", b"II", 42, 16) + struct.pack("<3HH", 16, 16, 16, 0)
    table = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    return (head + table).ljust(200, b"\0") + levels.astype("<u2").tobytes()


def test_a_16_bit_gray_tiff_keeps_its_levels() -> None:
    levels = noise(6, 9, dtype=np.uint16)
    np.testing.assert_array_equal(read(saved(Image.fromarray(levels), "TIFF")).pixels, levels)


@pytest.mark.parametrize(("depth", "levels"), [(1, 2), (2, 4), (4, 16), (8, 256)])
def test_a_transparent_gray_is_transparent_at_every_depth(depth: int, levels: int) -> None:
    top = levels - 1
    image = Image.new("L", (8, 1), 0)
    image.putdata([255 * (at % 2) for at in range(8)])
    body = struct.pack(">H", top)
    rows = bytes(
        [int("".join(f"{top * (at % 2):0{depth}b}" for at in range(8))[i : i + 8], 2) for i in range(0, 8 * depth, 8)]
    )
    header = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 1, depth, 0, 0, 0, 0))
    data = header + chunk(b"tRNS", body) + chunk(b"IDAT", zlib.compress(b"\0" + rows)) + chunk(b"IEND", b"")
    picture = read(data)
    np.testing.assert_array_equal(picture.pixels, np.asarray(image))
    np.testing.assert_array_equal(picture.alpha, [[255, 0] * 4])


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def gray_16(profile: bytes) -> tuple[NDArray[np.uint16], bytes]:
    """Levels, and a PNG of them with a profile."""
    levels = noise(5, 6, dtype=np.uint16)
    encoded = cv2.imencode(".png", levels)[1].tobytes()
    return levels, with_chunk(encoded, b"iCCP", b"name\0\0" + zlib.compress(profile))


def with_curves(*curves: bytes) -> bytes:
    """A profile of sRGB's primaries and the curves of red, green and blue."""
    columns = np.rint(colorants(BT709_POINTS) * 65536).astype(">i4")
    tags = {
        name: b"XYZ \0\0\0\0" + columns[:, index].tobytes() for index, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))
    }
    return icc_profile("mntr", "RGB ", "XYZ ", {**tags, **dict(zip((b"rTRC", b"gTRC", b"bTRC"), curves, strict=True))})


def power(*numbers: float) -> bytes:
    """A curve by a formula, of the kind that takes so many numbers."""
    kind = {1: 0, 3: 1, 4: 2, 5: 3, 7: 4}[len(numbers)]
    return b"para\0\0\0\0" + struct.pack(f">HH{len(numbers)}i", kind, 0, *(round(65536 * each) for each in numbers))


def table(*entries: int) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(f">I{len(entries)}H", len(entries), *entries)


@pytest.mark.parametrize(
    "profile", [ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), profile_of(P3, SRGB_CURVE)]
)
def test_a_16_bit_gray_loses_nothing_by_a_profile_whose_grays_are_those_of_srgb(profile: bytes) -> None:
    levels, data = gray_16(profile)
    picture = read(data)
    np.testing.assert_array_equal(picture.pixels, levels)
    assert (picture.notices, picture.profile, picture.tagged) == ((), None, True)


CURVES = {
    "straight": table(),
    "gamma": table(round(2.2 * 256)),
    "table": table(0, 9000, 30000, 65535),
    "power": power(1.8),
    "power from a point": power(2.2, 0.9, 0.1),
    "power on a step": power(2.2, 0.9, 0.1, 0.01),
    "power behind a line": power(2.222, 0.91, 0.09, 0.2222, 0.081),
    "power behind a line, on steps": power(2.2, 0.9, 0.1, 0.1, 0.05, 0.001, 0.002),
}


@pytest.mark.parametrize("kind", CURVES)
def test_a_16_bit_gray_keeps_the_curve_of_a_profile_for_colours(kind: str) -> None:
    profile = with_curves(*[CURVES[kind]] * 3)
    levels, data = gray_16(profile)
    picture = read(data)
    np.testing.assert_array_equal(picture.pixels, levels)
    assert picture.notices == ()
    assert picture.profile is not None
    assert ImageCms.ImageCmsProfile(io.BytesIO(picture.profile)).profile.xcolor_space == "GRAY"
    at, length = struct.unpack_from(">II", picture.profile, picture.profile.index(b"kTRC") + 4)
    # Compared as colours: of grays in 8 bits Little CMS is off by up to ten levels in the shadows.
    ramp = [(level,) * 3 for level in range(256)]
    same = with_curves(*[picture.profile[at : at + length]] * 3)
    np.testing.assert_allclose(converted(same, *ramp), converted(profile, *ramp), atol=1)


@pytest.mark.parametrize(
    "profile",
    [
        with_curves(table(), table(), table(512)),
        with_curves(*[b"none"] * 3),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(),
        offset_profile(),
    ],
)
def test_a_profile_that_does_not_say_what_a_16_bit_gray_is_is_ignored_and_said_so(profile: bytes) -> None:
    levels, data = gray_16(profile)
    picture = read(data)
    np.testing.assert_array_equal(picture.pixels, levels)
    assert (picture.notices, picture.profile) == (("profile_ignored",), None)
