"""The tree of errors, and that each survives the way between two processes."""

from __future__ import annotations

import pickle
import re

import pytest

from models import errors
from models.planning.plan import NothingFits
from models.weights.mirrors import NoMirror


def leaves(branch: type[errors.RestorationError]) -> list[type[errors.RestorationError]]:
    below = branch.__subclasses__()
    return [leaf for child in below for leaf in leaves(child)] if below else [branch]


@pytest.mark.parametrize("kind", leaves(errors.RestorationError))
def test_an_error_survives_pickling(kind):
    copy = pickle.loads(pickle.dumps(kind("picture has 9 pixels, the limit is 4")))
    assert (type(copy), str(copy), copy.code) == (kind, "picture has 9 pixels, the limit is 4", kind.code)


def test_every_kind_of_error_has_a_code_of_its_own():
    kinds = leaves(errors.RestorationError)
    codes = [vars(kind).get("code") for kind in kinds]
    assert None not in codes
    assert len(set(codes)) == len(kinds)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.UnsupportedFormat, "unsupported_format"),
        (errors.CameraRaw, "camera_raw"),
        (errors.ImageTooLarge, "image_too_large"),
        (errors.ImageTooComplex, "image_too_complex"),
        (errors.DamagedImage, "damaged_image"),
        (errors.ResultTooLarge, "result_too_large"),
        (errors.OptionsError, "bad_options"),
        (errors.WeightsMissing, "weights_missing"),
        (errors.WeightsRefused, "weights_refused"),
        (errors.WeightsUnavailable, "weights_unavailable"),
        (errors.OutOfMemory, "out_of_memory"),
        (errors.RestorationStopped, "stopped"),
    ],
)
def test_codes_that_others_translate_stay_as_they_are(kind, code):
    assert kind.code == code


def test_being_stopped_is_the_fault_of_neither_picture_nor_machine():
    assert errors.RestorationStopped.__bases__ == (errors.RestorationError,)


def test_the_tree_that_is_drawn_is_the_one_that_grew():
    def below(branch: type[errors.RestorationError]) -> list[str]:
        ours = [child for child in branch.__subclasses__() if child.__module__.startswith("models.")]
        return [branch.__name__, *(name for child in ours for name in below(child))]

    drawn = re.findall(r"^[│├└─ ]*([A-Z][A-Za-z]+)(?: {2,}|$)", errors.__doc__ or "", re.MULTILINE)
    assert drawn == below(errors.RestorationError)


def test_what_takes_more_than_a_message_survives_with_all_of_it():
    late = pickle.loads(pickle.dumps(NothingFits("about 9 s, at most 4 s", 9.0, 4.0)))
    assert (str(late), late.needed_s, late.allowed_s) == ("about 9 s, at most 4 s", 9.0, 4.0)
    gone = pickle.loads(pickle.dumps(NoMirror("a: no; b: no; bring it", "bring it")))
    assert (str(gone), gone.brief) == ("a: no; b: no; bring it", "bring it")
