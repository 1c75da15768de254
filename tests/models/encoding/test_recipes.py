from __future__ import annotations

import json
import random
import struct
import subprocess
import sys
import tracemalloc
import zlib
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.cli import main
from models.encoding import encode, read_recipe
from models.encoding.recipes import recipe_packet
from models.errors import OptionsError
from models.picture import Picture
from tests.models.encoding.containers import jpeg_segments, png_chunks, webp_chunks
from tests.models.toys import noise, opened, png, saved

PICTURE = Picture(pixels=noise(24, 16, 3))
RECIPE: dict[str, Any] = {
    "version": "1.2.3",
    "model": {"name": "RealESRGAN_x4plus", "sha256": "4fa0d38905f7"},
    "seed": 7,
    "seconds": 1.25,
    "words": ["старое фото", "<b>&amp; ]]> \"quoted\" 'it'", "\x00\x1b[31m", "\ud800", "\ufffe", "🖼️"],
    "nothing": None,
}
FORMATS = ("png", "jpeg", "webp")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize("wanted", FORMATS)
def test_a_recipe_comes_back_out_of_every_format(wanted):
    assert read_recipe(encode(PICTURE, wanted, recipe=RECIPE).data) == RECIPE


@settings(max_examples=30, deadline=None)
@given(recipe=st.dictionaries(st.text(), JSON, max_size=5), wanted=st.sampled_from(FORMATS))
def test_whatever_json_can_hold_comes_back(recipe, wanted):
    assert read_recipe(encode(PICTURE, wanted, recipe=recipe).data) == recipe


@pytest.mark.parametrize("wanted", FORMATS)
def test_the_order_in_which_a_recipe_was_written_down_changes_no_byte(wanted):
    backwards = dict(reversed(RECIPE.items()))
    assert encode(PICTURE, wanted, recipe=backwards).data == encode(PICTURE, wanted, recipe=RECIPE).data


@pytest.mark.parametrize("wanted", FORMATS)
def test_other_programs_find_the_packet_and_the_name_of_the_program(wanted):
    packet = opened(encode(PICTURE, wanted, recipe=RECIPE).data).info["xmp"]
    assert b"<xmp:CreatorTool>Restora 1.2.3</xmp:CreatorTool>" in packet
    assert packet.startswith(b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>')


def test_the_packet_lies_where_each_format_wants_it():
    files = {wanted: encode(PICTURE, wanted, recipe=RECIPE).data for wanted in FORMATS}
    packet = recipe_packet(RECIPE)
    assert (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet) in png_chunks(files["png"])
    assert (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet) in jpeg_segments(files["jpeg"])[0]
    assert (b"XMP ", packet) in webp_chunks(files["webp"])


def test_without_a_recipe_nothing_is_said():
    for wanted in FORMATS:
        data = encode(PICTURE, wanted).data
        assert b"adobe" not in data
        with pytest.raises(OptionsError, match="no recipe: the file was not made by Restora"):
            read_recipe(data)


@pytest.mark.parametrize(
    ("recipe", "why"),
    [
        ({"pixels": np.zeros(3)}, "cannot be written as JSON"),
        ({"seconds": float("nan")}, "cannot be written as JSON"),
        ({"log": "x" * 60_000}, r"takes 60,010 bytes, the limit is 60,000"),
    ],
)
def test_a_recipe_that_cannot_be_kept_is_refused_before_anything_is_written(recipe, why):
    with pytest.raises(OptionsError, match=why):
        encode(PICTURE, recipe=recipe)


def in_png(packet: bytes) -> bytes:
    body = b"XML:com.adobe.xmp\0\0\0\0\0" + packet
    chunk = struct.pack(">I", len(body)) + b"iTXt" + body + struct.pack(">I", zlib.crc32(b"iTXt" + body))
    plain = png(noise(2, 2))
    return plain[:33] + chunk + plain[33:]


OURS = recipe_packet({"a": 1}).decode()
LAUGHS = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(12))


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        ("", "damaged description"),
        ("<a>", "damaged description"),
        ("<a/>", "not made by Restora"),
        (OURS.replace('{"a":1}', "[1]"), "is no table of names but a list"),
        (OURS.replace('{"a":1}', '{"a":'), "damaged recipe"),
        (OURS.replace('{"a":1}', '{"a":NaN}'), "damaged recipe"),
        (OURS.replace('{"a":1}', "[" * 50_000), "damaged recipe"),
        (OURS.replace('{"a":1}', '{"a":' + "9" * 20_000 + "}"), "damaged recipe"),
        (f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><a>&l12;</a>', "document type"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "document type"),
        ("<a>" * 100_000, "more than 32 elements"),
        (OURS + "x" * 1_000_000, "not made by Restora"),
        ('<?xml version="1.0" encoding="zlib"?><a>\xff</a>', "damaged description|not made by"),
    ],
)
def test_a_hostile_description_gives_one_error_that_says_why(packet, why):
    with pytest.raises(OptionsError, match=why) as caught:
        read_recipe(in_png(packet.encode("utf-8")))
    assert "\n" not in str(caught.value)


def test_a_packet_compressed_by_an_optimiser_is_read_and_a_bomb_is_not():
    def compressed(packet: bytes) -> bytes:
        body = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(packet)
        return png(noise(2, 2))[:33] + struct.pack(">I", len(body)) + b"iTXt" + body + b"...."

    assert read_recipe(compressed(OURS.encode())) == {"a": 1}
    bomb = compressed(b" " * 50_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(OptionsError, match="not made by Restora"):
            read_recipe(bomb)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_program_that_rewrote_the_property_as_an_attribute_does_no_harm():
    assert '<restora:Recipe>{"a":1}</restora:Recipe>' in OURS
    rewritten = OURS.replace('<restora:Recipe>{"a":1}</restora:Recipe>', "").replace(
        'rdf:about=""', """rdf:about="" restora:Recipe='{"a":1}'"""
    )
    assert read_recipe(in_png(rewritten.encode())) == {"a": 1}


@settings(max_examples=300, deadline=None)
@given(start=st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe1", b"RIFF....WEBP"]), rest=st.binary())
def test_random_bytes_have_no_recipe(start, rest):
    with pytest.raises(OptionsError):
        read_recipe(start + rest)


@pytest.mark.parametrize("wanted", FORMATS)
def test_a_damaged_file_gives_the_recipe_or_the_error_and_nothing_else(wanted):
    data, chance = encode(PICTURE, wanted, recipe=RECIPE).data, random.Random(3)
    for _ in range(400):
        broken = bytearray(data[: chance.randrange(1, len(data))] if chance.random() < 0.3 else data)
        for _ in range(chance.randrange(1, 6)):
            broken[chance.randrange(min(len(broken), 1500))] = chance.randrange(256)
        with suppress(OptionsError):
            assert isinstance(read_recipe(bytes(broken)), dict)


def test_every_hostile_picture_has_no_recipe(shared):
    for path in sorted((shared / "images" / "hostile").iterdir()):
        if path.is_file():
            with pytest.raises(OptionsError, match="no recipe"):
                read_recipe(path.read_bytes())


def test_the_command_prints_the_recipe_as_json(tmp_path, capsys):
    path = tmp_path / "result.jpg"
    path.write_bytes(encode(PICTURE, "jpeg", recipe=RECIPE).data)
    assert main(["recipe", str(path)]) == 0
    printed = capsys.readouterr().out
    assert json.loads(printed) == RECIPE
    assert printed.isascii()


def test_the_command_fails_with_one_line_where_there_is_none(tmp_path, capsys):
    path = tmp_path / "plain.png"
    path.write_bytes(png(noise(2, 2)))
    for file in (path, tmp_path / "missing.png"):
        assert main(["recipe", str(file)]) == 1
        out, error = capsys.readouterr()
        assert (out, error.count("\n")) == ("", 1)
        assert error.startswith("error: ")


def test_reading_a_recipe_loads_no_torch(tmp_path):
    code = "import sys, models.cli; models.cli.main(['recipe', sys.argv[1]]); sys.exit('torch' in sys.modules)"
    path = tmp_path / "result.png"
    path.write_bytes(encode(PICTURE, "png", recipe=RECIPE).data)
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, stdout=subprocess.DEVNULL)


def test_a_photo_of_someone_else_that_carries_xmp_has_no_recipe():
    foreign = saved(opened(png(noise(8, 8, 3))), "JPEG", xmp=b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>')
    with pytest.raises(OptionsError, match="not made by Restora"):
        read_recipe(foreign)
