"""Weights that are set by hand do the task, in every cell and at every length."""

import numpy as np
import pytest

from memory_trials.errors import UserError
from memory_trials.probe import by_hand, forms, machines, running, trials
from memory_trials.probe import plan as plans
from memory_trials.report import probe as words
from memory_trials.report import probe_page
from memory_trials.settings import ComputeSettings
from tests.conftest import ROOT

PLAN = plans.load(ROOT / plans.FILE)
SOLVED = [(cell, task) for cell in PLAN.cells for task in PLAN.tasks if by_hand.solution(PLAN, cell, task)]


@pytest.mark.parametrize("task", ["cycle navigation", "selective copying", "copying memory", "induction", "a^n b^n"])
def test_machines_of_zeros_and_ones_do_the_task(task):
    stream = PLAN.stream(task, 3)
    machine = next(machine for of, _, machine, _ in by_hand.MACHINES if of == stream.settings.task)(stream.settings)
    drawn = stream.draw(np.array([7]), "test", 0, 20)
    ends = np.cumsum(drawn.lengths[0])
    for first, last in zip(ends - drawn.lengths[0], ends):
        state = np.zeros(len(machine.units))
        for step in range(first, last):
            before = drawn.x[0, step - 1] if step > first else None
            state = stepped(machine, state, drawn.x[0, step], before)
            if drawn.mask is None or drawn.mask[0, step]:
                sums = np.array(
                    [unit.bias + sum(w * state[n] for n, w in unit.units.items()) for unit in machine.outputs]
                )
                right = {int(drawn.y[0, step])}
                if drawn.possible is not None:
                    right = {symbol for symbol in range(len(sums)) if drawn.possible[0, step] >> symbol & 1}
                assert min(sums[[*right]]) > max(sums[symbol] for symbol in range(len(sums)) if symbol not in right)


def stepped(machine: machines.Machine, state: np.ndarray, symbol: int, before: int | None) -> np.ndarray:
    after = state.copy()
    for number, unit in enumerate(machine.units):
        if unit.gate is None or summed(unit.gate, state, symbol, before) > 0.5:
            found = summed(unit, state, symbol, before)
            after[number] = found if unit.counts else found > 0.5
    return after


def summed(unit: machines.Unit, state: np.ndarray, symbol: int, before: int | None) -> float:
    bias = unit.first if before is None and unit.first is not None else unit.bias
    of_before = 0.0 if before is None else unit.before.get(before, 0.0)
    return bias + unit.x.get(symbol, 0.0) + of_before + sum(weight * state[n] for n, weight in unit.units.items())


@pytest.mark.parametrize(("cell", "task"), SOLVED)
def test_cells_do_it_at_twice_the_length(cell, task):
    plan, probed = PLAN.model_copy(update={"test_sequences": 20}), PLAN.cells[cell]
    (arm,) = running.arms(plan, cell, probed.cell, probed.cell_options, "parameters", [task])
    weights = {name: array[np.newaxis] for name, array in by_hand.set_weights(plan, arm).items()}
    right, accuracy, _ = running.asked(plan, arm, np.array([3]), weights, 2, ComputeSettings(threads=1))
    assert right == 20 and accuracy == 1


def test_sums_that_fade_tell_a_token_from_all_others():
    decays, coefficients = forms._fading(4)
    sums = [float((coefficients * decays**power).sum()) for power in range(1, 8)]
    assert np.allclose(sums, [0, 0, 0, 1, 0, 0, 0], atol=1e-9)


def test_too_few_units_are_refused_and_so_is_what_is_not_known():
    small = PLAN.model_copy(update={"sizes": PLAN.sizes.model_copy(update={"parameters": 200})})
    (arm,) = running.arms(small, "lstm", "lstm", {}, "parameters", ["copying memory"])
    with pytest.raises(UserError, match=r"^copying_memory needs 19 units, and there are \d$"):
        by_hand.set_weights(small, arm)
    (arm,) = running.arms(small, "lru", "lru", {}, "parameters", ["parity"])
    with pytest.raises(UserError, match="^no weights are known by which lru does parity$"):
        by_hand.set_weights(small, arm)
    with pytest.raises(UserError, match="^weights set by hand need a history of 2, and the plan's is 1$"):
        by_hand.set_weights(small.model_copy(update={"history": 1}), arm)


def test_what_is_recorded_is_read_by_the_rule_for_trials(tmp_path, monkeypatch):
    monkeypatch.setattr(by_hand, "RECORDED", tmp_path / "by_hand.csv")
    assert by_hand.recorded(PLAN) == []
    (tmp_path / "by_hand.csv").write_text(
        "cell,task,how,units,right_1,right_2,right_5,right_10\n"
        "lstm,parity,so,3,100,99,98,100\ngru,parity,so,3,100,100,100,100\ngru,adding,so,3,0,0,0,0\n"
    )
    assert [row["holds"] for row in by_hand.recorded(PLAN)] == [2, 10, 0]


def test_the_page_sets_it_beside_the_trials():
    square = {"learned": {"rate": 0.35}, "holds": {2: {"rate": 0.0}}, "cell": "lstm", "task": "parity"}
    row = {
        "cell": "lstm",
        "task": "parity",
        "how": "so",
        "units": 3,
        "right": {1: 100, 2: 99},
        "sequences": 100,
        "holds": 2,
    }
    claim = {"task": "parity", "cell": "lstm", "can": True, "times": 2, "source": "x", "holding": 0, "trials": 100}
    summary = {
        "cells": [{"cell": "lstm", "learned": 0.5, "score": 0.5}], "first": None, "tasks": {"parity": 0},
        "lengths": [1, 2], "squares": [square], "by_hand": [row], "expected": [claim | {"agrees": False}],
    }  # fmt: skip
    page = "\n".join(probe_page._by_hand(summary))
    assert "| parity | lstm | so | 100, 99 | 35 % | 0 % |" in page and "1 of 1 solve the task at 2 times" in page
    assert "| 0 of 100 | it can, by hand |" in "\n".join(probe_page._claims(summary))
    assert probe_page._by_hand(summary | {"by_hand": []}) == [] == words._able(summary | {"by_hand": []})
    assert words._able(summary)[0].startswith(
        "In 1 square, weights set by hand solve the task at 2 times the length, where no trial does: the cell could"
    )
    square["holds"][2]["rate"] = 0.2
    assert "where at most 20 % of trials do" in words._able(summary)[0]
    assert "not shown" in "\n".join(probe_page._claims(summary | {"by_hand": [row | {"holds": 1}]}))


def test_the_recorded_table_is_of_all_that_is_known():
    table = trials.read(ROOT / by_hand.RECORDED, by_hand.columns(PLAN.lengths))
    assert sorted(zip(table["cell"], table["task"])) == sorted(SOLVED)
