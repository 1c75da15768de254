"""How a result came to be, inside the result: a recipe as JSON in an XMP packet (ISO 16684-1).

PNG keeps the packet in an ``iTXt`` chunk, JPEG in an ``APP1`` segment, WebP in an ``XMP`` chunk, where every program
that shows metadata finds it. What is read back comes from anybody: containers are walked by their lengths without
decoding a pixel, the XML may not declare a type, and sizes have limits.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from xml.parsers import expat
from xml.sax.saxutils import escape

from models.errors import OptionsError

NAMESPACE = "urn:restora:recipe:1/"
PROPERTY = "Recipe"
MAX_JSON_BYTES = 60_000  # once in XML; what one APP1 segment has room for besides the packet's frame
MAX_PACKET_BYTES = 1_000_000
MAX_DEPTH = 32  # elements within each other; ours is the fourth
MAX_PARTS = 100_000  # chunks or segments that are walked over; our PNG of 96 megapixels has some 600
MAX_PACKETS = 16

PNG_SIGNATURE, JPEG_START = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
PNG_KEYWORD, JPEG_KEYWORD = b"XML:com.adobe.xmp\0", b"http://ns.adobe.com/xap/1.0/\0"

PACKET = """\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:restora="{namespace}">
<xmp:CreatorTool>{creator}</xmp:CreatorTool>
<restora:{property}>{recipe}</restora:{property}>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""


class NoRecipe(Exception):  # noqa: N818  never leaves this module
    """What the file is instead, as the end of a sentence."""


def recipe_packet(recipe: Mapping[str, object]) -> bytes:
    """An XMP packet that holds a recipe.

    Args:
        recipe: anything JSON can hold; the same content gives the same bytes in whatever order it was put in.
            ``version``, if there, is named as the version of the program.

    Raises:
        OptionsError: not to be had as JSON, or longer than a JPEG segment has room for.
    """
    try:
        text = json.dumps(recipe, sort_keys=True, allow_nan=False, separators=(",", ":"))  # ASCII: XML takes it all
    except (TypeError, ValueError, RecursionError) as exc:
        raise OptionsError(f"the recipe cannot be written as JSON: {exc}") from exc
    escaped = escape(text)
    if len(escaped) > MAX_JSON_BYTES:
        raise OptionsError(f"the recipe takes {len(escaped):,} bytes, the limit is {MAX_JSON_BYTES:,}")
    version = "".join(letter for letter in str(recipe.get("version", ""))[:100] if letter.isprintable())
    packet = PACKET.format(
        namespace=NAMESPACE, creator=escape(f"Restora {version}".strip()), property=PROPERTY, recipe=escaped
    )
    return packet.encode()


def read_recipe(data: bytes) -> dict[str, object]:
    """The recipe inside a PNG, JPEG or WebP file.

    Args:
        data: the whole file, from anybody; pixels are not looked at.

    Raises:
        OptionsError: there is none, or it is damaged; the message says which.
    """
    try:
        return _parsed(_recipe_text(data))
    except NoRecipe as exc:
        raise OptionsError(f"no recipe: the file {exc}") from exc


def _recipe_text(data: bytes) -> str:
    walk = next((walk for start, walk in _WALKS if data.startswith(start)), None)
    if walk is None:
        raise NoRecipe("is no PNG, JPEG or WebP")
    for packet in islice(walk(data), MAX_PACKETS):
        text = _text_in(packet) if len(packet) <= MAX_PACKET_BYTES else None
        if text is not None:
            return text
    raise NoRecipe("was not made by Restora, or its description was removed")


def _png_packets(data: bytes) -> Iterator[bytes]:
    """Every XMP packet, as far as the chunks can be followed; the same for the other formats below."""
    offset = len(PNG_SIGNATURE)
    for _ in range(MAX_PARTS):
        if offset + 8 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, offset)
        if kind == b"iTXt" and data.startswith(PNG_KEYWORD, offset + 8):
            yield _png_text(data[offset + 8 + len(PNG_KEYWORD) : offset + 8 + length])
        offset += 12 + length


def _png_text(body: bytes) -> bytes:
    """The text of an iTXt chunk, after the keyword: whether compressed, how, language, translated keyword, text."""
    compressed, method = body[:1], body[1:2]
    *_, text = body[2:].split(b"\0", 2)
    if compressed != b"\1" or method != b"\0":
        return text
    try:  # ours is not, but a program that optimises PNG may have done it
        return zlib.decompressobj().decompress(text, MAX_PACKET_BYTES + 1)
    except zlib.error:
        return b""


def _jpeg_packets(data: bytes) -> Iterator[bytes]:
    offset = len(JPEG_START)
    for _ in range(MAX_PARTS):
        if offset + 4 > len(data) or data[offset] != 0xFF or data[offset + 1] == 0xDA:  # up to the scan
            return
        if data[offset + 1] in {0xFF, 0x01, *range(0xD0, 0xD9)}:  # fill bytes and markers without a body
            offset += 1 if data[offset + 1] == 0xFF else 2
            continue
        length = int.from_bytes(data[offset + 2 : offset + 4], "big")
        if data[offset + 1] == 0xE1 and data.startswith(JPEG_KEYWORD, offset + 4):
            yield data[offset + 4 + len(JPEG_KEYWORD) : offset + 2 + length]
        offset += 2 + max(length, 2)


def _webp_packets(data: bytes) -> Iterator[bytes]:
    offset = len(b"RIFF....WEBP")
    for _ in range(MAX_PARTS):
        if data[8:12] != b"WEBP" or offset + 8 > len(data):
            return
        kind, length = struct.unpack_from("<4sI", data, offset)
        if kind == b"XMP ":
            yield data[offset + 8 : offset + 8 + length]
        offset += 8 + length + length % 2


_WALKS: tuple[tuple[bytes, Callable[[bytes], Iterator[bytes]]], ...] = (
    (PNG_SIGNATURE, _png_packets),
    (JPEG_START, _jpeg_packets),
    (b"RIFF", _webp_packets),
)


def _text_in(packet: bytes) -> str | None:
    """What the packet holds under our name, as element or, where a program rewrote it, as attribute."""
    reader = _PacketReader()
    try:
        reader.parser.Parse(packet.strip(b"\0 \r\n\t"), True)
    except expat.ExpatError as exc:
        raise NoRecipe(f"has a damaged description: {exc}") from exc
    return reader.found


class _PacketReader:
    """Collects our property. Expat does not nest calls, so depth costs it memory only; that has a limit, too."""

    def __init__(self) -> None:
        self.found: str | None = None
        self._pieces: list[str] | None = None
        self._depth = 0
        self.parser = expat.ParserCreate("utf-8", " ")  # whatever encoding the packet may name
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text

    def _refuse(self, *_declared: object) -> None:
        # Entities that multiply, and files and addresses to be fetched, are all declared there.
        raise NoRecipe("has a description with a document type, which none needs")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise NoRecipe(f"has a description of more than {MAX_DEPTH} elements within each other")
        if self.found is None:
            self.found = attributes.get(f"{NAMESPACE} {PROPERTY}")
        if name == f"{NAMESPACE} {PROPERTY}":
            self._pieces = []

    def _text(self, text: str) -> None:
        if self._pieces is not None:
            self._pieces.append(text)

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._pieces is not None and name == f"{NAMESPACE} {PROPERTY}":
            if self.found is None:
                self.found = "".join(self._pieces)
            self._pieces = None


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def _parsed(text: str) -> dict[str, object]:
    try:
        recipe = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        raise NoRecipe(f"has a damaged recipe: {exc}") from exc
    if not isinstance(recipe, dict):
        raise NoRecipe(f"has a recipe that is no table of names but a {type(recipe).__name__}")
    return recipe
