"""Trials of the probe that are trained for longer."""

import pandas as pd
import pytest
import yaml

from memory_trials.errors import UserError
from memory_trials.probe import longer, running, trials
from memory_trials.probe import plan as plans
from memory_trials.report import probe_page
from memory_trials.settings import ComputeSettings
from memory_trials.training.cache import TrialCache
from tests.conftest import ROOT

PLAN = yaml.safe_load((ROOT / plans.FILE).read_text()) | {
    "tasks": {"parity": {"task": "parity", "length": 4}, "flip-flop": {"task": "flip_flop", "length": 4}},
    "lengths": [1], "test_sequences": 10, "updates": 20, "batch": 8, "interval": 20, "rates": [0.03],
    "choosing": {"trials": 2, "first_seed": 1000}, "trials": 4, "sizes": {"parameters": 150, "state": 4},
    "cells": {"min_gru": {"cell": "min_gru"}}, "expected": [],
}  # fmt: skip
LONGER = {"times": 3, "trials": 3, "below": 0.5, "retried": ["min_gru"]}


@pytest.fixture
def plan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").mkdir()
    (tmp_path / plans.FILE).write_text(yaml.safe_dump(PLAN))
    (tmp_path / longer.FILE).write_text(yaml.safe_dump(LONGER))
    return plans.load()


def recorded(task, learned):
    columns = {name: 0 for name in trials.columns([1])} | {"cell": "min_gru", "task": task, "size": "parameters"}
    frame = pd.DataFrame(columns | {"seed": range(4), "rate": 0.03}, index=range(4))
    return frame.assign(learned_after=pd.array(learned, "Int64"))


def test_the_first_trials_go_on_where_too_few_learned_and_nowhere_else(plan, tmp_path):
    few, enough = recorded("parity", [160, None, None, None]), recorded("flip-flop", [160, 160, None, None])
    found = longer.measure(
        plan, longer.load(plan), pd.concat([few, enough]), ComputeSettings(threads=1), tmp_path
    )  # fmt: skip
    assert found["task"].tolist() == ["parity"] * 3 and found["seed"].tolist() == [0, 1, 2]
    (arm,) = running.arms(plan, "min_gru", "min_gru", {}, "parameters", ["parity"])
    nothing = TrialCache(tmp_path / "other", megabytes=0)
    trained = running.train(plan, arm, 0.03, 3, 0, ComputeSettings(threads=1), nothing, lambda *_: None)
    after = [number or None for number in running.learned_after(plan, arm, trained).tolist()]
    within = found["learned_after"].where(found["learned_after"] <= 160)  # a trial is the same one, however long
    assert pd.array(after, "Int64").tolist() == within.tolist()
    trials.write(tmp_path / "x.csv", found)
    assert trials.read(tmp_path / "x.csv", longer.COLUMNS).equals(found)


def test_where_enough_learned_nothing_is_trained(plan, tmp_path):
    found = longer.measure(
        plan, longer.load(plan), recorded("parity", [160, 160, None, None]), ComputeSettings(), tmp_path
    )
    assert len(found) == 0
    trials.write(tmp_path / "x.csv", found)
    assert trials.read(tmp_path / "x.csv", longer.COLUMNS).equals(found)
    assert longer.summarize(plan, longer.load(plan), found) == []


def test_a_cell_is_short_of_time_if_more_learn_with_more(plan):
    rows = pd.DataFrame({"cell": "gru", "task": ["a"] * 4 + ["b"] * 4, "seed": [0, 1, 2, 3] * 2, "rate": 0.01}).assign(
        learned_after=pd.array([160, 161, 480, None, 160, None, None, None], "Int64")
    )
    a, b = longer.summarize(plan, longer.load(plan), rows)
    assert (a["task"], a["soon"], a["late"], a["trials"], a["short_of_time"]) == ("a", 1, 3, 4, True)
    assert (b["soon"], b["late"], b["short_of_time"]) == (1, 1, False)
    assert 0.4 < a["unseen"] < 0.5  # Wilson's upper limit for 0 of 4
    summary = {
        "cells": [{"cell": "gru", "learned": 0.5, "score": 0.5}],
        "first": None,
        "tasks": {"b": 0, "c": 0, "a": 0},
    }
    page = "\n".join(probe_page._longer(summary | {"longer": [a, b]}))
    assert "| cell | b | a |" in page and "| gru | 1 → 1 | **1 → 3** |" in page and probe_page._longer(summary) == []
    assert "In 1 of 2 squares more learn" in page and "In 0 none" in page and "although up to 49 % would" in page


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"retried": ["gru"]}, "retried: there is no cell 'gru'; there are min_gru"),
        ({"trials": 5}, "trials is 5: 4 at most, as many as are recorded"),
        ({"times": 1}, "times is 1: must be greater than or equal to 2"),
    ],
)
def test_wrong_settings_are_refused(change, said, plan, tmp_path):
    (tmp_path / longer.FILE).write_text(yaml.safe_dump(LONGER | change))
    with pytest.raises(UserError, match=said):
        longer.load(plan)


@pytest.mark.parametrize("content", ["cell,task\n1,2\n", "cell,task,seed,rate,learned_after\na,b,c,d,e\n"])
def test_a_damaged_table_is_refused(content, tmp_path):
    (tmp_path / "x.csv").write_text(content)
    with pytest.raises(UserError, match=r"x\.csv (is damaged|has other columns)"):
        trials.read(tmp_path / "x.csv", longer.COLUMNS)
