"""Whether the last scan of a JPEG in several scans is all there, found out while the file is decoded.

libjpeg fills what a scan lacks with zeros and only warns, which nobody hears; from some row on the picture is then as
coarse as the scans before left it. So the decoder gets everything but the end first, and waits. Behind a whole scan it
looks for the next marker and swallows what is none. Within one it waits for a symbol, and of bits that are all ones it
keeps what is too short for one: no symbol begins with eight of them and ends before sixteen (ITU-T T.81, annex C).
A last scan of which no more than some ten bytes are missing, hence a block or two, counts as whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageFile

DECODER = "restora_jpeg_scans"
END = b"\xff\xd9"
ONES = b"\xff\0"  # eight bits, as they are written
AHEAD = 8  # bytes; libjpeg waits until it sees as many, though it needs none of them
REFINING = 4096  # bits of blocks in which no symbol begins may come first, one byte at a time
RESTART = 16  # bytes behind each restart mark, one of which may be what is waited for
PROBES = (
    ONES * AHEAD,
    *[ONES] * REFINING,
    *(probe for mark in range(0xD0, 0xD8) for probe in (bytes([0xFF, mark]), *[ONES] * RESTART)),
)


@dataclass(frozen=True, slots=True)
class _Parts:
    """A file, and the offset of its picture's end."""

    data: bytes
    end: int


def watch(image: Image.Image, data: bytes, end: int) -> None:
    """Let the loading of a JPEG in several scans end with ValueError where the last of them is not all there.

    Args:
        image: opened from the file, not loaded yet.
        data: the file.
        end: offset of the marker of its picture's end.
    """
    tiles = image.tile  # type: ignore[attr-defined]  # of files
    tiles[:] = [tile._replace(codec_name=DECODER, args=(*tile.args, _Parts(data, end))) for tile in tiles]


class _Decoder(ImageFile.PyDecoder):
    """Pillow's own, fed in such a way that it tells where it is."""

    _pulls_fd = True  # Pillow feeds nothing then

    def init(self, args: tuple[Any, ...]) -> None:
        *arguments, self._parts = args
        self._inner = Image._getdecoder(self.mode, "jpeg", tuple(arguments))  # as Pillow's decoders in Python do

    def setimage(self, im: Any, extents: tuple[int, int, int, int] | None = None) -> None:
        self._inner.setimage(im, extents)

    def cleanup(self) -> None:
        self._inner.cleanup()

    def decode(self, _: Image.DecoderInput) -> tuple[int, int]:
        """Decode all of it; Pillow hands over nothing.

        Raises:
            ValueError: pixels are missing.
        """
        pixels = memoryview(self._parts.data)[: self._parts.end]
        taken, error = self._inner.decode(pixels)
        if taken < 0:
            return taken, error
        rest = bytes(pixels[taken:])
        for probe in PROBES:
            taken, error = self._inner.decode(rest + probe)
            if taken < len(rest) + len(probe):
                raise ValueError("the picture ends before its last rows")
            rest = b""
        taken, error = self._inner.decode(END)
        if taken >= 0:
            raise ValueError("the picture ends before its last rows")
        return taken, error


Image.register_decoder(DECODER, _Decoder)
