"""The benchmark of what faces cost shows faces, and says when they cost too much."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import face_cost, faces


def head() -> face_cost.RGB:
    """Something with a left and a right, brighter than what is around it."""
    ramp = np.linspace(120, 255, 512).astype(np.uint8)
    return np.repeat(np.tile(ramp, (512, 1))[..., None], 3, axis=2)


def test_a_group_has_twenty_heads_and_a_portrait_one_that_fills_the_height() -> None:
    group, portrait = (face_cost.CASES[name](head()) for name in ("group", "portrait"))
    assert group.shape == portrait.shape == (960, 1280, 3)
    rows, columns = (
        np.flatnonzero(np.diff(np.r_[0, (group > face_cost.BACKGROUND).any(axis=(axis, 2)).astype(int)]) == 1)
        for axis in (1, 0)
    )
    assert (len(rows), len(columns)) == (4, 5)
    first, second = (group[120, left + 5 : left + 210, 0].astype(int) for left in columns[:2])
    assert first[0] < first[-1]
    assert second[0] > second[-1], "every second one is mirrored"
    assert ((portrait > face_cost.BACKGROUND).any(axis=(1, 2))).all()


def test_time_inside_of_a_network_does_not_count() -> None:
    clocks = face_cost.Clocks()
    with clocks.step("find"):
        clocks.without("find", lambda: sum(range(3_000_000)))()
    clocks.without("judge", lambda: sum(range(3_000_000)))()
    taken_off_s = -clocks.cpu_s["judge"]  # of the same work, which was timed nowhere else
    assert 0 <= clocks.cpu_s["find"] < taken_off_s / 4


def test_what_costs_too_much_is_named() -> None:
    fine = {"case": "group", "faces": 20, "wall_s": {"find": 0.3, "judge": 0.4}, "cpu_s": {"find": 0, "judge": 0},
            "more_bytes": 2e8, "more_bytes_with_network": 1.1e9}  # fmt: skip
    slow = {**fine, "case": "portrait", "faces": 1}
    assert face_cost.missed([fine, slow]) == ["portrait"]
    assert face_cost.missed([{**fine, "more_bytes_with_network": 2e9}]) == ["group"]
    told = face_cost.lines([fine, slow])
    assert "35.0 (0.0)" in told[4]
    assert " ".join(told[-1].split()) == "| the same with GFPGAN's network and its work, MB | 1100 | 1100 |"


def test_without_a_face_or_a_detector_it_says_which_option_names_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert faces.main(["--cost", "--pictures", str(tmp_path)]) == 1
    (tmp_path / "head.png").write_bytes(b"")
    words = ["--cost", "--head", str(tmp_path / "head.png"), "--retinaface", str(tmp_path / "none.pth")]
    assert faces.main(words) == 1
    no_head, no_detector = capsys.readouterr().err.splitlines()
    assert "--head" in no_head
    assert "--retinaface" in no_detector


def test_a_case_runs_in_a_process_of_its_own_with_the_network_s_memory_if_asked_for(
    shared: Path, tmp_path: Path
) -> None:
    crop = next((shared / "images/faces").glob("codeformer_crop_*"))
    row = face_cost.apart(["portrait", "--head", str(crop), "--retinaface",
                           str(shared / "weights/mobilenet0.25_Final.pth"), "--gfpgan"])  # fmt: skip
    assert row["faces"] == 1
    assert set(row["wall_s"]) == set(row["cpu_s"]) == {"find", "judge", "restore and compare", "paste and guard"}
    assert row["peak_bytes"] > 1e9, "348 MB of weights and some 700 of work; without them it is half of that"
    with pytest.raises(RuntimeError, match="is no picture"):
        face_cost.apart(["group", "--head", str(tmp_path / "none.png"), "--retinaface", str(tmp_path)])
