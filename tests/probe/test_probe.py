"""A small probe from start to end, by the command."""

import json

import pytest
import yaml

from memory_trials import cli
from memory_trials.errors import UserError
from memory_trials.probe import findings, one, running, trials, verifying
from memory_trials.probe import plan as plans
from memory_trials.settings import ComputeSettings
from memory_trials.training import trainer
from memory_trials.training.cache import TrialCache
from tests.conftest import ROOT

PLAN = yaml.safe_load((ROOT / plans.FILE).read_text()) | {
    "tasks": {"parity": {"task": "parity", "length": 4}},
    "lengths": [1, 2], "test_sequences": 30, "updates": 40, "batch": 8, "interval": 20, "rates": [0.01, 0.03],
    "choosing": {"trials": 2, "first_seed": 1000}, "trials": 3, "sizes": {"parameters": 150, "state": 4},
    "cells": {"gru": {"cell": "gru"}}, "expected": [],
}  # fmt: skip
CELL = "tests.plain_cells.SimpleRNN"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which a cell was probed."""
    folder = tmp_path_factory.mktemp("probe")
    (folder / "plan.yaml").write_text(yaml.safe_dump(PLAN))
    run(folder, CELL)
    return folder


def run(folder, *arguments):
    cli.commands.main(
        ["probe", *arguments, "--plan", str(folder / "plan.yaml"), "--out", str(folder / "out"), "--threads", "1"],
        standalone_mode=False,
    )


def test_a_probe_leaves_a_table_a_page_and_a_picture(folder):
    table = trials.read(folder / "out/trials.csv", trials.columns([1, 2]))
    assert table["seed"].tolist() == [0, 1, 2] and set(table["cell"]) == {"SimpleRNN"}
    units = table["units"].iloc[0]
    weights = 4 * units + units * units + units + 2 * units + 2  # two symbols, and as many before them
    assert (table["parameters"] == weights).all() and abs(weights - 150) < 2 * units + 8
    assert table["learned_after"].dropna().isin([160, 320]).all() and (table["right_1"] <= 30).all()
    page = (folder / "out/probe.md").read_text()
    assert page.startswith("# How often does SimpleRNN learn to remember?\n") and "| SimpleRNN | " in page
    pictures = {path.name for path in (folder / "out").glob("*.png")}
    assert pictures == {"probe.png", "probe-holds.png", "probe-scores.png"}  # parity asks for no recall
    assert all(f"({name})" in page for name in pictures)


def test_what_was_trained_is_kept_and_leads_to_the_same_bytes(folder, monkeypatch, capsys):
    before = (folder / "out/trials.csv").read_bytes()
    monkeypatch.setattr(trainer.shards, "run_shard", None)  # nothing is trained
    run(folder, CELL, "--json")
    assert (folder / "out/trials.csv").read_bytes() == before
    assert json.loads(capsys.readouterr().out)["first"] == "SimpleRNN"


def test_a_trial_does_not_depend_on_how_many_there_are(folder):
    plan = plans.load(folder / "plan.yaml")
    (arm,) = running.arms(plan, "SimpleRNN", CELL, {}, "parameters", ["parity"])
    rate = trials.read(folder / "out/trials.csv", trials.columns([1, 2]))["rate"].iloc[0]
    alone = plan.model_copy(update={"trials": 2, "first_seed": 1, "rates": [rate]})
    found = running.run(alone, arm, ComputeSettings(threads=1), TrialCache(folder, megabytes=0), lambda *_: None)
    whole = trials.read(folder / "out/trials.csv", trials.columns([1, 2]))
    trials.write(folder / "alone.csv", found)
    assert trials.read(folder / "alone.csv", trials.columns([1, 2])).equals(whole[1:].reset_index(drop=True))


def test_recorded_cells_stand_beside_it_on_the_same_seeds(folder, monkeypatch, capsys):
    plan = plans.load(folder / "plan.yaml")
    mine = trials.read(folder / "out/trials.csv", trials.columns([1, 2]))
    other = mine.assign(cell="gru", seed=mine["seed"] + 1)
    monkeypatch.setattr(trials, "RECORDED", folder)
    trials.write(folder / "gru.csv", other)
    assert len(one.beside(plan, mine, "SimpleRNN", "parameters")) == 3  # they were recorded by another plan
    assert "left out, since they were measured by another plan (lengths, test_sequences, " in capsys.readouterr().out
    monkeypatch.setattr(plans, "FILE", folder / "plan.yaml")
    both = one.beside(plan, mine, "SimpleRNN", "parameters")
    assert list(zip(both["cell"], both["seed"]))[3:] == [("gru", 1), ("gru", 2)]
    assert len(one.beside(plan, mine, "SimpleRNN", "state")) == 3
    (folder / "by_state").mkdir()
    trials.write(folder / "by_state/gru.csv", other.assign(size="state", seed=0))
    of_state = one.beside(plan, mine.assign(size="state"), "SimpleRNN", "state")
    assert list(of_state["seed"])[3:] == [0, 0, 0] and set(of_state["size"]) == {"state"}
    longer = plan.model_copy(update={"tasks": {"parity": plan.stream("parity", 2).settings}})
    assert len(one.beside(longer, mine, "SimpleRNN", "parameters")) == 3  # another task by the same name
    assert findings.summarize(plan, both, "SimpleRNN")["compared"][0]["cells"] == ["SimpleRNN", "gru"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["gru", "--tasks", "parity,adding"], "--tasks: there is no task 'adding'; there are parity"),
        (["nowhere.Cell"], "no module 'nowhere' can be imported"),
        (["gru", "--trials", "2000000"], "2000000 is not in the range"),
    ],
)
def test_a_mistake_is_one_sentence_before_anything_is_trained(folder, arguments, sentence, monkeypatch):
    monkeypatch.setattr(running, "run", None)
    with pytest.raises(Exception, match=sentence) as caught:
        run(folder, *arguments)
    assert isinstance(caught.value, UserError) or "range" in sentence


def test_recorded_trials_are_verified_by_training_them_anew(folder, monkeypatch):
    plan = plans.load(folder / "plan.yaml")
    plan = plan.model_copy(update={"cells": {"mine": plans.ProbedCell(cell=CELL)}})
    recorded = trials.read(folder / "out/trials.csv", trials.columns([1, 2])).assign(cell="mine")
    monkeypatch.setattr(trials, "RECORDED", folder)
    verify = lambda: verifying.verify(plan, 5, 0, ComputeSettings(threads=1))
    trials.write(folder / "mine.csv", recorded)
    (found,) = verify()
    assert found.agrees and (found.cell, found.task, found.seeds, found.same) == ("mine", "parity", "0 to 2", 3)
    trials.write(folder / "mine.csv", recorded.assign(error=recorded["error"] * 1.001))
    assert verify()[0].same == 0 and verify()[0].agrees  # as many learn
    changed = recorded["learned_after"].isna().map({True: 160, False: None}).astype("Int64")
    trials.write(folder / "mine.csv", recorded.assign(learned_after=changed))
    monkeypatch.setattr(verifying, "LEVEL", 0.5)  # three trials decide little
    assert not verify()[0].agrees and "**other results**" in verifying.text(verify())
    trials.write(folder / "mine.csv", recorded.assign(units=3))
    with pytest.raises(UserError, match="mine.csv: the units of parity are others than the plan gives"):
        verify()
