"""The memory in MLflow's registry: what a version holds, that it is there once, and that it answers over HTTP."""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from memory_trials import files
from memory_trials.commands import dvc, pipeline
from memory_trials.errors import UserError
from memory_trials.evaluation import results
from memory_trials.serving import champion, predictor, registry
from memory_trials.settings import TrackingSettings, load_settings
from memory_trials.studies import design
from memory_trials.tracking import payloads, publisher, tracker
from tests import publishers, stores, untrained
from tests.conftest import ROOT
from tests.serving.test_predictor import SEQUENCES, make_predictor


@pytest.fixture
def arm(evaluated, tmp_path, monkeypatch) -> design.Arm:
    """A copy of it for each test."""
    shutil.copytree(evaluated, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return untrained.pipeline_arm()


def client_of(uri: str | None = None):
    from mlflow import MlflowClient

    return MlflowClient(uri or f"sqlite:///{Path.cwd() / 'mlflow.db'}")


def versions(client) -> list:
    return sorted(client.search_model_versions(f"name = '{registry.NAME}'"), key=lambda found: int(found.version))


def alias(client) -> str:
    return str(client.get_registered_model(registry.NAME).aliases["champion"])


def logged_models(client, experiment: str = "memory-trials") -> list:
    return client.search_logged_models([client.get_experiment_by_name(experiment).experiment_id])


def test_a_version_says_what_it_is_and_registering_again_changes_nothing(arm, capfd):
    import mlflow.models

    registry.register(arm, TrackingSettings())
    said = capfd.readouterr()
    assert (
        said.out
        == "MLflow's registry now has version 1 of memory-trials: "
        + f"{predictor.read(arm.files.folder / predictor.MEMORY)}\n"
    )
    assert said.err == ""  # neither warnings nor progress bars
    client = client_of()
    before = client.get_registered_model(registry.NAME).last_updated_timestamp
    registry.register(arm, TrackingSettings())
    assert "registry has version 1" in capfd.readouterr().out
    assert client.get_registered_model(registry.NAME).last_updated_timestamp == before
    ((found,), (model,)) = versions(client), logged_models(client)
    assert client.get_model_version_by_alias(registry.NAME, "champion").version == found.version
    assert found.tags | {"content": ""} == {
        "seed": "41", "learned": "no", "cell": "lstm", "example": "3 0 1 2", "content": "",
        "memory": hashlib.sha256((arm.files.folder / predictor.MEMORY).read_bytes()).hexdigest(),
        "success": payloads.RunPayload(arm).answer,
    }  # fmt: skip
    assert "The trial of seed 41, which has not learned" in found.description and "of 3 trials" in found.description
    run = client.get_run(found.run_id)
    assert run.data.tags["kind"] == "arm" and [o.model_id for o in run.outputs.model_outputs] == [model.model_id]

    folder = Path(model.artifact_location.removeprefix("file://"))
    info = mlflow.models.get_model_info(str(folder))
    assert [(c.name, c.type.name) for c in info.signature.inputs] == [("sequence", "string")]
    assert [(c.name, c.type.name) for c in info.signature.outputs] == [
        ("next", "string"), ("probability", "double"), ("following", "string"),
    ]  # fmt: skip
    assert info.signature.params.to_dict() == [{"name": "steps", "type": "long", "default": 1, "shape": None}]
    assert json.loads((folder / "serving_input_example.json").read_text())["dataframe_split"]["data"] == [["3 0 1 2"]]
    assert len((folder / "requirements.txt").read_text().splitlines()) == 5
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    assert {
        "artifacts/memory.npz",
        "artifacts/model.keras",
        "served.py",
        "code/memory_trials/serving/predictor.py",
    } <= names
    assert not any(name.endswith((".pkl", ".pickle", ".pyc")) for name in names)


def test_loaded_from_the_registry_it_says_what_the_evaluate_stage_found(arm, tmp_path):
    registry.register(arm, TrackingSettings())
    predictions = results.read_table(arm.files.folder, "predictions")
    rows = predictions[predictions["seed"] == 41].to_dict("records")
    given = [" ".join(map(str, SEQUENCES[int(row["sequence"]) - 1][: int(row["step"])])) for row in rows]
    code = """if True:
        import json, sys
        import mlflow.pyfunc, pandas
        model = mlflow.pyfunc.load_model("models:/memory-trials@champion")
        import memory_trials
        said = model.predict(pandas.DataFrame({"sequence": json.loads(sys.argv[1])}), {"steps": 2})
        print(json.dumps([memory_trials.__file__, said.to_dict("records"), sorted(sys.modules)]))
    """
    done = subprocess.run(  # in a folder and a process that know nothing of this repository
        [sys.executable, "-c", code, json.dumps(given)], cwd=tmp_path / "data", capture_output=True, text=True,
        env={"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}", "MLFLOW_DISABLE_TELEMETRY": "true"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    file, said, modules = json.loads(done.stdout)
    assert not file.startswith(str(ROOT)) and not {"tensorflow", "keras"} & set(modules)
    assert [row["next"] for row in said] == [row["predicted"] for row in rows] and len(rows) == 8
    assert [row["probability"] for row in said] == pytest.approx([row["activation"] for row in rows], abs=1e-6)
    assert all(row["following"].split()[0] == row["next"] and len(row["following"].split()) == 2 for row in said)


@pytest.mark.parametrize(
    "cut", ["log_model_artifacts", "finalize_logged_model", "create_model_version", "set_registered_model_alias"]
)
def test_what_was_cut_is_completed(arm, cut, monkeypatch):
    from mlflow import MlflowClient

    def stop(*arguments, **more):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, cut, stop)
        with pytest.raises(KeyboardInterrupt):
            registry.register(arm, TrackingSettings())
    registry.register(arm, TrackingSettings())
    client = client_of()
    ((found,), (model,)) = versions(client), logged_models(client)
    assert model.status == "READY" and found.source == model.artifact_location
    assert alias(client) == "1"
    assert [o.model_id for o in client.get_run(found.run_id).outputs.model_outputs] == [model.model_id]


def test_another_result_is_another_version_and_the_champion_is_the_present_one(arm, tmp_path, monkeypatch):
    registry.register(arm, TrackingSettings())
    first = (arm.files.folder / predictor.MEMORY).read_bytes()
    predictor.write(arm.files.folder, make_predictor(seed=9))
    registry.register(arm, TrackingSettings())
    client = client_of()
    assert len(versions(client)) == 2 and alias(client) == "2"
    assert versions(client)[1].tags["learned"] == "yes"

    temporary = tmp_path / ".dvc/tmp/exps/abc"  # where DVC runs an experiment of its queue
    shutil.copytree(tmp_path / "data", temporary / "data")
    monkeypatch.chdir(temporary)
    predictor.write(arm.files.folder, make_predictor(seed=10))
    registry.register(arm, TrackingSettings())
    assert not Path("mlflow.db").exists()
    monkeypatch.chdir(tmp_path)
    assert len(versions(client)) == 3 and alias(client) == "2"

    predictor.write(
        arm.files.folder, predictor.read(artifacts_of(first, tmp_path))
    )  # as after a git checkout and a dvc checkout
    registry.register(arm, TrackingSettings())
    assert len(versions(client)) == 3 and alias(client) == "1"


def test_what_is_here_is_what_repro_and_serve_offer(arm, monkeypatch):
    """As after an experiment and a git checkout, where DVC runs no stage."""
    Path("params.yaml").write_text("problem: {sequences: [[1, 2]]}\n")
    become = []

    def becomes(program: str, command: list[str]) -> None:
        assert os.environ.pop("MLFLOW_TRACKING_URI") == tracker.uri_of(TrackingSettings())
        become.append(command)

    monkeypatch.setattr(registry.os, "execvp", becomes)
    monkeypatch.setenv("MLFLOW_LOGGING_LEVEL", "CRITICAL")  # to be undone in the end
    where = ("127.0.0.1", stores.free_port())
    memory, settings = arm.files.folder / predictor.MEMORY, load_settings()
    assert not champion.is_another(settings, memory)  # there is none yet
    registry.register(arm, TrackingSettings())
    first = predictor.read(memory)
    assert not champion.is_another(settings, memory)
    predictor.write(arm.files.folder, make_predictor(seed=9))
    assert champion.is_another(settings, memory)
    assert not champion.is_another(settings.model_copy(update={"tracking": TrackingSettings(enabled=False)}), memory)
    assert not champion.is_another(settings.model_copy(update={"tracking": TrackingSettings(uri="http://a")}), memory)
    registry.serve(*where)
    assert not champion.is_another(settings, memory) and alias(client_of()) == "2"
    predictor.write(arm.files.folder, first)
    monkeypatch.setattr(dvc, "run", lambda *arguments: None)  # has nothing to do
    monkeypatch.setattr(pipeline.results, "print_answer", lambda *arguments, **more: None)
    pipeline.repro.callback(())
    assert not champion.is_another(settings, memory) and alias(client_of()) == "1"
    registry.serve(*where)
    assert [command[command.index("-m") + 1] for command in become] == [
        "models:/memory-trials/2",
        "models:/memory-trials/1",
    ]

    arm.files.trained.unlink()  # as where only this file was pulled: what it was trained with cannot be published
    predictor.write(arm.files.folder, make_predictor(seed=10))
    with pytest.raises(UserError, match=r"memory-trials@champion .* is another memory than .*memory\.npz, with which"):
        registry.serve(*where)
    memory.unlink()
    registry.serve(*where)
    assert len(become) == 3


def test_a_store_that_cannot_be_read_costs_repro_nothing(arm):
    Path("mlflow.db").write_bytes(b"no database")
    assert not champion.is_another(arm.settings, arm.files.folder / predictor.MEMORY)


def downloaded(client, folder: Path) -> set[str]:
    """The files of the champion's model, as MLflow finds them."""
    import mlflow.artifacts

    uri = client.get_model_version_by_alias(registry.NAME, registry.ALIAS).source
    found = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder)))
    return {path.relative_to(found).as_posix() for path in found.rglob("*")}


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("how", ["moved", "copied"])
@pytest.mark.parametrize("name", ["plain", "a b?%20#é'@:"])
def test_a_clone_that_was_moved_or_copied_has_its_own_artifacts(
    arm, tmp_path, how, name, monkeypatch, tmp_path_factory
):
    registry.register(arm, TrackingSettings())
    before, there = contents(tmp_path), tmp_path_factory.mktemp("elsewhere") / name
    shutil.copytree(tmp_path, there)
    if how == "moved":
        shutil.move(tmp_path, f"{tmp_path}.gone")
    monkeypatch.chdir(there)
    assert champion.is_another(arm.settings, arm.files.folder / predictor.MEMORY)  # it would be looked for elsewhere
    registry.show(arm, TrackingSettings())
    assert not champion.is_another(arm.settings, arm.files.folder / predictor.MEMORY)
    client = client_of(tracker.uri_of(TrackingSettings()))
    assert {"MLmodel", "artifacts/memory.npz"} <= downloaded(client, tmp_path_factory.mktemp("download"))
    experiment = client.get_experiment_by_name("memory-trials")
    places = [
        experiment.artifact_location,
        *(run.info.artifact_uri for run in client.search_runs([experiment.experiment_id])),
    ]
    (found,), (model,) = versions(client), logged_models(client, "memory-trials")
    places += [found.source, client.get_model_version_download_uri(found.name, found.version), model.artifact_location]
    assert len(places) == 8 and all(place.startswith((there / "mlartifacts").as_uri()) for place in places)
    publishers.changed(arm, 1)  # what is published from now on is written here
    registry.show(arm, TrackingSettings())
    assert len(versions(client)) == 2 and sorted(path.name for path in there.parent.iterdir()) == [name]
    assert contents(tmp_path) == (before if how == "copied" else {})


def test_files_that_are_gone_are_registered_anew(arm, tmp_path, tmp_path_factory):
    registry.register(arm, TrackingSettings())
    shutil.rmtree("mlartifacts")
    registry.register(arm, TrackingSettings())
    assert len(versions(client_of())) == 1
    assert {"MLmodel", "artifacts/memory.npz"} <= downloaded(client_of(), tmp_path_factory.mktemp("download"))


def test_only_the_default_store_follows_its_folder(arm, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    shutil.copy("mlflow.db", other)
    settings = TrackingSettings(uri=f"sqlite:///{other / 'mlflow.db'}")
    publisher.publish([arm], settings)
    location = client_of(settings.uri).get_experiment_by_name("memory-trials").artifact_location
    assert not location.startswith((other / "mlartifacts").as_uri())


def artifacts_of(content: bytes, folder: Path) -> Path:
    files.write_bytes(folder / "before.npz", content)
    return folder / "before.npz"


@pytest.fixture(scope="module")
def serving(evaluated, tmp_path_factory):
    """A folder whose champion is served, and the port; starting takes seconds."""
    here, port = tmp_path_factory.mktemp("served"), stores.free_port()
    shutil.copytree(evaluated, here, dirs_exist_ok=True)
    (here / "params.yaml").write_text("problem: {sequences: [[1, 2]]}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        registry.register(untrained.pipeline_arm(), TrackingSettings())
        environment = dict(os.environ) | {"PORT": str(port), "PYTHONPATH": str(ROOT)}
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = [sys.executable, "-m", "memory_trials", "serve"]
    with open(here / "serving.log", "w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, cwd=here, env=environment)
    try:
        wait_for(f"http://127.0.0.1:{port}/ping", process, here / "serving.log")
        yield here, port
    finally:
        os.killpg(process.pid, 15)
        process.wait(120)


def wait_for(url: str, process: subprocess.Popen, log: Path) -> None:
    for _ in range(480):
        try:
            urllib.request.urlopen(url, timeout=1)
            return
        except OSError:
            assert process.poll() is None, log.read_text()
            time.sleep(0.25)
    raise AssertionError(log.read_text())


def ask(port: int, sequences: list, **params) -> tuple[int, dict]:
    body = json.dumps({"inputs": {"sequence": sequences}, "params": params}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_it_answers_over_http(serving):
    here, port = serving
    best = predictor.read(here / "data/tutorial" / predictor.MEMORY)
    said = predictor.predict(best, [3, 0, 1, 2], 4)
    first = {"next": str(said[0][0]), "probability": pytest.approx(said[0][1]), "following": str(said[0][0])}
    curl = next(line for line in (here / "serving.log").read_text().splitlines() if line.startswith("curl "))
    pasted = subprocess.run(f"{curl} -s", shell=True, capture_output=True, text=True).stdout
    assert json.loads(pasted) == {"predictions": [first]}
    status, answer = ask(port, ["3 0 1 2", "4"], steps=4)
    assert status == 200 and len(answer["predictions"]) == 2
    assert answer["predictions"][0] == first | {"following": " ".join(str(symbol) for symbol, _ in said)}


@pytest.mark.parametrize(
    ("sequence", "params", "sentence"),
    [
        ("3 7", {}, "'7' is no symbol of this predictor; its symbols are 0, 1, 2, 3, 4"),
        ("", {}, "the sequence is empty: give at least one symbol, such as 0"),
        ("3", {"steps": 0}, "steps is 0: allowed are 1 to 99999"),
        ("3", {"steps": 10**6}, "steps is 1000000: allowed are 1 to 99999"),
    ],
)
def test_a_mistake_over_http_is_told_in_the_same_sentence(serving, sequence, params, sentence):
    status, answer = ask(serving[1], [sequence], **params)
    assert status == 400 and answer["message"].endswith(sentence)


def test_a_server_of_runs_gets_the_same(arm, server):
    settings = TrackingSettings(uri=server, experiment="registered")
    publisher.publish([publishers.changed(arm, -3)], settings)  # other tests have registered the arm as it is there
    for _ in range(2):
        registry.register(arm, settings)
    client = client_of(server)
    (model,) = logged_models(client, "registered")
    (found,) = (version for version in versions(client) if version.source == model.artifact_location)
    assert alias(client) == str(found.version) and found.tags["seed"] == "41" and model.status == "READY"
    assert {file.path for file in client.list_logged_model_artifacts(model.model_id, "artifacts")} == {
        "artifacts/memory.npz", "artifacts/model.keras", "artifacts/settings.json",
    }  # fmt: skip


def test_nothing_to_register_or_to_serve_is_told_in_one_sentence(arm, monkeypatch):
    Path("params.yaml").write_text("problem: {sequences: [[1, 2]]}\n")
    where = ("127.0.0.1", stores.free_port())
    arm.files.trained.rename("trained.npz")
    with pytest.raises(UserError, match="MLflow's registry has no memory-trials@champion: run memory-trials repro"):
        registry.serve(*where)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = taken.getsockname()
        with pytest.raises(
            UserError, match="cannot be used: name another one, such as memory-trials serve --port 5002"
        ):
            registry.serve(*where)
    Path("trained.npz").rename(arm.files.trained)
    with pytest.raises(UserError, match=r"MLflow cannot be reached at http://\*\*\*@127.0.0.1:9") as caught:
        registry.register(arm, TrackingSettings(uri="http://me:secret@127.0.0.1:9"))
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)
    (arm.files.folder / predictor.MEMORY).unlink()
    with pytest.raises(UserError, match="memory.npz does not exist: run dvc repro"):
        registry.register(arm, TrackingSettings())
