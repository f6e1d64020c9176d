"""The parts that training is put together from: shards side by side, what is kept of them, and a stream's criteria."""

import dataclasses
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from memory_trials.engines import native
from memory_trials.engines.interface import Errors
from memory_trials.settings import (
    ComputeSettings,
    EncodingSettings,
    ModelSettings,
    ProblemSettings,
    TrainingSettings,
)
from memory_trials.stream_settings import stream_settings
from memory_trials.tasks.encoding import make_table
from memory_trials.tasks.interface import Criterion, Sequences
from memory_trials.tasks.problems import make_problem
from memory_trials.tasks.streams import Stream
from memory_trials.training import cache, shards, stream_shards, trainer
from memory_trials.training import job as jobs
from memory_trials.training.job import TrainingJob
from memory_trials.training.stream_shards import Exam


def silent(epochs, learned, kept):
    pass


def batch_of(*seeds, done=None):
    found = {"seeds": np.array(seeds), "learned": np.array([[seed % 2 == 1] for seed in seeds])}
    return found if done is None else found | {"done": np.full(len(seeds), done)}


def test_everything_is_run_once_by_as_many_threads_as_are_wanted():
    running, most, lock = 0, 0, threading.Lock()

    def run(item, report):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        report(item, 1, False)
        with lock:
            running -= 1
        return item * item

    told = []
    results = trainer.side_by_side(run, iter(range(12)), 3, lambda *what: told.append(what))
    assert sorted(results) == [n * n for n in range(12)] and most == 3
    assert sorted(told) == [(n, 1, False) for n in range(12)]


def test_items_are_taken_when_there_is_somebody_to_run_them_soon():
    taken, started = [], threading.Semaphore(0)
    go_on = threading.Event()

    def items():
        for n in range(20):
            taken.append(n)
            yield n

    def run(item, report):
        started.release()
        go_on.wait(10)
        return item

    thread = threading.Thread(target=trainer.side_by_side, args=(run, items(), 2, silent))
    thread.start()
    started.acquire()
    time.sleep(0.05)
    assert len(taken) == 5  # two at work, as many again and the next one
    go_on.set()
    thread.join(10)
    assert taken == list(range(20))


def test_where_one_fails_the_others_end_when_they_report_next():
    ended = []

    def run(item, report):
        if item == 0:
            time.sleep(0.02)
            raise KeyError("a mistake")
        try:
            while True:
                time.sleep(0.001)
                report(1, 0, False)
        except BaseException as error:
            ended.append(type(error).__name__)
            raise

    with pytest.raises(KeyError, match="a mistake"):
        trainer.side_by_side(run, iter(range(3)), 3, silent)
    assert ended == ["CancelledError"] * 2


def test_a_count_is_cut_into_slices_of_one_size():
    assert trainer._cut(7, 3) == [slice(0, 3), slice(3, 6), slice(6, 9)] and trainer._cut(0, 3) == []


@pytest.fixture
def entry(tmp_path) -> cache.Entry:
    return cache.Entry(cache.TrialCache(tmp_path / ".shards", 100), "key")


def test_trials_that_are_kept_are_not_trained_again_and_all_come_in_the_order_of_their_seeds(entry, capsys):
    entry.keep(batch_of(5, 3))
    entry.flush()
    asked, told = [], []

    def train_missing(missing):
        asked.append(missing.tolist())
        return [batch_of(*missing[::-1].tolist())]

    settings = TrainingSettings(trials=4, first_seed=2, epochs=30)
    whole = trainer.all_trials(entry, settings, train_missing, lambda *what: told.append(what))
    assert asked == [[2, 4]] and whole["seeds"].tolist() == [2, 3, 4, 5]
    assert whole["learned"][:, 0].tolist() == [False, True, False, True] and whole["learned"].flags["C_CONTIGUOUS"]
    assert told == [(2 * 30, 2, True)]
    assert capsys.readouterr().out == "2 of 4 trials are kept from earlier (.shards/)\n"
    whole = trainer.all_trials(entry, settings.model_copy(update={"first_seed": 3, "trials": 1}), train_missing, silent)
    assert whole["seeds"].tolist() == [3] and len(asked) == 1


def test_what_is_finished_when_training_fails_is_kept(entry):
    def fails(missing):
        entry.keep(batch_of(0, 1))
        raise KeyError

    with pytest.raises(KeyError):
        trainer.all_trials(entry, TrainingSettings(trials=3), fails, silent)
    assert [batch["seeds"].tolist() for batch in entry.finished(np.arange(3))] == [[0, 1]]


def test_short_shards_share_a_file_which_is_written_when_it_is_due(entry, monkeypatch):
    written = lambda: sorted(path.name.split(".")[-2] for path in entry.store.folder.glob("*.npz"))
    entry.keep(batch_of(1))
    entry.keep(batch_of(0))
    assert written() == []
    monkeypatch.setattr(cache, "TRIALS_PER_FILE", 3)
    entry.keep(batch_of(2))
    assert written() == ["trials"]
    assert [batch["seeds"].tolist() for batch in entry.finished(np.array([0, 2, 7]))] == [[0, 2]]
    monkeypatch.setattr(cache, "SECONDS", 0.0)
    entry.keep(batch_of(7))
    assert written() == ["trials"] * 2
    entry.flush()
    assert written() == ["trials"] * 2


def test_a_checkpoint_goes_when_its_trials_are_finished_and_the_furthest_one_is_taken(entry):
    kinds = lambda: sorted(path.name.split(".")[-2] for path in entry.store.folder.glob("*.npz"))
    entry.keep_checkpoint(batch_of(0, 1, done=10))
    entry.keep_checkpoint(batch_of(1, 2, done=20))
    begun = entry.begun(np.arange(3))
    assert [(batch["seeds"].tolist(), batch["done"].tolist()) for batch in begun] == [([1, 2], [20, 20]), ([0], [10])]
    entry.forget_checkpoints(np.array([0, 1]))
    assert kinds() == ["checkpoint"] and entry.begun(np.array([0])) == []
    entry.keep(batch_of(1, 2))
    entry.flush()
    assert kinds() == ["trials"]


def test_nothing_is_removed_by_a_store_that_cannot_write(entry):
    entry.keep_checkpoint(batch_of(0, done=10))
    entry.store.writes = False
    entry.forget_checkpoints(np.arange(3))
    entry.keep(batch_of(0))
    entry.flush()
    assert [path.name.split(".")[-2] for path in entry.store.folder.glob("*.npz")] == ["checkpoint"]


def test_another_keys_files_are_none_of_an_entrys(entry):
    other = cache.Entry(entry.store, "key2")
    other.keep(batch_of(0))
    other.flush()
    assert entry.finished(np.arange(3)) == [] and len(other.finished(np.arange(3))) == 1


def running_of(checks, trials=3, recent=4):
    return {
        "losses": np.zeros((trials, len(checks)), np.float32), "since": np.zeros((trials, 2)),
        "recent/worst": np.full((trials, recent), np.inf, np.float32), "recent/absolute": np.full((trials, recent), np.inf, np.float32),
    }  # fmt: skip


def errors_of(block: int, trials=3, interval=2):
    absolute = (block + 1) * np.float32(np.arange(1, trials + 1))[:, np.newaxis] * np.float32([[1, 3]])[:, :interval]
    return SimpleNamespace(worst=absolute * 10, absolute=absolute)


def after(checks, blocks: int, recent=0) -> dict[str, np.ndarray]:
    """What is remembered after so many blocks of two sequences."""
    running = running_of(checks, recent=recent)
    for block in range(blocks):
        stream_shards._remember(checks, running, 2 * (block + 1), errors_of(block))
    return running


EACH, APART = np.array([2, 4, 6, 8]), np.array([2, 6, 20])


def test_the_last_errors_and_the_means_between_checks_are_remembered():
    running = after(EACH, 4, recent=4)
    assert running["losses"][1].tolist() == [4, 8, 12, 16] and running["since"].tolist() == [[0, 0]] * 3
    assert running["recent/absolute"][0].tolist() == [3, 9, 4, 12]
    assert running["recent/worst"][0].tolist() == [30, 90, 40, 120]


def test_between_checks_that_are_further_apart_errors_are_gathered():
    assert after(APART, 3)["losses"][0].tolist() == [2, 5, 0]  # the mean of 2, then of 4 and 6
    running = after(APART, 4)
    assert running["since"][0].tolist() == [16, 2] and running["recent/worst"].shape == (3, 0)
    stream_shards._carry_forward(APART, running, 8, np.array([True, False, False]))
    assert running["losses"][0].tolist() == [2, 5, 8] and running["losses"][1].tolist() == [4, 10, 0]


def test_a_trial_that_stops_at_a_check_keeps_that_checks_error():
    running = after(APART, 3)
    stream_shards._carry_forward(APART, running, 6, np.array([False, False, True]))
    assert running["losses"][2].tolist() == [6, 15, 15] and running["losses"][0].tolist() == [2, 5, 0]


def test_a_trial_that_stops_at_the_first_check_has_that_error_throughout():
    running = after(APART, 1)
    stream_shards._carry_forward(APART, running, 2, np.array([True, False, False]))
    assert running["losses"].tolist() == [[2, 2, 2], [4, 0, 0], [6, 0, 0]]


@pytest.mark.parametrize(
    ("criterion", "met"),
    [
        (Criterion("train", 3, tolerance=0.5), [True, False, False, False]),
        (Criterion("train", 3, tolerance=0.5, wrong=1), [True, True, False, False]),
        (Criterion("train", 4, tolerance=0.5), [False, False, False, False]),
        (Criterion("train", 3, tolerance=0.5, wrong=1, mean_error=0.15), [True, False, False, False]),
        (Criterion("train", 3, tolerance=0.5, wrong=1, mean_error=0.1), [False, False, False, False]),
        (Criterion("train", 3, tolerance=0.4, wrong=3), [True] * 4),
    ],
)  # fmt: skip
def test_a_criterion_over_training_counts_the_last_sequences(criterion, met):
    worst = np.float32([[0.9, 0.4, 0.4, 0.4], [0.9, 0.4, 0.5, 0.4], [0.1, np.nan, 0.6, 0.1], [0.1, 0.6, 0.6, 0.6]])
    absolute = np.float32([[9, 0.1, 0.1, 0.1], [9, 0.1, 0.4, 0.1], [0] * 4, [0] * 4])
    running = {"recent/worst": worst, "recent/absolute": absolute}
    assert stream_shards._met_in_training(criterion, running).tolist() == met


class Judge:
    """A program that tests: a sequence's error is what its symbols add up to, times the trial's level."""

    def __init__(self):
        self.tested = 0

    def resume(self, arrays):
        return SimpleNamespace(arrays=lambda: arrays)

    def test(self, state, sequences, last_step_only):
        level, lengths = state.arrays()["level"], sequences.lengths
        self.tested += lengths.size
        ends = np.cumsum(lengths, axis=1)
        sums = np.array(
            [[x[end - n : end].sum() for end, n in zip(*row)] for x, row in zip(sequences.x, zip(ends, lengths))]
        )
        worst = (level[:, np.newaxis] * sums).astype(np.float32)
        return Errors(worst, worst / 2, worst**2, worst < 3)


KEYS = stream_settings(task="keys", length=6, middle="random")
SEEDS = np.arange(4, 10)
LEVELS = np.array([0.001, 0.5, 0.02, 0.03, 0.05, 0.022])


def by_brute_force(stream, criterion, levels, seeds) -> list[bool]:
    """All sequences of the criterion at once."""
    judge = Judge()
    errors = judge.test(
        judge.resume({"level": levels}), Stream(stream).draw(seeds, "check", 0, criterion.sequences), False
    )
    right = errors.right if criterion.judged == "most_active" else errors.worst < criterion.tolerance
    met = (~right).sum(axis=1) <= criterion.wrong
    if criterion.mean_error is not None:
        met &= errors.absolute.mean(axis=1) < criterion.mean_error
    return met.tolist()


@pytest.mark.parametrize("at_once", [3, 16, 256])
@pytest.mark.parametrize(
    "criterion",
    [
        Criterion("check", 40, tolerance=0.5), Criterion("check", 40, tolerance=0.5, wrong=3), Criterion("check", 40, tolerance=0.5, wrong=39),
        Criterion("check", 40, tolerance=0.5, wrong=3, mean_error=0.14), Criterion("check", 40, tolerance=9.0, mean_error=0.14),
        Criterion("check", 41, tolerance=0.45), Criterion("check", 5, tolerance=0.5),
    ],
)  # fmt: skip
def test_an_exam_is_passed_by_who_is_right_in_all_of_its_sequences(at_once, criterion, monkeypatch):
    monkeypatch.setattr(stream_shards, "TESTED_AT_ONCE", at_once)
    judge = Judge()
    exam = Exam(SimpleNamespace(task=Stream(KEYS), training=TrainingSettings()), judge)
    for levels in (LEVELS, LEVELS[::-1], np.zeros(6), np.full(6, 9.0)):
        expected = by_brute_force(KEYS, criterion, levels, SEEDS)
        assert exam.passed(criterion, judge.resume({"level": levels}), SEEDS).tolist() == expected
    some = np.array([1, 4])  # who has learned leaves, and the others have their own sequences still
    expected = by_brute_force(KEYS, criterion, LEVELS[some], SEEDS[some])
    assert exam.passed(criterion, judge.resume({"level": LEVELS[some]}), SEEDS[some]).tolist() == expected


def test_who_fails_among_the_first_sequences_is_not_tested_on_more(monkeypatch):
    judge = Judge()
    exam = Exam(SimpleNamespace(task=Stream(KEYS), training=TrainingSettings()), judge)
    exam.passed(Criterion("check", 1000, tolerance=0.5), judge.resume({"level": np.full(6, 9.0)}), SEEDS)
    assert judge.tested == 6 * stream_shards.FEW
    assert exam.size == stream_shards.TESTED_AT_ONCE
    guessing = SimpleNamespace(task=Stream(KEYS), training=TrainingSettings(optimizer="guess"))
    assert Exam(guessing, judge).size == stream_shards.GUESSED_AT_ONCE


def test_the_grammars_sets_are_judged_whole(monkeypatch):
    reber, criterion = (
        stream_settings(task="reber"),
        Criterion("check", 512, tolerance=1.0, judged="most_active", wrong=200),
    )
    judge = Judge()
    exam = Exam(SimpleNamespace(task=Stream(reber), training=TrainingSettings()), judge)
    levels = np.array([0.01, 0.1, 0.2, 9.0])
    expected = by_brute_force(reber, criterion, levels, SEEDS[:4])
    assert (
        exam.passed(criterion, judge.resume({"level": levels}), SEEDS[:4]).tolist() == expected
        and len(set(expected)) == 2
    )


class Sleeper:
    """A program whose trials err by a number of their own that halves with each block they are trained on; those without
    their cell are told apart by a sign."""

    def resume(self, arrays):
        arrays = {name: array.copy() for name, array in arrays.items()}
        return SimpleNamespace(arrays=lambda: arrays)

    def train(self, state, sequences, dormant=False):
        error = state.arrays()["error"]
        found = (
            np.repeat(error[:, np.newaxis], sequences.lengths.shape[1], axis=1).astype(np.float32)
            + sequences.lengths / 1000
        )
        error *= 0.5
        state.arrays()["dormant"][:] = dormant
        return Errors(found.astype(np.float32), found.astype(np.float32), found.astype(np.float32) ** 2, found > 1)


def test_a_cell_that_is_added_later_sleeps_until_the_error_stops_to_fall():
    program, trials = Sleeper(), 4
    sequences = Sequences(
        np.int32([[10, 20], [30, 40], [50, 60], [70, 80]]), np.zeros((4, 150), np.int32), np.zeros((4, 150), np.int32)
    )
    start = {"error": np.array([1.0, 2.0, 3.0, 4.0]), "dormant": np.zeros(trials, bool)}
    state = program.resume(start)
    mean = start["error"] + [0.015, 0.035, 0.055, 0.075]
    before = np.array([np.inf, mean[1] / 0.98, mean[2] / 0.995, np.inf])  # falls, falls enough, hardly falls; awake
    running = {"awake": np.array([False, False, False, True]), "error": before}
    errors = stream_shards.train_block(program, state, sequences, running)
    assert errors.absolute[:, 0] == pytest.approx([1.01, 2.03, 3.05, 4.07]) and errors.right.dtype == np.bool_
    assert errors.worst[:, 1] == pytest.approx([1.02, 2.04, 3.06, 4.08]) and errors.worst.dtype == np.float32
    assert errors.right[:, 0].tolist() == [True] * 4
    assert state.arrays()["dormant"].tolist() == [True, True, True, False]
    assert state.arrays()["error"].tolist() == [0.5, 1.0, 1.5, 2.0]
    assert running["awake"].tolist() == [False, False, True, True]
    assert running["error"] == pytest.approx(mean, rel=1e-6)
    running["awake"][:] = True
    stream_shards.train_block(program, state, sequences, running)
    assert not state.arrays()["dormant"].any() and running["error"] == pytest.approx(
        mean, rel=1e-6
    )  # not looked at any more


OWN = ModelSettings(cell="my_cells.leaky.LeakyCell", units=3)


def own_job(**training) -> TrainingJob:
    settings = TrainingSettings(**{"trials": 5, "epochs": 4} | training)
    problem = make_problem(ProblemSettings(sequences=[[3, 0, 1, 2, 3], [4, 0, 1, 2, 4]]))
    return TrainingJob(OWN, settings, 2, make_table(problem, EncodingSettings(), settings, False))


@pytest.fixture
def keras(monkeypatch):
    """What takes TensorFlow or Ray, made up: it answers with its arguments."""
    told = SimpleNamespace(
        make_model=lambda *what: ("model", *what), initial_weights=lambda *what: what, Program=lambda *what: ("program", *what),
        slots=lambda compute: 2, send=lambda *what: ("sent", *what), shards=[],
    )  # fmt: skip

    def run_shard(sent, batch, keep, report):
        told.shards.append((sent, keep, report))
        report(4 * len(batch["seeds"]), 0, False)
        return shards.run_shard(shards.resumed(told.job, told.real, batch))

    told.run_shard = run_shard
    for name in ("memory_trials.models.keras_model", "memory_trials.engines.xla", "memory_trials.training.cluster"):
        monkeypatch.setitem(sys.modules, name, told)
        monkeypatch.setattr(name, told, raising=False)
    return told


def test_a_cell_of_ones_own_is_given_to_xla_with_all_that_it_needs(keras, unchecked):
    job = own_job()
    model = ("model", OWN, 5, 5)
    assert jobs.make_program(job, "xla", 7) == ("program", model, job.training, job.task, 7, 2)
    seeds = np.array([3, 5])
    assert trainer._initial_weights(job, "xla", seeds) == (OWN, 5, 5, seeds)


@pytest.mark.skipif(not native.available(), reason="no C compiler")
def test_on_a_cluster_shards_are_sent_with_the_job_and_their_progress_is_told(keras):
    job = dataclasses.replace(own_job(), model=ModelSettings(units=3))
    keras.job, keras.real = job, jobs.make_program(job, "native", 5)
    compute = ComputeSettings.model_construct(backend="ray", shard=3, gpus_per_shard=0, threads=None)
    told = []
    trained = trainer.train(job, compute, lambda *what: told.append(what))
    alone = trainer.train(job, ComputeSettings(threads=1))
    assert np.array_equal(trained.losses, alone.losses) and len(keras.shards) == 2
    assert all(sent == ("sent", job, "native", 3, compute) for sent, *_ in keras.shards)
    assert sum(epochs for epochs, *_ in told) == 5 * 4
