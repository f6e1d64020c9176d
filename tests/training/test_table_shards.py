"""A shard on its way through a program, which is made up here: every epoch and check comes once, whatever the calls."""

import json
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from memory_trials.training import shards, table_shards
from memory_trials.training.table_shards import TableShard

SEEDS = np.array([4, 7, 9])


@dataclass
class State:
    epochs: np.ndarray  # [T, 1], that were trained

    def arrays(self):
        return {"epochs": self.epochs}


class Program:
    """Trains nothing: a trial's loss is its first weight plus the epoch, it has learned from epoch 5 + its place on, its
    margin is the epoch, and its memory half of that. It writes down its calls."""

    names, capacity = ["w"], 3

    def __init__(self, seconds: float = 0.0, block: int = 1):
        self.table = SimpleNamespace(block=np.repeat(np.arange(3), block))
        self.calls, self.orders, self.seconds = [], [], seconds

    def start(self, weights):
        return State(np.concatenate([weights[0], np.zeros_like(weights[0])], axis=1))

    def resume(self, arrays):
        return State(arrays["epochs"].copy())

    def run(self, state, checks, order):
        self.calls.append(checks.tolist())
        self.orders.append(order)
        before = state.epochs[:, 1:]
        losses = state.epochs[:, :1] + before + np.arange(1, checks[-1] + 1)
        at = before + checks
        state.epochs[:, 1] += checks[-1]
        learned = at >= 5 + np.arange(len(at))[:, np.newaxis]
        return losses.astype(np.float32), {
            "learned": learned,
            "margin": at.astype(np.float32),
            "memory": (at / 2).astype(np.float32),
        }

    def weights(self, state):
        return [state.epochs]


@pytest.fixture(autouse=True)
def _calls_are_short_on_slow_machines_too(monkeypatch):
    monkeypatch.setattr(table_shards, "LONG_ENOUGH", 60.0)


def new(program, shuffle=False):
    return table_shards.new_shard(program, [np.array([[10], [20], [30]], np.float32)], SEEDS, shuffle)


def run(program=None, checks=(4, 8, 10), shuffle=False, first_call=1, batch=None, **told):
    program = program or Program()
    shard = TableShard(program, batch or new(program, shuffle), np.array(checks), first_call)
    trained = shards.run_shard(shard, **told)
    return program, trained


def check_whole(trained, checks=(4, 8, 10), epochs=10):
    assert trained["seeds"].tolist() == SEEDS.tolist()
    expected = np.array([[10], [20], [30]]) + np.arange(1, epochs + 1)
    assert np.array_equal(trained["losses"], expected) and trained["losses"].dtype == np.float32
    assert trained["margin"].tolist() == [list(checks)] * 3
    assert np.array_equal(trained["memory"], trained["margin"] / 2)
    assert trained["learned"].tolist() == [[check >= 5 + place for check in checks] for place in range(3)]
    assert trained["weights/w"].tolist() == [[10, epochs], [20, epochs], [30, epochs]]
    assert set(trained) == {"seeds", "losses", "learned", "margin", "memory", "weights/w"}


def test_calls_grow_until_they_take_long_enough_and_every_check_comes_once():
    program, trained = run()
    check_whole(trained)
    assert program.calls == [
        [1],
        [2],
        [1],
        [4, 6],
    ]  # 1, 2 (the check at 4 is too far), on to it, then all that are left
    program, trained = run(first_call=100)
    check_whole(trained)
    assert program.calls == [[4, 8, 10]]


def test_no_call_has_more_checks_than_the_program_takes():
    program, trained = run(checks=(1, 2, 3, 4, 5, 10), first_call=100)
    check_whole(trained, (1, 2, 3, 4, 5, 10))
    assert program.calls == [[1, 2, 3], [1, 2, 7]]


def test_a_call_that_takes_long_enough_is_not_made_longer(monkeypatch):
    monkeypatch.setattr(table_shards, "LONG_ENOUGH", 0.2)
    now = iter(np.arange(0.0, 1000.0, 0.25))  # each look at the clock comes a quarter of a second later
    monkeypatch.setattr(shards.time, "monotonic", lambda: float(next(now)))
    program, trained = run(checks=(10,))
    check_whole(trained, (10,))
    assert program.calls == [[1]] * 10
    now = iter(np.arange(0.0, 1000.0, 0.19))
    assert run(checks=(10,))[0].calls == [[1], [2], [4], [3]]


def test_progress_tells_the_epochs_of_all_trials_and_who_has_newly_learned():
    told = []
    run(report=lambda *what: told.append(what))
    assert told == [(0, 0, True), (3, 0, False), (6, 0, False), (3, 0, False), (18, 3, False)]
    told.clear()
    run(checks=(5, 6, 10), first_call=5, report=lambda *what: told.append(what))
    assert told == [(0, 0, True), (15, 1, False), (15, 2, False)]


@pytest.mark.parametrize("shuffle", [False, True])
def test_training_goes_on_from_any_checkpoint_to_the_same_end(shuffle, monkeypatch):
    monkeypatch.setattr(shards.cache, "SECONDS", 0.0)
    kept = []
    keep = lambda batch: kept.append({name: array.copy() for name, array in batch.items()})  # the state moves on
    program, whole = run(shuffle=shuffle, keep=keep)
    check_whole(whole)
    assert [batch["done"].tolist() for batch in kept] == [[1] * 3, [3] * 3, [4] * 3]  # not at the end
    for batch in kept:
        done = int(batch["done"][0])
        assert batch["losses"].shape == (3, done) and batch["margin"].shape == (3, (done >= 4) + (done >= 8))
        assert ("orders" in batch) == shuffle and len(batch.get("orders", SEEDS)) == 3
        told = []
        again, trained = run(batch=dict(batch), report=lambda *what, told=told: told.append(what))
        check_whole(trained)
        assert told[0] == (3 * done, int(batch["learned"][:, -1:].sum()), True)
        if shuffle:
            assert np.array_equal(
                np.concatenate(again.orders, axis=1), np.concatenate(program.orders, axis=1)[:, done:]
            )


def test_nothing_is_kept_before_its_time(monkeypatch):
    kept = []
    run(keep=kept.append)
    assert kept == []
    monkeypatch.setattr(shards.cache, "SECONDS", 0.5)
    now = iter(np.arange(0.0, 1000.0, 0.125))
    monkeypatch.setattr(shards.time, "monotonic", lambda: float(next(now)))
    run(keep=kept.append)
    assert [int(batch["done"][0]) for batch in kept] == [3]


def test_an_order_is_a_permutation_of_blocks_from_the_trials_own_seed():
    program, _ = run(Program(block=2), shuffle=True, first_call=100)
    (order,) = program.orders
    assert order.shape == (3, 10, 6) and order.dtype == np.int32
    for trial, seed in enumerate(SEEDS):
        stream = np.random.default_rng(seed)
        for epoch in range(10):
            blocks = stream.permutation(3)
            assert order[trial, epoch].tolist() == [2 * block + n for block in blocks for n in (0, 1)]
    assert run()[0].orders == [None] * 4


def test_a_new_shard_has_done_nothing():
    fresh = new(Program(), shuffle=True)
    assert fresh["done"].tolist() == [0, 0, 0] and fresh["losses"].shape == fresh["margin"].shape == (3, 0)
    assert [fresh[name].dtype for name in ("losses", "learned", "margin", "memory")] == [
        np.float32,
        np.bool_,
        np.float32,
        np.float32,
    ]
    assert [json.loads(str(text)) for text in fresh["orders"]] == [
        np.random.default_rng(s).bit_generator.state for s in SEEDS
    ]
    assert fresh["state/epochs"].tolist() == [[10, 0], [20, 0], [30, 0]] and "orders" not in new(Program())
