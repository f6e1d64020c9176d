"""MLflow's store, so that it cannot hurt: found within seconds, every failure one sentence without secrets, and one
publisher at a time where that can be arranged; and the trials' runs, written at once.

Besides, only `publisher` and `registry` use mlflow, and they take it from here.
"""

import contextlib
import getpass
import math
import os
import random
import re
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memory_trials import files
from memory_trials.errors import UserError
from memory_trials.settings import TrackingSettings
from memory_trials.tracking import moved, tracker

# before mlflow is imported: no calls home, a server that goes away is noticed within seconds, and what goes wrong is
# printed once, by us
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "CRITICAL")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("PGCONNECT_TIMEOUT", "10")

if TYPE_CHECKING:
    import sqlalchemy
    from mlflow import MlflowClient
    from mlflow.entities import Run

LARGEST = sys.float_info.max  # what MLflow stores for infinity
PATIENCE = 10  # seconds in which a server must answer that may be busy
WAIT = 600  # seconds that another publisher may take
ATTEMPTS = 5
AT_ONCE = 100  # runs in one transaction
THREADS = 4
LOCKED = ("sqlite", "postgresql")
LOCK = 0x6D656D6F7279  # a number for PostgreSQL to lock, which spells "memory"


@dataclass(frozen=True)
class MlflowStore:
    """client: MLflow's. engine: of the database, where it can be reached, behind a server or without one."""

    client: "MlflowClient"
    engine: "sqlalchemy.Engine | None"
    server: bool

    @property
    def alone(self) -> bool:
        """Whether nobody else publishes there meanwhile."""
        return not self.server and self.engine is not None and self.engine.dialect.name in LOCKED


@contextlib.contextmanager
def opened(settings: TrackingSettings) -> Iterator[MlflowStore]:
    """The store of these settings. Whatever fails in it, or while it is open, is a `UserError` of one sentence."""
    uri = tracker.uri_of(settings)
    if reason := tracker.unreachable_reason(uri, PATIENCE):
        raise UserError(f"MLflow cannot be reached at {tracker.redacted(uri)}: {reason}")
    try:
        from mlflow import MlflowClient

        server = not tracker.is_database(uri)
        database = os.environ.get(tracker.BACKEND) if server else uri
        with _alone(database) if database else contextlib.nullcontext() as engine:
            if tracker.is_default(settings):
                moved.follow(tracker.default_database())
            yield MlflowStore(MlflowClient(uri), engine, server)
    except UserError:
        raise
    except Exception as error:  # of any kind: no result may be lost since something is wrong with MLflow
        reason = tracker.without_secrets(f"{type(error).__name__}: {error}", uri)
        reason = " ".join(re.sub(r"\(Background on this error at.*", "", reason).split())  # SQLAlchemy's
        raise UserError(f"MLflow failed at {tracker.redacted(uri)}: {reason[:300]}") from None


@contextlib.contextmanager
def _alone(uri: str) -> Iterator["sqlalchemy.Engine"]:
    """A database, and in SQLite and PostgreSQL the only publisher there, from before MLflow makes its tables. Whoever
    is killed holds no lock any more."""
    import sqlalchemy
    from filelock import FileLock

    url = sqlalchemy.make_url(uri)
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    if url.get_backend_name() == "sqlite":
        path = Path(url.database or "mlflow.db")
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock", timeout=WAIT):
            if not str(path).startswith((":", "file:")) and not (path.exists() and path.stat().st_size):
                _make_database(path)
            yield engine
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if url.get_backend_name() == "postgresql":
            connection.exec_driver_sql(f"SET lock_timeout = '{WAIT}s'")
            connection.exec_driver_sql(f"SELECT pg_advisory_lock({LOCK})")
        yield engine


def _make_database(path: Path) -> None:
    """MLflow's tables in a new SQLite file, which is there whole or not at all.

    MLflow makes them in fifty steps, and where it was killed between two, or the disk was full, it can neither go on
    nor begin again.
    """
    files.write_bytes(path, empty_database())


def empty_database() -> bytes:
    """What a SQLite file holds in which MLflow has made its tables. They take a second in memory (in a file, where a
    disk is waited for after each step, three to five), so they are made once and kept with this MLflow."""
    import mlflow

    kept = Path(mlflow.__file__).parent / "__pycache__" / f"empty-{mlflow.__version__}.db"
    with contextlib.suppress(OSError):
        return kept.read_bytes()
    import sqlalchemy
    from mlflow.store.db import utils

    engine = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.StaticPool)
    utils._initialize_tables(engine)
    with contextlib.closing(engine.raw_connection()) as connection:
        content = connection.driver_connection.serialize()
    engine.dispose()
    with contextlib.suppress(OSError, UserError):  # the environment may be another's, or its disk full
        files.write_bytes(kept, content)
    return content


def repeated(publish: Callable[..., Any], *arguments: Any) -> Any:
    """Do what may be done again, where a server refuses: another publisher came in between, as after a deletion."""
    from mlflow.exceptions import RestException

    for _ in range(ATTEMPTS - 1):
        try:
            return publish(*arguments)
        except RestException:
            time.sleep(random.uniform(0.1, 1))
    return publish(*arguments)


def all_runs(client: "MlflowClient", experiment: str, wanted: str, deleted: bool = False) -> list["Run"]:
    """Every run that the filter finds, the one that was begun first foremost."""
    from mlflow.entities import ViewType

    view = ViewType.ALL if deleted else ViewType.ACTIVE_ONLY
    runs, token = [], None
    while True:
        page = client.search_runs([experiment], wanted, view, max_results=1000, page_token=token)
        runs += page
        token = page.token
        if not token:
            return sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id))


def children(store: MlflowStore, parent: "Run") -> list[tuple[str, str, str]]:
    """Id, name and status of every run under a parent, the one that was begun first foremost."""
    if store.engine is None:
        found = all_runs(store.client, parent.info.experiment_id, f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
        return [(run.info.run_id, run.info.run_name, run.info.status) for run in found]
    from mlflow.store.tracking.dbmodels.models import SqlRun, SqlTag
    from sqlalchemy import select

    # MLflow would bring the metrics too, which takes seconds
    wanted = (
        select(SqlRun.run_uuid, SqlRun.name, SqlRun.status)
        .join(SqlTag, SqlTag.run_uuid == SqlRun.run_uuid)
        .where(SqlTag.key == "mlflow.parentRunId", SqlTag.value == parent.info.run_id)
        .where(SqlRun.lifecycle_stage == "active")
        .order_by(SqlRun.start_time, SqlRun.run_uuid)
    )
    with store.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(wanted)]


def add_runs(store: MlflowStore, parent: "Run", trials: list[dict[str, Any]]) -> None:
    """Finished runs under a parent, each whole or not finished.

    trials: the name, tags, params and metrics [(key, value, step)] of each.
    """
    if (engine := store.engine) is None:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda trial: create_run(store.client, parent, trial), trials))
        return
    batches = [trials[start : start + AT_ONCE] for start in range(0, len(trials), AT_ONCE)]
    with ThreadPoolExecutor(1 if engine.dialect.name == "sqlite" else THREADS) as pool:
        list(pool.map(lambda some: _insert_runs(engine, parent, some), batches))


def create_run(client: "MlflowClient", parent: "Run", trial: dict[str, Any]) -> None:
    """One run by the REST API, which is all a server offers, in as few requests as it takes.

    The client's own objects would cost as much again as the server does.
    """
    from mlflow.utils.rest_utils import http_request, verify_rest_response

    now = int(time.time() * 1000)
    server = client._tracking_client.store.get_host_creds()

    def post(what: str, **content: Any) -> dict[str, Any]:
        endpoint = f"/api/2.0/mlflow/runs/{what}"
        return verify_rest_response(http_request(server, endpoint, "POST", json=content), endpoint).json()

    def pairs(values: dict[str, str]) -> list[dict[str, str]]:
        return [{"key": key, "value": value} for key, value in values.items()]

    tags = pairs(trial["tags"] | {"mlflow.user": getpass.getuser()})
    created = post(
        "create", experiment_id=parent.info.experiment_id, run_name=trial["name"], start_time=now, tags=tags,
        user_id=getpass.getuser(),
    )  # fmt: skip
    run_id = created["run"]["info"]["run_id"]
    metrics = [
        {"key": key, "value": value if math.isfinite(value) else _not_finite(value), "timestamp": now, "step": step}
        for key, value, step in trial["metrics"]
    ]
    post("log-batch", run_id=run_id, metrics=metrics, params=pairs(trial["params"]))
    post("update", run_id=run_id, status="FINISHED", end_time=int(time.time() * 1000))


def _not_finite(value: float) -> str:
    """What is no number in JSON, as MLflow's messages have it."""
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _insert_runs(engine: "sqlalchemy.Engine", parent: "Run", trials: list[dict[str, Any]]) -> None:
    """Finished runs, all or none, by MLflow's own tables where the store is a database.

    Through the API a run with 250 points costs 60 to 120 ms here, in one object for each point; the rows
    that it would write are written at once instead, some 4 ms a run. The tests read them back by the API.
    """
    from mlflow.store.tracking.dbmodels import models
    from sqlalchemy import select

    now, user, parent_id = int(time.time() * 1000), getpass.getuser(), parent.info.run_id
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA busy_timeout = 20000")  # as MLflow has it
        location = connection.scalar(select(models.SqlRun.artifact_uri).where(models.SqlRun.run_uuid == parent_id))
        if location is None:
            raise UserError(f"{tracker.BACKEND} names another database than that of the MLflow server")
        runs, tags, params, metrics, latest = [], [], [], [], []
        for trial in trials:
            run_id = uuid.uuid4().hex
            runs.append({
                "run_uuid": run_id, "name": trial["name"], "artifact_uri": location.replace(parent_id, run_id),
                "experiment_id": int(parent.info.experiment_id), "source_type": "UNKNOWN", "source_name": "",
                "entry_point_name": "", "source_version": "", "user_id": user, "status": "FINISHED",
                "start_time": now, "end_time": now, "lifecycle_stage": "active",
            })  # fmt: skip
            named = trial["tags"] | {"mlflow.runName": trial["name"], "mlflow.user": user}
            tags += [{"run_uuid": run_id, "key": key, "value": value} for key, value in named.items()]
            params += [{"run_uuid": run_id, "key": key, "value": value} for key, value in trial["params"].items()]
            rows = []
            for key, value, step in trial["metrics"]:
                kept = 0.0 if math.isnan(value) else max(-LARGEST, min(value, LARGEST))
                rows.append({"run_uuid": run_id, "key": key, "value": kept, "timestamp": now, "step": step,
                             "is_nan": math.isnan(value)})  # fmt: skip
            metrics += rows
            latest += {row["key"]: row for row in rows}.values()  # the last of each key
        for model, rows in (
            (models.SqlRun, runs), (models.SqlTag, tags), (models.SqlParam, params),
            (models.SqlMetric, metrics), (models.SqlLatestMetric, latest),
        ):  # fmt: skip
            if engine.dialect.driver == "psycopg":  # a statement for each row takes PostgreSQL eight times as long
                copied = f"COPY {model.__tablename__} ({', '.join(rows[0])}) FROM STDIN"
                with connection.connection.cursor() as cursor, cursor.copy(copied) as copy:
                    for row in rows:
                        copy.write_row(tuple(row.values()))
            else:
                connection.execute(model.__table__.insert(), rows)


if __name__ == "__main__":
    empty_database()
