"""The gate for CI, on what `dvc status --json` really prints."""

import math

import pytest

from memory_trials.errors import UserError
from memory_trials.integrity.check import check, check_numbers, recorded_outputs, stale

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
        "train": [
            {"changed deps": {"memory_trials/models/cells.py": "modified", "gone.py": "deleted"}},
            "changed command",
        ],
    }
    assert stale(status, recorded_outputs(STAGES)) == [
        "encode: params.yaml training.window modified",
        "train: memory_trials/models/cells.py modified",
        "train: gone.py deleted",
        "train: changed command",
    ]


def test_the_gate():
    assert check_numbers(GOOD, 0.3) == []
    assert "interval begins at 0.3, below check.success_rate_floor, which is 0.31" in check_numbers(GOOD, 0.31)[0]
    assert len(check_numbers(GOOD | {"success_rate_low": math.nan}, 0.0)) == 2
    assert "trials is None" in check_numbers(GOOD | {"trials": None}, 0.0)[0]
    remembered = GOOD | {"memory_median": 0.5, "memory_median_low": 0.4}
    assert check_numbers(remembered, 0.3, memory_floor=0.4) == []
    assert "interval begins at 0.4, below check.memory_floor, 0.41" in check_numbers(remembered, 0.3, 0.41)[0]
    assert "interval begins at none, below check.memory_floor" in check_numbers(GOOD, 0.3, 0.0)[0]


def test_nothing_recorded_is_told_in_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_text("problem: {sequences: [[1, 2]]}")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"dvc\.lock does not exist"):
        check("HEAD~1")
