"""Training on a Ray cluster of three nodes, each with a raylet of its own: the same bytes, whatever is lost there."""

import contextlib
import importlib.util
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from memory_trials.engines import compiler, native
from memory_trials.errors import UserError
from memory_trials.settings import (
    ComputeSettings,
    EncodingSettings,
    ModelSettings,
    ProblemSettings,
    Settings,
    TrainingSettings,
)
from memory_trials.tasks.encoding import make_table
from memory_trials.tasks.problems import make_problem
from memory_trials.tasks.streams import Stream
from memory_trials.training import cache, shards, trainer
from memory_trials.training.job import TrainingJob, shard_count, size_for
from stages import encode, generate_data, train
from tests import kills
from tests.conftest import ROOT

if importlib.util.find_spec("ray") is None:  # importing it is left to `cluster`, which sets it up
    pytest.skip("Ray is not installed here (make ray)", allow_module_level=True)

LEAKY = {"cell": "my_cells.leaky.LeakyCell", "units": 8}
FOREVER = {"epochs": 10_000_000}
STUDY = {
    "defaults": {
        "problem": {"sequences": [[3, 0, 1, 2, 3], [4, 0, 1, 2, 4]]},
        "training": {"trials": 8, "epochs": 16_000},  # some tenths of a second a shard, or more
        "evaluation": {"interval": 1000},
        "compute": {"shard": 4},
    },
    "studies": {"three": {"question": "?", "source": "?", "grid": {"model.cell": ["lstm", "gru", "simple_rnn"]}}},
}


class Nodes:
    """A cluster whose head trains nothing, and two nodes, which train a shard each."""

    def __init__(self):
        from ray.cluster_utils import Cluster

        small = {"object_store_memory": 100 * 2**20}
        # a node that is gone is noticed in seconds, not in a quarter of a minute
        soon = {"health_check_period_ms": 500}
        head = {"num_cpus": 0, "include_dashboard": False, "_system_config": soon}
        self.cluster = Cluster(True, head_node_args=head | small)
        self.add = lambda: self.cluster.add_node(wait=False, num_cpus=1, **small)
        self.nodes = [self.add(), self.add()]
        self.cluster.wait_for_nodes()

    def kill(self, node) -> None:
        """As a power cut does it: with its workers, and without a word to anybody."""
        for worker in workers(node):
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        self.cluster.remove_node(node, allow_graceful=False)


def workers(node, at_work: bool = False) -> list[int]:
    """The ids of a node's worker processes, or of those that train."""
    [raylet] = node.all_processes["raylet"]
    found = []
    for children in Path(f"/proc/{raylet.process.pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in children.read_text().split():
                command = Path("/proc", child, "cmdline").read_bytes()
                if command.startswith(b"ray::_train" if at_work else b"ray::"):
                    found.append(int(child))
    return found


def wait_until(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def nodes():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        from memory_trials.training import cluster  # Ray reads its environment now, and will listen on 127.0.0.1 only

        nodes = Nodes()
        patch.setenv("RAY_ADDRESS", nodes.cluster.address)
        yield nodes
        cluster.ray.shutdown()
        nodes.cluster.shutdown()


def trained(backend="ray", progress=lambda *_: None, model=None, **settings):
    settings = TrainingSettings(**{"trials": 10, "epochs": 40} | settings)
    problem = make_problem(ProblemSettings(sequences=[[3, 0, 1, 2, 3], [4, 0, 1, 2, 4]]))
    table = make_table(problem, EncodingSettings(), settings, False)
    compute = ComputeSettings(backend=backend, threads=2, shard=4)
    job = TrainingJob(ModelSettings(**{"units": 5} | (model or {})), settings, 10, table)
    return trainer.train(job, compute, progress)


@pytest.mark.parametrize(
    ("seconds", "settings"),
    [
        (20.0, {}),
        (0.0, {"shuffle": True, "model": {"cell": "gru"}}),
        (0.0, {"model": LEAKY, "reset": "never", "trials": 4}),
    ],
)
def test_a_cluster_trains_the_same_bytes_as_threads(seconds, settings, nodes, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "SECONDS", seconds)
    told = {"threads": [], "ray": []}
    found = {
        backend: kills.as_bytes(trained(backend, lambda *what, to=to: to.append(what), **settings), tmp_path)
        for backend, to in told.items()
    }
    assert found["ray"] == found["threads"]
    sums = [[sum(numbers) for numbers in zip(*what)][:2] for what in told.values()]
    assert sums[0] == sums[1]


OF_1997 = {"connected": "B", "output_gate": False, "squashing": "plain", "weights": 0.2}
KEYS = {"cell": "memory_cell", "units": 1, "cell_options": OF_1997}


@pytest.mark.parametrize(
    ("model", "training"),
    [
        (KEYS, {"epochs": 2010, "optimizer": "sgd", "learning_rate": 1.0}),
        (KEYS, {"epochs": 2010, "optimizer": "guess"}),
        (
            LEAKY,
            {"epochs": 110, "optimizer": "adam", "learning_rate": 0.01, "batch": 10, "update": "sequence"},
        ),  # in JAX
    ],
)
def test_a_cluster_trains_streams_to_the_same_bytes_as_threads(model, training, nodes, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "SECONDS", 0.0)
    settings = Settings(
        problem={"stream": {"task": "keys", "length": 5}},
        model=model,
        training={"trials": 6} | training,
    )
    job = TrainingJob(settings.model, settings.training, 20, Stream(settings.problem.stream))
    found, told, learned = {}, {}, {}
    for backend in ("threads", "ray"):
        compute, what = ComputeSettings(backend=backend, threads=2, shard=2), []
        done = trainer.train(job, compute, lambda *report, to=what: to.append(report))
        met = {name: array.tolist() for name, array in done.met_criterion_at.items()}
        found[backend], told[backend] = kills.as_bytes(done, tmp_path), [sum(numbers) for numbers in zip(*what)][:2]
        learned[backend] = sum(at > 0 for at in met["success"])
    assert found["ray"] == found["threads"]
    assert told["ray"] == told["threads"] == [6 * training["epochs"], learned["ray"]]


def as_a_user(folder: Path, stage, monkeypatch, **compute) -> dict[str, bytes]:
    """What a stage leaves of the study's trained arms."""
    study = STUDY | {"defaults": STUDY["defaults"] | {"compute": STUDY["defaults"]["compute"] | compute}}
    (folder / "experiments").mkdir(parents=True, exist_ok=True)
    (folder / "experiments/studies.yaml").write_text(yaml.safe_dump(study))
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["stage", "three"])
    stage.main()
    return {path.name: path.read_bytes() for path in folder.glob("experiments/data/studies/three/trained/*")}


def test_a_node_that_dies_while_a_study_is_trained_costs_nothing_but_time(nodes, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cache, "SECONDS", 0.1)
    for folder in (tmp_path / "threads", tmp_path / "ray"):
        as_a_user(folder, generate_data, monkeypatch)
        as_a_user(folder, encode, monkeypatch)
    expected = as_a_user(tmp_path / "threads", train, monkeypatch)
    assert len(expected) == 3
    begun, keep_checkpoint, keep = set(), cache.Entry.keep_checkpoint, cache.Entry.keep
    of = lambda entry, batch: (entry.key, batch["seeds"][0])
    note_checkpoint = lambda entry, batch: (begun.add(of(entry, batch)), keep_checkpoint(entry, batch))
    monkeypatch.setattr(cache.Entry, "keep_checkpoint", note_checkpoint)
    monkeypatch.setattr(cache.Entry, "keep", lambda entry, batch: (begun.discard(of(entry, batch)), keep(entry, batch)))
    victim, busy = nodes.nodes[0], []

    def kill():
        # of the two shards that are being trained both have checkpoints, so the victim's has
        wait_until(lambda: len(begun) == 2 and workers(victim, at_work=True))
        busy.extend(workers(victim, at_work=True))
        nodes.kill(victim)

    killer = threading.Thread(target=kill)
    killer.start()
    capsys.readouterr()
    found = as_a_user(tmp_path / "ray", train, monkeypatch, backend="ray")
    killer.join()
    nodes.nodes[0] = nodes.add()
    assert found == expected
    said = capsys.readouterr().out
    lost = re.findall(r"note: lost on the Ray cluster .* 4 trials go on elsewhere after epoch (\d+)", said)
    assert busy and lost and int(max(lost, key=int)) > 0
    assert not list(tmp_path.glob("ray/.shards/*.checkpoint.npz"))


def test_what_never_comes_back_ends_in_one_sentence(nodes, monkeypatch, capsys):
    from memory_trials.training import cluster

    def dies(*_):
        yield os._exit(1)

    monkeypatch.setattr(cluster, "LOSSES", 2)
    monkeypatch.setattr(cluster, "_train", dies)
    with pytest.raises(UserError, match="a shard was lost on the Ray cluster 2 times one after another: "):
        trained(trials=1)
    assert "1 trials go on elsewhere after epoch 0" in capsys.readouterr().out


def test_workers_run_the_code_that_was_sent(nodes, monkeypatch):
    from memory_trials.training import cluster

    def tells(*_):
        import my_cells.leaky

        yield shards.ChunkProgress(
            0, 0, batch={"files": np.array([native.__file__, my_cells.leaky.__file__])}, over=True
        )

    monkeypatch.setattr(cluster, "_train", tells)
    problem, settings = make_problem(ProblemSettings(sequences=[[0, 1, 2]])), TrainingSettings()
    a_job = TrainingJob(ModelSettings(), settings, 1, make_table(problem, EncodingSettings(), settings, False))
    job = cluster.send(a_job, "xla", 1, ComputeSettings(backend="ray"))
    batch = {"seeds": np.arange(1), "done": np.zeros(1), "learned": np.zeros((1, 0))}
    found = cluster.run_shard(job, batch, None, lambda *_: None)["files"]
    assert [file.rpartition("/working_dir_files/")[2].partition("/")[2] for file in found] == [
        "memory_trials/engines/native.py", "my_cells/leaky.py",
    ]  # fmt: skip


def test_a_node_with_another_processor_compiles_for_itself_and_trains_the_same_bits(nodes, tmp_path, monkeypatch):
    expected = kills.as_bytes(trained("threads"), tmp_path)
    monkeypatch.setattr(compiler, "processor", lambda: "another")
    monkeypatch.setattr(compiler.Library, "build", lambda library: "for-another")
    monkeypatch.setattr(compiler.Library, "content", lambda library: b"what no other processor could run")
    assert kills.as_bytes(trained(), tmp_path) == expected


def test_a_node_that_cannot_compile_for_itself_is_named(nodes, monkeypatch):
    from memory_trials.training import cluster

    installed = []
    monkeypatch.setattr(compiler.Library, "install", lambda library, content: installed.append(content))
    monkeypatch.setattr(compiler.Library, "available", lambda library: False)
    cluster._install(native.LIBRARY, native.build(), b"the library")
    assert installed == [b"the library"]
    with pytest.raises(UserError, match=r"^the Ray node 127\.0\.0\.1 has no C compiler, and another processor"):
        cluster._install(native.LIBRARY, "for-another", b"the library")


def test_a_node_that_would_train_other_bits_is_refused_by_its_name(nodes, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(compiler, "processor", lambda: "another")
    for stage in (generate_data, encode):
        as_a_user(tmp_path, stage, monkeypatch)
    monkeypatch.setattr(trainer, "engine_of", lambda job: "xla")
    with pytest.raises(UserError, match=r"^the Ray node 127\.0\.0\.1 has another processor than the machine") as caught:
        as_a_user(tmp_path, train, monkeypatch, backend="ray")
    assert type(caught.value) is UserError and "lost" not in capsys.readouterr().out
    assert not (tmp_path / "experiments/data/studies/three/trained").exists()


def test_other_libraries_and_code_are_refused_too(nodes, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(cache, "versions", lambda engine: {"numpy": "0"})
        with pytest.raises(UserError, match=r"has numpy [\d.]+, not 0: install requirements.txt"):
            trained()
    monkeypatch.setattr(cache, "_CODE", cache._CODE | {"native": b"other"})
    with pytest.raises(UserError, match="has another version of the code of memory_trials"):
        trained()


def test_a_bug_arrives_as_itself_and_is_not_tried_again(nodes, monkeypatch, capsys):
    real = shards.new_shard
    spoilt = lambda *arguments: (batch := real(*arguments)) | {"state/steps": batch["state/steps"].astype(float)}
    monkeypatch.setattr(shards, "new_shard", spoilt)
    with pytest.raises(ValueError, match="state is not as start made it"):
        trained()
    assert "lost" not in capsys.readouterr().out


def test_who_interrupts_ends_the_tasks(nodes):
    def progress(epochs, learned, kept):
        if epochs:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(progress=progress, **FOREVER)
    wait_until(lambda: not any(workers(node, at_work=True) for node in nodes.nodes))


def test_shards_are_as_large_as_is_worth_a_task_but_leave_nobody_idle():
    problem = make_problem(ProblemSettings(generate={"lag": 1000, "middle": "fixed"}, sequences=None))
    for epochs, workers_, size in ((1000, 1000, 1), (100, 1000, 7), (100, 10, 10), (1, 1000, 50)):
        settings = TrainingSettings(trials=100, window="sequence", epochs=epochs)
        table = make_table(problem, EncodingSettings(), settings, False)
        compute = ComputeSettings(backend="ray")
        a_job = TrainingJob(ModelSettings(), settings, 10, table)
        assert size_for(a_job, 100, compute, workers_) == size
        assert shard_count(a_job, compute, workers_) == -(-100 // size)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("127.0.0.1:9", "Ray cannot be reached, RAY_ADDRESS being 127.0.0.1:9: .*Connection refused"),
        ("ray://127.0.0.1:9", "it must be host:port of the cluster's head, and this machine one of the cluster"),
        ("auto", "it must be host:port of the cluster's head"),
    ],
)
def test_an_address_that_leads_nowhere_is_told_at_once(address, sentence, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", address)
    code = """
from memory_trials.training import cluster
from memory_trials.settings import ComputeSettings
from memory_trials.errors import exit_on_user_error
exit_on_user_error(lambda: cluster.slots(ComputeSettings(backend="ray")))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and re.search(f"^error: .*{sentence}", done.stderr), done.stderr


@pytest.mark.parametrize("python", ["/a b/.venv/bin/python", "/a$b;'/.venv/bin/python"])
def test_workers_here_start_in_a_folder_of_any_name(python, monkeypatch):
    """Ray starts them by a shell, which must read the interpreter's path as one word."""
    from memory_trials.training import cluster

    given = {}
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(cluster.sys, "executable", python)
    monkeypatch.setattr(cluster.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(cluster.ray, "init", lambda address, **options: given.update(options))
    cluster._connect(ComputeSettings(backend="ray"))
    assert shlex.split(given["runtime_env"]["py_executable"]) == [python]
    monkeypatch.setattr(cluster, "_look_for", lambda address: None)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")  # whose nodes have a Python of their own
    cluster._connect(ComputeSettings(backend="ray"))
    assert "py_executable" not in given["runtime_env"]


def test_without_an_address_it_runs_here_and_nobody_else_can_reach_it(tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"):
        monkeypatch.delenv(name, raising=False)  # importing the module has set them here
    code = f"""
import hashlib, os, subprocess, sys
from pathlib import Path
from tests import kills
from tests.training.test_cluster import trained
found = {{backend: kills.as_bytes(trained(backend), Path({str(tmp_path)!r})) for backend in ("ray", "threads")}}
assert found["ray"] == found["threads"]
def listening():
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in open(table).readlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                yield fields[9], fields[1].split(":")[0]
own, waiting = set(), [os.getpid()]
while waiting:
    pid = waiting.pop()
    waiting += [int(child) for task in Path(f"/proc/{{pid}}/task").iterdir() for child in (task / "children").read_text().split()]
    own |= {{os.readlink(link) for link in Path(f"/proc/{{pid}}/fd").iterdir() if link.is_symlink()}}
hosts = {{host for inode, host in listening() if f"socket:[{{inode}}]" in own}}
assert hosts and hosts <= {{"0100007F", "0000000000000000FFFF00000100007F"}}, hosts
"""
    environment = os.environ | {"HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / ".ray").exists()
    assert np.array_equal(done.stderr, "")
