from __future__ import annotations

import math

import pytest

from training.evaluation.measures import Score
from training.evaluation.verdicts import Mean, differences, means, not_better_than_nothing, verdict
from training.evaluation.ways import BICUBIC, DO_NOTHING, LANCZOS


def scored(way: str, ssim: float, *, set_: str = "kodak", kind: str = "as-sent", **other: object) -> Score:
    known = {
        "picture": "a", "psnr": 30.0, "sharpness": 0.5, "agreement": 30.0, "agreement_rgb": 28.0,
        "colour_difference": 1.0, "colour_drift": 0.5, **other,
    }  # fmt: skip
    return Score(set=set_, kind=kind, way=way, ssim=ssim, **known)  # type: ignore[arg-type]


def rows(kind: str = "as-sent", *, set_: str = "kodak", **ssims: float) -> list[Mean]:
    """Averages where doing nothing has 0.50, bicubic 0.60 and Lanczos 0.61, and others what is said."""
    every = {DO_NOTHING: 0.50, BICUBIC: 0.60, LANCZOS: 0.61, **ssims}
    return means([scored(way, ssim, kind=kind, set_=set_) for way, ssim in every.items()])


def test_averages_are_of_one_set_one_kind_and_one_way():
    scores = [
        scored("ours", 0.6, colour_drift=0.1),
        scored("ours", 0.8, colour_drift=0.3, sharpness=None, agreement=None),
        scored("ours", 0.1, set_="set5"),
        scored("ours", 0.2, kind="clean"),
        scored("theirs", 0.3),
    ]
    found = {(row.set, row.kind, row.way): row for row in means(scores)}
    assert {key: row.pictures for key, row in found.items()} == {
        ("kodak", "as-sent", "ours"): 2, ("set5", "as-sent", "ours"): 1,
        ("kodak", "clean", "ours"): 1, ("kodak", "as-sent", "theirs"): 1,
    }  # fmt: skip
    ours = found["kodak", "as-sent", "ours"]
    assert (ours.ssim, ours.sharpness, ours.agreement, ours.colour_drift) == (pytest.approx(0.7), 0.5, 30.0, 0.3)


@pytest.mark.parametrize(
    ("ssim", "beaten_by"), [(0.5, [DO_NOTHING, BICUBIC]), (0.55, [BICUBIC]), (0.6, [BICUBIC]), (0.601, [])]
)
def test_a_model_no_better_than_nothing_or_bicubic_on_degraded_input_is_named(ssim, beaten_by):
    assert not_better_than_nothing(rows(ours=ssim), ["ours"]) == [
        f"ours is no better than {name} on kodak, as-sent: SSIM {ssim:.4f}, not above {least}."
        for name, least in ((DO_NOTHING, "0.5000"), (BICUBIC, "0.6000"))
        if name in beaten_by
    ]


def test_one_bad_set_is_not_made_up_for_by_a_good_one():
    every = [*rows(ours=0.9), *rows(set_="set5", ours=0.55)]
    assert [failure.split(":")[0] for failure in not_better_than_nothing(every, ["ours"])] == [
        "ours is no better than bicubic on set5, as-sent"
    ]


def test_on_clean_input_bicubic_may_win_and_others_than_the_models_are_not_judged():
    assert not_better_than_nothing(rows("clean", ours=0.1), ["ours"]) == []
    assert not_better_than_nothing(rows(theirs=0.1), ["ours"]) == []


def test_a_candidate_that_reaches_everything_reads_so():
    every = [*rows("clean", ours=0.7, lite=0.7), *rows(ours=0.65, lite=0.64)]
    assert [line.split(":")[0] for line in verdict(differences(every, "ours", "lite"), "lite")] == ["reached"] * 5


def test_a_candidate_that_falls_short_reads_where_and_by_how_much():
    every = [*rows("clean", ours=0.69, lite=0.7), *rows(ours=0.62, lite=0.61)]
    assert verdict(differences(every, "ours", "lite"), "lite") == [
        "MISSED: SSIM at least that of lite: 1 of 2, lowest -0.0100 (kodak, clean)",
        "reached: agreement (luma) at least that of lite: 2 of 2, lowest +0.00 (kodak, as-sent)",
        "reached: sharpness at least that of lite: 2 of 2, lowest +0.000 (kodak, as-sent)",
        "reached: SSIM 0.015 above bicubic on degraded input: 1 of 1, lowest +0.0200 (kodak, as-sent)",
        "MISSED: SSIM 0.015 above Lanczos on degraded input: 0 of 1, lowest +0.0100 (kodak, as-sent)",
    ]


def test_what_was_not_measured_is_not_reached():
    every = means(
        [
            scored(way, 0.6, kind="clean", agreement=None, sharpness=None)
            for way in (DO_NOTHING, BICUBIC, LANCZOS, "ours", "lite")
        ]
    )
    lines = verdict(differences(every, "ours", "lite"), "lite")
    assert [line.split(":")[0] for line in lines] == ["reached", *["not measured"] * 4]


def test_two_that_equal_the_teacher_differ_by_nothing():
    every = means([scored(way, 0.6, agreement=math.inf) for way in (DO_NOTHING, BICUBIC, LANCZOS, "ours", "lite")])
    assert differences(every, "ours", "lite")[0].agreement == 0
