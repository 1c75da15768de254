"""Things that have something of a face and are none, drawn here."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

RGB = NDArray[np.uint8]
SIDE = 480


def blank(gray: int = 200) -> RGB:
    return np.full((SIDE, SIDE, 3), gray, np.uint8)


def clock() -> RGB:
    """A dial with hands that could be a nose and a mouth."""
    picture = blank()
    cv2.circle(picture, (240, 240), 150, (245, 240, 225), -1, cv2.LINE_AA)
    cv2.circle(picture, (240, 240), 150, (60, 40, 20), 8, cv2.LINE_AA)
    for hour in range(12):
        turn = np.radians(30 * hour)
        at = (round(240 + 125 * np.sin(turn)), round(240 - 125 * np.cos(turn)))
        cv2.circle(picture, at, 9, (30, 30, 30), -1, cv2.LINE_AA)
    for end, width in (((180, 200), 10), ((300, 200), 10), ((240, 310), 3)):
        cv2.line(picture, (240, 240), end, (20, 20, 20), width, cv2.LINE_AA)
    return picture


def house() -> RGB:
    """Two windows, a door in the middle and a wide step: a face to people."""
    picture = blank(150)
    cv2.rectangle(picture, (100, 130), (380, 420), (205, 170, 140), -1)
    cv2.fillPoly(picture, [np.array([(80, 130), (240, 40), (400, 130)])], (140, 60, 50))
    for left in (150, 270):
        cv2.rectangle(picture, (left, 190), (left + 60, 240), (40, 50, 70), -1)
        cv2.rectangle(picture, (left, 190), (left + 60, 240), (240, 240, 240), 4)
    cv2.rectangle(picture, (220, 270), (260, 320), (120, 80, 60), -1)
    cv2.rectangle(picture, (170, 350), (310, 380), (90, 40, 40), -1)
    return picture


def socket() -> RGB:
    """A power socket: two holes and an earth pin in a round plate."""
    picture = blank(225)
    cv2.circle(picture, (240, 240), 130, (250, 248, 240), -1, cv2.LINE_AA)
    cv2.circle(picture, (240, 240), 130, (160, 160, 150), 5, cv2.LINE_AA)
    for x in (195, 285):
        cv2.circle(picture, (x, 220), 18, (25, 25, 25), -1, cv2.LINE_AA)
    cv2.ellipse(picture, (240, 300), (50, 18), 0, 0, 180, (60, 60, 60), -1, cv2.LINE_AA)
    return picture


def faceless_bust() -> RGB:
    """A shop's dummy: a head without features on shoulders, lit from one side."""
    picture = blank(90)
    y, x = np.mgrid[:SIDE, :SIDE]
    head = ((x - 240) / 80) ** 2 + ((y - 190) / 105) ** 2 < 1
    shade = np.clip(190 - (x - 180) * 0.6, 60, 235).astype(np.uint8)
    picture[head] = shade[head][:, None]
    cv2.rectangle(picture, (205, 285), (275, 350), (150, 150, 150), -1)
    cv2.ellipse(picture, (240, 420), (160, 80), 0, 180, 360, (140, 140, 140), -1, cv2.LINE_AA)
    return cv2.GaussianBlur(picture, (0, 0), 1.5)


def bear() -> RGB:
    """A toy animal's head: round ears, two eyes, a muzzle."""
    picture = blank(120)
    for at, radius in (((150, 130), 55), ((330, 130), 55), ((240, 240), 140)):
        cv2.circle(picture, at, radius, (130, 85, 45), -1, cv2.LINE_AA)
    cv2.ellipse(picture, (240, 295), (65, 50), 0, 0, 360, (205, 170, 125), -1, cv2.LINE_AA)
    for x in (190, 290):
        cv2.circle(picture, (x, 210), 14, (20, 15, 10), -1, cv2.LINE_AA)
    cv2.ellipse(picture, (240, 275), (22, 15), 0, 0, 360, (25, 15, 10), -1, cv2.LINE_AA)
    cv2.line(picture, (240, 290), (240, 315), (25, 15, 10), 4, cv2.LINE_AA)
    return picture


def checkerboard() -> RGB:
    y, x = np.mgrid[:SIDE, :SIDE]
    return np.repeat((((x // 24 + y // 24) % 2) * 200 + 20).astype(np.uint8)[..., None], 3, axis=2)


def dots() -> RGB:
    """Spots in rows, among which five lie like a face's everywhere."""
    picture = blank(230)
    for y in range(20, SIDE, 40):
        for x in range(20 + (y // 40 % 2) * 20, SIDE, 40):
            cv2.circle(picture, (x, y), 8, (50, 40, 90), -1, cv2.LINE_AA)
    return picture


def noise() -> RGB:
    return np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def clouds() -> RGB:
    """Noise at all sizes, in which people see faces."""
    rng = np.random.default_rng(1)
    total = np.zeros((SIDE, SIDE), np.float32)
    for cells in (4, 8, 16, 32, 64):
        field = rng.random((cells, cells), np.float32)
        total += cv2.resize(field, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) / cells**0.5
    gray = (255 * (total - total.min()) / np.ptp(total)).astype(np.uint8)
    return np.repeat(gray[..., None], 3, axis=2)


PHANTOMS = {
    draw.__name__: draw for draw in (clock, house, socket, faceless_bust, bear, checkerboard, dots, noise, clouds)
}  # fmt: skip
