"""What is seen in pictures made so that the answer is known, and in real ones where they are at hand."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from models.picture import Picture
from models.planning import Traits, look_at


def pink_noise(side, *, seed=0, channels=3):
    """Power falling with the square of the frequency, as in photographs: equal detail in every octave."""
    rng = np.random.default_rng(seed)
    y, x = np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side), indexing="ij")
    amplitude = 1 / np.maximum(np.hypot(x, y), 1 / side)
    planes = [np.fft.ifft2(np.fft.fft2(rng.normal(size=(side, side))) * amplitude).real for _ in range(channels)]
    planes = [planes[0] + 0.3 * plane for plane in planes]
    return np.stack([np.clip(128 + 45 * plane / plane.std(), 0, 255) for plane in planes], axis=2).astype(np.uint8)


def enlarged(pixels, times=2):
    small = cv2.resize(pixels, None, fx=1 / times, fy=1 / times, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, pixels.shape[1::-1], interpolation=cv2.INTER_CUBIC)


def as_jpeg(pixels, quality):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


def cartoon(side=400):
    image = Image.new("RGB", (side, side), (120, 190, 240))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, side * 0.7, side, side), fill=(110, 180, 70), outline=(20, 20, 20), width=4)
    draw.ellipse(
        (side * 0.2, side * 0.15, side * 0.7, side * 0.65), fill=(250, 205, 170), outline=(20, 20, 20), width=5
    )
    for x in (0.35, 0.53):
        draw.ellipse((side * x, side * 0.3, side * (x + 0.06), side * 0.42), fill=(30, 60, 140), outline=(20, 20, 20))
    draw.arc((side * 0.35, side * 0.42, side * 0.58, side * 0.57), 20, 160, fill=(170, 40, 40), width=5)
    draw.polygon([(40, 60), (150, 20), (260, 70), (150, 110)], fill=(220, 60, 60), outline=(20, 20, 20), width=4)
    return np.asarray(image)


def text_page(width=700, height=900):
    image = Image.new("RGB", (width, height), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(18)
    for y in range(40, height - 60, 26):
        draw.text(
            (40, y), "However, nothing remains hidden between 12 lines of the old album; total 1,250.", "black", font
        )
    return np.asarray(image)


@pytest.mark.parametrize("sigma", [3, 8, 20])
def test_noise_is_measured_whatever_lies_under_it(sigma):
    noise = np.random.default_rng(1).normal(0, sigma, (384, 384, 1))
    smooth = cv2.GaussianBlur(pink_noise(384), (0, 0), 3)
    noisy = np.clip(smooth + noise, 0, 255).astype(np.uint8)
    assert look_at(Picture(pixels=noisy)).noise == pytest.approx(sigma, rel=0.2)


@pytest.mark.parametrize("quality", [None, 85, 60])
def test_an_enlarged_picture_has_empty_octaves_and_a_sharp_one_has_none(quality):
    sharp = pink_noise(512)
    empty = []
    for pixels in (sharp, enlarged(sharp, 2), enlarged(sharp, 4)):
        sent = pixels if quality is None else as_jpeg(pixels, quality)
        empty.append(look_at(Picture(pixels=sent)).empty_octaves)
    assert empty == [0, 1, 2]


def test_noise_is_not_taken_for_detail():
    soft = enlarged(pink_noise(512), 4)
    noisy = np.clip(soft + np.random.default_rng(1).normal(0, 6, soft.shape), 0, 255).astype(np.uint8)
    assert look_at(Picture(pixels=noisy)).sharpness < look_at(Picture(pixels=pink_noise(512))).sharpness / 2


def test_a_drawing_a_page_and_something_like_a_photo_are_told_apart():
    pictures = {"drawing": cartoon(), "text": text_page(), "photo": pink_noise(400)}
    assert {kind: look_at(Picture(pixels=pixels)).kind for kind, pixels in pictures.items()} == {
        kind: kind for kind in pictures
    }
    assert {kind: look_at(Picture(pixels=as_jpeg(pixels, 85))).kind for kind, pixels in pictures.items()} == {
        kind: kind for kind in pictures
    }


def test_only_text_has_much_text():
    shares = [look_at(Picture(pixels=pixels)).text_share for pixels in (text_page(), cartoon(), pink_noise(400))]
    assert shares[0] > 0.3
    assert max(shares[1:]) < 0.05


def test_colours_under_transparency_change_nothing():
    pixels, alpha = cartoon(300), np.zeros((300, 300), np.uint8)
    cv2.circle(alpha, (150, 150), 120, 255, -1)
    garbage = np.random.default_rng(0).integers(0, 256, pixels.shape, np.uint8)
    hidden = np.where(alpha[..., None] > 0, pixels, garbage)
    assert look_at(Picture(pixels=hidden, alpha=alpha)) == look_at(Picture(pixels=pixels, alpha=alpha))


def test_16_bits_look_like_8():
    pixels = pink_noise(256)
    assert look_at(Picture(pixels=pixels.astype(np.uint16) * 257)) == look_at(Picture(pixels=pixels))


def test_gray_is_seen_in_one_channel_and_in_three():
    gray = pink_noise(128, channels=1)
    assert look_at(Picture(pixels=gray[..., 0])) == look_at(Picture(pixels=np.repeat(gray, 3, axis=2)))
    assert look_at(Picture(pixels=gray[..., 0])).is_gray
    assert not look_at(Picture(pixels=pink_noise(128))).is_gray


@pytest.mark.parametrize("size_wh", [(1, 1), (2, 3000), (8000, 1), (63, 500), (5, 5), (700, 15)])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_whatever_is_too_small_to_tell_is_a_photo(size_wh, depth):
    rng = np.random.default_rng(0)
    for shape in (size_wh[::-1], (*size_wh[::-1], 3)):
        pixels = rng.integers(0, np.iinfo(depth).max, shape).astype(depth)
        alpha = rng.integers(0, np.iinfo(depth).max, size_wh[::-1]).astype(depth)
        assert look_at(Picture(pixels=pixels)).kind == "photo"
        assert look_at(Picture(pixels=pixels, alpha=alpha)).kind == "photo"


def test_what_is_all_transparent_or_all_one_colour_has_no_detail_to_lose():
    blank = np.full((300, 200, 3), 90, np.uint8)
    assert look_at(Picture(pixels=blank)).empty_octaves == 2
    assert look_at(Picture(pixels=blank, alpha=np.zeros((300, 200), np.uint8))).kind == "photo"


def test_the_same_picture_looks_the_same_twice():
    pixels = pink_noise(900)
    assert look_at(Picture(pixels=pixels)) == look_at(Picture(pixels=pixels.copy()))


def test_everything_seen_lies_in_its_range():
    for pixels in (cartoon(), text_page(), pink_noise(300), np.zeros((90, 90), np.uint8)):
        traits = look_at(Picture(pixels=pixels))
        assert isinstance(traits, Traits)
        for value in (traits.kind_confidence, traits.sharpness, traits.half_sharpness, traits.text_share):
            assert 0 <= value <= 1


def test_real_photos_are_photos_as_telegram_sends_them(shared):
    paths = [
        *sorted((shared / "images/eval/kodak").glob("*.png")),
        *sorted((shared / "images/photos").glob("oldphoto*")),
    ]
    pictures = {path.name: np.asarray(Image.open(path).convert("RGB")) for path in paths}
    mistaken = [
        (name, quality)
        for name, pixels in pictures.items()
        for quality in (85, 50)
        if look_at(Picture(pixels=as_jpeg(pixels, quality))).kind != "photo"
    ]
    assert mistaken == []
