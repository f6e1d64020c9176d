"""Seconds to publish an arm of 1,000 trials with 250 points each: into SQLite, into PostgreSQL, to an MLflow server on
PostgreSQL, with its database at hand and by its REST API alone; and by MLflow's own client, a run after the other.

Everything runs on this machine, the server and PostgreSQL too (Debian's package). MLflow's client, and the REST API,
are timed over fewer trials and scaled. `server_cpu_ms` is what the server's processes compute for one request of each
kind that a trial takes, which bounds what any client can do. (make bench)
"""

import contextlib
import dataclasses
import json
import os
import tempfile
import time
from pathlib import Path

from benchmarks.tutorial import note, seconds
from memory_trials.files import write_text
from memory_trials.settings import TrackingSettings, load_settings
from memory_trials.studies import design
from memory_trials.tasks import problems
from memory_trials.tracking import payloads, publisher, store, tracker
from memory_trials.training import trainer
from memory_trials.training.job import TrainingJob
from memory_trials.training.trained import write_trained
from stages.evaluate import evaluate
from tests import stores

HERE = Path(__file__).parent
TRIALS, FEWER = 1000, 50


def trained_arm(trials: int) -> design.Arm:
    """The tutorial's, with so many trials, as the pipeline leaves it in this folder."""
    arm = design.pipeline_arm()
    some = arm.settings.training.model_copy(update={"trials": trials})
    settings = arm.settings.model_copy(update={"training": some})
    arm = dataclasses.replace(arm, settings=settings, files=design.pipeline_files(Path(f"data/{trials}")))
    problem = problems.make_problem(arm.settings.problem)
    table = design.task_of(arm, problem)
    write_text(arm.files.sequences, problem.to_json())
    table.write(arm.files.table)
    done = trainer.train(TrainingJob(settings.model, some, settings.evaluation.interval, table), settings.compute)
    write_trained(arm.files.trained, done, design.training_inputs(settings))
    evaluate(arm)
    return arm


def by_client(arm: design.Arm, uri: str) -> None:
    """The trials' runs as MLflow's manual has it."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    client, (payload,) = MlflowClient(uri), payloads.of_arms([arm])
    experiment = client.create_experiment("by client")
    parent = client.create_run(experiment)
    for child in payloads.of_trials(payload, parent.info.run_id):
        now = int(time.time() * 1000)
        run_id = client.create_run(experiment, tags=child["tags"], run_name=child["name"]).info.run_id
        params = [Param(key, value) for key, value in child["params"].items()]
        client.log_batch(run_id, [Metric(key, value, now, step) for key, value, step in child["metrics"]], params)
        client.set_terminated(run_id)


def processor_seconds(group: int) -> float:
    """What the processes of a group have computed so far."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            fields = path.read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12]) if int(fields[2]) == group else 0
    return ticks / os.sysconf("SC_CLK_TCK")


def by_request(arm: design.Arm, uri: str, group: int) -> dict[str, float]:
    """Milliseconds that the server computes for a request of each kind."""
    from mlflow import MlflowClient
    from mlflow.utils import rest_utils

    kinds: dict[str, float] = {}
    real = rest_utils.http_request

    def watched(server, endpoint, *arguments, **more):
        before = processor_seconds(group)
        answer = real(server, endpoint, *arguments, **more)
        kind = endpoint.rpartition("/")[2]
        kinds[kind] = kinds.get(kind, 0) + processor_seconds(group) - before
        return answer

    client, (payload,) = MlflowClient(uri), payloads.of_arms([arm])
    parent = client.create_run(client.create_experiment("by request"))
    rest_utils.http_request = watched
    for child in payloads.of_trials(payload, parent.info.run_id):
        store.create_run(client, parent, child)
    rest_utils.http_request = real
    return {kind: round(1000 * total / len(payload.trials), 1) for kind, total in kinds.items()}


def main() -> None:
    params = (Path.cwd() / "params.yaml").read_text()
    figures: dict[str, object] = {}

    def measure(name: str, trials: int, function, *arguments) -> None:
        figures[name] = round(seconds(function, *arguments) * TRIALS / trials, 1)
        print(f"{name}: {figures[name]} s", flush=True)

    with tempfile.TemporaryDirectory() as folder, stores.postgres() as databases:
        os.chdir(folder)
        Path("params.yaml").write_text(params)
        load_settings()
        whole, fewer = trained_arm(TRIALS), trained_arm(FEWER)
        from mlflow import MlflowClient

        for name in ("direct", "server"):
            stores.execute(f"{databases}/{name}", f"CREATE DATABASE {name}")
        sqlite = f"sqlite:///{folder}/mlflow.db"
        for uri in (sqlite, f"{databases}/direct"):
            MlflowClient(uri).search_experiments()  # makes the tables
        with stores.mlflow_server(Path(folder), f"{databases}/server", "--workers", "2") as (server, group):
            time.sleep(15)  # its workers start
            measure("sqlite", TRIALS, publisher.publish, [whole], TrackingSettings(uri=sqlite))
            measure("postgresql", TRIALS, publisher.publish, [whole], TrackingSettings(uri=f"{databases}/direct"))
            os.environ[tracker.BACKEND] = f"{databases}/server"
            measure("server_and_database", TRIALS, publisher.publish, [whole], TrackingSettings(uri=server))
            del os.environ[tracker.BACKEND]
            rest = TrackingSettings(uri=server, experiment="by REST")
            measure("server", FEWER, publisher.publish, [fewer], rest)
            measure("mlflow_client_sqlite", FEWER, by_client, fewer, sqlite)
            measure("mlflow_client_server", FEWER, by_client, fewer, server)
            figures["server_cpu_ms"] = by_request(fewer, server, group)
        os.chdir(HERE.parent)
    note("tracking", figures)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
