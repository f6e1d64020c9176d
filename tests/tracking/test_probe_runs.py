"""A probe in MLflow: a run for each cell and task, once, and earlier ones set apart."""

import pandas as pd

from memory_trials.settings import TrackingSettings
from memory_trials.tracking import probe

RATE = {"rate": 0.5, "low": 0.1, "high": 0.9}
SQUARE = {"cell": "gru", "task": "parity", "size": "parameters", "trials": 2, "learning_rate": 0.01, "units": 7,
          "parameters": 290, "state": 7, "learned": RATE, "sequences_until_learned": 480.0,
          "holds": {1: RATE, 10: RATE | {"rate": 0.0}}, "scores": {1: 0.8, 10: 0.2}}  # fmt: skip
SUMMARY = {
    "cells": [{"cell": "gru"}],
    "squares": [SQUARE, SQUARE | {"task": "a^n b^n", "sequences_until_learned": None}],
}


def table(error: float) -> pd.DataFrame:
    rows = {"cell": "gru", "size": "parameters", "seed": [0, 1], "error": error}
    return pd.concat([pd.DataFrame(rows | {"task": task}) for task in ("parity", "a^n b^n")])


def test_each_cell_on_each_task_is_a_run_which_is_there_once(tmp_path, monkeypatch, capsys):
    from mlflow import MlflowClient

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    settings = TrackingSettings(uri=f"sqlite:///{tmp_path}/runs.db")
    for _ in range(2):
        probe.publish(SUMMARY, table(0.1), settings)
    assert "now shows 2 of 2" in (printed := capsys.readouterr().out) and "has all 2 runs" in printed
    changed = pd.concat([table(0.1)[table(0.1)["task"] == "parity"], table(0.2)[table(0.2)["task"] != "parity"]])
    probe.publish(SUMMARY, changed, settings)
    client = MlflowClient(settings.uri)
    experiment = client.get_experiment_by_name(probe.EXPERIMENT)
    assert "a cell on a task of the probe" in experiment.tags["mlflow.note.content"]
    runs = client.search_runs([experiment.experiment_id], order_by=["attributes.run_name"])
    kinds = [(run.info.run_name, run.data.tags["kind"]) for run in runs]
    assert sorted(kinds) == [
        ("gru on a^n b^n", "earlier square"), ("gru on a^n b^n", "square"), ("gru on parity", "square"),
    ]  # fmt: skip
    parity = runs[-1]
    assert parity.info.run_name == "gru on parity" and parity.info.status == "FINISHED"
    assert parity.data.params == {
        "units": "7", "parameters": "290", "state": "7", "learning_rate": "0.01", "trials": "2"
    }  # fmt: skip
    assert parity.data.metrics["learned/low"] == 0.1 and parity.data.metrics["holds_10/rate"] == 0
    assert parity.data.metrics["score_10"] == 0.2 and parity.data.metrics["sequences_until_learned"] == 480
    assert [each.path for each in client.list_artifacts(parity.info.run_id)] == ["trials.csv"]
