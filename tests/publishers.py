"""Publishers in processes of their own, to be killed or to meet each other, and what must be there in the end."""

import dataclasses
import multiprocessing
import os
import sys
import time
from pathlib import Path

from memory_trials import files
from memory_trials.evaluation import results
from memory_trials.serving import registry
from memory_trials.settings import TrackingSettings
from memory_trials.studies import design
from memory_trials.tracking import payloads, publisher, store
from memory_trials.training.trained import read_trained, write_trained

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([
    "memory_trials.serving.registry", "mlflow.pyfunc", "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store", "alembic.command", "tests.preloaded",
])  # fmt: skip


def publish(folder: Path, arms: list[design.Arm], settings: TrackingSettings, meeting=None) -> None:
    """What the evaluate stage does in the end, from this folder; what it says goes into said.txt there."""
    os.chdir(folder)
    said = os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(said, stream.fileno())
    store.RUNS_PER_TRANSACTION = 1  # so that there are many moments at which to be killed
    if meeting:
        meeting.wait()
    publisher.publish(arms, settings)
    if arms[0].study == design.PIPELINE:
        registry.register(arms[0], settings)


def started(*arguments) -> multiprocessing.Process:
    process = PROCESSES.Process(target=publish, args=arguments)
    process.start()
    return process


def seconds(*arguments) -> float:
    """How long it takes, after the process was started; it must succeed."""
    began, process = time.monotonic(), started(*arguments)
    process.join(120)
    assert process.exitcode == 0, (arguments[0] / "said.txt").read_text()
    return time.monotonic() - began


def cut(after: float, *arguments) -> bool:
    """Kill a publisher after so many seconds; whether it was still at work."""
    process = started(*arguments)
    process.join(after)
    process.kill()
    process.join()
    return process.exitcode != 0


def check_once(uri: str, settings: TrackingSettings, arms: list[design.Arm]) -> None:
    """Every run of these arms is there once, finished, with all that belongs to it, and nothing else is; so is the
    version of the pipeline's memory, and the champion is it."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(settings.experiment).experiment_id
    runs = store.all_runs(client, experiment, "")
    assert {run.info.status for run in runs} == {"FINISHED"}
    expected = 0
    for arm in arms:
        (payload,) = payloads.of_arms([arm])
        (parent,) = (run for run in runs if run.data.tags.get("fingerprint") == payload.fingerprint)
        assert parent.data.tags["kind"] == "arm" and parent.data.params == payload.parameters()
        assert parent.data.metrics.keys() >= dict(payload.numbers()).keys() | {"loss/p10", "learned/ever"}
        assert len(client.get_metric_history(parent.info.run_id, "loss/median")) == len(payload.losses)
        assert len(client.list_artifacts(parent.info.run_id)) >= 4
        children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
        assert sorted(run.data.params["seed"] for run in children) == sorted(map(str, payload.trials["seed"]))
        for run in children:
            assert len(client.get_metric_history(run.info.run_id, "loss")) == len(payload.trial_losses)
        expected += 1 + len(children)
    assert len(runs) == expected
    models = client.search_logged_models([experiment])
    versions = [
        version
        for version in client.search_model_versions(f"name = '{registry.NAME}'")
        if version.source in {model.artifact_location for model in models}
    ]
    assert [model.status for model in models] == ["READY"] and len(versions) == 1
    assert str(client.get_model_version_by_alias(registry.NAME, registry.ALIAS).version) == str(versions[0].version)


def changed(arm: design.Arm, number: int) -> design.Arm:
    """The arm, whose result is another one now."""
    metrics = files.read_json(arm.files.folder / results.METRICS)
    files.write_json(arm.files.folder / results.METRICS, metrics | {"number": number})
    return arm


def other_arm(arm: design.Arm) -> design.Arm:
    """An arm of a study, with another result."""
    settings, trained = read_trained(arm.files.trained)
    path = arm.files.folder / "other.npz"
    write_trained(path, trained, settings | {"model": settings["model"] | {"cell": "gru"}})
    return design.Arm("cells", "cell=gru", arm.settings, {}, dataclasses.replace(arm.files, trained=path))


def text_of(folder: Path) -> bytes:
    """Every byte of every file in a folder."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
