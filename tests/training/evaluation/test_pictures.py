from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.evaluation.errors import EvaluationError
from training.evaluation.pictures import (
    KINDS,
    Sample,
    albums,
    generator,
    middle,
    opened,
    refuse_trained,
    sample_of,
    samples,
)

from .makers import gray, originals, smooth


def inputs(sets: dict[str, list[Path]], kinds: tuple[str, ...], seed: int = 0) -> dict[tuple[str, str], bytes]:
    every = samples(sets, kinds, seed=seed, crop=32)
    return {(sample.picture, sample.kind): sample.lq.tobytes() + sample.gt.tobytes() for sample in every}


def test_an_input_is_the_same_in_any_order_and_any_company(tmp_path):
    files = sorted(originals(tmp_path / "own", 3).iterdir())
    forwards = inputs({"own": files}, KINDS)
    assert inputs({"own": files[::-1]}, KINDS[::-1]) == forwards
    alone = inputs({"other name": files[1:2]}, ("as-sent",))
    assert alone == {("blobs1", "as-sent"): forwards["blobs1", "as-sent"]}


def test_another_seed_name_or_kind_is_another_input():
    def lq(**other: object) -> bytes:
        how = {"set_name": "own", "picture": "a", "kind": "blur-noise-jpeg", "seed": 0, **other}
        return sample_of(smooth(0), **how).lq.tobytes()  # type: ignore[arg-type]

    assert len({lq(), lq(seed=1), lq(picture="b"), lq(kind="real-esrgan")}) == 4


def test_chance_is_the_same_on_any_day():
    assert generator(0, "kodim01", "as-sent").integers(1_000_000) == 247876


def test_the_clean_input_is_pillow_s_bicubic():
    original = smooth(5)
    sample = sample_of(original, set_name="own", picture="a", kind="clean", seed=0)
    expected = np.asarray(Image.fromarray(original).resize((16, 16), Image.Resampling.BICUBIC))
    assert np.array_equal(sample.lq, expected)
    assert np.array_equal(sample.gt, original)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_input_is_a_quarter_of_its_original(kind):
    sample = sample_of(smooth(0)[:32], set_name="own", picture="a", kind=kind, seed=0)
    assert (sample.gt.shape, sample.lq.shape) == ((32, 64, 3), (8, 16, 3))


@pytest.mark.parametrize("gt", [gray(0, 32, 36), gray(0, 31, 32), gray(0, 32, 32)[..., 0]])
def test_an_original_of_another_size_is_refused(gt):
    with pytest.raises(EvaluationError, match=r"the ground truth of own/a is .* should be 32x32 of 3 channels"):
        Sample(set="own", picture="a", kind="clean", gt=gt, lq=gray(0, 8, 8))


def test_a_picture_too_small_for_a_window_is_refused():
    with pytest.raises(EvaluationError, match="own/a is too small to measure: sides of 19 px at least, not 16x32"):
        Sample(set="own", picture="a", kind="clean", gt=gray(0, 32, 16), lq=gray(0, 8, 4))


def test_the_middle_is_taken_and_sides_that_the_scale_does_not_divide_are_cut():
    picture = np.arange(30 * 50 * 3, dtype=np.int64).reshape(30, 50, 3).astype(np.uint8)
    assert np.array_equal(middle(picture, 16), picture[7:23, 17:33])
    assert middle(picture, 0).shape == (28, 48, 3)


def test_gray_files_come_with_three_colours(tmp_path):
    Image.new("L", (8, 4), 77).save(tmp_path / "a.png")
    assert np.array_equal(opened(tmp_path / "a.png"), gray(77, 4, 8))


def test_a_file_that_is_no_picture_is_refused(tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(EvaluationError, match=r"a\.png cannot be read as a picture"):
        opened(tmp_path / "a.png")


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(EvaluationError, match="no pictures in"):
        albums(tmp_path / "nowhere")


def test_a_quick_look_takes_two_pictures(tmp_path):
    folder = originals(tmp_path / "own", 3)
    assert {name: len(files) for name, files in albums(folder).items()} == {"own": 3}
    assert {name: len(files) for name, files in albums(folder, quick=True).items()} == {"own": 2}


def test_pictures_that_were_trained_on_are_refused_by_their_bytes(tmp_path):
    files = sorted(originals(tmp_path / "own", 3).iterdir())
    index = index_of(tmp_path, files[1])
    refuse_trained([files[0], files[2]], index)
    with pytest.raises(EvaluationError, match=r"1 of the pictures to measure on were trained on, .*: blobs1\.png"):
        refuse_trained(files, index)
    renamed = files[1].rename(tmp_path / "innocent.png")
    with pytest.raises(EvaluationError, match=r"innocent\.png"):
        refuse_trained([renamed], index)


@pytest.mark.parametrize("text", ["", "[]", '{"pictures": [{}]}', '{"pictures": 3}'])
def test_an_index_that_cannot_be_read_refuses_everything(tmp_path, text):
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(EvaluationError, match="is no index of training"):
        refuse_trained([], tmp_path / "index.json")


def index_of(folder: Path, *files: Path) -> Path:
    index = folder / "index.json"
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    index.write_text(json.dumps({"pictures": [{"sha256": digest} for digest in digests]}))
    return index
