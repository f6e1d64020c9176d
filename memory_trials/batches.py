"""A batch of trials on its way through an engine: begun, cut short and gone on with, to the same bytes.

A trial's result does not depend on the batch it is in, nor on how its epochs are cut into calls.
"""

import json
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from memory_trials import shards
from memory_trials.engine import Program, State
from memory_trials.shards import Part
from memory_trials.trained import FOUND

Progress = Callable[[int, int, bool], None]


class Stretch(NamedTuple):
    """What a call of a shard's program has come to.

    epochs, newly_learned: since the stretch before, summed over trials (kept: they were trained earlier). part: a slice
    that is to be kept, or where `over`, the trained shard.
    """

    epochs: int
    newly_learned: int
    kept: bool = False
    part: Part | None = None
    over: bool = False


def new_shard(program: Program, weights: list[np.ndarray], seeds: np.ndarray, shuffle: bool = False) -> Part:
    """A shard before its first epoch, with these initial weights [T, ...]: what `run_shard` takes."""
    none = {name: np.empty((len(seeds), 0), kind) for name, kind in FOUND.items()}
    streams = [json.dumps(np.random.default_rng(seed).bit_generator.state) for seed in seeds] if shuffle else []
    return _slice(program.start(weights), seeds, 0, none | {"losses": np.empty((len(seeds), 0), np.float32)}, streams)


def run_shard(
    program: Program,
    part: Part,
    checks: np.ndarray,
    keep: Callable[[Part], None] = lambda part: None,
    report: Progress = lambda epochs, learned, kept: None,
) -> Part:
    """Train a shard from where it is to the last of the checks; its arrays are used up.

    Returns seeds [T], losses [T, E], learned, margin and memory [T, C] and weights/* [T, ...]. Now and then `keep` is
    given a slice: the shard as far as it has come, from which it can go on.
    """
    for stretch in stretches(program, part, checks, shards.SECONDS):
        if not stretch.over:
            report(stretch.epochs, stretch.newly_learned, stretch.kept)
            if stretch.part is not None:
                keep(stretch.part)
    return stretch.part


def stretches(program: Program, part: Part, checks: np.ndarray, seconds: float) -> Iterator[Stretch]:
    """What `run_shard` goes through: each call of the program, with a slice every so many seconds; the last is over.

    Entering a program costs up to milliseconds, so it is entered for more and more epochs at a time,
    until a call takes long enough for somebody who watches; the results are the same in any case.
    """
    seeds, done = part["seeds"], int(part["done"][0])
    history = {name: [part[name]] for name in ("losses", *FOUND)}
    together = lambda: {name: np.concatenate(arrays, axis=1) for name, arrays in history.items()}
    state = program.resume({name.removeprefix("state/"): part[name] for name in part if name.startswith("state/")})
    streams = []
    for text in part.get("streams", []):
        streams.append(np.random.default_rng())
        streams[-1].bit_generator.state = json.loads(str(text))
    knowing = int(part["learned"][:, -1:].sum())
    yield Stretch(done * len(seeds), knowing, kept=True)
    most, kept = 1, time.monotonic()
    while done < checks[-1]:
        asked, judged = _next_call(checks, done, most, program.capacity)
        order = np.stack([_orders(stream, program.table.block, asked[-1]) for stream in streams]) if streams else None
        started = time.monotonic()
        losses, found = program.run(state, asked, order)
        now = time.monotonic()
        if now - started < 0.2:
            most *= 2
        history["losses"].append(losses)
        for name in FOUND:
            history[name].append(found[name][:, :judged])
        newly = int(found["learned"][:, -1].sum()) - knowing if judged else 0
        done, knowing = done + int(asked[-1]), knowing + newly
        stretch = Stretch(int(asked[-1]) * len(seeds), newly)
        if now - kept >= seconds and done < checks[-1]:
            kept = now
            so_far = together()
            history = {name: [array] for name, array in so_far.items()}
            positions = [json.dumps(stream.bit_generator.state) for stream in streams]
            stretch = stretch._replace(part=_slice(state, seeds, done, so_far, positions))
        yield stretch
    weights = {f"weights/{name}": array for name, array in zip(program.names, program.weights(state))}
    yield Stretch(0, 0, part={"seeds": seeds} | together() | weights, over=True)


def _slice(state: State, seeds: np.ndarray, done: int, history: Part, streams: list[str]) -> Part:
    """A shard after `done` epochs; streams: where each trial's stream of orders is, where epochs are shuffled."""
    positions = {"streams": np.array(streams)} if streams else {}
    return (
        {"seeds": seeds, "done": np.full(len(seeds), done)}
        | history
        | positions
        | {f"state/{n}": array for n, array in state.arrays().items()}
    )


def _next_call(checks: np.ndarray, done: int, most: int, capacity: int) -> tuple[np.ndarray, int]:
    """After how many epochs the next call shall judge, the last being its end, and how many of these are checks.

    A call that comes to no check ends on its way to the next one, and one that begins there ends at it, since xla
    counts from where a call begins.
    """
    place = np.searchsorted(checks, done, side="right")
    ahead = checks[place : place + capacity] - done
    if ahead[0] > most:
        return np.array([most]), 0
    begins_at_check = done == 0 or (place > 0 and checks[place - 1] == done)
    asked = ahead[ahead <= most] if begins_at_check else ahead[:1]
    return asked, len(asked)


def _orders(stream: np.random.Generator, block: np.ndarray, epochs: int) -> np.ndarray:
    """[epochs, U] int32: the updates in a new order each epoch, those of one block staying together.

    block [U]: ascending from 0. The stream gives the same orders however epochs are cut into calls.
    """
    updates = [np.flatnonzero(block == b) for b in range(block[-1] + 1)]
    return np.array(
        [np.concatenate([updates[b] for b in stream.permutation(len(updates))]) for _ in range(epochs)], np.int32
    )
