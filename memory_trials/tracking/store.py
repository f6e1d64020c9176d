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
RUNS_PER_TRANSACTION = 100
THREADS = 4
LOCKED = ("sqlite", "postgresql")
LOCK = 0x6D656D6F7279  # a number for PostgreSQL to lock, which spells "memory"


@dataclass(frozen=True)
class MlflowStore:
    """An open store.

    Args:
        client: MLflow's client.
        engine: Of the database, if it can be reached, behind a server or without one.
        server: Whether an MLflow server answers there.
    """

    client: "MlflowClient"
    engine: "sqlalchemy.Engine | None"
    server: bool

    @property
    def alone(self) -> bool:
        """Whether nobody else can publish there at the same time."""
        return not self.server and self.engine is not None and self.engine.dialect.name in LOCKED


@contextlib.contextmanager
def opened(settings: TrackingSettings) -> Iterator[MlflowStore]:
    """Open the store of these settings.

    Raises:
        UserError: The store cannot be reached, or anything fails while it is open; one sentence without secrets.
    """
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
    """Connect to a database, in SQLite and PostgreSQL as the only publisher, before MLflow makes its tables.

    A publisher that is killed no longer holds the lock.
    """
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
    """Make MLflow's tables in a new SQLite file, which appears whole or not at all.

    MLflow makes them in fifty steps. If it is killed between two of them, or the disk is full, it can neither continue
    nor start again.
    """
    files.write_bytes(path, empty_database())


def empty_database() -> bytes:
    """Return the content of a SQLite file in which MLflow has made its tables.

    They take a second in memory, and three to five in a file, where each step waits for the disk. So they are made once
    and kept beside this MLflow.
    """
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
    """Call a function again if a server refuses, as after another publisher's deletion."""
    from mlflow.exceptions import RestException

    for _ in range(ATTEMPTS - 1):
        try:
            return publish(*arguments)
        except RestException:
            time.sleep(random.uniform(0.1, 1))
    return publish(*arguments)


def all_runs(client: "MlflowClient", experiment: str, wanted: str, deleted: bool = False) -> list["Run"]:
    """Return every run that the filter finds, in the order in which they were started."""
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
    """Return id, name and status of every run under a parent, in the order in which they were started."""
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
    """Add finished runs under a parent. A run that is interrupted stays unfinished.

    Args:
        trials: The name, tags, params and metrics [(key, value, step)] of each run.
    """
    if (engine := store.engine) is None:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda trial: create_run(store.client, parent, trial), trials))
        return
    batches = [trials[start : start + RUNS_PER_TRANSACTION] for start in range(0, len(trials), RUNS_PER_TRANSACTION)]
    with ThreadPoolExecutor(1 if engine.dialect.name == "sqlite" else THREADS) as pool:
        list(pool.map(lambda some: _insert_runs(engine, parent, some), batches))


def create_run(client: "MlflowClient", parent: "Run", trial: dict[str, Any]) -> None:
    """Create one run by the REST API, which is all a server offers, in as few requests as possible.

    The objects of MLflow's client would take as long again as the server does.
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
    """Return the text that MLflow's messages use for a value that JSON does not have."""
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _insert_runs(engine: "sqlalchemy.Engine", parent: "Run", trials: list[dict[str, Any]]) -> None:
    """Insert finished runs, all or none, into MLflow's tables.

    Through the API a run with 250 points takes 60 to 120 ms here, with an object for each point; inserting the same
    rows takes some 4 ms a run. The tests read them back by the API.
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
