"""The gate for CI, on what `dvc status --json` really prints."""

import math
import sys

import pytest

from memory_trials.check import check_numbers, main, recorded_outputs, stale, table
from memory_trials.errors import UserError

GOOD = {"trials": 100, "success_rate_low": 0.3, "median_epochs_to_learn": None}
STAGES = {"train": {"outs": [{"path": "data/tutorial/trained.npz"}]}, "x": {}}


def test_a_fresh_clone_without_data_is_not_stale():
    status = {
        "train": [{"changed deps": {"data/tutorial/trained.npz": "deleted"}}],
        "evaluate": [{"changed outs": {"data/tutorial/trained.npz": "not in cache"}}],
    }
    assert recorded_outputs(STAGES) == {"data/tutorial/trained.npz"}
    assert stale({}, set()) == stale(status, recorded_outputs(STAGES)) == []


def test_whatever_changed_is_stale():
    status = {
        "encode": [{"changed deps": {"params.yaml": {"training.window": "modified"}}}],
        "train": [{"changed deps": {"memory_trials/cells.py": "modified", "gone.py": "deleted"}}, "changed command"],
    }
    assert stale(status, recorded_outputs(STAGES)) == [
        "encode: params.yaml training.window modified",
        "train: memory_trials/cells.py modified",
        "train: gone.py deleted",
        "train: changed command",
    ]


def test_the_gate():
    assert check_numbers(GOOD, 0.3) == []
    assert "interval begins at 0.3, below check.success_rate_floor, which is 0.31" in check_numbers(GOOD, 0.31)[0]
    assert len(check_numbers(GOOD | {"success_rate_low": math.nan}, 0.0)) == 2
    assert "trials is None" in check_numbers(GOOD | {"trials": None}, 0.0)[0]


def test_the_table_compares_and_survives_what_is_missing():
    assert table({"success_rate": 0.39, "median_epochs_to_learn": None}, {"success_rate": 0.5}, "main") == (
        "| metric | here | main | change |\n|---|---:|---:|---:|\n"
        "| success_rate | 0.39 | 0.5 | -0.11 |\n| median_epochs_to_learn | none | none |  |"
    )
    assert "| trials | 100 | none |  |" in table({"trials": 100}, None, "main")


def test_nothing_recorded_is_told_in_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_text("problem: {sequences: [[1, 2]]}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["check"])
    with pytest.raises(UserError, match=r"dvc\.lock does not exist"):
        main()
