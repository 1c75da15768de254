"""A short run of the fuzzer; ``python -m dev.fuzz_decoder`` is the long one."""

from __future__ import annotations

from random import Random

import pytest

from dev import fuzz_decoder, mutations
from dev.fuzz_decoder import corpus, fuzz, made
from models.decoding import Decoder


def test_spoiled_files_are_pictures_or_errors_of_ours() -> None:
    with Decoder() as decoder:
        tally = fuzz(corpus(None), range(150), seed=1, decoder=decoder)
    assert tally.findings == []
    assert sum(tally.outcomes.values()) == 150
    assert tally.peak_bytes < fuzz_decoder.MAX_MEMORY


def test_spoiled_files_of_every_format_we_can_write_are_as_well() -> None:
    tally = fuzz(made(), range(1500), seed=2, decoder=None)
    assert tally.findings == []
    assert min(tally.outcomes[kind] for kind in ("picture", "DamagedImage", "UnsupportedFormat")) > 50


def test_an_exception_that_is_none_of_ours_is_found_and_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    monkeypatch.setattr(fuzz_decoder, "FINDINGS", folder)

    def breaks(*_: object) -> None:
        raise ZeroDivisionError("of the test")

    seeds = made()[:2]
    monkeypatch.setattr(fuzz_decoder, "decode_here", breaks)
    tally = fuzz(seeds, range(3), seed=3, decoder=None)
    assert len(tally.findings) == 3
    assert "ZeroDivisionError" in tally.findings[0]
    assert {path.suffix for path in folder.iterdir()} == {".bin", ".json"}


def test_an_input_can_be_made_again_from_its_number() -> None:
    seeds = made()
    first, again = (mutations.mutate(seeds[5], Random("0:7"), seeds) for _ in range(2))
    assert first == again != seeds[5]


@pytest.mark.parametrize(
    "data", [*made(), b"", b"\xff\xd8", b"RIFF", b"\x89PNG\r\n\x1a\n"], ids=lambda data: f"{data[:4]!r}-{len(data)}"
)
def test_blocks_together_are_the_file(data: bytes) -> None:
    assert b"".join(mutations.blocks(data)) == data


def test_every_mutation_takes_any_file() -> None:
    for number, mutation in enumerate(mutations.MUTATIONS):
        for data in (b"", b"x", made()[0]):
            assert isinstance(mutation(data, Random(number), [b"", data]), bytes)
