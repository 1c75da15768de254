"""What is chosen: the rules one by one, and the laws that hold for whatever may come."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ImageTooLarge, OptionsError, ResultTooLarge
from models.planning import Budget, Candidate, NothingFits, Overhead, Traits, Wishes, explain, plan

BEST = Candidate(name="best", scale=4, purposes=("photo", "text"), rank=0, seconds_per_pixel=50e-6)
DOUBLER = Candidate(name="doubler", scale=2, purposes=("photo",), rank=1, seconds_per_pixel=12e-6)
QUICK = Candidate(name="quick", scale=4, purposes=("photo",), rank=2, seconds_per_pixel=3e-6)
EVERYDAY = Candidate(name="everyday", scale=4, purposes=("photo",), rank=3, seconds_per_pixel=3e-6, everyday=True)
INKER = Candidate(name="inker", scale=4, purposes=("drawing",), rank=0, seconds_per_pixel=15e-6)

SHARP = Traits(kind="photo", sharpness=0.9, half_sharpness=0.9)
SOFT = Traits(kind="photo", sharpness=0.0, half_sharpness=0.9)
VERY_SOFT = Traits(kind="photo", sharpness=0.0, half_sharpness=0.0)
DRAWING = Traits(kind="drawing", sharpness=0.9, half_sharpness=0.9)
TEXT = Traits(kind="text", sharpness=0.9, half_sharpness=0.9)

NO_HURRY = Budget()
PATIENT = Budget(patience_s=5)


def codes(planned):
    return [reason.code for reason in planned.reasons]


@pytest.mark.parametrize(
    ("size_wh", "outscale", "notices"),
    [
        ((1, 1), 4, ()),
        ((160, 256), 4, ()),
        ((1280, 960), 4, ()),
        ((1281, 960), 2, ("scale_limited",)),
        ((1536, 2048), 2, ("scale_limited",)),
        ((3840, 2160), 2, ("scale_limited",)),
        ((4000, 3000), 1, ("cleaned_only",)),
        ((20_000, 400), 2, ("scale_limited",)),
    ],
)
def test_small_pictures_grow_more_than_large_ones(size_wh, outscale, notices):
    planned = plan(size_wh, SHARP, [BEST], NO_HURRY)
    assert (planned.outscale, planned.notices) == (outscale, notices)
    assert planned.size_out_wh == tuple(side * outscale for side in size_wh)
    assert planned.lq_wh == size_wh


def test_text_at_most_doubles_and_says_why():
    planned = plan((800, 600), TEXT, [BEST], NO_HURRY)
    assert (planned.outscale, planned.notices) == (2, ("scale_limited",))
    assert "letters" in explain(planned)


def test_the_best_model_is_taken_as_long_as_it_keeps_to_the_time():
    slower = [BEST, DOUBLER, QUICK]
    assert plan((1000, 1000), SHARP, slower, Budget(seconds=60)).model == "best"
    assert plan((1000, 1000), SHARP, slower, Budget(seconds=50)).model == "quick"


@pytest.mark.parametrize(
    ("size_wh", "model"), [((300, 300), "best"), ((400, 400), "everyday"), ((1280, 960), "everyday")]
)
def test_the_everyday_model_is_taken_where_the_best_would_keep_people_waiting(size_wh, model):
    planned = plan(size_wh, SHARP, [BEST, DOUBLER, QUICK, EVERYDAY], PATIENT)
    assert (planned.model, planned.lq_wh, planned.outscale, planned.notices) == (model, size_wh, 4, ())
    assert planned.estimate_s < 5


def test_on_a_machine_where_the_best_is_quick_it_is_taken_for_everything():
    gpu = [replace(candidate, seconds_per_pixel=candidate.seconds_per_pixel / 50) for candidate in (BEST, EVERYDAY)]
    assert plan((1280, 960), SHARP, gpu, PATIENT).model == "best"


def test_the_plan_says_why_the_everyday_model_was_taken_and_nobody_need_be_told():
    planned = plan((1280, 960), SHARP, [BEST, EVERYDAY], Budget(seconds=300, patience_s=5))
    assert "Chose everyday, the everyday model, because best would take 62 s, longer than the 5.0 s" in explain(planned)
    assert codes(planned)[0] == "model_everyday"
    assert planned.notices == ()


def test_without_patience_to_lose_the_everyday_model_waits_for_its_turn():
    assert plan((1280, 960), SHARP, [BEST, EVERYDAY], NO_HURRY).model == "best"
    hurried = plan((1280, 960), SHARP, [BEST, EVERYDAY], Budget(seconds=50))
    assert (hurried.model, hurried.notices) == ("everyday", ("fast_model",))


def test_a_wish_for_the_best_model_is_a_wish_to_wait():
    planned = plan((1280, 960), SHARP, [BEST, EVERYDAY], PATIENT, Wishes(model="best"))
    assert planned.model == "best"
    assert plan((1280, 960), SHARP, [BEST, EVERYDAY], PATIENT, Wishes(outscale=3)).model == "everyday"


def test_drawings_and_text_wait_for_their_best_model():
    candidates = [BEST, QUICK, EVERYDAY, INKER]
    assert plan((1000, 1000), DRAWING, candidates, PATIENT).model == "inker"
    assert plan((1000, 1000), TEXT, candidates, PATIENT).model == "best"


def test_the_everyday_model_alone_does_every_kind():
    for traits in (SHARP, DRAWING, TEXT):
        assert plan((1280, 960), traits, [EVERYDAY], PATIENT).model == "everyday"


def test_a_network_made_for_doubling_comes_before_a_reduced_copy_and_a_quicker_model():
    planned = plan((2000, 1500), SOFT, [BEST, DOUBLER, QUICK], Budget(seconds=60))
    assert (planned.model, planned.scale, planned.lq_wh, planned.size_out_wh) == (
        "doubler", 2, (2000, 1500), (4000, 3000),
    )  # fmt: skip
    assert planned.notices == ("scale_limited",)


def test_a_soft_picture_is_reduced_before_a_quicker_model_is_taken():
    planned = plan((2001, 1500), SOFT, [BEST, QUICK], Budget(seconds=60))
    assert (planned.model, planned.lq_wh, planned.size_out_wh) == ("best", (1001, 750), (4002, 3000))
    assert planned.notices == ("scale_limited", "reduced_first")


def test_a_sharp_picture_gets_a_quicker_model_and_is_never_reduced():
    planned = plan((2000, 1500), SHARP, [BEST, QUICK], Budget(seconds=60))
    assert (planned.model, planned.lq_wh, planned.notices) == ("quick", (2000, 1500), ("scale_limited", "fast_model"))
    with pytest.raises(NothingFits):
        plan((2000, 1500), SHARP, [BEST], Budget(seconds=60))


def test_a_picture_is_reduced_by_as_much_as_is_empty_and_no_further():
    hurry = Budget(seconds=60)
    assert plan((4000, 3000), VERY_SOFT, [BEST], hurry).lq_wh == (1000, 750)
    with pytest.raises(NothingFits):
        plan((4000, 3000), SOFT, [BEST], hurry)


def test_a_wish_for_a_smaller_result_lets_even_a_sharp_picture_be_reduced():
    planned = plan((4000, 3000), SHARP, [BEST], Budget(seconds=180), Wishes(outscale=0.5))
    assert (planned.lq_wh, planned.size_out_wh) == ((2000, 1500), (2000, 1500))


def test_a_drawing_gets_its_model_or_hears_that_there_is_none():
    assert plan((300, 300), DRAWING, [BEST, INKER], NO_HURRY).model == "inker"
    without = plan((300, 300), DRAWING, [BEST], NO_HURRY)
    assert without.model == "best"
    assert "no model for drawings" in explain(without)


def test_a_photo_never_gets_the_model_for_drawings_while_there_is_one_for_photos():
    with pytest.raises(NothingFits):
        plan((2000, 2000), SHARP, [BEST, INKER], Budget(seconds=100))


def test_a_refusal_gives_the_seconds_needed_and_allowed():
    with pytest.raises(NothingFits, match=r"2000x2000 would take about 20\d s here, at most 90 s") as refused:
        plan((2000, 2000), SHARP, [BEST], Budget(seconds=100, reserve=0.1))
    assert refused.value.allowed_s == 90
    assert 200 <= refused.value.needed_s < 210
    copy = pickle.loads(pickle.dumps(refused.value))
    assert (str(copy), copy.needed_s, copy.code) == (str(refused.value), refused.value.needed_s, ImageTooLarge.code)


def test_a_wished_model_is_taken_however_slow():
    planned = plan((2000, 1500), VERY_SOFT, [BEST, QUICK], Budget(seconds=1), Wishes(model="best"))
    assert (planned.model, planned.lq_wh) == ("best", (2000, 1500))
    assert codes(planned)[-1] == "over_time"


def test_a_wished_outscale_is_kept_however_slow_and_needs_no_notice():
    planned = plan((2000, 1500), SHARP, [BEST, QUICK], Budget(seconds=1), Wishes(outscale=1.5))
    assert (planned.model, planned.size_out_wh, planned.notices) == ("quick", (3000, 2250), ("fast_model",))
    assert plan((2000, 1500), SHARP, [BEST, QUICK], NO_HURRY, Wishes(outscale=8)).size_out_wh == (16_000, 12_000)


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ({"max_output_pixels": 9_000_000}, "16,000,000 pixels, the limit is 9,000,000; ×3 would keep to it"),
        ({"max_output_side": 3333}, "a side of 4,000 px, the limit is 3,333; ×3.33 would keep to it"),
        # The first limit that is broken is named, the outscale keeps to all.
        ({"max_output_pixels": 9_000_000, "max_output_side": 1500}, "the limit is 9,000,000; ×1.5 would keep to it"),
        ({"max_output_pixels": 9_000_000, "max_output_bytes": 900}, "the limit is 9,000,000; ×0.03 would keep to it"),
    ],
)
def test_a_wished_outscale_beyond_a_hard_limit_is_refused_with_numbers(limit, words):
    with pytest.raises(ResultTooLarge) as refused:
        plan((1000, 1000), SHARP, [BEST], Budget(**limit), Wishes(outscale=4))
    assert str(refused.value).endswith(words)
    within = float(words.partition("×")[2].split()[0])
    plan((1000, 1000), SHARP, [BEST], Budget(**limit), Wishes(outscale=within))


def test_what_grows_beyond_its_network_says_so_and_takes_longer_by_its_size():
    by_network, beyond, far_beyond = [
        plan((400, 300), SHARP, [BEST], NO_HURRY, Wishes(outscale=outscale)) for outscale in (4, 5, 40)
    ]
    assert [codes(planned)[1] for planned in (by_network, beyond, far_beyond)] == [
        "scale_wished", "scale_beyond_network", "scale_beyond_network"
    ]  # fmt: skip
    assert beyond.estimate_s > by_network.estimate_s
    assert far_beyond.estimate_s - beyond.estimate_s == pytest.approx((1600 - 25) * 400 * 300 * 6e-8)


@pytest.mark.parametrize(
    ("size_wh", "limit", "outscale", "words"),
    [
        ((20_000, 2), {}, 4, "20000x2 would have a side of 80,000 px, the limit is 65,500; ×3.27 would keep to it"),
        ((50, 100), {"max_output_bytes": 100}, None, "50x100 would have about 4,000 bytes, the limit is 100"),
        ((50, 100), {"max_network_pixels": 100}, 1, "50x100 would take 80,000 pixels on the way, the limit is 100"),
        ((10, 90), {}, 1e99, "10x90 would have 9e+200 pixels, the limit is 500,000,000; ×727.7 would keep to it"),
    ],
)
def test_a_refused_result_is_told_in_words_that_are_read_at_once(size_wh, limit, outscale, words):
    with pytest.raises(ResultTooLarge) as refused:
        plan(size_wh, SHARP, [BEST], Budget(**limit), Wishes(outscale=outscale))
    assert str(refused.value).startswith(f"the result of {words}")


def test_a_time_that_is_next_to_nothing_is_not_told_as_none():
    with pytest.raises(NothingFits, match=r"would take about 0\.\d s here, at most 9e-10 s are allowed"):
        plan((10, 10), SHARP, [BEST], Budget(seconds=1e-9))
    assert "more than the 9e-10 s allowed" in explain(
        plan((10, 10), SHARP, [BEST], Budget(seconds=1e-9), Wishes(outscale=2))
    )


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ({"max_output_pixels": 5_000_000}, "scale_limited_by_pixels"),
        ({"max_output_side": 2500}, "scale_limited_by_side"),
        ({"max_output_bytes": 4_000_000}, "scale_limited_by_bytes"),
    ],
)
def test_a_hard_limit_makes_the_scale_smaller_and_is_named(limit, reason):
    planned = plan((1000, 1000), SHARP, [BEST], Budget(**limit))
    assert planned.outscale == 2
    assert planned.notices == ("scale_limited",)
    assert reason in codes(planned)


def test_an_unknown_wish_names_what_there_is():
    with pytest.raises(OptionsError, match="only best, quick"):
        plan((9, 9), SHARP, [QUICK, BEST], NO_HURRY, Wishes(model="bets"))
    with pytest.raises(OptionsError, match="no model"):
        plan((9, 9), SHARP, [], NO_HURRY)


def test_transparency_costs_the_network_twice():
    once, twice = (plan((500, 500), SHARP, [BEST], NO_HURRY, planes=planes).estimate_s for planes in (1, 2))
    assert 1.9 * once < twice <= 2 * once


sides = st.integers(1, 9000)
sizes = st.tuples(sides, sides)
all_traits = st.builds(
    Traits,
    kind=st.sampled_from(["photo", "drawing", "text"]),
    sharpness=st.floats(0, 1),
    half_sharpness=st.floats(0, 1),
)
candidate_lists = st.lists(
    st.builds(
        Candidate,
        name=st.sampled_from("abcdefgh"),
        scale=st.sampled_from([1, 2, 3, 4]),
        purposes=st.lists(st.sampled_from(["photo", "drawing", "text"]), min_size=1, unique=True).map(tuple),
        rank=st.integers(0, 3),
        seconds_per_pixel=st.floats(0, 1e-4),
        startup_s=st.floats(0, 5),
        everyday=st.booleans(),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda candidate: candidate.name,
)
budgets = st.builds(
    Budget,
    seconds=st.none() | st.floats(1, 1000),
    patience_s=st.none() | st.floats(0.1, 100),
    reserve=st.floats(0, 0.5),
    max_output_pixels=st.sampled_from([10**3, 10**6, 10**7, 10**8, 10**9]),
    max_output_side=st.sampled_from([1000, 16_383, 65_500]),
    max_output_bytes=st.none() | st.sampled_from([10**5, 10**7, 10**9]),
    max_network_pixels=st.none() | st.sampled_from([10**6, 10**8, 10**9]),
    overhead=st.builds(Overhead, per_output_pixel_s=st.floats(0, 1e-6)),
)
all_wishes = st.builds(Wishes, outscale=st.none() | st.floats(0.1, 8))


@given(sizes, all_traits, candidate_lists, budgets, all_wishes, st.sampled_from([1, 2]))
def test_no_plan_exceeds_a_hard_limit_nor_the_time_unless_wished(size_wh, traits, candidates, budget, wishes, planes):
    try:
        planned = plan(size_wh, traits, candidates, budget, wishes, planes=planes)
    except (NothingFits, ResultTooLarge):
        return
    assert math.prod(planned.size_out_wh) <= budget.max_output_pixels
    assert max(planned.size_out_wh) <= budget.max_output_side
    if budget.max_network_pixels is not None:
        assert math.prod(planned.lq_wh) * planned.scale**2 <= budget.max_network_pixels
    if wishes.outscale is None:
        assert planned.estimate_s <= budget.allowed_s
    else:
        assert planned.outscale == wishes.outscale
    assert ("reduced_first" in planned.notices) == (planned.lq_wh != size_wh)
    assert explain(planned)


@given(sizes, st.integers(0, 3000), st.integers(0, 3000), all_traits, candidate_lists, budgets)
def test_a_larger_picture_never_grows_more(size_wh, wider, higher, traits, candidates, budget):
    try:
        larger = plan((size_wh[0] + wider, size_wh[1] + higher), traits, candidates, budget)
    except (NothingFits, ResultTooLarge):
        return
    assert plan(size_wh, traits, candidates, budget).outscale >= larger.outscale


@given(sizes, st.integers(0, 3000), st.integers(0, 3000), all_traits, candidate_lists, st.floats(0.5, 8))
def test_the_same_work_on_a_larger_picture_never_takes_less(size_wh, wider, higher, traits, candidates, outscale):
    wishes = Wishes(model=candidates[0].name, outscale=outscale)
    smaller = plan(size_wh, traits, candidates, Budget(max_output_pixels=10**12, max_output_side=10**6), wishes)
    larger = plan(
        (size_wh[0] + wider, size_wh[1] + higher), traits, candidates,
        Budget(max_output_pixels=10**12, max_output_side=10**6), wishes,
    )  # fmt: skip
    assert smaller.estimate_s <= larger.estimate_s


@given(sizes, all_traits, candidate_lists, budgets)
def test_more_time_never_means_a_smaller_result(size_wh, traits, candidates, budget):
    try:
        hurried = plan(size_wh, traits, candidates, budget)
    except (NothingFits, ResultTooLarge):
        return
    unhurried = Budget(
        max_output_pixels=budget.max_output_pixels, max_output_side=budget.max_output_side,
        max_output_bytes=budget.max_output_bytes, max_network_pixels=budget.max_network_pixels,
    )  # fmt: skip
    assert plan(size_wh, traits, candidates, unhurried).outscale >= hurried.outscale


@given(sizes, all_traits, candidate_lists, budgets)
def test_patience_decides_about_the_model_only_and_never_makes_people_wait_longer(size_wh, traits, candidates, budget):
    try:
        impatient = plan(size_wh, traits, candidates, budget)
    except (NothingFits, ResultTooLarge):
        return
    patient = plan(size_wh, traits, candidates, replace(budget, patience_s=None))
    assert impatient.outscale == patient.outscale
    assert impatient.estimate_s <= patient.estimate_s
    if patient.estimate_s <= budget.worth_waiting_s:
        assert (impatient.model, impatient.lq_wh) == (patient.model, patient.lq_wh)
