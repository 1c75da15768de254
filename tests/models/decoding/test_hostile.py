"""The real decoder against files from the test suites of other decoders."""

from __future__ import annotations

import gc
import io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from models.decoding import DecodeLimits, Decoder, Measured
from models.errors import DamagedImage, ImageError, ImageTooComplex, ImageTooLarge, UnsupportedFormat
from models.picture import Picture

MAX_S, MAX_MEMORY = 10.0, 1_000_000_000
LIMITS = DecodeLimits(max_pixels=40_000_000, max_bytes=100_000_000)

Results = dict[str, Measured]


@pytest.fixture(scope="module")
def rows(shared: Path) -> dict[str, dict[str, Any]]:
    manifest = json.loads((shared / "images" / "hostile" / "manifest.json").read_text())
    return {row["file"]: row for row in manifest["files"]}


@pytest.fixture(scope="module")
def results(
    shared: Path, rows: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Results]:
    """Every file once through one decoder, whose temporary folder is watched."""
    folder, before = tmp_path_factory.mktemp("temporary"), tempfile.tempdir
    tempfile.tempdir = str(folder)
    with Decoder() as decoder:
        yield {name: decoder.measure((shared / "images" / "hostile" / name).read_bytes(), LIMITS) for name in rows}
        assert list(folder.iterdir()) == []
        children = psutil.Process().children(recursive=True)
        assert [child for child in children if child.status() == psutil.STATUS_ZOMBIE] == []
    tempfile.tempdir = before


@pytest.fixture
def picture(results: Results):
    def get(name: str) -> Picture:
        outcome = results[name].outcome
        assert isinstance(outcome, Picture), outcome
        return outcome

    return get


def test_every_file_is_a_picture_within_limits_or_an_error_of_ours(results: Results) -> None:
    for name, result in results.items():
        if isinstance(result.outcome, Picture):
            width, height = result.outcome.size_wh
            assert 1 <= width * height <= LIMITS.max_pixels, name
            assert result.outcome.pixels.dtype in {np.dtype(np.uint8), np.dtype(np.uint16)}, name
            assert result.outcome.alpha is None or result.outcome.alpha.shape == result.outcome.pixels.shape[:2], name
        else:
            assert str(result.outcome), name
            assert "\n" not in str(result.outcome), name


def test_what_must_be_accepted_or_refused_is(results: Results, rows: dict[str, dict[str, Any]]) -> None:
    wrong = {
        name: repr(result.outcome)
        for name, result in results.items()
        if rows[name]["firm"] and isinstance(result.outcome, Picture) != (rows[name]["expect"] == "accept")
    }
    assert wrong == {}


def test_no_file_takes_more_than_ten_seconds_or_a_gigabyte(results: Results) -> None:
    assert {name: result.seconds for name, result in results.items() if result.seconds > MAX_S} == {}
    assert {name: result.peak_bytes for name, result in results.items() if result.peak_bytes > MAX_MEMORY} == {}


def test_no_file_ends_the_process_that_decodes_it(results: Results) -> None:
    assert {name: result.status for name, result in results.items() if result.status != 0} == {}


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (
            ImageTooLarge,
            [
                "jpeg_claims_65500x65500.jpg", "jpeg_280mp_gray.jpg", "png_bomb_30000x30000_1bit.png",
                "png_bomb_13000x13000_palette.png", "png_width_2147483647.png", "png_width_4294967295.png",
                "webp_bomb_16383x16383.webp", "gif_bomb_pillow.gif", "bmp_reallybig.bmp", "avif_bomb_17000x17000.avif",
                "jpeg_48mp_8000x6000.jpg",
            ],
        ),
        (ImageTooComplex, ["jpeg_progressive_scan_bomb.jpg"]),
        (
            DamagedImage,
            [
                "jpeg_truncated.jpg", "jpeg_ultrahdr_header_only.jpg", "jpeg_zero_height.jpg", "png_idat_damaged.png",
                "png_truncated.png", "png_no_idat.png", "png_zero_width.png", "webp_truncated.webp",
                "gif_zero_width.gif", "bmp_short.bmp", "tiff_crash_pillow.tif", "tiff_oom_pillow.tif",
            ],
        ),
        (
            UnsupportedFormat,
            [
                "eps_named_jpg.jpg", "pdf_blank.pdf", "svg_xml_bomb.svg", "svg_external_entity.svg",
                "svg_named_png.png", "mvg_named_jpg.jpg", "zip_named_jpg.jpg", "empty.jpg", "text_named_png.png",
                "html_named_jpg.jpg", "random_bytes.jpg", "zeros_64k.png", "tgs_sticker.tgs", "tgs_gzip_bomb.tgs",
                "webm_tiny.webm", "mp4_head.mp4", "jxl_square.jxl", "jp2_photo.jp2", "psd_rgba.psd", "ico_bomb.ico",
            ],
        ),
    ],
)  # fmt: skip
def test_a_refusal_says_what_is_wrong(results: Results, kind: type[ImageError], names: list[str]) -> None:
    assert {name: type(results[name].outcome) for name in names} == dict.fromkeys(names, kind)
    if kind is ImageTooLarge:
        assert [name for name in names if "limit is" not in str(results[name].outcome)] == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pdf_blank.pdf", "PDF"),
        ("svg_named_png.png", "SVG"),
        ("eps_named_jpg.jpg", "PostScript"),
        ("jxl_square.jxl", "JPEG XL"),
        ("jp2_photo.jp2", "JPEG 2000"),
        ("psd_rgba.psd", "Photoshop"),
        ("mp4_head.mp4", "video"),
        ("webm_tiny.webm", "video"),
        ("tgs_sticker.tgs", "sticker"),
        ("html_named_jpg.jpg", "web page"),
        ("zip_named_jpg.jpg", "ZIP"),
        ("text_named_png.png", "text"),
        ("empty.jpg", "empty"),
    ],
)
def test_what_is_no_picture_is_called_by_its_name(results: Results, name: str, words: str) -> None:
    message = str(results[name].outcome)
    assert words in message
    assert "what can be read is PNG, JPEG" in message


SIZES = {
    "jpeg_display_p3_gainmap_mpo.jpg": (384, 512),
    "mpo_two_views.mpo": (640, 480),
    "mpo_bad_header.jpg": (640, 480),
    "jpeg_third_mb_of_metadata.jpg": (256, 256),
    "jpeg_motion_photo_trailer.jpg": (256, 256),
    "png_exif_orientation_6.png": (100, 200),
    "shape_2x3000.png": (2, 3000),
    "shape_8000x1.png": (8000, 1),
    "webp_exif_orientation_6.webp": (128, 128),
    "gif_10000_frames.gif": (2000, 2000),
    "tiff_orientation_6.tif": (590, 88),
    "heic_451x461.heic": (451, 461),
    "heic_iphone.heic": (2566, 3313),
    "avif_orientation_6.avif": (3024, 4032),
}


def test_pictures_have_the_upright_size_they_should(picture) -> None:
    assert {name: picture(name).size_wh for name in SIZES} == SIZES


def test_the_eight_orientations_are_one_landscape(picture) -> None:
    first = picture("jpeg_exif_orientation_1.jpg")
    for number in range(1, 9):
        upright = picture(f"jpeg_exif_orientation_{number}.jpg")
        assert upright.size_wh == (600, 450)
        assert np.abs(upright.pixels.astype(int) - first.pixels).mean() < 6  # 14 without the profile


def test_a_scan_for_print_is_the_same_with_and_without_its_profile(picture) -> None:
    with_profile, without = picture("jpeg_cmyk_swop_profile.jpg").pixels, picture("jpeg_cmyk_no_profile.jpg").pixels
    assert np.abs(with_profile.astype(int) - without).mean() < 6  # a negative: above 80; plain arithmetic: 12.5


def test_print_colours_of_a_tiff_are_no_negative(picture) -> None:
    pixels = picture("tiff_cmyk_jpeg.tif").pixels
    assert pixels.mean() < 30
    assert pixels[..., 0].max() > 200
    assert pixels[..., 1:].mean() < 12


ALPHA = [
    "png_palette_transparent.png", "png_palette_trns_pngsuite.png", "png_gray_trns_pngsuite.png",
    "png_16bit_rgba_adobergb.png", "png_16bit_gray_alpha.png", "png_interlaced_16bit_pngsuite.png",
    "png_fully_transparent.png", "png_alpha_garbage_under.png", "webp_sticker_512_alpha.webp", "webp_lossless.webp",
    "webp_lossy_alpha.webp", "shape_3x5_rgba.webp", "gif_transparent.gif", "heic_alpha_512.heic", "avif_alpha.avif",
]  # fmt: skip


def test_transparency_is_kept(picture) -> None:
    assert [name for name in ALPHA if picture(name).alpha is None or picture(name).alpha.min() == 255] == []


def test_only_the_first_frame_comes_and_it_is_said(results: Results, rows: dict[str, dict[str, Any]]) -> None:
    moving = {
        name
        for name, row in rows.items()
        if isinstance(results[name].outcome, Picture) and (" frames" in row["pillow"] and "MPO" not in row["pillow"])
    }
    said = {
        name
        for name, result in results.items()
        if isinstance(result.outcome, Picture) and "first_frame_only" in result.outcome.notices
    }
    assert said == moving
    assert len(said) >= 8


def test_16_bit_pictures_keep_depth_tone_and_profile(picture) -> None:
    gray = picture("png_16bit_gray.png")
    assert gray.is_16_bit
    assert gray.is_gray
    assert abs(gray.pixels.mean() / 257 - 115) < 1
    wide = picture("png_16bit_rgba_adobergb.png")
    assert wide.profile is not None
    assert picture("tiff_16bit_rgb.tiff").is_16_bit


def test_pictures_without_colour_come_as_one_channel(picture) -> None:
    names = ["jpeg_gray.jpg", "png_1bit.png", "png_1bit_photo.png", "shape_flat_gray_256.png", "png_16bit_gray.png"]
    assert [name for name in names if not picture(name).is_gray] == []


def test_colours_in_wide_and_odd_spaces_are_what_the_colour_engine_says(shared: Path, picture) -> None:
    names = [
        "jpeg_adobe_rgb.jpg", "jpeg_display_p3_gainmap_mpo.jpg", "jpeg_xyb_profile.jpg", "jpeg_cmyk_swop_profile.jpg",
        "jpeg_exif_orientation_6.jpg", "avif_orientation_6.avif", "png_display_p3.png",
    ]  # fmt: skip
    for name in names:
        with Image.open(shared / "images" / "hostile" / name) as image:
            expected = engine_says(image)
        difference = np.abs(picture(name).pixels.astype(int) - expected)
        assert difference.max() <= 1, name


def engine_says(image: Image.Image) -> NDArray[np.uint8]:
    """The picture as a whole through Little CMS, turned by Pillow."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    colours = image if image.mode == "CMYK" else image.convert("RGB")
    converted = ImageCms.profileToProfile(colours, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    bare = Image.fromarray(np.asarray(converted))
    bare.getexif()[0x0112] = 1 if image.format == "AVIF" else image.getexif().get(0x0112, 1)  # AVIF is turned already
    return np.asarray(ImageOps.exif_transpose(bare))


def test_lab_colours_are_those_of_the_same_portrait(shared: Path, picture) -> None:
    lab = picture("tiff_lab.tif").pixels.astype(float)
    same = picture("jpeg_16bit_qtables.jpg").pixels.astype(float)  # as small, in RGB
    assert np.corrcoef(lab.ravel(), same.ravel())[0, 1] > 0.95


def test_a_heic_under_a_wrong_name_is_the_same_picture(picture) -> None:
    np.testing.assert_array_equal(picture("heic_named_jpg.jpg").pixels, picture("heic_451x461.heic").pixels)


def test_broken_profiles_are_ignored_and_said_so(picture) -> None:
    assert "profile_ignored" in picture("jpeg_random_icc.jpg").notices
    assert "profile_ignored" not in picture("jpeg_huge_icc.jpg").notices


def test_nothing_is_left_when_the_decoder_is_closed(shared: Path) -> None:
    data = (shared / "images" / "hostile" / "jpeg_gray.jpg").read_bytes()
    gc.collect()  # what tests before this one have left
    descriptors, children = len(list(Path("/proc/self/fd").iterdir())), set(psutil.Process().children())
    with Decoder() as decoder:
        for _ in range(5):
            decoder.decode(data)
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
    assert set(psutil.Process().children()) == children
