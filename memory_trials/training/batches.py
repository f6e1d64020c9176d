"""A batch of trials on its way through an engine: begun, cut short and gone on with, to the same bytes.

A trial's result does not depend on the batch it is in, nor on how its epochs are cut into calls.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from memory_trials import files
from memory_trials.engines.interface import State, TableProgram
from memory_trials.training import cache
from memory_trials.training.cache import TrialBatch
from memory_trials.training.trained import FOUND

if TYPE_CHECKING:
    from jaxtyping import Float32, Int, Int32

Progress = Callable[[int, int, bool], None]


class ChunkProgress(NamedTuple):
    """What a call of a shard's program has come to.

    epochs, newly_learned: since the chunk before, summed over trials (kept: they were trained earlier). batch:
    a checkpoint that is to be kept, or where `over`, the trained shard.
    """

    epochs: int
    newly_learned: int
    kept: bool = False
    batch: TrialBatch | None = None
    over: bool = False


def new_shard(
    program: TableProgram,
    weights: list[Float32[np.ndarray, "T ..."]],
    seeds: Int[np.ndarray, " T"],
    shuffle: bool = False,
) -> TrialBatch:
    """A shard before its first epoch, with these initial weights: what `run_shard` takes."""
    none = {name: np.empty((len(seeds), 0), kind) for name, kind in FOUND.items()}
    streams = [json.dumps(np.random.default_rng(seed).bit_generator.state) for seed in seeds] if shuffle else []
    return _checkpoint(
        program.start(weights), seeds, 0, none | {"losses": np.empty((len(seeds), 0), np.float32)}, streams
    )


def run_shard(
    program: TableProgram,
    batch: TrialBatch,
    checks: Int[np.ndarray, " C"],
    keep: Callable[[TrialBatch], None] = lambda batch: None,
    report: Progress = lambda epochs, learned, kept: None,
    first_call: int = 1,
) -> TrialBatch:
    """Train a shard from where it is to the last of the checks; its arrays are used up.

    Returns seeds [T], losses [T, E], learned, margin and memory [T, C] and weights/* [T, ...]. Now and then `keep` is
    given a checkpoint: the shard as far as it has come, from which it can go on. first_call: as `chunks` has it.
    """
    for chunk in chunks(program, batch, checks, cache.SECONDS, first_call):
        if not chunk.over:
            report(chunk.epochs, chunk.newly_learned, chunk.kept)
            if chunk.batch is not None:
                keep(chunk.batch)
    return chunk.batch  # type: ignore[return-value]  # the last one is over, and has it


def chunks(
    program: TableProgram, batch: TrialBatch, checks: Int[np.ndarray, " C"], seconds: float, first_call: int = 1
) -> Iterator[ChunkProgress]:
    """What `run_shard` goes through: each call of the program, with a checkpoint every so many seconds; the last is
    over.

    Entering a program costs up to milliseconds, and each call evaluates at its end, check or no check. So it is entered
    for `first_call` epochs, and then for more and more at a time, until a call takes long enough for somebody who
    watches; the results are the same in any case.
    """
    seeds, done = batch["seeds"], int(batch["done"][0])
    history = {name: [batch[name]] for name in ("losses", *FOUND)}
    together = lambda: {name: np.concatenate(arrays, axis=1) for name, arrays in history.items()}
    state = program.resume(files.section(batch, "state/"))
    streams = []
    for text in batch.get("streams", []):
        streams.append(np.random.default_rng())
        streams[-1].bit_generator.state = json.loads(str(text))
    learned = int(batch["learned"][:, -1:].sum())
    yield ChunkProgress(done * len(seeds), learned, kept=True)
    most, kept = first_call, time.monotonic()
    while done < checks[-1]:
        call_checks, evaluated = _next_call(checks, done, most, program.capacity)
        order = (
            np.stack([_orders(stream, program.table.block, int(call_checks[-1])) for stream in streams])
            if streams
            else None
        )
        started = time.monotonic()
        losses, found = program.run(state, call_checks, order)
        now = time.monotonic()
        if now - started < 0.2:
            most *= 2
        history["losses"].append(losses)
        for name in FOUND:
            history[name].append(found[name][:, :evaluated])
        newly = int(found["learned"][:, -1].sum()) - learned if evaluated else 0
        done, learned = done + int(call_checks[-1]), learned + newly
        chunk = ChunkProgress(int(call_checks[-1]) * len(seeds), newly)
        if now - kept >= seconds and done < checks[-1]:
            kept = now
            so_far = together()
            history = {name: [array] for name, array in so_far.items()}
            positions = [json.dumps(stream.bit_generator.state) for stream in streams]
            chunk = chunk._replace(batch=_checkpoint(state, seeds, done, so_far, positions))
        yield chunk
    weights = {f"weights/{name}": array for name, array in zip(program.names, program.weights(state))}
    yield ChunkProgress(0, 0, batch={"seeds": seeds} | together() | weights, over=True)


def _checkpoint(
    state: State, seeds: Int[np.ndarray, " T"], done: int, history: TrialBatch, streams: list[str]
) -> TrialBatch:
    """A shard after `done` epochs; streams: where each trial's stream of orders is, where epochs are shuffled."""
    positions = {"streams": np.array(streams)} if streams else {}
    return (
        {"seeds": seeds, "done": np.full(len(seeds), done)}
        | history
        | positions
        | {f"state/{n}": array for n, array in state.arrays().items()}
    )


def _next_call(checks: Int[np.ndarray, " C"], done: int, most: int, capacity: int) -> tuple[Int[np.ndarray, " n"], int]:
    """After how many epochs the next call shall evaluate, the last being its end, and how many of these are checks.

    A call that comes to no check ends on its way to the next one, and one that begins there ends at it, since xla
    counts from where a call begins.
    """
    index = np.searchsorted(checks, done, side="right")
    ahead = checks[index : index + capacity] - done
    if ahead[0] > most:
        return np.array([most]), 0
    begins_at_check = done == 0 or (index > 0 and checks[index - 1] == done)
    call_checks = ahead[ahead <= most] if begins_at_check else ahead[:1]
    return call_checks, len(call_checks)


def _orders(stream: np.random.Generator, block: Int[np.ndarray, " U"], epochs: int) -> Int32[np.ndarray, "{epochs} U"]:
    """The updates in a new order each epoch, those of one block staying together.

    block: ascending from 0. The stream gives the same orders however epochs are cut into calls.
    """
    updates = [np.flatnonzero(block == b) for b in range(block[-1] + 1)]
    return np.array(
        [np.concatenate([updates[b] for b in stream.permutation(len(updates))]) for _ in range(epochs)], np.int32
    )
