"""How many passes a JPEG has, without decoding it."""

from __future__ import annotations

import re

SOS, EOI = 0xDA, 0xD9
# A marker: 0xFF that is neither a stuffed byte of the pixels, nor filling, nor a restart mark.
MARKER = re.compile(rb"\xff([\x02-\xcf\xd8-\xfe])")


def count_scans(data: bytes, *, enough: int) -> int:
    """Number of scans (SOS segments) of the first picture in a file, counted in one pass.

    Args:
        data: a file that starts with a JPEG; what follows its end is not looked at.
        enough: counting stops above this number.

    Returns:
        The number, or ``enough + 1``. Damaged files are walked the way libjpeg does: on to the next marker.
    """
    scans, at = 0, 2  # after SOI
    while found := MARKER.search(data, at):
        marker = found[1][0]
        at = found.end()
        if marker == EOI:
            break
        if marker == SOS:
            scans += 1
            if scans > enough:
                break
        if marker != 0xD8:  # every other one has a length
            at += max(2, int.from_bytes(data[at : at + 2]))
    return scans
