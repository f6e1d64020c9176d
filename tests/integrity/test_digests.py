"""Trained bits are those that are recorded, on every machine."""

import json

import pytest

from memory_trials.engines import native
from tests import digests

RECORDED = json.loads(digests.FILE.read_text())


@pytest.mark.skipif(not native.available(), reason="no C compiler")
@pytest.mark.parametrize("name", digests.arms())
def test_an_arm_of_every_kind_is_trained_to_the_recorded_bits(name):
    assert digests.digest(digests.arms()[name]) == RECORDED[name], "see tests/digests.py"


def test_all_that_is_recorded_is_tried_and_no_two_kinds_are_the_same():
    assert RECORDED.keys() == digests.arms().keys()
    assert len(set(RECORDED.values())) == len(RECORDED)
