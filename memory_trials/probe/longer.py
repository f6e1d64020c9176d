"""Whether a cell that fails a task is short of time: its first trials, trained for several times as long."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import Field

from memory_trials.errors import UserError
from memory_trials.evaluation import statistics
from memory_trials.parameter_files import read_yaml
from memory_trials.probe import running, trials
from memory_trials.probe.findings import CONFIDENCE
from memory_trials.probe.plan import Plan
from memory_trials.progress import Tally
from memory_trials.sections import Section, validated
from memory_trials.settings import ComputeSettings
from memory_trials.training.cache import FOLDER, TrialCache

FILE = Path("experiments/probe_longer.yaml")
RECORDED = Path("experiments/data/probe_longer")  # a file for each cell
COLUMNS = {"cell": "str", "task": "str", "seed": "int64", "rate": "float64", "learned_after": "Int64"}


class Longer(Section):
    """See experiments/probe_longer.yaml, which says what each of them means."""

    times: Annotated[int, Field(ge=2, le=1000)]
    trials: Annotated[int, Field(ge=2, le=100_000)]
    below: Annotated[float, Field(gt=0, le=1)]
    retried: Annotated[list[str], Field(min_length=1)]


def load(plan: Plan) -> Longer:
    """Read the settings; `UserError` for the first mistake."""
    found = validated(Longer, read_yaml(FILE), str(FILE))
    for cell in found.retried:
        if cell not in plan.cells:
            raise UserError(f"{FILE}: retried: there is no cell {cell!r}; there are {', '.join(plan.cells)}")
    if found.trials > plan.trials:
        raise UserError(f"{FILE}: trials is {found.trials}: {plan.trials} at most, as many as are recorded")
    return found


def measure(plan: Plan, longer: Longer, recorded: pd.DataFrame, compute: ComputeSettings, folder: Path) -> pd.DataFrame:
    """Train a cell's first trials for longer on each task that too few of all its trials have learned.

    Args:
        plan: by which the trials were recorded.
        longer: how long, how many, and which tasks.
        recorded: the trials of one cell, matched by one size, as `trials.read` returns them.
        compute: threads; no result depends on it.
        folder: where trials are kept, so that what was interrupted goes on.

    Returns:
        A row for each trial: after how many sequences it learned, missing where it did not.
    """
    slow = [
        (task, rows) for task, rows in recorded.groupby("task", sort=False)
        if rows["learned_after"].notna().mean() < longer.below
    ]  # fmt: skip
    name, size = recorded["cell"].iloc[0], recorded["size"].iloc[0]
    probed, store, lock = plan.cells[name], TrialCache(folder / FOLDER, megabytes=2000), threading.Lock()
    long_plan = plan.model_copy(update={"updates": longer.times * plan.updates})
    found = [pd.DataFrame(columns=list(COLUMNS)).astype(COLUMNS)]
    whole = len(slow) * longer.trials * long_plan.sequences
    with Tally(f"{name}, sequences of all trials", total=max(1, whole)) as tally:

        def report(sequences: int, learned: int, kept: bool) -> None:
            with lock:
                tally(sequences)

        for task, rows in slow:
            (arm,) = running.arms(plan, name, probed.cell, probed.cell_options, size, [task])
            rate, seed = float(rows["rate"].iloc[0]), plan.first_seed
            trained = running.train(long_plan, arm, rate, longer.trials, seed, compute, store, report)
            after = [int(number) or None for number in running.learned_after(plan, arm, trained)]
            columns = {"cell": name, "task": task, "seed": trained.seeds, "rate": rate}
            found.append(pd.DataFrame(columns | {"learned_after": pd.array(after, "Int64")}))
    return pd.concat(found, ignore_index=True).astype(COLUMNS)


def recorded(plan: Plan) -> list[dict[str, Any]]:
    """Return what the recorded trials that were trained for longer show, as far as there are any."""
    longer = load(plan)
    paths = [path for cell in longer.retried if (path := RECORDED / f"{cell}.csv").is_file()]
    return [row for path in paths for row in summarize(plan, longer, trials.read(path, COLUMNS))]


def summarize(plan: Plan, longer: Longer, rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return for each cell and task how many of the trials learned, with the plan's updates and with more.

    The trials are the same ones, so that none learns less often for being trained longer. `short_of_time` says that one
    of them, at least, learned only then. `unseen` is the largest share of which none may be seen in so many trials.
    """
    found = []
    for (cell, task), of_one in rows.groupby(["cell", "task"], sort=False):
        soon = int((of_one["learned_after"] <= plan.sequences).fillna(False).sum())
        late = int(of_one["learned_after"].notna().sum())
        found.append({
            "cell": cell, "task": task, "trials": len(of_one), "times": longer.times, "soon": soon, "late": late,
            "short_of_time": late > soon, "unseen": statistics.success_rate(0, len(of_one), CONFIDENCE)[2],
        })  # fmt: skip
    return found
