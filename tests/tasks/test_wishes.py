"""What the owner of a job wishes otherwise than the worker is set."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models import RestoreOptions
from tasks.restore import JobFailedError, wishes_of
from tests.tasks.conftest import UNLIMITED, wish


@pytest.mark.parametrize(
    ("wished", "faces", "left_out"),
    [
        ({}, 60, ()),
        ({"faces": 0}, 0, ()),
        ({"faces": 100, "faces_left_out": "1,3"}, 100, (1, 3)),
        ({"faces_left_out": "2"}, 60, (2,)),
    ],
)
def test_a_job_carries_strength_and_left_out_faces_to_the_worker(store, wished, faces, left_out):
    store.submit(replace(wish(1, 2), **wished), **UNLIMITED)
    job = store.claim(["restore"], worker="w", lease_s=15)
    options = wishes_of(job, RestoreOptions(faces=60, outscale=2))
    assert (options.faces, options.faces_left_out, options.outscale) == (faces, left_out, 2)


@pytest.mark.parametrize("wished", [{"faces": 101}, {"faces_left_out": "one"}, {"faces_left_out": "0"}])
def test_a_wish_that_no_option_can_be_fails_the_job_and_names_it(store, wished):
    store.submit(replace(wish(1, 2), **wished), **UNLIMITED)
    job = store.claim(["restore"], worker="w", lease_s=15)
    with pytest.raises(JobFailedError, match="internal: faces="):
        wishes_of(job, RestoreOptions())
