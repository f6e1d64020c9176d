"""Streams as a user meets them: through the four stages, and as a row of the paper."""

import json
import re
import shutil

import pandas as pd
import pytest

from memory_trials.cli import commands
from memory_trials.errors import UserError
from memory_trials.report import page
from tests.conftest import change_params, run

STREAM = {
    "  sequences:\n    - [3, 0, 1, 2, 3]\n    - [4, 0, 1, 2, 4]\n": "  sequences: null\n",
    "stream: null": "stream: {task: keys, length: 4}",
    "cell: lstm\n": "cell: memory_cell\n",
    "units: 20": "units: 1",
    "cell_options: {}": "cell_options: {connected: B, output_gate: false, squashing: caption, weights: 0.2}",
    "epochs: 30\n": "epochs: 3000\n",
    "interval: 10": "interval: 50",
    "optimizer: adam": "optimizer: sgd",
    "learning_rate: 0.001": "learning_rate: 1.0",
}


def test_trials_that_learn_from_streams_go_through_the_pipeline(repository, monkeypatch):
    for old, new in STREAM.items():
        change_params(repository, old, new)
    said = run(repository, "dvc", "repro")
    assert "an endless stream of the task keys for each trial" in said and "MLflow now shows this result" in said
    metrics = json.loads((repository / "data/tutorial/metrics.json").read_text())
    trials = pd.read_csv(repository / "data/tutorial/trials.csv")
    assert metrics["trials"] == len(trials) and metrics["successes"] == trials["learned"].sum() > 0
    learned = trials["first_learned_epoch"].dropna()
    assert metrics["mean_epochs_to_learn"] == pytest.approx(learned.mean()) and (learned % 50 == 0).all()
    assert metrics["memory_whole"] is None and metrics["test_wrong"] == 0  # of the task's only two sequences
    before = (repository / "dvc.lock").read_text()
    shutil.rmtree(repository / ".shards")
    change_params(repository, "enabled: true", "enabled: false")
    run(repository, "dvc", "repro", "--single-item", "--force", "--no-run-cache", "train", "evaluate")
    assert (repository / "dvc.lock").read_text() == before
    monkeypatch.chdir(repository)
    page.write()
    assert "sequences of an endless stream of the task" in (repository / "report.html").read_text()
    with pytest.raises(UserError, match=r"a stream's trials, .* predict no symbols"):
        commands.main(["predict", "3 0 1 2"], standalone_mode=False)


def test_an_arm_of_the_paper_is_measured_and_shown(repository, monkeypatch):
    path = repository / "experiments/paper.yaml"
    row = """  tiny:
    study: counting_middle
    label: an arm of one's own
    kind: own
    like: noise_free
    set: {problem.stream: {task: keys, length: 4}, training.trials: 6, training.epochs: 1000}
"""
    path.write_text(path.read_text() + row)
    said = run(repository, "python", "-m", "memory_trials", "paper", "tiny")
    assert "its 6 trials, experiment 'memory-trials-paper'" in said
    measured = json.loads((repository / "experiments/data/paper/summaries/tiny.json").read_text())["arms"][0]
    learned = sum(until > 0 for until in measured["until"]["success"])
    assert len(measured["until"]["success"]) == 6
    row = rf"\| an arm of one's own \|[ |]* {learned} of 6 \("  # columns of references may be absent or empty
    assert re.search(row, (repository / "PAPER.md").read_text())
    assert (repository / "experiments/pictures/paper.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.chdir(repository)
    with pytest.raises(UserError, match="experiments has no study or arm 'tyni'; among its 3 are"):
        commands.main(["paper", "tyni"], standalone_mode=False)
