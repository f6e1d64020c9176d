"""A shard of trials that learn a table of updates: each is trained for all epochs, and evaluated at every check."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import numpy as np

from memory_trials import files
from memory_trials.engines.interface import TableProgram
from memory_trials.training.cache import TrialBatch
from memory_trials.training.trained import FOUND

if TYPE_CHECKING:
    from jaxtyping import Float32, Int, Int32

LONG_ENOUGH = 0.2  # seconds of a call, for somebody who watches


def new_shard(
    program: TableProgram,
    weights: list[Float32[np.ndarray, "T ..."]],
    seeds: Int[np.ndarray, " T"],
    shuffle: bool = False,
) -> TrialBatch:
    """Return the checkpoint of a shard before its first epoch.

    done: epochs so far. losses [T, done]; learned, margin and memory, at the checks so far. orders: where each trial's
    stream of random orders is, where epochs are shuffled.
    """
    orders = [json.dumps(np.random.default_rng(seed).bit_generator.state) for seed in seeds] if shuffle else []
    state = program.start(weights).arrays()
    return {
        "seeds": seeds,
        "done": np.zeros(len(seeds), int),
        "losses": np.empty((len(seeds), 0), np.float32),
        **{name: np.empty((len(seeds), 0), kind) for name, kind in FOUND.items()},
        **({"orders": np.array(orders)} if orders else {}),
        **{f"state/{name}": array for name, array in state.items()},
    }


class TableShard:
    """Trials on their way, as `shards.Shard` has it.

    Entering a program costs up to milliseconds, and each call evaluates at its end, check or no check. So it is entered
    for `first_call` epochs, and then for more and more at a time, until a call takes long enough; the results are the
    same in any case.
    """

    def __init__(self, program: TableProgram, batch: TrialBatch, checks: Int[np.ndarray, " C"], first_call: int = 1):
        self.program, self.checks, self.at_most = program, checks, first_call
        self.seeds, self.done = batch["seeds"], int(batch["done"][0])
        self.history = {name: [batch[name]] for name in ("losses", *FOUND)}
        self.state = program.resume(files.section(batch, "state/"))
        self.learned = int(batch["learned"][:, -1:].sum())
        self.orders = []
        for text in batch.get("orders", []):
            self.orders.append(np.random.default_rng())
            self.orders[-1].bit_generator.state = json.loads(str(text))

    @property
    def over(self) -> bool:
        return self.done >= int(self.checks[-1])

    def advance(self) -> tuple[int, int]:
        """Call the program once."""
        checks, evaluated = next_call(self.checks, self.done, self.at_most, self.program.capacity)
        epochs = int(checks[-1])
        order = (
            np.stack([_order(each, self.program.table.block, epochs) for each in self.orders]) if self.orders else None
        )
        started = time.monotonic()
        losses, found = self.program.run(self.state, checks, order)
        if time.monotonic() - started < LONG_ENOUGH:
            self.at_most *= 2
        self.history["losses"].append(losses)
        for name in FOUND:
            self.history[name].append(found[name][:, :evaluated])
        newly = int(found["learned"][:, -1].sum()) - self.learned if evaluated else 0
        self.done, self.learned = self.done + epochs, self.learned + newly
        return epochs * len(self.seeds), newly

    def checkpoint(self) -> TrialBatch:
        orders = [json.dumps(each.bit_generator.state) for each in self.orders]
        return {
            "seeds": self.seeds,
            "done": np.full(len(self.seeds), self.done),
            **self._history(),
            **({"orders": np.array(orders)} if orders else {}),
            **{f"state/{name}": array for name, array in self.state.arrays().items()},
        }

    def result(self) -> TrialBatch:
        weights = zip(self.program.names, self.program.weights(self.state))
        return {"seeds": self.seeds, **self._history(), **{f"weights/{name}": array for name, array in weights}}

    def _history(self) -> TrialBatch:
        """The losses of all epochs so far, and what all checks so far have found."""
        joined = {name: np.concatenate(arrays, axis=1) for name, arrays in self.history.items()}
        self.history = {name: [array] for name, array in joined.items()}
        return joined


def next_call(
    checks: Int[np.ndarray, " C"], done: int, at_most: int, capacity: int
) -> tuple[Int[np.ndarray, " n"], int]:
    """Return after how many epochs the next call evaluates, the last being its end, and how many of these are checks.

    A call that comes to no check ends on its way to the next one, and one that begins there ends at it, since xla
    counts from where a call begins.
    """
    index = np.searchsorted(checks, done, side="right")
    ahead = checks[index : index + capacity] - done
    if ahead[0] > at_most:
        return np.array([at_most]), 0
    begins_at_check = done == 0 or (index > 0 and checks[index - 1] == done)
    call_checks = ahead[ahead <= at_most] if begins_at_check else ahead[:1]
    return call_checks, len(call_checks)


def _order(stream: np.random.Generator, block: Int[np.ndarray, " U"], epochs: int) -> Int32[np.ndarray, "{epochs} U"]:
    """The updates in a new order each epoch, those of one block staying together.

    block: ascending from 0. The stream gives the same orders however epochs are cut into calls.
    """
    updates = [np.flatnonzero(block == b) for b in range(block[-1] + 1)]
    return np.array(
        [np.concatenate([updates[b] for b in stream.permutation(len(updates))]) for _ in range(epochs)], np.int32
    )
