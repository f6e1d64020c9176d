"""The store of trained trials: killed, grown, damaged, full or shared, training ends with the same bytes."""

import itertools
import json
import os
import random
import resource
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_trials import files
from memory_trials.engines import compiler, native
from memory_trials.settings import ComputeSettings, EncodingSettings, ModelSettings, ProblemSettings, TrainingSettings
from memory_trials.tasks.encoding import make_table
from memory_trials.tasks.problems import make_problem
from memory_trials.training import cache, shards, table_shards, trainer
from memory_trials.training.job import TrainingJob, first_call, largest
from tests import kills
from tests.conftest import ROOT

EPOCHS = 40


def trained(
    store=trainer.NO_CACHE, model=None, eval_interval=10, sequences=((3, 0, 1, 2, 3), (4, 0, 1, 2, 4)), **settings
):
    settings = TrainingSettings(**{"trials": 10, "epochs": EPOCHS} | settings)
    problem = make_problem(ProblemSettings(sequences=[list(sequence) for sequence in sequences]))
    table = make_table(problem, EncodingSettings(), settings, False)
    model = ModelSettings(**{"units": 5} | (model or {}))
    return trainer.train(
        TrainingJob(model, settings, eval_interval, table), ComputeSettings(threads=2, shard=4), store=store
    )


@pytest.fixture
def store(tmp_path) -> cache.TrialCache:
    return cache.TrialCache(tmp_path / ".shards", 100)


@pytest.fixture
def counted(monkeypatch) -> list[int]:
    """The seeds that are really trained, and not taken from a store."""
    seeds, real = [], shards.resumed

    def resumed(job, program, batch, **named):
        seeds.extend(batch["seeds"].tolist())
        return real(job, program, batch, **named)

    monkeypatch.setattr(shards, "resumed", resumed)
    return seeds


@pytest.mark.parametrize("way", kills.WAYS)
def test_training_that_is_killed_ends_with_the_bytes_of_training_left_alone(way, tmp_path, capsys):
    expected = kills.as_bytes(kills.train(way), tmp_path)
    folder = tmp_path / ".shards"
    store, chance = kills.emptied(folder), random.Random(way)
    if way != "xla":  # TensorFlow takes seconds to import
        kills.killed(way, folder, chance.uniform(0, 2))
    while not kills.killed(way, folder, chance.uniform(0, 0.05), after_a_checkpoint=True):
        kills.emptied(folder)  # it was over before
    capsys.readouterr()
    assert kills.as_bytes(kills.train(way, store), tmp_path) == expected
    said = capsys.readouterr().out
    assert "trials go on after epoch" in said or "trials are kept" in said
    assert not list(folder.glob("*.checkpoint.npz"))


@pytest.mark.parametrize(
    ("engine", "settings"),
    [
        ("native", {}),
        ("native", {"shuffle": True, "optimizer": "sgd"}),
        ("native", {"reset": "never", "model": {"cell": "simple_rnn"}}),
        ("xla", {"reset": "never", "engine": "tensorflow"}),
    ],
)
def test_training_goes_on_from_any_slice_with_the_same_bytes(engine, settings, tmp_path, monkeypatch, store):
    monkeypatch.setattr(cache, "SECONDS", 0.0)
    monkeypatch.setattr(trainer, "first_call", lambda *_: 1)
    checkpoints, real = [], cache.Entry.keep_checkpoint

    def keep_checkpoint(entry, batch):
        checkpoints.append((entry.key, {name: array.copy() for name, array in batch.items()}))
        real(entry, batch)

    monkeypatch.setattr(cache.Entry, "keep_checkpoint", keep_checkpoint)
    expected = kills.as_bytes(trained(**settings), tmp_path)
    every = list(checkpoints)
    assert {int(batch["done"][0]) for _, batch in every} >= {1, 3, 7, 10, 20}  # at checks and between them
    for key, batch in every[:: max(1, len(every) // 8)] if engine == "native" else every[3:4]:
        for path in store.folder.glob(f"{key}.*"):
            path.unlink()
        store.write(cache.CHECKPOINT, key, batch)
        assert kills.as_bytes(trained(store, **settings), tmp_path) == expected


def test_more_fewer_and_other_trials_train_only_what_is_missing(store, counted, tmp_path, capsys):
    trained(store)
    assert sorted(counted) == list(range(10))
    for asked, new in (
        ({"trials": 25}, range(10, 25)),
        ({"trials": 4}, []),
        ({"trials": 10, "first_seed": 20}, range(25, 30)),
        ({"trials": 35}, range(30, 35)),
        ({"trials": 35}, []),
        ({"trials": 35, "epochs": EPOCHS + 1}, range(35)),
    ):
        counted.clear()
        found = kills.as_bytes(trained(store, **asked), tmp_path)
        assert sorted(counted) == list(new)
        assert kills.as_bytes(trained(**asked), tmp_path) == found
    assert "10 of 25 trials are kept from earlier (.shards/)" in capsys.readouterr().out


def test_slices_of_other_shards_are_taken_by_seed_the_furthest_first(store, counted, monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "SECONDS", 0.0)
    monkeypatch.setattr(trainer, "first_call", lambda *_: 1)
    monkeypatch.setattr(cache.Entry, "keep", lambda *_: None)  # as if killed before any shard was finished
    monkeypatch.setattr(cache.Entry, "forget_checkpoints", lambda *_: None)
    trained(store, trials=9, first_seed=2)
    trained(store, trials=3, first_seed=4)
    monkeypatch.undo()
    went_on, real = [], shards.resumed

    def resumed(job, program, batch, **named):
        went_on.extend(zip(batch["seeds"].tolist(), batch["done"].tolist()))
        return real(job, program, batch, **named)

    monkeypatch.setattr(shards, "resumed", resumed)
    found = kills.as_bytes(trained(store), tmp_path)
    assert sorted(seed for seed, _ in went_on) == list(range(10))
    assert {seed for seed, done in went_on if done} == set(range(2, 10))
    assert kills.as_bytes(trained(), tmp_path) == found


@pytest.mark.parametrize("harm", ["changed", "cut", "emptied", "foreign", "of another key", "text"])
def test_a_file_that_is_not_what_its_name_says_is_trained_anew(harm, store, counted, tmp_path, capsys):
    expected = kills.as_bytes(trained(store), tmp_path)
    other = kills.as_bytes(trained(store, epochs=EPOCHS - 1), tmp_path)
    paths = list(store.folder.glob("*.npz"))
    assert len(paths) == 2
    contents = {path: path.read_bytes() for path in paths}
    for place, path in enumerate(paths):
        content = contents[path]
        path.write_bytes({
            "changed": content[:2000] + bytes([content[2000] ^ 1]) + content[2001:], "cut": content[:-100],
            "emptied": b"", "foreign": other, "of another key": contents[paths[place - 1]], "text": b"hello",
        }[harm])  # fmt: skip
    counted.clear()
    assert kills.as_bytes(trained(store), tmp_path) == expected and sorted(counted) == list(range(10))
    said = capsys.readouterr().out
    assert said.count("is damaged; what it held is trained anew") == 1
    counted.clear()
    assert kills.as_bytes(trained(store), tmp_path) == expected and not counted


def test_what_was_used_longest_ago_makes_room_and_the_bound_holds(tmp_path):
    store = cache.TrialCache(tmp_path, 1)
    batch = lambda seed: {"seeds": np.array([seed]), "a": np.zeros((1, 50_000), np.float32)}
    (tmp_path / ".x.npz.abc").write_bytes(bytes(900_000))  # what a kill in the midst of writing leaves
    for seed in range(12):
        store.write(cache.TRIALS, "k", batch(seed))
        os.utime(store.path(cache.TRIALS, "k", np.array([seed])), (seed, seed))  # a clock may say anything
        entry = cache.Entry(store, "k")
        assert len(entry.finished(np.array([0]))) == 1  # used, so it stays
        assert sum(path.stat().st_blocks * 512 for path in tmp_path.iterdir()) <= 1_000_000
    kept = {int(seed) for found in cache.Entry(store, "k").finished(np.arange(12)) for seed in found["seeds"]}
    assert kept == {0, 9, 10, 11}
    assert not (tmp_path / ".x.npz.abc").exists()


def test_what_does_not_fit_and_a_store_of_no_size_cost_a_note_at_most(tmp_path, capsys, counted):
    expected = kills.as_bytes(trained(), tmp_path)
    capsys.readouterr()
    nothing = cache.TrialCache(tmp_path / "none", 0)
    assert kills.as_bytes(trained(nothing), tmp_path) == expected
    assert not (tmp_path / "none").exists() and capsys.readouterr().out == ""
    large = {"units": 300}
    assert trained(cache.TrialCache(tmp_path / "small", 1), model=large, epochs=1).losses.shape == (10, 1)
    assert capsys.readouterr().out.count("do not fit into compute.cache_megabytes") == 1
    assert not list((tmp_path / "small").glob("*.npz"))


@pytest.mark.parametrize("how", ["full", "below a file", "a file", "nowhere"])
def test_a_store_that_cannot_be_written_to_costs_one_note(how, tmp_path, capsys):
    expected = kills.as_bytes(trained(), tmp_path)
    (tmp_path / "file").touch()
    folders = {"full": tmp_path / ".shards", "below a file": tmp_path / "file/.shards", "a file": tmp_path / "file"}
    store = cache.TrialCache(folders.get(how, Path("/proc/shards")), 100)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        if how == "full":  # as far as writing goes, whoever asks
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        capsys.readouterr()
        result = trained(store)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    said = capsys.readouterr().out
    assert said.count("note: ") == 1 and "what is trained from here on is not kept in" in said
    assert kills.as_bytes(result, tmp_path) == expected
    assert how != "full" or not list(store.folder.glob("*.npz*"))


def test_processes_share_a_store_and_need_no_tensorflow(tmp_path):
    folder = tmp_path / ".shards"
    store = kills.emptied(folder)
    together = [kills.started("never reset", folder) for _ in range(2)]
    for process in together:
        said, _ = process.communicate()
        assert process.returncode == 0 and "without TensorFlow" in said and "note" not in said
    assert not list(folder.glob("*.checkpoint.npz")) and not list(folder.glob(".*.npz*"))
    assert kills.as_bytes(kills.train("never reset", store), tmp_path) == kills.as_bytes(
        kills.train("never reset"), tmp_path
    )


def test_the_bound_holds_while_processes_write_side_by_side(tmp_path):
    code = """
import sys, numpy as np
from pathlib import Path
from memory_trials.training import cache
store = cache.TrialCache(Path(sys.argv[1]), 1)
for seed in range(30):
    store.write("trials", sys.argv[2], {"seeds": np.array([seed]), "a": np.full((1, 10_000), seed, np.float32)})
    for part in cache.Entry(store, sys.argv[2]).finished(np.arange(30)):
        assert (part["a"] == part["seeds"]).all()
"""
    command = [sys.executable, "-c", code, str(tmp_path / "s")]
    running = [subprocess.Popen([*command, key], stdout=subprocess.PIPE, cwd=ROOT, text=True) for key in "aab"]
    largest, over = [], threading.Event()

    def watch():
        while not over.is_set():
            sizes = []
            for entry in os.scandir(tmp_path / "s") if (tmp_path / "s").exists() else []:
                try:
                    sizes.append(entry.stat().st_size)
                except FileNotFoundError:
                    pass
            largest.append(sum(sizes))

    watcher = threading.Thread(target=watch)
    watcher.start()
    said = [process.communicate()[0] for process in running]
    over.set()
    watcher.join()
    assert said == [""] * 3 and [process.returncode for process in running] == [0] * 3
    # a file that is renamed while the folder is read is seen twice, or has gone before it is looked at
    assert 800_000 < max(largest) <= 1_050_000


def test_the_code_that_counts_is_what_training_reaches_and_no_table():
    found = {engine: set(json.loads(code)) for engine, code in cache._read_code().items()}
    for engine, others in (("native", {"native.c", "native.py", "elementary.h"}), ("xla", {"xla.py", "optimizers.py"}),
                           ("streaming", {"streaming.c", "streaming.py", "net.h", "memory_cell.h"})):  # fmt: skip
        names = {name.removeprefix("memory_trials/engines/") for name in found[engine] if "/engines/" in name}
        assert others <= names and "memory_trials/models/initializers.py" in found[engine]
        assert not found[engine] & {"memory_trials/tasks/encoding.py", "memory_trials/training/cache.py"}
    assert (
        "memory_trials/models/keras_model.py" in found["xla"] - found["native"]
        and "memory_trials/tasks/streams.py" in found["streaming"]
    )
    assert not any("tasks/endless/" in name for name in found["streaming"])  # each trial depends on its own task's
    assert "memory_trials/tasks/endless/adding.py" in found["task multiplication"] - found["task parity"]
    assert cache.code("streaming", "lstm", "adding") != cache.code("streaming", "lstm", "parity")


def test_the_stage_names_files_that_a_cell_needs_and_that_dvc_does_not_watch(monkeypatch, tmp_path):
    from stages.train import unwatched

    for path, content in (
        ("my_cells/__init__.py", ""), ("my_cells/x.py", "import beside, my_cells.y"), ("my_cells/y.py", "import json"), ("beside.py", ""), ("z/a.py", "")
    ):  # fmt: skip
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "my_cells", raising=False)
    forget_imports()
    assert unwatched("my_cells.y.Cell") == "note: my_cells.y.Cell needs beside.py, which DVC does not watch: " + (
        "after a change there, run dvc repro --force"
    )
    (tmp_path / "my_cells/x.py").write_text("")
    forget_imports()
    assert unwatched("my_cells.y.Cell") == ""
    forget_imports()


def forget_imports():
    cache._package.cache_clear()
    cache._imported.cache_clear()


def test_the_key_is_of_everything_that_a_result_depends_on_and_of_nothing_else(monkeypatch, tmp_path):
    keys = []

    def key_of(**arguments):
        class Asked(Exception):
            pass

        class Entry:
            def __init__(self, store, key):
                keys.append(key)
                raise Asked

        with monkeypatch.context() as patch:
            patch.setattr(cache, "Entry", Entry)
            with pytest.raises(Asked):
                trained(**arguments)
        return keys[-1]

    same = [
        {}, {"trials": 3}, {"first_seed": 7}, {"reset": "sequence"}, {"update": "window"},
    ]  # fmt: skip
    assert len({key_of(**arguments) for arguments in same}) == 1
    assert key_of(window="sequence") == key_of(window=4)  # the same table
    others = [
        {"epochs": 41}, {"eval_interval": 11}, {"learning_rate": 0.002}, {"optimizer": "sgd"}, {"shuffle": True},
        {"window": 2}, {"reset": "never"}, {"sequences": ((3, 0, 1, 2, 3), (4, 0, 1, 2, 3))}, {"engine": "tensorflow"},
        {"model": {"units": 6}}, {"model": {"cell": "gru"}}, {"model": {"output": "softmax"}},
        {"model": {"forget_bias": 2.0}}, {"model": {"cell_options": {"unit_forget_bias": False}}},
        {"model": {"cell": "my_cells.leaky.LeakyCell"}},
    ]  # fmt: skip
    found = [key_of(), *(key_of(**arguments) for arguments in others)]
    assert len(set(found)) == len(found)

    folder = tmp_path / "cells_of_mine"
    folder.mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    own = {"model": {"cell": "cells_of_mine.one.Cell"}}
    for content in ("a = 1", "a = 2"):
        (folder / "__init__.py").touch()
        (folder / "helper.py").write_text(content)
        forget_imports()
        found.append(key_of(**own))
    (tmp_path / "beside.py").write_text("a = 1")
    (tmp_path / "further").mkdir()
    (folder / "one.py").write_text("import beside, no_such_module\nfrom os import path\nimport yaml, keras")
    for place, content in (
        ("beside.py", "a = 2"), ("beside.py", "def f():\n    from further.away import b"), ("further/away.py", "b = 1"),
        ("further/away.py", "b = 2"),
    ):  # fmt: skip
        (tmp_path / place).write_text(content)
        forget_imports()
        found.append(key_of(**own))
    real = cache.installed_version
    for library in ("keras", "PyYAML"):  # of which the cell imports both
        with monkeypatch.context() as patch:
            patch.setattr(cache, "installed_version", lambda name, own=library: "0" if name == own else real(name))
            forget_imports()
            found.append(key_of(**own))
    forget_imports()
    assert [path.name for path in cache.imported_by("cells_of_mine.one.Cell")] == [
        "__init__.py", "helper.py", "one.py", "beside.py", "away.py"
    ]  # fmt: skip
    changes = [
        (cache, "_CODE", cache._CODE | {"native": b"other"}),
        (cache, "installed_version", lambda name: "0"),
    ]
    for change in changes:
        with monkeypatch.context() as patch:
            patch.setattr(*change)
            found.append(key_of())
    with monkeypatch.context() as patch:  # without a compiler it is what jax asks for
        patch.setattr(native, "available", lambda: False)
        assert key_of() == key_of(engine="jax")
    with monkeypatch.context() as patch:  # xla compiles for the processor, native's bits are the same on all
        patch.setattr(compiler, "processor", lambda: "another")
        assert key_of() == found[0]
        found.append(key_of(engine="tensorflow"))
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("engine", cache.ROOTS)
def test_each_library_counts(engine, monkeypatch):
    real = cache.installed_version
    keys = {cache.key({}, {}, engine, "lstm")}
    for name in sorted(set().union(*cache.VERSIONS.values())):
        monkeypatch.setattr(cache, "installed_version", lambda asked, own=name: real(asked) + "x" * (asked == own))
        keys.add(cache.key({}, {}, engine, "lstm"))
    assert len(keys) == 1 + len(cache.VERSIONS[engine])


@given(st.integers(1, 60), st.integers(1, 30), st.integers(1, 5), st.lists(st.integers(1, 70), min_size=1))
def test_calls_come_to_every_check_and_to_nothing_else(epochs, eval_interval, capacity, lengths):
    checks = np.unique(np.append(np.arange(eval_interval, epochs + 1, eval_interval), epochs))
    done, judged = 0, []
    for most in itertools.cycle(lengths):
        asked, count = table_shards.next_call(checks, done, most, capacity)
        assert 1 <= asked[-1] <= most
        assert len(asked) <= capacity and count in (0, len(asked))
        # xla judges after every so many epochs from where a call begins, and at its end
        until = np.unique(np.append(np.arange(eval_interval, asked[-1] + 1, eval_interval), asked[-1]))
        assert count == 0 or np.array_equal(until, asked)
        judged += (done + asked[:count]).tolist()
        done += int(asked[-1])
        if done == epochs:
            break
    assert judged == checks.tolist()


def test_an_epoch_of_a_shard_never_takes_long():
    problem = make_problem(ProblemSettings(generate={"lag": 20_000, "middle": "fixed"}, sequences=None))
    settings = TrainingSettings(window="sequence")
    table = make_table(problem, EncodingSettings(), settings, False)
    assert largest(TrainingJob(ModelSettings(units=20), TrainingSettings(), 10, table)) == 12
    assert largest(TrainingJob(ModelSettings(units=4000), TrainingSettings(), 10, table)) == 1
    job = TrainingJob(ModelSettings(units=20), TrainingSettings(), 10, table)
    assert first_call(job, "native", 12) <= 2 and first_call(job, "xla", 12) == 1


def test_a_short_training_is_one_call_which_evaluates_at_checks_alone(monkeypatch):
    calls, real = [], native.Program.run

    def run(program, state, checks, order=None):
        calls.append(checks.tolist())
        return real(program, state, checks, order)

    monkeypatch.setattr(native.Program, "run", run)
    trained(trials=4)
    assert calls == [[10, 20, 30, 40]] * 2  # shards


def test_a_mistake_in_one_shard_ends_the_others_and_keeps_what_is_finished(store, monkeypatch, tmp_path):
    real = shards.resumed

    def resumed(job, program, batch, **named):
        if 9 in batch["seeds"]:
            raise files.UserError("a mistake")
        return real(job, program, batch, **named)

    monkeypatch.setattr(shards, "resumed", resumed)
    with pytest.raises(files.UserError, match="a mistake"):
        trained(store, trials=10)
    monkeypatch.undo()
    assert kills.as_bytes(trained(store), tmp_path) == kills.as_bytes(trained(), tmp_path)


@pytest.mark.parametrize("cell", ["os.system", "sys.exit", "nothing_here.Cell"])  # frozen, built in, an empty folder
def test_code_of_a_cell_that_is_in_no_file_is_told_apart_all_the_same(cell, tmp_path, monkeypatch):
    (tmp_path / "nothing_here").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert cache.code("xla", cell) == cache._CODE["xla"]
