"""Shared by the tests: the tutorial's settings, small variations of them, and a copy of the repository to run in."""

import gc
import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jaxtyping
import pytest
import yaml
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from tests import shapes

shapes.install()  # before what it checks is imported

from memory_trials.parameter_files import read_yaml  # noqa: E402
from memory_trials.settings import Settings, load_settings  # noqa: E402
from tests import stores  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent

# In every process that a test starts: OpenBLAS's threads spin while NumPy is imported, on cores that other tests need.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# machines that run tests are slow now and then, which is no finding
hypothesis_settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.register_profile(
    "few", hypothesis_settings.get_profile("patient"), max_examples=10, derandomize=True
)
hypothesis_settings.load_profile("patient")  # few: for mutation testing, which runs tests hundreds of times

gc.set_threshold(100_000)  # as memory_trials/cli.py has it

# Files whose tests share what takes long to start, so that one process runs them: an MLflow server, and PostgreSQL.
SHARING = ("tracking/test_store.py", "tracking/test_publisher.py", "tracking/test_tracker.py",
           "serving/test_registry.py")  # fmt: skip
# The longest come first, so that no process is left with a long one while the others are through.
FIRST = (*SHARING, "test_pipeline.py", "training/test_cluster.py", "training/test_trainer.py", "training/test_cache.py",
         "test_battery.py", "studies/test_design.py", "test_stream_pipeline.py", "report/test_figures.py", "test_faults.py",
         "engines/test_native.py", "report/test_page.py")  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {ROOT / "tests" / name: number for number, name in enumerate(FIRST)}
    items.sort(key=lambda item: place.get(item.path, len(FIRST)))


def pytest_collection_finish() -> None:
    """What was imported stays, so nobody looks through it for cycles: statsmodels' multipletests asks for that at each
    call, which takes half a second where TensorFlow is loaded."""
    gc.freeze()


class Files(LoadFileScheduling):
    """Of pytest-xdist: whole files, one by one, and those that share something as one."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "sharing" if file.removeprefix("tests/") in SHARING else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling:
    return Files(config, log)


@pytest.fixture
def jax_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the process that trains with JAX is asked for is computed in this one: no cell of Keras's can be."""

    def call(function: str, *arguments: object) -> object:
        module, _, name = function.partition(":")
        return getattr(importlib.import_module(module), name)(*arguments)

    monkeypatch.setattr("memory_trials.engines.worker.call", call)


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Code as users run it, without checks of shapes: what reads a damaged file must find it out by itself."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def settings() -> Settings:
    return load_settings(ROOT / "params.yaml")


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium; tests that need one say that they were skipped where there is none."""
    # the shell first: it draws the same pages with two thirds of the processor's time
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium-headless-shell)")
    from playwright.sync_api import sync_playwright

    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
             "--disable-sync", "--no-first-run", "--disable-quic"]  # fmt: skip
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=quiet)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory) -> Path:
    """A folder as the evaluate stage leaves it, of trials that were not trained; its store has the runs."""
    from memory_trials.settings import TrackingSettings
    from memory_trials.tracking import publisher
    from tests import untrained

    here = tmp_path_factory.mktemp("evaluated")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        untrained.write_here()
        publisher.publish([untrained.pipeline_arm()], TrackingSettings())
    return here


@pytest.fixture(scope="session")
def postgresql():
    """The URI of a PostgreSQL server of the tests' own; they say that they were skipped where none is installed."""
    if stores.postgres_programs() is None:
        pytest.skip("no PostgreSQL on this machine (Debian: apt-get install postgresql)")
    with stores.postgres("fsync=off", "full_page_writes=off") as uri:
        yield uri


@pytest.fixture(scope="session")
def empty_database(postgresql) -> str:
    """With MLflow's tables, which take it seconds to make."""
    from mlflow import MlflowClient
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    uri = f"{postgresql}/empty"
    stores.execute(uri, "CREATE DATABASE empty")
    MlflowClient(uri).search_experiments()
    SqlAlchemyStore._engine_map.pop(uri).dispose()  # a database that is copied must have no users
    return uri


@pytest.fixture(scope="session")
def server(tmp_path_factory, request):
    """The address of an MLflow server on PostgreSQL (on SQLite, where there is none), which all tests share: each has an
    experiment of its own there. Starting one takes long."""
    folder = tmp_path_factory.mktemp("server")
    database = f"sqlite:///{folder / 'server.db'}"
    if stores.postgres_programs():
        empty = request.getfixturevalue("empty_database")
        database = f"{empty.rpartition('/')[0]}/server"
        stores.execute(empty, "CREATE DATABASE server TEMPLATE empty")
    with stores.mlflow_server(folder, database, "--workers", "1") as (uri, _):
        yield uri


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """A git repository with this working tree's files, no results, a quick version of params.yaml, one study and one row
    of the paper: DVC looks at all there are whenever it runs."""
    return make_repository(tmp_path_factory.mktemp("repository"))


def make_repository(folder: Path, trials: int = 4, epochs: int = 30) -> Path:
    """The same in this empty folder."""
    from memory_trials.engines import native, streaming  # not before shapes are checked

    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    for name in listed.stdout.splitlines():
        if Path(name).name != "dvc.lock" and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    for library in (native.LIBRARY, streaming.LIBRARY):  # compiled, as `make setup` leaves native.c
        if library.available() and (compiled := library.content()):
            replace(library, source=folder / library.source.relative_to(ROOT)).install(compiled)
    for name in ("metrics.json", "digests.json"):  # of more trials
        (folder / "data/tutorial" / name).unlink(missing_ok=True)
    for name, section in (("experiments/studies.yaml", "studies"), ("experiments/paper.yaml", "arms")):
        content = read_yaml(folder / name)
        first = next(iter(content[section]))
        content[section] = {first: content[section][first]}
        (folder / name).write_text(yaml.safe_dump(content, sort_keys=False))
    change_params(folder, "trials: 100", f"trials: {trials}")
    change_params(folder, "epochs: 250", f"epochs: {epochs}")
    change_params(folder, "success_rate_floor: 0.25", "success_rate_floor: 0.0")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "as it is"]):
        run(folder, "git", "-c", "user.name=t", "-c", "user.email=t@t", *command)
    return folder


def change_params(folder: Path, old: str, new: str) -> None:
    path = folder / "params.yaml"
    text = path.read_text()
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new))


def run(folder: Path, *command: str, fails: bool = False, **environment: str) -> str:
    """Run a command as a user would, in the environment's PATH; its output, both streams."""
    not_a_users = ("MLFLOW_TRACKING", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(not_a_users)}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=folder, env=inherited | {"PATH": path} | environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
    )  # fmt: skip
    assert (done.returncode != 0) == fails, done.stdout
    return done.stdout
