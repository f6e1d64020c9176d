"""A cell, from its name to its trials on all tasks: what the command and the stages of the probe call."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from memory_trials.errors import UserError, brief
from memory_trials.probe import plan as plans
from memory_trials.probe import recorded, running
from memory_trials.probe.plan import Plan, Size
from memory_trials.progress import Tally
from memory_trials.settings import ComputeSettings
from memory_trials.training.cache import FOLDER, TrialCache

MEGABYTES = 2000  # of trials that are kept


def tasks_of(plan: Plan, names: str | None) -> list[str]:
    """Return the tasks that a person names, separated by commas; all without a name."""
    if names is None:
        return list(plan.tasks)
    asked = [name.strip() for name in names.split(",")]
    for name in asked:
        if name not in plan.tasks:
            raise UserError(f"--tasks: there is no task {brief(name)}; there are {', '.join(plan.tasks)}")
    return list(dict.fromkeys(asked))


def measure(
    plan: Plan, name: str, cell: str, options: dict[str, Any], sizes: Iterable[Size], tasks: list[str],
    compute: ComputeSettings, folder: Path,
) -> pd.DataFrame:  # fmt: skip
    """Train a cell on tasks, matched by each of the sizes, and return a row for each trial.

    Args:
        plan: what is asked.
        name: of the cell in the table.
        cell: a built-in cell, or a dotted path.
        options: further arguments of the cell.
        sizes: what is matched.
        tasks: names of the plan's tasks.
        compute: threads; no result depends on it.
        folder: where trials are kept, so that what was interrupted goes on.
    """
    arms = [arm for size in sizes for arm in running.arms(plan, name, cell, options, size, tasks)]
    store, lock = TrialCache(folder / FOLDER, MEGABYTES), threading.Lock()
    whole = running.trials_in(plan, arms) * plan.sequences
    with Tally(f"{name}, sequences of all trials", total=whole) as tally:

        def report(sequences: int, learned: int, kept: bool) -> None:
            with lock:
                tally(sequences)

        return pd.concat([running.run(plan, arm, compute, store, report) for arm in arms], ignore_index=True)


def beside(plan: Plan, mine: pd.DataFrame, name: str, size: Size) -> pd.DataFrame:
    """Return a cell's trials, and those of the recorded cells on the same tasks, seeds and size. Where these were
    measured by another rule they are left out, with a note."""
    recorded_by = plans.load()
    rule = lambda plan: plan.model_dump(exclude={"tasks", "trials", "first_seed", "cells", "expected"})
    differs = [key for key, value in rule(plan).items() if rule(recorded_by)[key] != value]
    if differs:
        print(f"note: recorded cells are left out, since they were measured by another plan ({', '.join(differs)})")
        return mine
    tasks = {task for task, stream in plan.tasks.items() if recorded_by.tasks.get(task) == stream}
    others = recorded.read(plan, [other for other in recorded_by.cells if other != name], [size])
    fits = others["task"].isin(tasks & set(mine["task"])) & others["seed"].isin(set(mine["seed"]))
    return pd.concat([mine, others[fits]], ignore_index=True)
