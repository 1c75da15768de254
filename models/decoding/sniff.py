"""What a file is, by its first bytes and never by its name."""

from __future__ import annotations

import codecs

from models.errors import CameraRaw, UnsupportedFormat

READABLE = "PNG, JPEG, WebP, HEIC, AVIF, BMP, GIF and TIFF"
NONE = "no picture that can be read here"
INSTEAD = f"what can be read is {READABLE}"

# Names as Pillow knows them. Never EPS (Pillow would start Ghostscript), PSD, JPEG 2000 and dozens of others.
SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
)
AVIF_BRANDS = {b"avif", b"avis"}
HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"}
RAW = "a raw picture of a camera"
OTHER_BRANDS = {b"crx ": RAW, b"M4A ": "a sound", b"M4B ": "a sound"}

# What people send by mistake, in the words they know it by.
OTHERS = (
    (b"%PDF-", "a PDF document"),
    (b"%!PS", "a PostScript drawing"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript drawing"),
    (b"8BPS", "a Photoshop document"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"\0\0\1\0", "a Windows icon"),
    (b"\0\0\2\0\0\0", "a TGA picture"),  # a cursor would have no picture in it
    (b"\0\0\2\0", "a Windows cursor"),
    (b"MM\0+", "a BigTIFF picture of a kind that is rare"),  # big-endian; Pillow takes its header for another
    (b"FUJIFILMCCD-RAW", RAW),
    (b"FOVb", RAW),
    (b"\0MRM", RAW),
    (b"IIRO", RAW),
    (b"IIRS", RAW),
    (b"MMOR", RAW),
    (b"IIU\0", RAW),
    (b"II\x1a\0\0\0HEAPCCDR", RAW),
    (b"gimp xcf", "a GIMP picture"),
    (b"PK\3\4", "a ZIP archive or an office document"),
    (b"Rar!", "an archive"),
    (b"7z\xbc\xaf", "an archive"),
    (b"\x1f\x8b", "an animated sticker or an archive"),
    (b"\x1aE\xdf\xa3", "a video"),
    (b"OggS", "a sound or a video"),
    (b"ID3", "a sound"),
    (b"\xd0\xcf\x11\xe0", "an office document"),
    (b"{\\rtf", "a text document"),
)
HEAD = 1024  # bytes that tell text from anything else


def sniff(data: bytes) -> str:
    """The format a file starts like, as Pillow names it.

    Raises:
        UnsupportedFormat: none that is read here; the message says what it seems to be, and what would do instead.
    """
    if not data:
        raise UnsupportedFormat(f"{NONE}: the file is empty; {INSTEAD}")
    for signature, name in SIGNATURES:
        if data.startswith(signature):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        return _by_brand(data)
    raise refusal(_other(data))


def refusal(words: str) -> UnsupportedFormat:
    """What is raised for a file that seems to be what the words say."""
    if words == RAW:
        return CameraRaw(f"{NONE}: this seems to be {RAW}; export it as JPEG, PNG or TIFF; {INSTEAD}")
    return UnsupportedFormat(f"{NONE}: this seems to be {words}; {INSTEAD}")


def _by_brand(data: bytes) -> str:
    """Pictures and videos share a container; only its brands tell them apart."""
    length = min(int.from_bytes(data[:4]), HEAD)
    brands = {data[at : at + 4] for at in (8, *range(16, length - 3, 4))}
    if brands & AVIF_BRANDS:
        return "AVIF"
    if brands & HEIF_BRANDS:
        return "HEIF"
    raise refusal(OTHER_BRANDS.get(data[8:12], "a video"))


def _other(data: bytes) -> str:
    for signature, words in OTHERS:
        if data.startswith(signature):
            return words
    if data[:4] == b"RIFF":
        return "a sound or a video"
    return _text(data[:HEAD])


def _text(head: bytes) -> str:
    if not head.strip(b"\0"):
        return "a file of zeros, such as a failed download"
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # its last sign may be cut off
    except UnicodeDecodeError:
        return "something else"
    if any(ord(sign) < 32 and sign not in "\t\r\n\f" for sign in text):
        return "something else"
    lowered = text.lower()
    if "<svg" in lowered:
        return "an SVG drawing"
    if "<html" in lowered or "<!doctype html" in lowered:
        return "a web page"
    return "a text"
