"""One cell through the probe: its size, its learning rate, its trials, and how long what they learned holds.

Everything is trained by the same engine on both the cell of a person and the recorded ones, and kept in a cache of
trials, so a probe that was interrupted goes on where it was.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from memory_trials.cells import registry
from memory_trials.engines import own
from memory_trials.errors import UserError
from memory_trials.probe.plan import Plan, Size
from memory_trials.probe.trials import columns
from memory_trials.settings import ComputeSettings, ModelSettings
from memory_trials.training import trainer
from memory_trials.training.cache import TrialCache
from memory_trials.training.job import LANES, TrainingJob
from memory_trials.training.shards import Progress
from memory_trials.training.trained import Trained

MOST_UNITS = 4096
CLOSE, FAR = 0.05, 0.5  # a size from what is wanted, relative to that
ASKED_AT_ONCE = 25  # test sequences
ONE_THREAD = ComputeSettings(threads=1)


class Arm(NamedTuple):
    """A cell on a task. size: by what its units were chosen. parameters: of the whole model; state: of the cell."""

    cell: str
    task: str
    size: Size
    model: ModelSettings
    parameters: int
    state: int


def arms(plan: Plan, name: str, cell: str, options: dict[str, Any], size: Size, tasks: Iterable[str]) -> list[Arm]:
    """Return a cell's arms, one for each task, with as many units as come nearest to the plan's size.

    Args:
        plan: what is asked.
        name: of the cell in tables and pictures.
        cell: a built-in cell, or a dotted path.
        options: further arguments of the cell.
        size: what is matched.
        tasks: names of the plan's tasks.

    Raises:
        UserError: the cell cannot be made, is not what trials can share, or has no number of units of about this size.
    """
    found = []
    for task in tasks:
        shape = plan.stream(task).shape
        wanted = getattr(plan.sizes, size)

        @functools.cache
        def measured(units: int, task=task, shape=shape) -> tuple[int, int]:
            found = own.sizes(plan.model(task, cell, options, units), shape.inputs, shape.outputs)
            return found.total, found.state

        units = nearest(lambda units: measured(units)[size == "state"], wanted)
        model = sized_for(plan.model(task, cell, options, units), shape.longest)
        _, parameters, state = own.sizes(model, shape.inputs, shape.outputs)
        if not registry.find(cell) and not own.calls_tensorflow(cell):
            own.weight_names(model, shape.inputs, shape.outputs)  # which looks for all that is wrong with it
        found.append(Arm(name, task, size, model, parameters, state))
    return found


def nearest(size_of: Callable[[int], int], wanted: int) -> int:
    """Return the number of units whose size is nearest to what is wanted; of two, the less.

    As long as the size grows with units, few numbers are looked at. It need not: of 13 units a cell of 4 heads may make
    one head, 4 times as large. So where none is found within `CLOSE` of what is wanted, each number is looked at, up to
    four times as many as are enough.

    Args:
        size_of: units -> size.
        wanted: the size.

    Raises:
        UserError: the nearest is not even within `FAR` of it.
    """
    low, high = 0, 1
    while size_of(high) < wanted:
        low, high = high, 2 * high
        if high > MOST_UNITS:
            raise UserError(
                f"{MOST_UNITS} units are not enough for a size of {wanted}: the cell does not grow with units"
            )
    most = 4 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size_of(middle) < wanted else (low, middle)
    far = lambda units: abs(size_of(units) - wanted)
    found = min(range(max(1, low), high + 1), key=far)
    if far(found) > CLOSE * wanted:
        found = min(range(1, most + 1), key=far)
    if far(found) > FAR * wanted:
        raise UserError(f"no number of units gives a size of about {wanted}: the nearest is {size_of(found)}")
    return found


def sized_for(model: ModelSettings, steps: int) -> ModelSettings:
    """Return a model that can look back so many steps; of most cells, the same model."""
    cell = registry.find(model.cell)
    if cell is None or cell.jax is None or "context" not in cell.jax.options.model_fields:
        return model
    return model.model_copy(update={"cell_options": model.cell_options | {"context": steps}})


def run(plan: Plan, arm: Arm, compute: ComputeSettings, store: TrialCache, progress: Progress) -> pd.DataFrame:
    """Choose an arm's learning rate, train its trials, ask them at all lengths; return a row for each.

    Args:
        plan: what is asked.
        arm: which cell on which task.
        compute: threads; no result depends on it.
        store: where trials are kept.
        progress: called as `trainer.train` does, for all trials, those too by which the rate is chosen.
    """
    rate = chosen_rate(plan, arm, compute, store, progress)
    trained = train(plan, arm, rate, plan.trials, plan.first_seed, compute, store, progress)
    count = len(trained.seeds)
    of_all = {
        "cell": arm.cell, "task": arm.task, "size": arm.size, "seed": trained.seeds, "rate": rate,
        "units": arm.model.units, "parameters": arm.parameters, "state": arm.state,
        "learned_after": pd.array([int(after) or None for after in learned_after(plan, arm, trained)], "Int64"),
        "error": trained.losses[:, -1].astype(float),
    }  # fmt: skip
    rows = pd.DataFrame(of_all, index=range(count))
    for times in plan.lengths:
        found = asked(plan, arm, trained.seeds, trained.weights, times, compute)
        rows[f"right_{times}"], rows[f"accuracy_{times}"], rows[f"bits_{times}"] = found
    kinds = columns(plan.lengths)
    return rows[list(kinds)].astype(kinds)


def chosen_rate(plan: Plan, arm: Arm, compute: ComputeSettings, store: TrialCache, progress: Progress) -> float:
    """Return the rate by which most trials learn, on the seeds kept for that; among equals, of the best accuracy, and
    then the first one."""
    if len(plan.rates) == 1:
        return plan.rates[0]

    def tried(rate: float, report: Progress) -> tuple[float, tuple[int, float]]:
        seeds = (plan.choosing.trials, plan.choosing.first_seed)
        trained = train(plan, arm, rate, *seeds, ONE_THREAD, store, report)
        _, accuracy, _ = asked(plan, arm, trained.seeds, trained.weights, 1, ONE_THREAD)
        return rate, (int((learned_after(plan, arm, trained) > 0).sum()), float(accuracy.mean()))

    found = dict(trainer.side_by_side(tried, plan.rates, trainer.max_parallel_shards(compute), progress))
    return max(plan.rates, key=lambda rate: found[rate])  # the first of equals


def train(
    plan: Plan, arm: Arm, rate: float, trials: int, first_seed: int, compute: ComputeSettings, store: TrialCache,
    progress: Progress,
) -> Trained:  # fmt: skip
    """Train trials of an arm at a learning rate, as `trainer.train` does."""
    training = plan.training(rate, trials, first_seed)
    job = TrainingJob(arm.model, training, plan.interval * plan.batch, plan.stream(arm.task))
    return trainer.train(job, compute, progress, store)


def learned_after(plan: Plan, arm: Arm, trained: Trained) -> np.ndarray:
    """Return after how many sequences each trial has learned, 0: it has not."""
    return trained.met_criterion_at[next(iter(plan.stream(arm.task).criteria))]


def asked(
    plan: Plan, arm: Arm, seeds: np.ndarray, weights: dict[str, np.ndarray], times: int, compute: ComputeSettings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ask trials at so many times the length they were trained at, on sequences that are new to them.

    Args:
        plan: what is asked.
        arm: of the trials.
        seeds: of the trials [T].
        weights: of the trials, by name, each [T, ...].
        times: the length is so many times the one that cells are trained at.
        compute: threads; no result depends on it.

    Returns:
        Of each trial [T]: how many sequences it answered without a mistake, the share of scored steps that were right,
        and the mean logarithm of base 2 of the target's probability there.
    """
    stream = plan.stream(arm.task, times)
    model = sized_for(arm.model, stream.shape.longest)
    program = own.StreamProgram(model, plan.training(plan.rates[0], 1, 0), stream.shape)
    first_criterion = next(iter(stream.criteria.values()))
    tolerance = first_criterion.tolerance if stream.shape.real_target else None
    sums = np.zeros((len(seeds), 4))

    def ask(some: slice, _: Progress) -> None:
        state = program.start([array[some] for array in weights.values()])
        for first in range(0, plan.test_sequences, ASKED_AT_ONCE):
            count = min(ASKED_AT_ONCE, plan.test_sequences - first)
            drawn = stream.draw(seeds[some], "test", first, count)
            scored, right, bits = program.answer(state, drawn, tolerance)
            parts = (right == scored, scored, right, bits)
            sums[some] += np.stack([part.sum(axis=1, dtype=float) for part in parts], axis=1)

    shards = [slice(first, first + LANES) for first in range(0, len(seeds), LANES)]
    trainer.side_by_side(ask, shards, trainer.max_parallel_shards(compute), lambda *_: None)
    whole, scored, right, bits = sums.T
    return whole.astype(np.int64), right / scored, bits / scored


def trials_in(plan: Plan, arms: list[Arm]) -> int:
    """How many trials all these arms take, those too by which rates are chosen."""
    choosing = plan.choosing.trials * len(plan.rates) if len(plan.rates) > 1 else 0
    return len(arms) * (plan.trials + choosing)
