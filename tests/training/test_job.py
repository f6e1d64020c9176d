"""What a job costs decides how it is cut, and what it depends on names its results."""

import dataclasses

import numpy as np
import pytest

from memory_trials.engines import native
from memory_trials.errors import UserError
from memory_trials.settings import ComputeSettings, EncodingSettings, ModelSettings, ProblemSettings, TrainingSettings
from memory_trials.stream_settings import stream_settings
from memory_trials.tasks.encoding import make_table
from memory_trials.tasks.problems import make_problem
from memory_trials.tasks.streams import Stream
from memory_trials.training import job as jobs
from memory_trials.training import trainer
from memory_trials.training.job import TrainingJob

TUTORIAL = [[3, 0, 1, 2, 3], [4, 0, 1, 2, 4]]
COST = (8 + 8) * 4 * 20 * (20 + 5 + 5)  # steps trained and evaluated, gates, units, what each unit sees


def job_of(model=None, eval_interval=10, sequences=TUTORIAL, **training) -> TrainingJob:
    settings = TrainingSettings(**training)
    table = make_table(make_problem(ProblemSettings(sequences=sequences)), EncodingSettings(), settings, False)
    return TrainingJob(ModelSettings(**(model or {})), settings, eval_interval, table)


def test_a_job_is_itself_and_cannot_be_changed():
    job = job_of()
    assert job == job and job != dataclasses.replace(job) and len({job, job}) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        job.eval_interval = 3


@pytest.mark.parametrize(
    ("epochs", "interval", "checks"),
    [(250, 100, [100, 200, 250]), (200, 100, [100, 200]), (3, 10, [3]), (3, 1, [1, 2, 3]), (10, 10, [10])],
)
def test_trials_are_evaluated_every_so_many_epochs_and_at_the_end(epochs, interval, checks):
    assert job_of(epochs=epochs, eval_interval=interval).checks.tolist() == checks


def test_an_epoch_costs_its_multiplications():
    assert job_of().epoch_cost == COST
    assert job_of(model={"units": 40}).epoch_cost == 16 * 4 * 40 * (40 + 5 + 5)
    assert job_of(sequences=[[0, 1, 2]]).epoch_cost == (2 + 2) * 4 * 20 * (20 + 3 + 3)


def test_a_shard_is_no_larger_than_an_epoch_of_ten_seconds_allows(monkeypatch):
    for most, size in ((COST * 7, 7), (COST * 7 + COST // 2, 7), (COST // 2, 1)):
        monkeypatch.setattr(jobs, "EPOCH_AT_MOST", most)
        assert jobs.largest(job_of()) == size


def test_the_first_call_has_as_many_epochs_as_take_tenths_of_a_second(monkeypatch):
    monkeypatch.setattr(jobs, "FIRST_CALL", {"native": COST * 60, "xla": COST * 12})
    assert jobs.first_call(job_of(), "native", 5) == 12 and jobs.first_call(job_of(), "xla", 5) == 2
    assert jobs.first_call(job_of(), "xla", 50) == 1


@pytest.mark.parametrize(
    ("trials", "largest", "threads", "size"),
    [(100, 50, 2, 50), (100, 50, 1, 50), (100, 50, 8, 13), (51, 50, 1, 26), (3, 50, 8, 1), (100, 100, 3, 34), (9, 4, 2, 3)],
)  # fmt: skip
def test_shards_are_few_even_and_enough_for_every_thread(trials, largest, threads, size):
    assert jobs.shard_size(trials, largest, threads) == size


def test_on_a_cluster_a_shard_is_worth_being_sent_as_far_as_the_bounds_allow(monkeypatch):
    monkeypatch.setattr(jobs, "TASK_AT_LEAST", 30 * COST * 250)
    size = lambda trials, shard, backend, workers=20: jobs.size_for(
        job_of(), trials, ComputeSettings.model_construct(backend=backend, shard=shard), workers
    )
    assert size(100, 50, "threads") == 5 and size(100, 50, "ray") == 30
    assert size(100, 20, "ray") == 20 and size(8, 50, "ray") == 8 and size(100, 50, "ray", workers=2) == 50
    monkeypatch.setattr(jobs, "TASK_AT_LEAST", 29.5 * COST * 250)
    assert size(100, 50, "ray") == 30
    monkeypatch.setattr(jobs, "EPOCH_AT_MOST", 10 * COST)
    assert size(100, 50, "ray") == 10


def test_the_shards_of_a_job_are_counted():
    count = lambda trials, **compute: jobs.shard_count(job_of(trials=trials), ComputeSettings(**compute), 2)
    assert count(100) == 2 and count(101) == 4 and count(1) == 1 and count(100, shard=10) == 10


@pytest.mark.skipif(not native.available(), reason="no C compiler")
def test_the_engine_is_native_where_it_can_be(monkeypatch, capsys):
    assert jobs.engine_of(job_of()) == "native" and capsys.readouterr().out == ""
    assert jobs.engine_of(job_of(engine="tensorflow")) == "xla"
    assert jobs.engine_of(job_of(model={"cell": "my_cells.leaky.LeakyCell"})) == "jax"
    assert jobs.engine_of(job_of(model={"cell": "tests.people.cells.numpy_function.Cell"})) == "xla"
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(native, "available", lambda: False)
    assert jobs.engine_of(job_of()) == "jax" and capsys.readouterr().out.startswith("note: no C compiler was found")


def test_a_key_names_what_a_result_depends_on_and_nothing_else():
    key = lambda job=None, engine="native", on_gpu=False: jobs.key(job or job_of(), engine, on_gpu)
    same = [
        key(), key(job_of(trials=3)), key(job_of(first_seed=3)), key(job_of(engine="tensorflow")), key(on_gpu=True),
    ]  # fmt: skip
    assert len(set(same)) == 1
    others = [
        key(job_of(epochs=251)), key(job_of(learning_rate=0.002)), key(job_of(shuffle=True)), key(job_of(eval_interval=11)),
        key(job_of(model={"units": 21})), key(job_of(window=2)), key(engine="xla"), key(engine="xla", on_gpu=True),
    ]  # fmt: skip
    assert len({same[0], *others}) == 1 + len(others)
    # how the table came about does not matter, where it is the same one
    apart = job_of(sequences=[[0, 1], [1, 0]], window="sequence")
    alike = job_of(sequences=[[0, 1], [1, 0]], window=1)
    assert all(np.array_equal(vars(apart.task)[name], vars(alike.task)[name]) for name in vars(apart.task))
    assert key(apart) == key(alike)


class Recorder:
    """Takes the place of functions and classes, writes down what it is given, and returns what it was made with."""

    def __init__(self, monkeypatch, *places, result=None):
        self.given, self.result = [], result
        for module, name in places:
            monkeypatch.setattr(module, name, self)

    def __call__(self, *arguments):
        self.given.append(arguments)
        return self.result


class Program:
    """What an engine's program has at least."""

    names = ["w"]  # noqa: RUF012  # never changed

    def start(self, weights): ...
    def resume(self, arrays): ...
    def weights(self, state): ...


PROGRAM, WEIGHTS = Program(), [np.zeros((2, 1), np.float32)]


def test_each_engine_is_given_the_model_how_to_train_it_and_what_on(monkeypatch):
    job = job_of(model={"units": 6}, eval_interval=7)
    table, training, model = job.task, job.training, job.model
    recorder = Recorder(
        monkeypatch, (jobs.own, "Program"), (jobs.own, "StreamProgram"), (native, "Program"), result=PROGRAM
    )
    assert all(jobs.make_program(job, engine, 5) is PROGRAM for engine in ("jax", "native"))
    of_model = ("lstm", 6, "sigmoid")
    assert recorder.given == [(model, training, table, 7), (*of_model, "adam", training.learning_rate, table)]
    stream = Stream(stream_settings(task="keys", length=5))
    jobs.make_program(dataclasses.replace(job, task=stream), "jax", 5)
    assert recorder.given[2:] == [(model, training, stream.shape)]


def test_tensorflow_is_given_them_too(monkeypatch):
    pytest.importorskip("tensorflow")
    from memory_trials.engines import xla
    from memory_trials.models import keras_model

    job = job_of(eval_interval=7)
    made, program = (
        Recorder(monkeypatch, (keras_model, "make_model")),
        Recorder(monkeypatch, (xla, "Program"), result=PROGRAM),
    )
    assert jobs.make_program(job, "xla", 5) is PROGRAM
    assert made.given == [(job.model, job.task.inputs, job.task.symbols)]
    assert program.given == [(None, job.training, job.task, 5, 7)]


@pytest.mark.parametrize(
    ("cell", "engine", "module", "name"),
    [
        ("lstm", "native", trainer.initializers, "initial_weights"),
        ("my_cells.leaky.LeakyCell", "jax", trainer.own, "initial_weights"),
    ],
)
def test_initial_weights_are_drawn_for_the_seeds_by_whoever_knows_the_cell(cell, engine, module, name, monkeypatch):
    job = job_of(model={"cell": cell})
    recorder = Recorder(monkeypatch, (module, name), result=WEIGHTS)
    seeds = np.array([3, 4])
    assert trainer._initial_weights(job, engine, seeds) is WEIGHTS
    ((model, inputs, outputs, drawn),) = recorder.given
    assert model is job.model and (inputs, outputs) == (job.task.inputs, job.task.outputs) and drawn is seeds


def test_initial_weights_of_streams_are_those_of_their_engine(monkeypatch):
    stream = Stream(stream_settings(task="keys", length=5))
    job = dataclasses.replace(job_of(), task=stream)
    recorder = Recorder(monkeypatch, (trainer.weights, "initial_weights"), result=WEIGHTS)
    seeds = np.array([3, 4])
    assert trainer._initial_weights(job, "streaming", seeds) is WEIGHTS
    assert recorder.given == [(job.model, stream.inputs, stream.outputs, seeds)]


def test_a_cell_that_calls_tensorflow_is_refused_on_streams():
    cell = "tests.people.cells.numpy_function.Cell"
    job = dataclasses.replace(job_of(model={"cell": cell}), task=Stream(stream_settings(task="keys", length=5)))
    with pytest.raises(UserError, match=f"^model.cell {cell} calls TensorFlow, .*: use keras.ops$"):
        jobs.engine_of(job)


def test_each_engine_in_c_has_a_library_and_others_have_none():
    assert jobs.library("native") is native.LIBRARY and jobs.library("jax") is jobs.library("xla") is None
    assert jobs.library("streaming") is not native.LIBRARY


def test_a_shard_of_streams_fills_vectors_but_no_more_than_there_are_trials_or_than_is_asked():
    job = dataclasses.replace(job_of(), task=Stream(stream_settings(task="keys", length=5)))
    size = lambda trials, **compute: jobs.size_for(job, trials, ComputeSettings(**compute), workers=2)
    assert [size(100), size(100, shard=4), size(3)] == [16, 4, 3]


def test_the_code_of_an_endless_task_is_part_of_what_a_result_is_named_by(monkeypatch):
    job = dataclasses.replace(job_of(), task=Stream(stream_settings(task="keys", length=5)))
    before = jobs.key(job, "streaming", False)
    monkeypatch.setattr(jobs.cache, "_CODE", jobs.cache._CODE | {"task keys": b"other"})
    assert jobs.key(job, "streaming", False) != before
