"""What the trials of a probe show: rates with intervals, how long what was learned holds, and which orders are decided.

Everything follows from the table of trials (`probe.trials`), and the chance of guessing right.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from memory_trials.evaluation import ranking, statistics
from memory_trials.probe.plan import Plan
from memory_trials.tasks.interface import LEARNED

CONFIDENCE = 0.95


def summarize(plan: Plan, trials: pd.DataFrame, first: str | None = None) -> dict[str, Any]:
    """Work out all that is said about a probe.

    Args:
        plan: what was asked.
        trials: as `trials.read` returns them, of one or more cells, all matched by the same size.
        first: the cell that all others are compared with; None: every two are compared.

    Returns:
        squares: for each cell and task, trials, learned with its interval, the median of the sequences until then over
        the learned ones, accuracy at each length, the same corrected for guessing (`scores`), the share that holds at
        each length with its interval, and memory in bits. compared: for each task and pair of cells, p of the exact
        McNemar test on the same seeds, adjusted by Holm for all comparisons, and whether that decides. cells: for each,
        its size, and its mean score over the tasks. expected: of each cell that a publication says something about, how
        many of its trials hold the task, and whether that agrees: one trial shows that a cell can. misleading: as
        `ranking.misleading` has it, in the mean over all pairs of cells on one task, of their scores.
    """
    squares = [_square(plan, cell, task, rows) for (cell, task), rows in trials.groupby(["cell", "task"], sort=False)]
    cells = list(dict.fromkeys(trials["cell"]))
    tasks = [task for task in plan.tasks if task in set(trials["task"])]
    return {
        "tasks": {
            task: {"length": plan.tasks[task].length, "chance": {n: plan.chance(task, n) for n in plan.lengths}}
            for task in tasks
        },
        "lengths": plan.lengths,
        "first": first,
        "cells": [_cell(cell, trials[trials["cell"] == cell], squares) for cell in cells],
        "squares": squares,
        "compared": _compared(trials, tasks, cells, first),
        "expected": _expected(plan, squares),
        "misleading": _misleading(plan, trials, tasks),
    }


def _square(plan: Plan, cell: str, task: str, rows: pd.DataFrame) -> dict[str, Any]:
    count = len(rows)
    learned = rows["learned_after"].notna().to_numpy()
    rate, low, high = statistics.success_rate(int(learned.sum()), count, CONFIDENCE)
    accuracy = {times: rows[f"accuracy_{times}"].to_numpy() for times in plan.lengths}
    return {
        "cell": cell,
        "task": task,
        "size": rows["size"].iloc[0],
        "trials": count,
        "learning_rate": float(rows["rate"].iloc[0]),
        "units": int(rows["units"].iloc[0]),
        "parameters": int(rows["parameters"].iloc[0]),
        "state": int(rows["state"].iloc[0]),
        "learned": {"rate": rate, "low": low, "high": high},
        "sequences_until_learned": float(rows["learned_after"][learned].median()) if learned.any() else None,
        "accuracy": {times: float(of_all.mean()) for times, of_all in accuracy.items()},
        "scores": {times: float(_score(of_all, plan.chance(task, times)).mean()) for times, of_all in accuracy.items()},
        "holds": {times: _holds(plan, rows, times) for times in plan.lengths},
    }


def _holds(plan: Plan, rows: pd.DataFrame, times: int) -> dict[str, float]:
    """The share of all trials that learned, and answer right at this length and at all shorter ones."""
    held = holds_to(plan, rows) >= times
    rate, low, high = statistics.success_rate(int(held.sum()), len(rows), CONFIDENCE)
    return {"rate": rate, "low": low, "high": high}


def holds_to(plan: Plan, rows: pd.DataFrame) -> np.ndarray:
    """Return up to how many times the length each trial holds what it has learned; 0: not even where it was trained."""
    (learned,) = LEARNED.values()  # what is asked of a trial that has learned is asked at longer lengths too
    allowed = learned.wrong * plan.test_sequences // learned.sequences
    going = rows["learned_after"].notna().to_numpy(copy=True)
    found = np.zeros(len(rows), int)
    for times in plan.lengths:
        going &= (rows[f"right_{times}"] >= plan.test_sequences - allowed).to_numpy()
        found[going] = times
    return found


def _score(accuracy: np.ndarray, chance: float) -> np.ndarray:
    """Accuracy above chance: 1 is always right, 0 as good as the best guess from the present symbol."""
    return (accuracy - chance) / (1 - chance)


def _cell(cell: str, rows: pd.DataFrame, squares: list[dict]) -> dict[str, Any]:
    mine = [square for square in squares if square["cell"] == cell]
    return {
        "cell": cell,
        "size": rows["size"].iloc[0],
        "tasks": len(mine),
        "score": float(np.mean([square["scores"][1] for square in mine])),
        "learned": float(np.mean([square["learned"]["rate"] for square in mine])),
    }


def _expected(plan: Plan, squares: list[dict]) -> list[dict[str, Any]]:
    found = []
    for claim in plan.expected:
        for square in squares:
            if square["task"] == claim.task and square["cell"] in claim.cells:
                holding = round(square["holds"][claim.times]["rate"] * square["trials"])
                row = claim.model_dump(exclude={"cells"}) | {"cell": square["cell"], "trials": square["trials"]}
                found.append(row | {"holding": holding, "agrees": (holding > 0) == claim.can})
    return found


def _compared(trials: pd.DataFrame, tasks: list[str], cells: list[str], first: str | None) -> list[dict[str, Any]]:
    pairs = [(first, other) for other in cells if other != first] if first else list(itertools.combinations(cells, 2))
    rows: list[dict[str, Any]] = []
    for task, (one, other) in itertools.product(tasks, pairs):
        learned = _learned(trials, task, (one, other))
        if learned is not None:
            a, b = learned
            rows.append({"task": task, "cells": [one, other], "p": statistics.compare(a, [b])[0],
                         "difference": float(a.mean() - b.mean())})  # fmt: skip
    for row, adjusted in zip(rows, statistics.holm([row["p"] for row in rows])):
        row |= {"adjusted_p": adjusted, "decided": adjusted < 1 - CONFIDENCE}
    return rows


def _learned(trials: pd.DataFrame, task: str, cells: Iterable[str]) -> list[np.ndarray] | None:
    """Which of the seeds that all these cells have on this task has learned; None where they share none."""
    of_task = trials[trials["task"] == task]
    wide = of_task.assign(learned=of_task["learned_after"].notna()).pivot(
        index="seed", columns="cell", values="learned"
    )
    if any(cell not in wide for cell in cells):
        return None
    shared = wide[list(cells)].dropna()
    return [shared[cell].to_numpy(bool) for cell in cells] if len(shared) else None


def scores(plan: Plan, trials: pd.DataFrame) -> Mapping[str, dict[str, np.ndarray]]:
    """Return the score of each trial where it was trained, by task and cell, in the order of their seeds."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for (task, cell), rows in trials.sort_values("seed").groupby(["task", "cell"], sort=False):
        found.setdefault(task, {})[cell] = _score(rows["accuracy_1"].to_numpy(), plan.chance(task))
    return found


def _misleading(plan: Plan, trials: pd.DataFrame, tasks: list[str]) -> dict[str, Any] | None:
    """Over all pairs of cells on one task of which one has the better mean; None where cells have other seeds."""
    seeds = trials.groupby(["task", "cell"])["seed"].apply(lambda column: tuple(sorted(column)))
    runs = [list(of_task.values()) for task, of_task in scores(plan, trials).items() if task in tasks]
    pairs = [
        (a, b) if a.mean() > b.mean() else (b, a)
        for of_task in runs
        for a, b in itertools.combinations(of_task, 2)
        if a.mean() != b.mean()
    ]
    if seeds.nunique() != 1 or not pairs:
        return None
    shares = np.mean([ranking.misleading(better, worse, paired=True) for better, worse in pairs], axis=0)
    return {"pairs": len(pairs), "seeds": [dict(zip(ranking.Misleading._fields, row)) for row in shares.tolist()]}
