"""All trials at once: shards of trials, side by side in threads or on a cluster, each in an engine that trains it.

Two engines have the same interface: `native` (a small program in C, for the built-in cells) and `xla` (any
Keras cell). A trial's result does not depend on the shard, the threads, or how its epochs are cut into calls.
So what a store (`shards`) has of an arm is taken from it, and training may end at any moment and go on later.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, ThreadPoolExecutor, as_completed, wait
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from memory_trials import forward, initializers, native, shards
from memory_trials.config import ComputeSettings, ModelSettings, TrainingSettings
from memory_trials.encoding import Table
from memory_trials.shards import Part
from memory_trials.trained import FOUND, Trained

NO_STORE = shards.Store(Path(shards.FOLDER), megabytes=0)
IN_THE_TABLE = {"window", "update", "reset", "batch", "batch_of"}  # settings that training sees only by the table
DRAWN_AT_ONCE = 1000  # trials whose initial weights are drawn together
EPOCH_AT_MOST = 2e9  # multiplications in one epoch of a shard; a slow engine takes ten seconds for it
TASK_AT_LEAST = 5e9  # in all epochs of a shard that is sent elsewhere; a quarter of a second or more, sending takes ms

Progress = Callable[[int, int, bool], None]
Item, Result = TypeVar("Item"), TypeVar("Result")
_drawing = threading.Lock()  # Keras draws weights after seeding the whole process: one arm at a time


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


def train(
    model_settings: ModelSettings,
    settings: TrainingSettings,
    every: int,
    compute: ComputeSettings,
    table: Table,
    progress: Progress = lambda epochs, learned, kept: None,
    store: shards.Store = NO_STORE,
) -> Trained:
    """Train every trial that the store does not have.

    `progress(trial_epochs, newly_learned, kept)` is told after each call of each shard, and of what was kept.
    """
    seeds = np.arange(settings.first_seed, settings.first_seed + settings.trials)
    checks = np.unique(np.append(np.arange(every, settings.epochs + 1, every), settings.epochs))
    which = engine(model_settings, settings)
    shelf = shards.Shelf(store, _key(which, model_settings, settings, every, compute, table))
    parts = shelf.finished(seeds)
    missing = shards.without(seeds, parts)
    if len(missing) < len(seeds):
        kept = len(seeds) - len(missing)
        print(f"{kept} of {len(seeds)} trials are kept from earlier ({store.folder.name}/)", flush=True)
        progress(kept * settings.epochs, sum(int(part["learned"][:, -1].sum()) for part in parts), True)
    if len(missing):
        workers = at_once(compute)
        size = _size(len(missing), model_settings, settings, compute, table, workers)
        recipe = (which, model_settings, settings, every, table, size)
        with _drawing:
            program = make_program(*recipe)
        train_shard = partial(run_shard, program)
        if compute.backend == "ray":
            from memory_trials import cluster  # Ray takes seconds to import, and need not be installed

            train_shard = partial(cluster.run_shard, cluster.send(recipe, compute))

        def run(part: Part, report: Progress) -> Part:
            trained = train_shard(part, checks, shelf.keep_slice, report)
            shelf.keep(trained)
            return trained

        def to_train() -> Iterator[Part]:
            begun = shelf.begun(missing)
            for part in begun:
                print(f"{len(part['seeds'])} trials go on after epoch {part['done'][0]}", flush=True)
                yield from (shards.rows(part, some) for some in _cut(len(part["seeds"]), size))
            fresh = shards.without(missing, begun)
            for several in _cut(len(fresh), max(1, DRAWN_AT_ONCE // size) * size):
                with _drawing:
                    weights = _initial_weights(model_settings, table, fresh[several])
                for some in _cut(len(fresh[several]), size):
                    yield new_shard(program, [w[some] for w in weights], fresh[several][some], settings.shuffle)

        try:
            parts += side_by_side(run, to_train(), workers, progress)
        finally:
            shelf.flush()
    shelf.forget_slices(seeds)
    whole = shards.joined(parts)
    weights = {name.removeprefix("weights/"): whole[name] for name in whole if name.startswith("weights/")}
    return Trained(seeds, weights, whole["losses"], checks, **{name: whole[name] for name in FOUND})


def at_once(compute: ComputeSettings) -> int:
    """How many shards are trained at the same time."""
    if compute.backend == "ray":
        from memory_trials import cluster  # Ray takes seconds to import, and need not be installed

        return cluster.slots(compute)
    return compute.threads or len(os.sched_getaffinity(0))


def shard_count(
    model_settings: ModelSettings, settings: TrainingSettings, compute: ComputeSettings, table: Table, workers: int
) -> int:
    """Into how many shards an arm is cut of which nothing is kept."""
    return -(-settings.trials // _size(settings.trials, model_settings, settings, compute, table, workers))


def engine(model_settings: ModelSettings, settings: TrainingSettings) -> str:
    """native for the cells it knows where a C compiler is, else xla (or where the settings ask for it)."""
    if settings.engine == "auto" and forward.knows(model_settings):
        if native.available():
            return "native"
        print("note: no C compiler was found (cc, gcc, clang or $CC), so TensorFlow's XLA trains, more slowly")
    return "xla"


def make_program(
    which: str, model_settings: ModelSettings, settings: TrainingSettings, every: int, table: Table, size: int
):
    """An engine's program for shards of at most `size` trials."""
    if which == "native":
        of_model = (model_settings.cell, model_settings.units, model_settings.output)
        return native.Program(*of_model, settings.optimizer, settings.learning_rate, table)
    from memory_trials import cells, xla  # TensorFlow takes seconds to import, and may not be needed

    model = cells.make_model(model_settings, table.inputs, table.symbols)
    return xla.Program(model, settings, table, size, every)


def new_shard(program, weights: list[np.ndarray], seeds: np.ndarray, shuffle: bool = False) -> Part:
    """A shard before its first epoch, with these initial weights [T, ...]: what `run_shard` takes."""
    none = {name: np.empty((len(seeds), 0), kind) for name, kind in FOUND.items()}
    streams = [json.dumps(np.random.default_rng(seed).bit_generator.state) for seed in seeds] if shuffle else []
    return _slice(program.start(weights), seeds, 0, none | {"losses": np.empty((len(seeds), 0), np.float32)}, streams)


def run_shard(
    program,
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


def stretches(program, part: Part, checks: np.ndarray, seconds: float) -> Iterator[Stretch]:
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


def side_by_side(
    run: Callable[[Item, Progress], Result], items: Iterable[Item], threads: int, progress: Progress
) -> list[Result]:
    """What `run` makes of each item, in threads, in any order. They are taken when there is somebody to run them soon.

    Where one fails, or Ctrl-C comes, the others end when they report next; so `run` may itself run things side by side.
    """
    lock, over = threading.Lock(), threading.Event()

    def report(epochs: int, learned: int, kept: bool) -> None:
        if over.is_set():
            raise CancelledError
        with lock:
            progress(epochs, learned, kept)

    # xla: the first to be called compiles the program, the others wait for it
    results, running = [], set()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                running.add(pool.submit(run, item, report))
                if len(running) > 2 * threads:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    results += [future.result() for future in done]
            results += [future.result() for future in as_completed(running)]
        except BaseException:  # a mistake, or Ctrl-C: nobody waits for the others to come to their end
            over.set()
            pool.shutdown(cancel_futures=True)
            raise
    return results


def shard_size(trials: int, largest: int, threads: int) -> int:
    """Trials in each shard: as few shards as fit the bound, but enough for every thread, and evenly filled."""
    count = -(-trials // largest)
    count = min(-(-count // threads) * threads, trials)
    return -(-trials // count)


def _size(
    trials: int,
    model_settings: ModelSettings,
    settings: TrainingSettings,
    compute: ComputeSettings,
    table: Table,
    workers: int,
) -> int:
    """Trials in each shard. On a cluster not less than are worth to be sent, as far as the bounds allow."""
    largest = min(compute.shard, _largest(model_settings, table))
    size = shard_size(trials, largest, workers)
    if compute.backend == "ray":
        worth = -(-TASK_AT_LEAST // (_epoch(model_settings, table) * settings.epochs))
        size = max(size, min(largest, trials, int(worth)))
    return size


def _largest(model_settings: ModelSettings, table: Table) -> int:
    """Trials in a shard at most: an epoch is the least that can be kept, so it must not take long."""
    return max(1, int(EPOCH_AT_MOST / _epoch(model_settings, table)))


def _epoch(model_settings: ModelSettings, table: Table) -> int:
    """Multiplications in an epoch of one trial, about."""
    units = model_settings.units
    steps = table.y.size + table.judge_y.size
    return steps * 4 * units * (units + table.inputs + table.symbols)


def _cut(count: int, size: int) -> list[slice]:
    return [slice(first, first + size) for first in range(0, count, size)]


def _key(
    which: str,
    model_settings: ModelSettings,
    settings: TrainingSettings,
    every: int,
    compute: ComputeSettings,
    table: Table,
) -> str:
    on_gpu = compute.backend == "ray" and compute.gpus_per_shard
    what = {
        "engine": native.identity() if which == "native" else f"xla{'_gpu' * bool(on_gpu)}, {native.processor()}",
        "model": model_settings.model_dump(),
        "training": settings.model_dump(exclude={"trials", "first_seed", "engine"} | IN_THE_TABLE),
        "every": every,
    }
    return shards.key(what, vars(table), model_settings.cell)


def _initial_weights(model_settings: ModelSettings, table: Table, seeds: np.ndarray) -> list[np.ndarray]:
    if initializers.supports(model_settings):
        return initializers.initial_weights(model_settings, table.inputs, table.symbols, seeds)
    from memory_trials import cells  # TensorFlow takes seconds to import, and may not be needed

    return cells.initial_weights(model_settings, table.inputs, table.symbols, seeds)


def _slice(state, seeds: np.ndarray, done: int, history: Part, streams: list[str]) -> Part:
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
