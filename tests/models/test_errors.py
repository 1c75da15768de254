"""The tree of errors, and that each survives the way between two processes."""

from __future__ import annotations

import pickle

import pytest

from models import errors


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
