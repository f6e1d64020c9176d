"""The trained memory in MLflow's registry: a version for each result, the alias `champion` at the present one.

    python -m memory_trials.serving.registry               (make track, after the runs)
    python -m memory_trials serve       (make serve: it answers over HTTP on this machine)

A version holds memory.npz, model.keras, settings.json and the code that predicts with them, also that of a cell of the
user's; no pickle. It is found by its content, so
registering again changes nothing, and what was cut short is completed.
"""

import hashlib
import json
import os
import shlex
import socket
import tempfile
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

from memory_trials import files
from memory_trials.errors import UserError
from memory_trials.models import forward
from memory_trials.serving import bundle, champion, predictor
from memory_trials.serving.champion import ALIAS, NAME
from memory_trials.settings import Settings, TrackingSettings
from memory_trials.studies import design
from memory_trials.tasks import problems, symbols
from memory_trials.tracking import payloads, publisher, store, tracker
from memory_trials.training import cache

VERSION = "3"  # of what is registered and how: a new one registers anew
SHOWN = 20  # symbols in the example of a request


def show(arm: design.Arm, settings: TrackingSettings) -> None:
    """Publish an arm and register its memory, so that the champion is what is here."""
    publisher.publish([arm], settings)
    register(arm, settings)


def register(arm: design.Arm, settings: TrackingSettings) -> None:
    """Register an arm's memory, once, after `publisher.publish`; `UserError` when the store cannot be reached.

    From DVC's temporary copies of the repository too, but the alias stays with the repository's own result.
    """
    best, payload = predictor.read(arm.files.folder / predictor.MEMORY), payloads.RunPayload(arm)
    contents = [files.read_bytes(arm.files.folder / name) for name in (predictor.MEMORY, predictor.KERAS_MODEL)]
    content = hashlib.sha256(b"\0".join([VERSION.encode(), payload.fingerprint.encode(), *contents])).hexdigest()
    with store.opened(settings) as opened:
        new, version = store.repeated(_register, opened.client, arm, settings.experiment, payload, best, content)
    print(f"MLflow's registry {'now has' if new else 'has'} version {version} of {NAME}: {best}")


def _register(
    client, arm: design.Arm, experiment: str, payload, best: predictor.Predictor, content: str
) -> tuple[bool, str]:
    """Whether a version was made, and its number. Of several with the same content, which publishers who share a server
    may make at the same time, the first stays."""
    found = _versions(client, content)
    new = not found
    if new:
        _new_version(client, experiment, arm, payload, best, content)
        found = _versions(client, content)
    elif _gone(found[0].source):  # as after rm -r mlartifacts
        for model in _models(client, experiment, content):
            if model.artifact_location == found[0].source:
                _log_files(client, model, arm, best, found[0].tags["example"])
    for other in found[1:]:
        client.delete_model_version(NAME, str(other.version))
    models = _models(client, experiment, content)
    if any(model.artifact_location == found[0].source for model in models):
        for model in models:
            if model.artifact_location != found[0].source:
                client.delete_logged_model(model.model_id)
    number = str(found[0].version)  # a number in a database, a text from a server
    if files.repository() == Path.cwd() and str(client.get_registered_model(NAME).aliases.get(ALIAS)) != number:
        client.set_registered_model_alias(NAME, ALIAS, number)
    return new, number


def _versions(client, content: str) -> list:
    found = client.search_model_versions(f"name = '{NAME}' and tags.content = '{content}'")
    return sorted(found, key=lambda version: int(version.version))


def _models(client, experiment: str, content: str) -> list:
    found = client.get_experiment_by_name(experiment).experiment_id
    return client.search_logged_models([found], f"tags.content = '{content}'")


def _new_version(client, experiment: str, arm: design.Arm, payload, best: predictor.Predictor, content: str) -> None:
    """A version of the MLflow model of this content, which is made, or completed where it is not whole."""
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus
    from mlflow.exceptions import MlflowException

    experiment_id = client.get_experiment_by_name(experiment).experiment_id
    (run,) = client.search_runs([experiment_id], f"tags.fingerprint = '{payload.fingerprint}'", max_results=1)
    sequence = problems.read_problem(arm.files.sequences).evaluation_sequences[0]
    example = symbols.written(sequence[:-1][: max(SHOWN, best.encoding.history)])
    logged = _models(client, experiment, content)
    model = logged[0] if logged else client.create_logged_model(
        experiment_id, "memory", run.info.run_id, tags={"content": content}, model_type="next symbol"
    )  # fmt: skip
    if model.status != LoggedModelStatus.READY:
        _log_files(client, model, arm, best, example)
        if run.outputs is None or model.model_id not in [output.model_id for output in run.outputs.model_outputs]:
            client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, step=0)])
        client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    try:
        client.create_registered_model(
            NAME, description="What the best of many trials remembers: it predicts the next symbol."
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    memory = champion.digest(arm.files.folder / predictor.MEMORY)
    tags = {"content": content, champion.TAG: memory, "seed": str(best.seed), "cell": best.model.cell,
            "learned": "yes" if best.learned else "no", "success": payload.answer, "example": example}  # fmt: skip
    description = f"{str(best).capitalize()}. {payload.answer[0].upper()}{payload.answer[1:]}."
    # the model by its location, since models:/<id> would be searched in MLflow's global store, whichever client it is
    client.create_model_version(
        NAME, model.artifact_location, run.info.run_id, tags, description=description, model_id=model.model_id
    )


def _gone(location: str) -> bool:
    """Whether an MLflow model was in a folder of this machine and is not any more."""
    from mlflow.utils.file_utils import local_file_uri_to_path

    return location.startswith("file:") and not (Path(local_file_uri_to_path(location)) / "MLmodel").exists()


def _log_files(client, model, arm: design.Arm, best: predictor.Predictor, example: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _save(Path(folder) / "model", model, arm.files.folder, arm.settings, best, example)
        client.log_model_artifacts(model.model_id, f"{folder}/model")


def _save(path: Path, model, folder: Path, settings: Settings, best: predictor.Predictor, example: str) -> None:
    """Write the folder of an MLflow model, which needs nothing of this repository: it holds its code and settings."""
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    needed = ["mlflow", "numpy", "pandas", "pydantic", "PyYAML"]
    if not forward.supports(best.model):
        needed += ["jax", "keras"] if predictor.by_jax(best.model) else ["tensorflow"]
    requirements = [f"{name}=={version(name)}" for name in needed]
    requirements += ["==".join(library.split()) for library in cache.libraries_of(best.model.cell)]
    package, code = Path(__file__).parents[1], bundle.code_of(best.model.cell)
    text = bundle.settings_text(settings, folder / predictor.MEMORY, code)
    files.write_text(path.parent / bundle.SETTINGS, text)
    artifacts = [folder / predictor.MEMORY, folder / predictor.KERAS_MODEL, path.parent / bundle.SETTINGS]
    mlflow.pyfunc.save_model(
        path,
        python_model=Path(__file__).with_name("served.py"),
        artifacts={artifact.stem: str(artifact) for artifact in artifacts},
        code_paths=[str(each) for each in (package, *code)],
        pip_requirements=requirements,
        mlflow_model=Model(run_id=model.source_run_id, model_id=model.model_id, model_uuid=model.model_id),
        signature=ModelSignature(
            inputs=Schema([ColSpec("string", "sequence")]),
            outputs=Schema(
                [ColSpec("string", "next"), ColSpec("double", "probability"), ColSpec("string", "following")]
            ),
            params=ParamSchema([ParamSpec("steps", "long", 1)]),
        ),
        input_example=(pd.DataFrame({"sequence": [example]}), {"steps": 1}),
    )


def serve(host: str, port: int) -> None:
    """Become MLflow's own server of the champion. What is here is registered first, so it answers what `predict` does;
    where nothing is here, it is whatever the registry has."""
    from mlflow.exceptions import MlflowException

    arm = design.pipeline_arm()
    settings = arm.settings.tracking
    with socket.socket() as wanted:
        wanted.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server will, where one has just ended
        try:
            wanted.bind((host, port))
        except OSError:
            raise UserError(
                f"port {port} of {host} cannot be used: name another one, such as memory-trials serve --port 5002"
            ) from None
    memory = arm.files.folder / predictor.MEMORY
    if memory.exists() and arm.files.trained.exists():
        predictor.read(memory)  # of a stream there is nothing to serve
        files.check_recorded()
        show(arm, settings)
    with store.opened(settings) as opened:
        try:
            version = opened.client.get_model_version_by_alias(NAME, ALIAS)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise UserError(
                    f"MLflow's registry has no {NAME}@{ALIAS}: run memory-trials repro (or memory-trials track) first"
                ) from None
            raise
    if memory.exists() and version.tags.get(champion.TAG) != champion.digest(memory):
        raise UserError(
            f"{NAME}@{ALIAS} in MLflow's registry is another memory than {memory}, "
            "with which memory-trials predict answers: run memory-trials repro (or memory-trials track) first"
        )
    request = json.dumps(
        {"inputs": {"sequence": [version.tags["example"]]}, "params": {"steps": 1}}, ensure_ascii=False
    )
    print("MLflow serves the memory (Ctrl-C ends it); in half a minute, send it a request from another terminal:")
    print(
        f"curl -H 'Content-Type: application/json' http://{host}:{port}/invocations -d {shlex.quote(request)}",
        flush=True,
    )
    os.environ["MLFLOW_TRACKING_URI"] = tracker.uri_of(settings)
    os.environ["MLFLOW_LOGGING_LEVEL"] = "WARNING"
    model = f"models:/{NAME}/{version.version}"  # by its number: the alias may move on
    at = ["-h", host, "-p", str(port)]
    os.execvp("mlflow", ["mlflow", "models", "serve", "-m", model, *at, "--env-manager", "local"])


def register_what_is_here() -> None:
    """The pipeline's best trial, where there is one: a clone may hold studies alone."""
    arm = design.pipeline_arm()
    if arm.files.trained.exists():
        files.check_recorded()
        register(arm, arm.settings.tracking)
