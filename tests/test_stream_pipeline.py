"""Streams as a user meets them: through the four stages, and as a row of the paper."""

import json

import pandas as pd
import pytest

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


def test_trials_that_learn_from_streams_go_through_the_pipeline(repository):
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
    run(repository, "make", "clean-cache")
    change_params(repository, "enabled: true", "enabled: false")
    run(repository, "dvc", "repro", "--force", "--no-run-cache")
    assert (repository / "dvc.lock").read_text() == before
    run(repository, "python", "-m", "memory_trials", "report")
    assert "sequences of an endless stream of the task" in (repository / "report.html").read_text()
    refused = run(repository, "python", "-m", "memory_trials", "predict", "3 0 1 2", fails=True)
    assert "a stream's trials, whose weights stand in trained.npz, predict no symbols" in refused


def test_a_row_of_the_paper_is_measured_and_told(repository):
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
    assert f"| an arm of one's own |  |  |  | {learned} of 6 (" in (repository / "PAPER.md").read_text()
    assert (repository / "experiments/pictures/paper.png").read_bytes().startswith(b"\x89PNG")
    refused = run(repository, "python", "-m", "memory_trials", "paper", "tyni", fails=True)
    assert "experiments has no study or arm 'tyni'; among its 3 are" in refused
