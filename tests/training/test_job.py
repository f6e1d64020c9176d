"""What a job costs decides how it is cut, and what it depends on names its results."""

import dataclasses

import numpy as np
import pytest

from memory_trials.engines import native
from memory_trials.settings import ComputeSettings, EncodingSettings, ModelSettings, ProblemSettings, TrainingSettings
from memory_trials.tasks.encoding import make_table
from memory_trials.tasks.problems import make_problem
from memory_trials.training import job as jobs
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
