"""Publishing to MLflow: what is there, that it is there once, and that a cut is mended."""

import dataclasses
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from memory_trials import artifacts, problems, results, statistics, studies, tracking
from memory_trials.config import ProblemSettings, TrackingSettings
from memory_trials.errors import UserError

TRIALS, EPOCHS = 5, 40


@pytest.fixture
def arm(tmp_path, monkeypatch) -> studies.Arm:
    """An arm as the evaluate stage leaves it, made from numbers instead of training."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = Path("data/mine")
    random = np.random.default_rng(0)
    problem = problems.make_problem(ProblemSettings(sequences=[[0, 1, 2], [2, 1, 0]]))
    checks = np.array([20, 40])
    learned = np.array([[False, t % 2 == 0] for t in range(TRIALS)])
    losses = random.uniform(size=(TRIALS, EPOCHS)).astype(np.float32)
    losses[0, 3], losses[1, 3] = np.nan, np.inf
    trained = results.Trained(np.arange(3, 3 + TRIALS), {"cell/kernel": np.zeros((TRIALS, 2))}, losses, checks, learned)
    settings = {
        "problem": {"scored": "all"},
        "model": {"cell": "gru", "units": 4, "output": "sigmoid"},
        "training": {"window": 1, "epochs": EPOCHS, "optimizer": "adam", "learning_rate": 0.001},
    }
    files = [folder / name for name in ("sequences.json", "table.npz", "trained.npz")]
    arm = studies.Arm("pipeline", "", None, {}, *files, folder)
    results.write_trained(arm.trained, trained, settings)
    artifacts.write_text(arm.sequences, problems.to_json(problem))
    final = learned[:, -1]
    accuracy = final.astype(float)
    first = statistics.first_learned(checks, learned)
    artifacts.write_json(
        folder / results.METRICS, statistics.summary(final, accuracy, accuracy, losses[:, -1], first, EPOCHS, 0.95)
    )
    header = ("seed", "learned", "sequence_accuracy", "step_accuracy", "final_loss", "first_learned_epoch")
    rows = zip(trained.seeds, final.astype(int), accuracy, accuracy, losses[:, -1], first)
    artifacts.write_csv(folder / results.TRIALS, header, rows)
    results.write_curves(
        folder,
        statistics.loss_curves(np.nan_to_num(losses)),
        checks,
        statistics.share_learned(learned, 0.95),
        statistics.time_to_learn(first, EPOCHS, 0.95)[0],
        0.95,
    )
    artifacts.write_bytes(folder / results.FIGURE, b"a picture")
    return arm


def runs(uri: str, kind: str) -> list:
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("memory-trials")
    return client.search_runs([experiment.experiment_id], f"tags.kind = '{kind}'", order_by=["attributes.run_name"])


def check_what_is_there(uri: str, arm: studies.Arm) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    (parent,) = runs(uri, "arm")
    children = runs(uri, "trial")
    assert (
        parent.info.status == "FINISHED" and parent.info.run_name == "gru 4, sigmoid, window 1, 40 epochs, adam 0.001"
    )
    assert parent.data.tags["study"] == "pipeline" and parent.data.tags["cell"] == "gru"
    assert "3 of 5 trials" in parent.data.tags["mlflow.note.content"]
    assert parent.data.params["training.learning_rate"] == "0.001" and parent.data.params["model.cell"] == "gru"
    metrics = artifacts.read_json(arm.folder / results.METRICS)
    for key in (
        "trials",
        "successes",
        "success_rate",
        "success_rate_low",
        "success_rate_high",
        "mean_sequence_accuracy",
    ):
        assert parent.data.metrics[key] == pytest.approx(metrics[key])
    for key in ("loss_median", "loss_p10", "loss_p90"):
        assert [m.step for m in client.get_metric_history(parent.info.run_id, key)] == list(range(1, EPOCHS + 1))
    shares = client.get_metric_history(parent.info.run_id, "share_learned")
    assert [(m.step, m.value) for m in shares] == [(20, 0.0), (40, 0.6)]
    assert {f.path for f in client.list_artifacts(parent.info.run_id)} == {
        "answer.png",
        "metrics.json",
        "trials.csv",
        "sequences.json",
    }
    (dataset,) = client.get_run(parent.info.run_id).inputs.dataset_inputs
    assert dataset.dataset.name == "pipeline sequences" and json.loads(dataset.dataset.profile) == {
        "sequences": 2,
        "symbols": 3,
    }

    assert [run.info.run_name for run in children] == [
        "seed 3, learned", "seed 4, not learned", "seed 5, learned", "seed 6, not learned", "seed 7, learned",
    ]  # fmt: skip
    _, trained = results.read_trained(arm.trained)
    for number, run in enumerate(children):
        assert run.info.status == "FINISHED" and run.info.lifecycle_stage == "active"
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.params == {"seed": str(3 + number)}
        assert run.data.metrics["learned"] == run.data.metrics["sequence_accuracy"] == float(number % 2 == 0)
        history = client.get_metric_history(run.info.run_id, "loss")
        assert [m.step for m in history] == list(range(1, EPOCHS + 1))
        whole = [m for m in history if m.step != 4]
        assert np.allclose([m.value for m in whole], np.delete(trained.losses[number], 3))
    assert {run.info.run_id for run in runs_with(client, "tags.learned = 'no'")} == {
        children[1].info.run_id,
        children[3].info.run_id,
    }


def runs_with(client, filter_string):
    return client.search_runs([client.get_experiment_by_name("memory-trials").experiment_id], filter_string)


def test_everything_is_there_once(arm, capsys):
    for _ in range(2):
        tracking.publish([arm], TrackingSettings())
    said = capsys.readouterr().out
    assert "now shows this result" in said and "has this result already" in said
    check_what_is_there(f"sqlite:///{Path.cwd() / 'mlflow.db'}", arm)


def test_a_publication_that_was_cut_is_completed(arm, monkeypatch):
    real, calls = tracking._children, []

    def cut(arm, parent_id):
        for number, child in enumerate(real(arm, parent_id)):
            if number == 2 and not calls:
                calls.append(number)
                raise KeyboardInterrupt
            yield child

    # one child at a time, as a server gets them, with one left unfinished
    monkeypatch.setattr(tracking, "_children", cut)
    with pytest.raises(KeyboardInterrupt):
        tracking.publish([arm], TrackingSettings())
    uri = f"sqlite:///{Path.cwd() / 'mlflow.db'}"
    (parent,) = runs(uri, "arm")
    assert parent.info.status == "RUNNING"
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    child = next(iter(real(tracking._Shown(arm), parent.info.run_id)))
    tracking._create_run(client, parent.info.experiment_id, child)
    client.create_run(parent.info.experiment_id, tags={"mlflow.parentRunId": parent.info.run_id, "kind": "trial"})
    tracking.publish([arm], TrackingSettings())
    check_what_is_there(uri, arm)


def test_another_result_is_another_run(arm):
    tracking.publish([arm], TrackingSettings())
    metrics = artifacts.read_json(arm.folder / results.METRICS)
    artifacts.write_json(arm.folder / results.METRICS, metrics | {"successes": 2})
    tracking.publish([arm], TrackingSettings())
    assert len(runs(f"sqlite:///{Path.cwd() / 'mlflow.db'}", "arm")) == 2


def test_a_server_gets_the_same(arm, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}", "--artifacts-destination", str(tmp_path / "kept"),
    ]  # fmt: skip
    log = open(tmp_path / "server.log", "w")
    server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{uri}/health", timeout=1)
                break
            except OSError:
                assert server.poll() is None, (tmp_path / "server.log").read_text()
                time.sleep(0.5)
        tracking.publish([arm], TrackingSettings(uri=uri))
        tracking.publish([arm], TrackingSettings(uri=uri))
        check_what_is_there(uri, arm)
    finally:
        os.killpg(server.pid, 15)
        server.wait(20)


def test_an_unreachable_server_is_told_in_one_sentence_without_its_password(arm):
    started = time.monotonic()
    with pytest.raises(UserError) as caught:
        tracking.publish([arm], TrackingSettings(uri="http://me:secret@127.0.0.1:9"))
    assert "MLflow cannot be reached at http://***@127.0.0.1:9" in str(caught.value)
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)
    assert time.monotonic() - started < 30


def test_nothing_to_publish(arm):
    shutil.rmtree(arm.folder)
    with pytest.raises(UserError, match="trained.npz does not exist"):
        tracking.publish([arm], TrackingSettings())


def test_the_environment_comes_before_the_parameters_and_temporary_experiments_reach_the_repository(arm, monkeypatch):
    assert tracking.tracking_uri(TrackingSettings()) == f"sqlite:///{Path.cwd() / 'mlflow.db'}"
    assert tracking.tracking_uri(TrackingSettings(uri="http://a")) == "http://a"
    here = Path.cwd()
    temporary = here / ".dvc/tmp/exps/abc"
    temporary.mkdir(parents=True)
    monkeypatch.chdir(temporary)
    assert tracking.tracking_uri(TrackingSettings()) == f"sqlite:///{here / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://b")
    assert tracking.tracking_uri(TrackingSettings(uri="http://a")) == "http://b"


def test_the_dirty_flag_ignores_what_the_pipeline_writes(arm):
    def git(*arguments):
        subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments], check=True, capture_output=True
        )

    git("init")
    for name in ("dvc.lock", "params.yaml"):
        Path(name).write_text("a")
    git("add", "dvc.lock", "params.yaml", str(arm.folder / results.METRICS))
    git("commit", "-m", "x")
    Path("dvc.lock").write_text("b")
    (arm.folder / results.METRICS).write_text("{}")
    assert tracking._revision()["git.dirty"] == "no"
    Path("data/problems").mkdir()
    Path("data/problems/mine.csv").write_text("a,b")  # a user's sequences are no output
    git("add", "data/problems/mine.csv")
    assert tracking._revision()["git.dirty"] == "yes"
    git("commit", "-m", "y")
    assert tracking._revision()["git.dirty"] == "no"
    Path("params.yaml").write_text("b")
    assert tracking._revision()["git.dirty"] == "yes"


def test_an_arm_of_a_study_shows_fewer_points(arm):
    of_study = dataclasses.replace(arm, study="cells", name="cell=gru")
    tracking.publish([of_study], TrackingSettings())
    (parent,) = runs(f"sqlite:///{Path.cwd() / 'mlflow.db'}", "arm")
    assert parent.info.run_name == "cells: cell=gru" and parent.data.tags["study"] == "cells"
    from mlflow import MlflowClient

    child = runs(f"sqlite:///{Path.cwd() / 'mlflow.db'}", "trial")[0]
    steps = [
        m.step
        for m in MlflowClient(f"sqlite:///{Path.cwd() / 'mlflow.db'}").get_metric_history(child.info.run_id, "loss")
    ]
    assert len(steps) == 20 and steps[0] == 1 and steps[-1] == EPOCHS
