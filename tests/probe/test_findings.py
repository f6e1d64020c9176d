"""What is said of a table of trials, worked out by hand."""

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.stats import binomtest

from memory_trials.errors import UserError
from memory_trials.probe import findings, trials
from memory_trials.probe import plan as plans
from memory_trials.report import probe as words
from tests.conftest import ROOT

CONTENT = yaml.safe_load((ROOT / plans.FILE).read_text())
LENGTHS = [1, 2]
TASKS = {"parity": CONTENT["tasks"]["parity"], "flip-flop": CONTENT["tasks"]["flip-flop"]}
CLAIMS = [
    {"task": "parity", "cells": ["a", "b"], "can": False, "times": 2, "source": "Somebody 1999"},
    {"task": "parity", "cells": ["a", "b"], "can": True, "source": "Somebody else"},
]
CELLS = {name: {"cell": "gru"} for name in "ab"}
PLAN = plans.Plan.model_validate(
    CONTENT | {"tasks": TASKS, "lengths": LENGTHS, "trials": 20, "cells": CELLS, "expected": CLAIMS}
)


def rows(cell: str, task: str, learned: int, right_1: int = 100, right_2: int = 98, accuracy: float = 0.9):
    """20 trials, of which the first so many have learned, after 1000 sequences and their seed."""
    seeds = np.arange(20)
    after = pd.array([1000 + seed if seed < learned else None for seed in seeds], "Int64")
    content = {"cell": cell, "task": task, "size": "parameters", "seed": seeds, "rate": 0.01, "units": 7,
               "parameters": 500, "state": 14, "learned_after": after, "error": 0.1, "right_1": right_1,
               "accuracy_1": accuracy, "bits_1": -0.1, "right_2": right_2, "accuracy_2": accuracy / 2,
               "bits_2": -0.5}  # fmt: skip
    kinds = trials.columns(LENGTHS)
    return pd.DataFrame(content)[list(kinds)].astype(kinds)


TABLE = pd.concat(
    [rows("a", "parity", 20), rows("b", "parity", 5, right_2=99), rows("a", "flip-flop", 3), rows("b", "flip-flop", 4)]
)


def test_rates_have_intervals_and_scores_are_corrected_for_guessing():
    summary = findings.summarize(PLAN, TABLE)
    square = words.square(summary, "b", "parity")
    low, high = binomtest(5, 20).proportion_ci(method="wilson")
    assert square["learned"] == pytest.approx({"rate": 0.25, "low": low, "high": high})
    chance = 21 / 40  # the first bit, and half of the other 19
    assert square["scores"][1] == pytest.approx((0.9 - chance) / (1 - chance))
    assert square["scores"][2] == pytest.approx((0.45 - 41 / 80) / (1 - 41 / 80))
    assert square["sequences_until_learned"] == 1002 and square["accuracy"] == pytest.approx({1: 0.9, 2: 0.45})


def test_a_trial_holds_as_far_as_it_answers_all_but_one_of_a_hundred():
    summary = findings.summarize(PLAN, TABLE)
    assert words.square(summary, "a", "parity")["holds"][2]["rate"] == 0  # two are wrong
    assert words.square(summary, "b", "parity")["holds"][2]["rate"] == 0.25  # one is
    short = rows("a", "parity", 20, right_1=98, right_2=100)
    assert findings.holds_to(PLAN, short).tolist() == [0] * 20
    assert findings.holds_to(PLAN, rows("a", "parity", 2, right_2=100)).tolist() == [2, 2] + [0] * 18


def test_cells_are_compared_on_the_same_seeds():
    compared = {row["task"]: row for row in findings.summarize(PLAN, TABLE)["compared"]}
    assert compared["parity"]["p"] == pytest.approx(2 * 0.5**15)  # 15 seeds learn in one cell alone
    assert compared["parity"]["adjusted_p"] == pytest.approx(4 * 0.5**15) and compared["parity"]["decided"]
    assert compared["flip-flop"]["p"] == 1 and not compared["flip-flop"]["decided"]
    with_first = findings.summarize(PLAN, TABLE, "b")
    assert [row["cells"] for row in with_first["compared"]] == [["b", "a"]] * 2
    fewer = pd.concat([rows("a", "parity", 20)[:8], rows("b", "parity", 5)])
    (row,) = findings.summarize(PLAN, fewer)["compared"]
    assert row["p"] == pytest.approx(2 * 0.5**3)  # of the eight seeds that both have


def test_what_was_published_is_shown_by_one_trial_and_denied_by_none():
    found = {(row["cell"], row["can"]): row for row in findings.summarize(PLAN, TABLE)["expected"]}
    assert found["a", False]["agrees"] and found["a", False]["holding"] == 0
    assert not found["b", False]["agrees"] and found["b", False]["holding"] == 5
    assert found["a", True]["agrees"] and found["b", True]["agrees"]


def test_how_often_few_seeds_mislead_is_said_where_all_cells_have_the_same_seeds():
    varied = TABLE.assign(accuracy_1=np.random.default_rng(0).uniform(0.5, 1, len(TABLE)))
    misleading = findings.summarize(PLAN, varied)["misleading"]
    assert misleading["pairs"] == 2 and 0 < misleading["seeds"][0]["wrong"] < 0.7
    assert misleading["seeds"][0]["wrong"] > misleading["seeds"][-1]["wrong"]
    assert findings.summarize(PLAN, rows("a", "parity", 3))["misleading"] is None


def test_the_page_says_what_was_found():
    page = words.page(findings.summarize(PLAN, TABLE), "The probe", "probe.png")
    assert "| a | 100 (84-100) | 15 (5-36) ≈ |" in page and "| b | 25 (11-47) | 20 (8-42) |" in page
    assert "1 of 2 comparisons of two cells on a task is decided" in page
    assert (
        "| parity | b | cannot learn it and hold it at 2 times the length (Somebody 1999) | 5 of 20 | **does not"
        in page
    )
    own = words.text(findings.summarize(PLAN, TABLE, "b"))
    assert "parity: 25 (11-47) learn, 25 (11-47) hold it at 2 times the length; less often than a." in own


def test_a_table_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "a.csv"
    trials.write(path, TABLE)
    assert trials.read(path, LENGTHS).equals(TABLE.reset_index(drop=True))
    first = path.read_bytes()
    trials.write(path, trials.read(path, LENGTHS))
    assert path.read_bytes() == first
    with pytest.raises(UserError, match="has other columns than the plan asks for"):
        trials.read(path, [1])
    path.write_text("cell,task\n1")
    with pytest.raises(UserError, match="a.csv"):
        trials.read(path, LENGTHS)
