"""MLflow as a view of the artifacts; nothing else imports mlflow.

    python -m memory_trials.tracking           (make track)
    python -m memory_trials.tracking --ui      (make ui: MLflow's page on this machine)

An arm is a parent run with one child run a trial. A parent is found by the fingerprint of what it shows, so
publishing again changes nothing, a publication that was cut short is completed, and a result that DVC took
from its cache or from a remote can be published at any time.
"""

import getpass
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# before mlflow is imported: no calls home, and an unreachable server is said to be so within seconds
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")

import numpy as np

from memory_trials import artifacts, report, results, statistics, studies
from memory_trials.config import TrackingSettings, load_settings
from memory_trials.errors import UserError, exit_on_user_error

VERSION = "2"  # of what is shown and how: a new one publishes anew
LARGEST = sys.float_info.max  # what MLflow stores for infinity
BATCH = 1000  # metrics in one request, the most that MLflow takes
WRITTEN = ("dvc.lock", "studies/dvc.lock", "data/*/metrics.json", "data/studies", "docs/studies", "RESULTS.md")
# How many points of a curve are shown, evenly spread, the first and the last included. Studies have hundreds of arms
# and thousands of trials, and each point is a row in the store, so theirs are few.
POINTS, STUDY_POINTS, STUDY_TRIAL_POINTS = 250, 50, 20


def tracking_uri(settings: TrackingSettings) -> str:
    """MLFLOW_TRACKING_URI, else tracking.uri, else mlflow.db in the repository, by its absolute path.

    Experiments that DVC runs in a temporary copy (`dvc exp run --temp`, the queue) reach the repository's own.
    """
    return os.environ.get("MLFLOW_TRACKING_URI") or settings.uri or f"sqlite:///{repository() / 'mlflow.db'}"


def repository() -> Path:
    here = Path.cwd()
    parts = here.parts
    for index in range(len(parts) - 2):
        if parts[index : index + 3] == (".dvc", "tmp", "exps"):
            return Path(*parts[:index])
    return here


def publish(arms: list[studies.Arm], settings: TrackingSettings) -> None:
    """Publish arms, each whole and once; `UserError` when the store cannot be reached."""
    import mlflow.exceptions
    import sqlalchemy.exc
    from mlflow import MlflowClient

    uri = tracking_uri(settings)
    known = 0
    try:
        client = MlflowClient(uri)
        experiment = _experiment(client, settings.experiment, local=uri.startswith("sqlite:"))
        for arm in map(_Shown, arms):  # one after the other: a study's weights together are hundreds of megabytes
            parent, finished = _find(client, experiment, arm)
            if not finished:
                _publish_children(client, experiment, arm, parent)
                client.set_terminated(parent.info.run_id)
            known += finished
    except (mlflow.exceptions.MlflowException, sqlalchemy.exc.SQLAlchemyError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"MLflow cannot be reached at {_without_secrets(uri)}: {_without_secrets(reason)}") from None
    state = "has this result already" if known == len(arms) else "now shows this result"
    what = f"run {arm.name!r} and its {len(arm.trials)} trials" if len(arms) == 1 else f"{len(arms)} arms"
    print(f"MLflow {state}: {what}, experiment {settings.experiment!r}")


def _without_secrets(text: str) -> str:
    """A URI may carry a user and a password."""
    return re.sub(r"//[^/@\s]+@", "//***@", text)


def _spread(epochs: int, points: int) -> np.ndarray:
    return np.unique(np.linspace(1, epochs, min(epochs, points)).round().astype(int))


class _Shown:
    """What an arm's artifacts say, as MLflow shall show it."""

    def __init__(self, arm: studies.Arm):
        self.arm, self.folder, self.study = arm, arm.folder, arm.study
        self.settings, self.trained = results.read_trained(arm.trained)
        self.metrics = artifacts.read_json(arm.folder / results.METRICS)
        self.trials = artifacts.read_csv(arm.folder / results.TRIALS)
        learned = artifacts.read_csv(arm.folder / results.LEARNED)
        self.shares = [(int(row["epoch"]), float(row["share_learned"])) for row in learned]
        self.answer = report.answer(self.metrics, float(learned[0]["confidence"]))
        epochs = len(self.trained.losses[0])
        in_study = arm.study != studies.PIPELINE
        self.epochs = _spread(epochs, STUDY_POINTS if in_study else POINTS)
        self.trial_epochs = _spread(epochs, STUDY_TRIAL_POINTS if in_study else POINTS)
        contents = (artifacts.read_bytes(path) for path in
                    (arm.trained, arm.folder / results.METRICS, arm.folder / results.TRIALS))  # fmt: skip
        identity = (VERSION.encode(), arm.study.encode(), arm.name.encode())
        self.fingerprint = hashlib.sha256(b"\0".join([*identity, *contents])).hexdigest()

    @property
    def name(self) -> str:
        if self.arm.name:
            return f"{self.arm.study}: {self.arm.name}"
        model, training = self.settings["model"], self.settings["training"]
        return (
            f"{model['cell']} {model['units']}, {model['output']}, window {training['window']}, "
            f"{training['epochs']} epochs, {training['optimizer']} {training['learning_rate']:g}"
        )

    def parameters(self) -> dict[str, str]:
        """problem.scored, model.cell, ... -> text, as in params.yaml."""
        flat = {}
        for section, values in self.settings.items():
            for key, value in values.items():
                flat[f"{section}.{key}"] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return {key: text[:6000] for key, text in flat.items()}  # MLflow's bound on a parameter


def _experiment(client, name: str, local: bool) -> str:
    import mlflow.exceptions

    found = client.get_experiment_by_name(name)
    if found is None:
        location = (repository() / "mlartifacts").as_uri() if local else None
        try:
            # the kind makes MLflow's page open with training runs and charts
            kind = {"mlflow.experimentKind": "custom_model_development"}
            return client.create_experiment(name, artifact_location=location, tags=kind)
        except mlflow.exceptions.MlflowException:  # another process was quicker
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        raise UserError(
            f"the MLflow experiment {name!r} was deleted: restore it, or set tracking.experiment to another name"
        )
    return found.experiment_id


def _pages(uri: str, names: list[str]) -> Iterator[str]:
    """For each of the experiments that is there, the link to its arms side by side."""
    import mlflow.exceptions
    from mlflow import MlflowClient

    arms = "searchFilter=tags.kind%20%3D%20%27arm%27&compareRunsMode=CHART"
    try:
        client = MlflowClient(uri)
        for name in dict.fromkeys(names):
            if found := client.get_experiment_by_name(name):
                yield f"{name}: http://127.0.0.1:5000/#/experiments/{found.experiment_id}/runs?{arms}"
    except mlflow.exceptions.MlflowException:
        return


def _find(client, experiment: str, arm: _Shown) -> tuple:
    """The parent run of this fingerprint, made where there is none, and whether it is complete."""
    runs = client.search_runs(
        [experiment], f"tags.fingerprint = '{arm.fingerprint}' and tags.kind = 'arm'", max_results=1
    )
    if runs:
        return runs[0], runs[0].info.status == "FINISHED"
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param

    tags = {
        "kind": "arm",
        "study": arm.study,
        "cell": arm.settings["model"]["cell"],
        "fingerprint": arm.fingerprint,
        "mlflow.note.content": f"**{arm.answer[0].upper()}{arm.answer[1:]}.**",
        "mlflow.source.name": "dvc repro",
        "mlflow.user": getpass.getuser(),
        **_revision(),
    }
    now = int(time.time() * 1000)
    parent = client.create_run(experiment, tags=tags, run_name=arm.name)
    run_id = parent.info.run_id
    metrics = [Metric(key, float(value), now, 0) for key, value in arm.metrics.items() if value is not None]
    curves = statistics.loss_curves(arm.trained.losses[:, arm.epochs - 1])
    for epoch, (median, low, high) in zip(arm.epochs.tolist(), curves.tolist()):
        metrics += [
            Metric("loss_median", median, now, epoch),
            Metric("loss_p10", low, now, epoch),
            Metric("loss_p90", high, now, epoch),
        ]
    metrics += [Metric("share_learned", share, now, epoch) for epoch, share in arm.shares]
    client.log_batch(run_id, params=[Param(key, value) for key, value in arm.parameters().items()])
    _log_metrics(client, run_id, metrics)
    sequences = artifacts.read_text(arm.arm.sequences)
    dataset = Dataset(
        name=f"{arm.study} sequences",
        digest=hashlib.sha256(sequences.encode()).hexdigest()[:8],
        source_type="local",
        source=json.dumps({"uri": str(arm.arm.sequences)}),
        profile=json.dumps(
            {"sequences": len(json.loads(sequences)["sequences"]), "symbols": len(json.loads(sequences)["alphabet"])}
        ),
    )
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
    for path in (*(arm.folder / name for name in (results.FIGURE, results.METRICS, results.TRIALS)), arm.arm.sequences):
        client.log_artifact(run_id, str(path))
    return parent, False


def _publish_children(client, experiment: str, arm: _Shown, parent) -> None:
    """One finished run for each trial; those that an earlier, cut publication finished are kept."""
    parent_id = parent.info.run_id
    done, token = set(), None
    while True:
        page = client.search_runs(
            [experiment], f"tags.mlflow.parentRunId = '{parent_id}'", max_results=1000, page_token=token
        )
        for run in page:
            if run.info.status == "FINISHED":
                done.add(run.data.params.get("seed"))
            else:
                client.delete_run(run.info.run_id)
        token = page.token
        if not token:
            break
    children = [child for child in _children(arm, parent_id) if child["params"]["seed"] not in done]
    store = client._tracking_client.store
    if hasattr(store, "ManagedSessionMaker"):
        for start in range(0, len(children), 100):
            _insert_runs(store, experiment, children[start : start + 100])
    else:
        with ThreadPoolExecutor(4) as pool:  # a server: what takes time is waiting for it
            list(pool.map(lambda child: _create_run(client, experiment, child), children))


def _children(arm: _Shown, parent_id: str):
    """name, tags, params and metrics [(key, value, step)] of each trial's run."""
    for row, losses in zip(arm.trials, arm.trained.losses[:, arm.trial_epochs - 1].tolist()):
        learned = row["learned"] == "1"
        numbers = ("learned", "sequence_accuracy", "step_accuracy", "final_loss", "first_learned_epoch")
        yield {
            "name": f"seed {row['seed']}, {'learned' if learned else 'not learned'}",
            "tags": {
                "mlflow.parentRunId": parent_id,
                "kind": "trial",
                "study": arm.study,
                "cell": arm.settings["model"]["cell"],
                "learned": "yes" if learned else "no",
            },
            "params": {"seed": row["seed"]},
            "metrics": [("loss", loss, epoch) for epoch, loss in zip(arm.trial_epochs.tolist(), losses)]
            + [(key, float(row[key]), 0) for key in numbers if row[key]],
        }


def _create_run(client, experiment: str, child: dict) -> None:
    """One run by MLflow's API, which is all a server offers."""
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    run_id = client.create_run(experiment, tags=child["tags"], run_name=child["name"]).info.run_id
    client.log_batch(run_id, params=[Param(key, value) for key, value in child["params"].items()])
    _log_metrics(client, run_id, [Metric(key, value, now, step) for key, value, step in child["metrics"]])
    client.set_terminated(run_id)


def _insert_runs(store, experiment: str, children: list[dict]) -> None:
    """Finished runs, all or none, by MLflow's own tables where the store is a database.

    Through the API a run with 250 points costs 60 to 120 ms here, in one object for each point; the rows
    that it would write are written at once instead, some 4 ms a run. The tests read them back by the API.
    """
    import math
    import uuid

    from mlflow.store.tracking.dbmodels import models
    from sqlalchemy import insert

    now = int(time.time() * 1000)
    location = store.get_experiment(experiment).artifact_location
    runs, tags, params, metrics, latest = [], [], [], [], []
    for child in children:
        run_id = uuid.uuid4().hex
        user = getpass.getuser()
        runs.append({
            "run_uuid": run_id, "name": child["name"], "artifact_uri": f"{location}/{run_id}/artifacts",
            "experiment_id": int(experiment), "source_type": "UNKNOWN", "source_name": "", "entry_point_name": "",
            "source_version": "", "user_id": user, "status": "FINISHED", "start_time": now, "end_time": now,
            "lifecycle_stage": "active",
        })  # fmt: skip
        named = child["tags"] | {"mlflow.runName": child["name"], "mlflow.user": user}
        tags += [{"run_uuid": run_id, "key": key, "value": value} for key, value in named.items()]
        params += [{"run_uuid": run_id, "key": key, "value": value} for key, value in child["params"].items()]
        rows = [
            {"run_uuid": run_id, "key": key, "value": 0.0 if math.isnan(value) else max(-LARGEST, min(value, LARGEST)),
             "timestamp": now, "step": step, "is_nan": math.isnan(value)}
            for key, value, step in child["metrics"]
        ]  # fmt: skip
        metrics += rows
        latest += {row["key"]: row for row in rows}.values()  # the last of each key
    with store.ManagedSessionMaker(read_only=False) as session:
        for model, rows in (
            (models.SqlRun, runs), (models.SqlTag, tags), (models.SqlParam, params),
            (models.SqlMetric, metrics), (models.SqlLatestMetric, latest),
        ):  # fmt: skip
            session.execute(insert(model), rows)


def _log_metrics(client, run_id: str, metrics: list) -> None:
    for start in range(0, len(metrics), BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + BATCH])


def _revision() -> dict[str, str]:
    """The commit, and whether the code or the parameters differ from it.

    What the pipeline itself writes (dvc.lock, metrics) does not count: every run would be dirty.
    """

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout

    try:
        commit = git("rev-parse", "HEAD").strip()
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", *(f":!{path}" for path in WRITTEN))
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {"mlflow.source.git.commit": commit, "git.dirty": "yes" if changed.strip() else "no"}


def main() -> None:
    settings = load_settings().tracking
    if "--ui" in sys.argv:
        uri = tracking_uri(settings)
        defaults = studies.load_studies()[0] if studies.FILE.exists() else {}
        of_studies = defaults.get("tracking", {}).get("experiment", settings.experiment)
        print("MLflow's page (Ctrl-C ends it): http://127.0.0.1:5000; every arm side by side:")
        print(*_pages(uri, [settings.experiment, of_studies]), sep="\n", flush=True)
        os.execvp("mlflow", ["mlflow", "ui", "--backend-store-uri", uri, "--host", "127.0.0.1", "--port", "5000"])
    arms = [studies.pipeline_arm()]
    if arms[0].trained.exists() or not studies.FOLDER.exists():
        publish(arms, settings)
    for study_arms in _trained_studies():
        publish(study_arms, study_arms[0].settings.tracking)


def _trained_studies() -> Iterator[list[studies.Arm]]:
    """The arms of each study that is here, whole."""
    for name in studies.load_studies()[1] if studies.FILE.exists() else []:
        study, arms = studies.study_arms(name)
        if study.search and arms[0].trained.parent.exists():
            from memory_trials import tuning

            arms = tuning.found(study, arms[0])
        if all(arm.trained.exists() and (arm.folder / results.METRICS).exists() for arm in arms):
            yield arms


if __name__ == "__main__":
    exit_on_user_error(main)
