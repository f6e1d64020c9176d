"""Trials that learn from streams: when they stop, and that nothing but their seed and settings decides it."""

import time

import numpy as np
import pytest

from memory_trials.engines.streaming import Program
from memory_trials.models import weights as model_weights
from memory_trials.settings import ComputeSettings, Settings
from memory_trials.tasks.interface import Criterion
from memory_trials.tasks.streams import Stream
from memory_trials.training import cache, shards, stream_shards, trainer
from memory_trials.training import job as jobs
from memory_trials.training.job import TrainingJob

ONE = ComputeSettings(threads=1)
OPTIONS = {"connected": "B", "output_gate": False, "squashing": "plain", "weights": 0.2}
KEYS = {"stream": {"task": "keys", "length": 5}}


def job(
    epochs=3000, trials=5, interval=20, problem=KEYS, cell="memory_cell", options=OPTIONS, **training
) -> TrainingJob:
    settings = Settings.model_validate({
        "problem": problem,
        "model": {"cell": cell, "units": 1, "cell_options": options},
        "training": {"trials": trials, "epochs": epochs, "optimizer": "sgd", "learning_rate": 1.0} | training,
        "evaluation": {"interval": interval},
    })  # fmt: skip
    return TrainingJob(settings.model, settings.training, interval, Stream(settings.problem.stream))


def key_of(**changes) -> str:
    return jobs.key(job(**changes), "streaming", False)


def arrays(trained) -> dict[str, np.ndarray]:
    until = {f"until {name}": array for name, array in trained.met_criterion_at.items()}
    return {"seeds": trained.seeds, "losses": trained.losses, "learned": trained.learned} | trained.weights | until


def assert_same(one: dict, other: dict) -> None:
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], name)


def test_a_trial_stops_when_it_meets_the_criterion_and_keeps_its_weights_then():
    short = job()
    trained = trainer.train(short, ONE)
    until = trained.met_criterion_at["success"]
    assert (until > 0).any() and (until % short.eval_interval == 0).all()
    shape = short.task.shape
    program = Program(short.model, short.training, shape)
    for trial, seed in enumerate(trained.seeds):  # by hand: block by block, one trial alone
        state = program.start(model_weights.initial_weights(short.model, shape.inputs, shape.outputs, np.array([seed])))
        met = 0
        for block in range(150):
            program.train(state, short.task.draw(np.array([seed]), "train", 20 * block, 20))
            errors = program.test(state, short.task.draw(np.array([seed]), "check", 0, 2))
            if (errors.worst < 0.25).all():
                met = (block + 1) * short.eval_interval
                break
        assert met == until[trial]
        for mine, theirs in zip(program.weights(state), trained.weights.values()):
            np.testing.assert_array_equal(mine[0], theirs[trial])
    np.testing.assert_array_equal(
        trained.learned, (until[:, np.newaxis] <= trained.checks) & (until[:, np.newaxis] > 0)
    )


def test_progress_adds_up_to_all_sequences_that_there_might_be_and_to_all_who_learned(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(stream_shards, "LONG_ENOUGH", 60.0)  # of each shard one call, on slow machines too
    trained = trainer.train(job(), ONE, lambda *what: told.append(what))
    learned = int((trained.met_criterion_at["success"] > 0).sum())
    assert sum(epochs for epochs, _, _ in told) == 5 * 3000 and sum(newly for _, newly, _ in told) == learned > 0
    assert told[0] == (0, 0, True) and not any(kept for *_, kept in told[1:]) and len(told) < 10  # not after each look
    assert all(epochs > 0 for epochs, *_ in told[1:])
    monkeypatch.setattr(cache, "SECONDS", 1.5 * time.monotonic())
    store = cache.TrialCache(tmp_path, megabytes=100)
    kept = []
    monkeypatch.setattr(cache.Entry, "keep_checkpoint", lambda entry, batch: kept.append(batch))
    trainer.train(job(), ONE, store=store)
    assert kept == []  # nothing before its time
    assert key_of() == key_of(trials=7) == key_of(first_seed=5)
    assert key_of() not in (key_of(learning_rate=0.5), key_of(loss="cross_entropy"), key_of(epochs=3001))


def test_a_criterion_over_training_looks_at_the_last_sequences_only(monkeypatch):
    adding = {"stream": {"task": "adding", "length": 20}}
    options = {"block_size": 1, "cell_bias": True, "output_bias": True}
    short = job(epochs=60, interval=20, problem=adding, options=options, update="sequence", learning_rate=0.5)
    lenient = {"last": Criterion("train", 30, tolerance=0.45, wrong=1, mean_error=0.2)}
    monkeypatch.setattr(Stream, "criteria", lenient)
    trained = trainer.train(short, ONE)
    shape = short.task.shape
    program = Program(short.model, short.training, shape)
    state = program.start(model_weights.initial_weights(short.model, shape.inputs, shape.outputs, trained.seeds))
    found = [program.train(state, short.task.draw(trained.seeds, "train", 20 * block, 20)) for block in range(3)]
    worst = np.concatenate([errors.worst for errors in found], axis=1)
    absolute = np.concatenate([errors.absolute for errors in found], axis=1)
    for trial in range(len(trained.seeds)):
        met = 0
        for end in (40, 60):  # after 20 there are no 30 sequences yet
            last = slice(end - 30, end)
            if (worst[trial, last] >= 0.45).sum() <= 1 and absolute[trial, last].mean() < 0.2:
                met = end
                break
        assert trained.met_criterion_at["last"][trial] == met


def test_companions_threads_and_shards_change_nothing(monkeypatch):
    together = arrays(trainer.train(job(trials=21), ComputeSettings(threads=2)))
    monkeypatch.setattr(jobs, "LANES", 4)
    assert_same(arrays(trainer.train(job(trials=21), ONE)), together)
    alone = arrays(trainer.train(job(trials=1, first_seed=7), ONE))
    assert_same({name: array[7:8] for name, array in together.items()}, alone)


def test_training_that_was_cut_short_goes_on_to_the_same_bytes(tmp_path, monkeypatch):
    whole = arrays(trainer.train(job(), ONE))
    store = cache.TrialCache(tmp_path, megabytes=100)
    monkeypatch.setattr(cache, "SECONDS", 0.0)
    monkeypatch.setattr(stream_shards, "LONG_ENOUGH", 0.0)  # a checkpoint after each look, on fast machines too

    class CutError(Exception):
        pass

    def cut(self, batch, keep=cache.Entry.keep_checkpoint):
        keep(self, batch)
        if batch["done"].min() >= 60:
            raise CutError

    with monkeypatch.context() as patch, pytest.raises(CutError):
        patch.setattr(cache.Entry, "keep_checkpoint", cut)
        trainer.train(job(), ONE, store=store)
    assert list(tmp_path.glob("*.checkpoint.npz"))
    assert_same(arrays(trainer.train(job(), ONE, store=store)), whole)
    assert not list(tmp_path.glob("*.checkpoint.npz"))
    monkeypatch.setattr(shards, "run_shard", None)  # all is kept: nothing is trained
    assert_same(arrays(trainer.train(job(), ONE, store=store)), whole)


def test_guessing_counts_guesses_and_keeps_the_right_one(monkeypatch):
    problem = {"stream": {"task": "two_sequence", "length": 20, "signal": 3}}
    lenient = Criterion("check", 24, tolerance=0.6, wrong=8)
    monkeypatch.setattr(Stream, "criteria", {"lenient": lenient})
    guessing = job(epochs=300, trials=3, interval=25, problem=problem, cell="fully_recurrent", options={"bias": True},
                   optimizer="guess")  # fmt: skip
    trained = trainer.train(guessing, ONE)
    until, shape = trained.met_criterion_at["lenient"], guessing.task.shape
    program = Program(guessing.model, guessing.training, shape)
    check = guessing.task.draw(trained.seeds, "check", 0, 24)

    def are_right(weights):
        return (program.test(program.start(weights), check).worst >= 0.6).sum(axis=1) <= 8

    assert (until > 0).any()
    guesses = [
        model_weights.guessed_weights(guessing.model, shape, trained.seeds, number)
        for number in range(guessing.training.epochs)
    ]
    right = np.array([are_right(weights) for weights in guesses])
    for trial, met in enumerate(until):
        assert bool(met) == right[:, trial].any()
        if met:
            first = right[:, trial].argmax()
            assert met - guessing.eval_interval <= first < met
            for mine, kept in zip(guesses[first], trained.weights.values()):
                np.testing.assert_array_equal(mine[trial], kept[trial])


@pytest.mark.parametrize("optimizer", ["sgd", "guess"])
def test_a_budget_that_is_no_multiple_of_the_interval_is_kept_to(optimizer):
    """The last look comes at its end, to the same bits as where one comes there anyway."""
    short, even = job(epochs=50, optimizer=optimizer), job(epochs=50, interval=10, optimizer=optimizer)
    assert short.checks.tolist() == [20, 40, 50]
    trained, by_ten = trainer.train(short, ONE), trainer.train(even, ONE)
    met, looked = trained.met_criterion_at["success"], by_ten.met_criterion_at["success"]
    late = (looked == 0) | (looked > 40)  # others stop sooner where there are more looks
    assert late.any() and np.array_equal(met[late], looked[late]) and met.max() <= 50
    for name, array in trained.weights.items():
        np.testing.assert_array_equal(array[late], by_ten.weights[name][late])
