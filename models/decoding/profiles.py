"""ICC profiles for colour spaces that files name by a number (ITU-T H.273), so that one colour engine serves all.

A profile of three primaries and one curve says everything about these spaces. HDR curves (PQ and HLG) are made for
screens far brighter than ours: what lies above diffuse white is rolled off, see :func:`_rolled_off`.
"""

from __future__ import annotations

import struct
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SRGB_LIKE = {1, 2, 6, 13, 14, 15}  # transfer functions that pictures use for what screens show as sRGB
SAME_PRIMARIES = {1, 2}
PRIMARIES = {  # x and y of red, green, blue, white
    4: (0.67, 0.33, 0.21, 0.71, 0.14, 0.08, 0.310, 0.316),
    5: (0.64, 0.33, 0.29, 0.60, 0.15, 0.06, 0.3127, 0.3290),
    6: (0.63, 0.34, 0.31, 0.595, 0.155, 0.07, 0.3127, 0.3290),
    7: (0.63, 0.34, 0.31, 0.595, 0.155, 0.07, 0.3127, 0.3290),
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290),  # BT.2020
    11: (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.314, 0.351),
    12: (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.3127, 0.3290),  # Display P3
}
BT709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
SRGB_GAMMA = 45_455  # of 100,000; what programs write that mean sRGB
NEAR = 0.05  # of it, within which nothing else is meant
GAMMA_RANGE = range(10_000, 1_000_001)  # of 100,000; beyond it no picture would be left
POINT_TOLERANCE = 0.01  # of x and y; programs round them
LEAST_Y, LEAST_AREA, MOST_XYZ = 0.001, 0.01, 4.0  # of chromaticities and of what they lead to
PQ, HLG = 16, 18
DIFFUSE_WHITE = 203.0  # cd/m²; ITU-R BT.2408
HLG_PEAK = 1000.0  # cd/m²; nominal
KNEE = 0.6  # of our white; linear light above it is rolled off
CURVE_POINTS = 4096
MAX_TAGS = 100  # of a profile
SAME_CODE = 1 / 512  # of the range of code values; tables of sRGB are rounded
PARAMETERS = {0: "g", 1: "gab", 2: "gabc", 3: "gabcd", 4: "gabcdef"}  # of the kinds of curves, in their order

D50 = np.array([0.9642, 1.0, 0.8249])
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


@lru_cache(maxsize=16)
def profile_of(primaries: int, transfer: int) -> bytes | None:
    """The ICC profile of a pair of code points; None where that means sRGB, or nothing that is known."""
    same = primaries in SAME_PRIMARIES or primaries not in PRIMARIES
    if same and (transfer in SRGB_LIKE or transfer not in {*GAMMAS, PQ, HLG}):
        return None
    return _display_profile(colorants(PRIMARIES.get(primaries, BT709)), _curve(transfer))


@lru_cache(maxsize=16)
def measured_profile(gamma: int | None, chromaticities: tuple[float, ...] | None, *, is_gray: bool) -> bytes | None:
    """The ICC profile of a PNG's gAMA and cHRM; None where they mean sRGB, or nothing that could be.

    Args:
        gamma: exponent of the curve from light to levels, times 100,000; None: that of sRGB.
        chromaticities: x and y of red, green, blue, white; None: those of sRGB.
        is_gray: for pixels that keep it and have no colours, so that it must not have any.
    """
    has_curve = gamma is not None and gamma in GAMMA_RANGE and abs(gamma / SRGB_GAMMA - 1) > NEAR
    code = np.linspace(0.0, 1.0, CURVE_POINTS)
    curve = code ** (100_000 / gamma) if gamma and has_curve else srgb_light(code)
    if is_gray:
        return icc_profile("mntr", "GRAY", "XYZ ", {b"kTRC": _trc(curve)}) if has_curve else None
    columns = None if chromaticities is None else _sound_colorants(chromaticities)
    is_wide = columns is not None and np.abs(np.subtract(chromaticities or (), BT709)).max() > POINT_TOLERANCE
    if not has_curve and not is_wide:
        return None
    return _display_profile(columns if columns is not None and is_wide else colorants(BT709), curve)


@lru_cache(maxsize=16)
def gray_profile(profile: bytes) -> bytes | None:
    """The ICC profile of the grays of a profile for colours; None where they are those of sRGB.

    Args:
        profile: ICC, of three primaries and one curve, as those of screens and cameras are.

    Raises:
        ValueError: it is none such: it has tables, or a curve for each colour.
        struct.error: it is cut off.
    """
    count = min(struct.unpack_from(">I", profile, 128)[0], MAX_TAGS)
    entries = [struct.unpack_from(">4sII", profile, 132 + 12 * index) for index in range(count)]
    tags = {name: profile[at : at + length] for name, at, length in entries}
    curves = {tags.get(name) for name in (b"rTRC", b"gTRC", b"bTRC")}
    curve = curves.pop()
    if curve is None or curves or b"A2B0" in tags:
        raise ValueError("a profile without one curve for all colours")
    code = np.linspace(0.0, 1.0, CURVE_POINTS)
    light = np.clip(_described(curve, code), 0.0, 1.0)
    if not np.isfinite(light).all():
        raise ValueError("a curve that is not finite")
    if np.abs(srgb_code(light) - code).max() < SAME_CODE:
        return None
    return icc_profile("mntr", "GRAY", "XYZ ", {b"kTRC": _trc(light)})


def _described(curve: bytes, code: Floats) -> Floats:
    """Linear light of code values by a curve tag (ICC.1, curveType and parametricCurveType)."""
    if curve[:4] == b"para":
        return _by_formula(curve, code)
    if curve[:4] != b"curv":
        raise ValueError("a curve of an unknown kind")
    count = struct.unpack_from(">I", curve, 8)[0]
    if count == 0:
        return code
    if count == 1:
        gamma: int = struct.unpack_from(">H", curve, 12)[0]
        return code ** (gamma / 256)
    table = np.frombuffer(curve, ">u2", count, 12) / 65535
    light: Floats = np.interp(code, np.linspace(0.0, 1.0, count), table)
    return light


def _by_formula(curve: bytes, code: Floats) -> Floats:
    names = PARAMETERS.get(struct.unpack_from(">H", curve, 8)[0])
    if names is None:
        raise ValueError("a curve of an unknown kind")
    numbers: tuple[int, ...] = struct.unpack_from(f">{len(names)}i", curve, 12)
    given = {"a": 1.0} | {name: number / 65536 for name, number in zip(names, numbers, strict=True)}
    a, b, c, d, e, f, g = (given.get(name, 0.0) for name in "abcdefg")
    power = np.maximum(a * code + b, 0.0) ** g
    if "d" not in names:  # the same constant on both sides of where the power begins
        return power + c
    return np.where(code >= d, power + e, c * code + f)


def srgb_code(light: Floats) -> Floats:
    """Code values in sRGB of linear light, both in [0, 1]."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def _sound_colorants(chromaticities: tuple[float, ...]) -> Floats | None:
    """Those of primaries that span colours; None for others, which no screen or camera has."""
    points = np.array(chromaticities).reshape(4, 2)
    area = np.linalg.det(np.column_stack([points[:3], np.ones(3)]))
    if points.min() < 0 or points.max() > 1 or points[:, 1].min() < LEAST_Y or abs(area) < LEAST_AREA:
        return None
    columns = colorants(chromaticities)
    return columns if np.abs(columns).max() <= MOST_XYZ else None


def _curve(transfer: int) -> Floats:
    """Linear light in [0, 1] of equally spaced code values."""
    code = np.linspace(0.0, 1.0, CURVE_POINTS)
    if transfer == PQ:
        return _rolled_off(_pq(code) / DIFFUSE_WHITE)
    if transfer == HLG:
        return _rolled_off(_hlg(code) ** 1.2 * HLG_PEAK / DIFFUSE_WHITE)
    if transfer in GAMMAS:
        return code ** GAMMAS[transfer]
    return srgb_light(code)


def srgb_light(code: Floats) -> Floats:
    """Linear light of sRGB code values, both in [0, 1]."""
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


def _pq(code: Floats) -> Floats:
    """SMPTE ST 2084, in cd/m²."""
    power = code ** (32 / 2523)
    return 10_000.0 * (np.maximum(power - 0.8359375, 0.0) / (18.8515625 - 18.6875 * power)) ** (8192 / 1305)


def _hlg(code: Floats) -> Floats:
    """Scene light in [0, 1] of ARIB STD-B67."""
    above = (np.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12
    return np.where(code <= 0.5, code**2 / 3, above)


def _rolled_off(light: Floats) -> Floats:
    """Light where 1 is diffuse white, into [0, 1]: as it is up to the knee, then slower and slower."""
    above = np.maximum(light - KNEE, 0.0) / (1 - KNEE)
    return np.where(light <= KNEE, light, KNEE + (1 - KNEE) * above / (above + 1))


def colorants(chromaticities: tuple[float, ...]) -> Floats:
    """Columns are the XYZ of red, green and blue, adapted to D50 after Bradford."""
    points = np.array(chromaticities).reshape(4, 2)
    xyz = np.stack([points[:, 0] / points[:, 1], np.ones(4), (1 - points.sum(axis=1)) / points[:, 1]])
    unscaled, white = xyz[:, :3], xyz[:, 3]
    scaled = unscaled * np.linalg.solve(unscaled, white)
    gains = (BRADFORD @ D50) / (BRADFORD @ white)
    adapted: Floats = np.linalg.inv(BRADFORD) @ np.diag(gains) @ BRADFORD @ scaled
    return adapted


def _display_profile(columns: Floats, curve: Floats) -> bytes:
    trc = _trc(curve)
    tags = {b"rgb"[index : index + 1] + b"XYZ": _xyz(columns[:, index]) for index in range(3)}
    return icc_profile("mntr", "RGB ", "XYZ ", {**tags, **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), trc)})


def _trc(curve: Floats) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">I", len(curve)) + np.rint(curve * 65535).astype(">u2").tobytes()


def icc_profile(kind: str, space: str, connection: str, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile of version 2.4: header, table of tags, tags.

    Args:
        kind: signature of its class, such as ``mntr``.
        space: of the colours, such as ``RGB ``.
        connection: of the colours it leads to, ``XYZ `` or ``Lab ``.
        tags: what makes it; name, copyright and white are added.
    """
    name = b"Restora\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(78),
        b"cprt": b"text\0\0\0\0CC0\0",
        b"wtpt": _xyz(D50),
        **tags,
    }
    body, table = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for tag, content in tags.items():
        table += tag + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    signatures = (part.encode() for part in (kind, space, connection))
    header = struct.pack(">I4xI4s4s4s", start + len(body), 0x02400000, *signatures)
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _fixed(D50)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _xyz(values: Floats) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(values)


def _fixed(values: Floats) -> bytes:
    return struct.pack(">3i", *(round(float(value) * 65536) for value in values))
