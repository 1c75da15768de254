"""From folders of pictures to patches."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.training.conftest import PICTURES, data_settings
from training.degradations import as_levels
from training.drawings import drawing
from training.errors import DataError
from training.patches import INDEX, open_patches, prepare, split_of

FILES = ("gt.npy", "lq.npy", INDEX)


@pytest.fixture
def mine(pictures, tmp_path):
    """A copy of the pictures, to add to."""
    return shutil.copytree(pictures, tmp_path / "mine")


def index_of(patches):
    return json.loads((patches.folder / INDEX).read_text("utf-8"))


def test_the_same_pictures_and_settings_give_the_same_bytes(prepared, mine, tmp_path):
    again = prepare(data_settings(mine, tmp_path / "again"))
    assert again.digest == prepared.digest
    for name in FILES:
        assert (again.folder / name).read_bytes() == (prepared.folder / name).read_bytes(), name


def test_another_seed_cuts_and_spoils_elsewhere(prepared, pictures, tmp_path):
    other = prepare(data_settings(pictures, tmp_path / "other", seed=1))
    assert other.digest != prepared.digest
    assert not np.array_equal(other.gt, prepared.gt)


def test_patches_are_what_their_box_in_their_picture_says(prepared, pictures):
    index = index_of(prepared)
    files = {file.name: file for file in pictures.rglob("*.png")}
    for number, entry in enumerate(index["patches"]):
        whole = Image.open(files[index["pictures"][entry["picture"]]["file"]])
        size = (round(whole.width * entry["size"]), round(whole.height * entry["size"]))
        small = whole if entry["size"] == 1 else whole.resize(size, Image.Resampling.LANCZOS)
        np.testing.assert_array_equal(np.asarray(small.crop(entry["box"])), prepared.gt[number])


def test_degraded_patches_are_a_quarter_and_of_the_same_place(prepared):
    assert prepared.gt.shape == (12, 96, 96, 3)
    assert prepared.lq.shape == (12, 24, 24, 3)
    for gt, lq in zip(prepared.gt, prepared.lq, strict=True):
        reduced = np.asarray(Image.fromarray(gt).resize((24, 24), Image.Resampling.BOX), float)
        other = np.asarray(Image.fromarray(gt[::-1].copy()).resize((24, 24), Image.Resampling.BOX), float)
        assert np.abs(reduced - lq).mean() < np.abs(other - lq).mean()


def test_a_picture_is_on_one_side_of_the_split_with_all_its_patches(prepared):
    index = index_of(prepared)
    sides = {}
    for entry, split in zip(index["patches"], prepared.splits, strict=True):
        assert entry["split"] == split == index["pictures"][entry["picture"]]["split"]
        sides.setdefault(entry["picture"], set()).add(split)
    assert len(sides) == PICTURES
    assert all(len(side) == 1 for side in sides.values())
    both = set(prepared.numbers("train")), set(prepared.numbers("validation"))
    assert all(both)
    assert both[0] | both[1] == set(range(12))
    assert not both[0] & both[1]


def test_a_picture_s_side_depends_on_its_bytes_alone():
    digests = [f"{number * 2654435761 % 2**32:08x}" + "0" * 56 for number in range(2000)]
    sides = [split_of(digest, 0.1) for digest in digests]
    assert sides.count("validation") == pytest.approx(200, abs=40)
    assert sides == [split_of(digest, 0.1) for digest in digests]
    assert all(
        split_of(digest, 0.2) == "validation" for digest, side in zip(digests, sides, strict=True) if side != "train"
    )


def test_the_same_picture_twice_never_lies_on_both_sides(mine, tmp_path):
    for file in [*mine.rglob("*.png")]:
        shutil.copy(file, mine / f"copy of {file.name}")
    index = index_of(prepare(data_settings(mine, tmp_path / "twice")))
    sides = {}
    for picture in index["pictures"]:
        sides.setdefault(picture["sha256"], set()).add(picture["split"])
    assert sorted(map(sorted, sides.values())) == [["train"]] * 4 + [["validation"]]


def test_one_picture_alone_is_trained_on(tmp_path):
    folder = tmp_path / "one"
    folder.mkdir()
    Image.fromarray(drawing(0, width=160, height=128)).save(folder / "only.png")
    patches = prepare(data_settings(folder, tmp_path / "patches", patches=2))
    assert patches.splits == ("train", "train")


def test_what_is_prepared_is_not_prepared_again(mine, tmp_path):
    settings = data_settings(mine, tmp_path / "patches")
    first = prepare(settings)
    before = {name: (first.folder / name).stat().st_mtime_ns for name in FILES}
    assert prepare(settings).digest == first.digest
    assert {name: (first.folder / name).stat().st_mtime_ns for name in FILES} == before


@pytest.mark.parametrize(
    "changes", [{"seed": 1}, {"patches": 11}, {"degradations": {"clean": 1.0}}, {"validation": 0.5}]
)
def test_patches_of_other_settings_are_refused_and_left_alone(mine, tmp_path, changes):
    first = prepare(data_settings(mine, tmp_path / "patches"))
    before = {name: (first.folder / name).read_bytes() for name in FILES}
    with pytest.raises(DataError, match=r"was prepared from other pictures or settings: delete it or set data\.folder"):
        prepare(data_settings(mine, tmp_path / "patches", **changes))
    assert {name: (first.folder / name).read_bytes() for name in FILES} == before


def test_patches_of_other_pictures_are_refused(mine, tmp_path):
    prepare(data_settings(mine, tmp_path / "patches"))
    Image.fromarray(drawing(9, width=160, height=128)).save(mine / "new.png")
    with pytest.raises(DataError, match="was prepared from other pictures or settings"):
        prepare(data_settings(mine, tmp_path / "patches"))


def test_a_folder_without_pictures_is_named(tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "folder.jpg").mkdir()
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DataError, match=f"no pictures in {folder}: set data.pictures to a folder of photographs"):
            prepare(data_settings(folder, tmp_path / "patches"))


def test_tiny_and_unreadable_pictures_are_refused_by_name_with_the_reason(mine, tmp_path):
    Image.fromarray(drawing(0, width=95, height=300)).save(mine / "narrow.png")
    (mine / "story.jpg").write_text("once upon a time")
    (mine / "more/cut.png").write_bytes((mine / "0.png").read_bytes()[:2000])
    with pytest.raises(DataError) as caught:
        prepare(data_settings(mine, tmp_path / "patches"))
    said = str(caught.value)
    assert said.startswith(f"take out of {mine}: ")
    assert "narrow.png (95x300, sides must be 96 px at least)" in said
    assert "story.jpg (" in said
    assert "cut.png (" in said
    assert "0.png (" not in said
    assert not (tmp_path / "patches" / INDEX).exists()  # and so nothing counts as prepared


def test_a_picture_too_small_for_one_size_is_cut_in_another(mine, tmp_path):
    Image.fromarray(drawing(7, width=100, height=100)).save(mine / "small.png")  # 75 px when shrunken
    patches = prepare(data_settings(mine, tmp_path / "patches"))
    index = index_of(patches)
    number = [picture["file"] for picture in index["pictures"]].index("small.png")
    assert {entry["size"] for entry in index["patches"] if entry["picture"] == number} == {1.0}


def test_enlarged_pictures_give_patches_without_a_truth_to_train_on_only(pictures, tmp_path):
    patches = prepare(data_settings(pictures, tmp_path / "patches", sizes=(2.0, 1.0), patches=40))
    sizes = [entry["size"] for entry in index_of(patches)["patches"]]
    assert set(sizes) == {1.0, 2.0}
    assert patches.true == tuple(size == 1.0 for size in sizes)
    assert all(patches.true[number] for number in patches.numbers("validation"))


def test_of_many_bad_pictures_some_are_named_and_the_rest_counted(tmp_path):
    for number in range(8):
        (tmp_path / f"{number}.jpg").write_bytes(b"no")
    with pytest.raises(DataError, match=r"0\.jpg .*4\.jpg .* and 3 more$"):
        prepare(data_settings(tmp_path, tmp_path / "patches", validation=0.01))


@pytest.mark.parametrize(
    "name", ["png_bomb_30000x30000_1bit.png", "tiff_oom_pillow.tif", "jpeg_claims_65500x65500.jpg", "random_bytes.jpg"]
)
def test_a_hostile_picture_in_the_folder_gives_a_clear_error(shared, mine, tmp_path, name):
    shutil.copy(shared / "images/hostile" / name, mine)
    with pytest.raises(DataError, match=rf"take out of .*: {name} \(.+\)$") as caught:
        prepare(data_settings(mine, tmp_path / "patches"))
    assert "\n" not in str(caught.value)


def test_gray_deep_and_turned_pictures_become_upright_colours_of_256_levels(mine, tmp_path):
    for file in mine.rglob("*.png"):
        file.unlink()
    upright = drawing(0, width=128, height=96)
    exif = Image.Exif()
    exif[0x0112] = 6  # was taken with the camera turned by a quarter
    Image.fromarray(np.rot90(upright)).save(mine / "turned.png", exif=exif)
    Image.fromarray(upright[..., 1].astype(np.uint16) * 257).save(mine / "deep.png")
    patches = prepare(data_settings(mine, tmp_path / "patches", sizes=(1.0,), degradations={"clean": 1.0}))
    index = index_of(patches)
    for number, entry in enumerate(index["patches"]):
        left, top, right, bottom = entry["box"]
        is_gray = index["pictures"][entry["picture"]]["file"] == "deep.png"
        wanted = upright[top:bottom, left:right]
        wanted = np.repeat(wanted[..., 1:2], 3, axis=2) if is_gray else wanted
        np.testing.assert_array_equal(patches.gt[number], wanted)


def test_flat_places_are_avoided_where_there_are_others(tmp_path):
    whole = np.full((400, 400, 3), 128, np.uint8)
    whole[:200] = drawing(0, width=400, height=200)
    folder = tmp_path / "half"
    folder.mkdir()
    Image.fromarray(whole).save(folder / "half.png")
    patches = prepare(data_settings(folder, tmp_path / "patches", sizes=(1.0,)))
    assert not [number for number, gt in enumerate(patches.gt) if np.ptp(gt) == 0]  # by chance it would be a third


def test_what_is_not_prepared_is_said_to_be(tmp_path):
    with pytest.raises(DataError, match="holds no prepared patches: run `python -m training prepare` first"):
        open_patches(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"settings": {}}'])
def test_a_damaged_index_is_said_to_be_damaged(mine, tmp_path, text):
    patches = prepare(data_settings(mine, tmp_path / "patches"))
    (patches.folder / INDEX).write_text(text)
    with pytest.raises(DataError, match=r"index\.json cannot be read .* delete .* and prepare again"):
        open_patches(patches.folder)
    with pytest.raises(DataError, match=r"index\.json cannot be read"):
        prepare(data_settings(mine, tmp_path / "patches"))


def test_missing_or_cut_arrays_are_said_to_be(mine, tmp_path):
    patches = prepare(data_settings(mine, tmp_path / "patches"))
    (patches.folder / "lq.npy").write_bytes((patches.folder / "lq.npy").read_bytes()[:1000])
    with pytest.raises(DataError, match=r"is incomplete .*: delete it and prepare again"):
        open_patches(patches.folder)
    (patches.folder / "lq.npy").unlink()
    with pytest.raises(DataError, match=r"is incomplete .*: delete it and prepare again"):
        open_patches(patches.folder)


def test_a_preparation_that_was_stopped_begins_again(mine, tmp_path, prepared):
    folder = tmp_path / "patches"
    folder.mkdir()
    (folder / "gt.npy").write_bytes(b"half of it")
    assert prepare(data_settings(mine, folder)).digest == prepared.digest


def test_where_there_is_no_terminal_progress_is_lines(pictures, tmp_path, capsys):
    prepare(data_settings(pictures, tmp_path / "patches"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("patches: 1 of 12, ")
    assert lines[-1] == "patches: 12 of 12"


def test_the_degraded_patch_is_what_its_pipeline_makes(prepared, pictures, tmp_path):
    clean = prepare(data_settings(pictures, tmp_path / "clean", degradations={"clean": 1.0}))
    for gt, lq in zip(clean.gt, clean.lq, strict=True):
        theirs = np.asarray(Image.fromarray(gt).resize((24, 24), Image.Resampling.BICUBIC))
        np.testing.assert_array_equal(as_levels(theirs.astype(np.float32) / 255), lq)
