"""The plan of the probe: what it refuses, and the sizes and lengths that follow from it."""

import math
import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from memory_trials.engines import own
from memory_trials.errors import UserError
from memory_trials.probe import plan as plans
from memory_trials.probe import running
from tests.conftest import ROOT

CONTENT = yaml.safe_load((ROOT / plans.FILE).read_text())


def loaded(tmp_path, **changes):
    path = tmp_path / "probe.yaml"
    path.write_text(yaml.safe_dump(CONTENT | changes))
    return plans.load(path)


def test_a_task_becomes_longer_and_stays_what_it_is(tmp_path):
    plan = loaded(tmp_path)
    once, five = plan.stream("flip-flop"), plan.stream("flip-flop", 5)
    assert (once.settings.length, five.settings.length) == (64, 320)
    assert five.settings.ignore == once.settings.ignore and five.shape.inputs == once.shape.inputs == 2 * 5
    assert plan.sequences == 16_000 and plan.training(0.01, 10, 7).epochs == 16_000


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"lengths": [2, 5]}, "lengths: must ascend, and begin with 1"),
        ({"lengths": [1, 5, 2]}, "must ascend"),
        ({"rates": []}, "rates is []"),
        ({"choosing": {"trials": 10, "first_seed": 95}}, "choosing.first_seed is 95: rates must be chosen on seeds of"),
        ({"tasks": {"x": {"task": "paritty"}}}, "tasks.x.task is 'paritty': must be 'reber'"),
        ({"tasks": {"x": {"task": "parity", "length": 1}}}, "tasks.x.length is 1: must be greater"),
        ({"trials": 1}, "trials is 1"),
        ({"batch": 0}, "batch is 0"),
        ({"epochs": 5}, "unknown key epochs; allowed here are tasks"),
        (
            {"expected": [{"task": "parity", "cells": ["lstn"], "can": True, "source": "x"}]},
            "expected[0].cells has 'ls",
        ),
        (
            {"expected": [{"task": "parit", "cells": ["lstm"], "can": True, "source": "x"}]},
            "expected[0].task has 'parit",
        ),
        (
            {"expected": [{"task": "parity", "cells": ["lstm"], "can": True, "times": 3, "source": "x"}]},
            "expected[0].times has 3: allowed are 1, 2, 5, 10",
        ),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path, changes, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)) as caught:
        loaded(tmp_path, **changes)
    assert str(caught.value).startswith(str(tmp_path / "probe.yaml")) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("wanted", "units"), [(1, 1), (2, 1), (6, 2), (8, 3), (9, 3), (10**6, 1000), (10**6 + 1, 1000)]
)
def test_the_nearest_number_of_units_is_taken(wanted, units):
    assert running.nearest(lambda count: count * count, wanted) == units


@given(st.integers(1, 8), st.integers(20, 5000))
def test_no_number_of_units_is_nearer_also_where_sizes_do_not_grow_with_units(heads, wanted):
    size_of = lambda units: units**2 // math.gcd(units, heads)
    best = min(abs(size_of(units) - wanted) for units in range(1, 1000))
    found = running.nearest(size_of, wanted)
    assert abs(size_of(found) - wanted) <= max(best, 0.05 * wanted)


def test_heads_that_divide_units_are_reckoned_with():
    assert running.nearest(lambda units: units**2 // math.gcd(units, 4), 64) == 16


def test_a_size_that_no_number_of_units_gives_is_refused():
    with pytest.raises(UserError, match="no number of units gives a size of about 100: the nearest is 1024"):
        running.nearest(lambda units: 1024 * units, 100)


def test_a_cell_that_does_not_grow_is_refused():
    with pytest.raises(UserError, match="the cell does not grow with units"):
        running.nearest(lambda count: 5, 100)


def test_a_cell_is_tried_once_its_size_is_found_and_before_anything_is_trained(tmp_path):
    plan, cell = loaded(tmp_path), "tests.people.cells.counted_calls.Cell"
    shape = plan.stream("parity").shape
    assert own.sizes(plan.model("parity", cell, {}, 8), shape.inputs, shape.outputs).state == 8
    with pytest.raises(
        UserError, match=f"^model.cell {cell}, call: it computes something else when it is called again"
    ):
        running.arms(plan, "counted", cell, {}, "state", ["parity"])


def test_attention_looks_back_over_whatever_is_asked(tmp_path):
    plan = loaded(tmp_path)
    model = plan.model("induction", "attention", {}, 8)
    assert running.sized_for(model, 640).cell_options["context"] == 640
    gru = plan.model("induction", "gru", {}, 8)
    assert running.sized_for(gru, 640) is gru
