"""What the trials of a probe show: rates with intervals, how long what was learned holds, and which orders are decided.

Everything follows from the table of trials (`probe.trials`), and the chance of guessing right.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd

from memory_trials.evaluation import ranking, statistics
from memory_trials.probe import memory
from memory_trials.probe.plan import Plan
from memory_trials.tasks.interface import LEARNED

CONFIDENCE = 0.95
RECALL = ("associative_recall", "selective_copying", "copying_memory", "induction")  # symbols that come again later


def summarize(
    plan: Plan, trials: pd.DataFrame, first: str | None = None, without: Collection[str] = ()
) -> dict[str, Any]:
    """Work out all that is said about a probe.

    Args:
        plan: what was asked.
        trials: as `trials.read` returns them, of one or more cells, all matched by the same size.
        first: the cell that all others are compared with; None: every two are compared.
        without: what is left out because it takes seconds and is not shown: bands, misleading.

    Returns:
        squares: for each cell and task, trials, learned with its interval, the median of the sequences until then over
        the learned ones, accuracy at each length, the same corrected for guessing (`scores`, with intervals in
        `bands`), the share that holds at each length with its interval, and memory in bits, where it was trained,
        with its interval and what `memory.of` says of the task; None where that is not known. compared: for each task
        and pair of cells, p of the exact McNemar test on the same seeds, adjusted by Holm for all comparisons, and
        whether that decides. cells: for each, its size, and over the tasks the mean of its scores, of the shares that
        learn, and of those that hold at the longest length; and recall, as `_recall` has it. recall: the tasks that ask
        for it. best: the cell by which most trials learn, over all tasks, and from which others that is not decided;
        None where cells have other tasks or seeds.
        expected: of each cell that a publication says something about, how many of its trials hold the task, and
        whether that agrees: one trial shows that a cell can. misleading: as `ranking.misleading` has it, in the mean
        over all pairs of cells on one task, of their scores.
    """
    groups = trials.groupby(["cell", "task"], sort=False)
    squares = [_square(plan, cell, task, rows, "bands" not in without) for (cell, task), rows in groups]
    cells = list(dict.fromkeys(trials["cell"]))
    tasks = [task for task in plan.tasks if task in set(trials["task"])]
    return {
        "tasks": {
            task: {"length": plan.tasks[task].length, "chance": {n: plan.chance(task, n) for n in plan.lengths}}
            for task in tasks
        },
        "lengths": plan.lengths,
        "first": first,
        "recall": [task for task in tasks if plan.tasks[task].task in RECALL],
        "cells": [_cell(plan, cell, trials[trials["cell"] == cell], squares) for cell in cells],
        "best": _best(trials, cells),
        "squares": squares,
        "compared": _compared(trials, tasks, cells, first),
        "expected": _expected(plan, squares),
        "misleading": None if "misleading" in without else _misleading(plan, trials, tasks),
    }


def _square(plan: Plan, cell: str, task: str, rows: pd.DataFrame, bands: bool) -> dict[str, Any]:
    count = len(rows)
    learned = rows["learned_after"].notna().to_numpy()
    rate, low, high = statistics.success_rate(int(learned.sum()), count, CONFIDENCE)
    accuracy = {times: rows[f"accuracy_{times}"].to_numpy() for times in plan.lengths}
    scores = {times: _score(of_all, plan.chance(task, times)) for times, of_all in accuracy.items()}
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
        "scores": {times: float(of_all.mean()) for times, of_all in scores.items()},
        "bands": {times: _mean(of_all) for times, of_all in scores.items()} if bands else {},
        "holds": {times: _holds(plan, rows, times) for times in plan.lengths},
        "memory": _memory(plan, task, rows),
    }


def _memory(plan: Plan, task: str, rows: pd.DataFrame) -> dict[str, float] | None:
    """How much the outputs of all trials say about the target, in the mean; one that diverged remembers nothing."""
    bits = memory.of(plan.tasks[task])
    if bits is None:
        return None
    remembered = np.nan_to_num(bits.guess + rows["bits_1"].to_numpy(float), nan=0.0)
    return _mean(remembered) | bits._asdict()


def _mean(values: np.ndarray) -> dict[str, float]:
    return dict(zip(("mean", "low", "high"), ranking.mean_interval(values, CONFIDENCE)))


def _holds(plan: Plan, rows: pd.DataFrame, times: int) -> dict[str, float]:
    """The share of all trials that learned, and answer right at this length and at all shorter ones."""
    held = holds_to(plan, rows) >= times
    rate, low, high = statistics.success_rate(int(held.sum()), len(rows), CONFIDENCE)
    return {"rate": rate, "low": low, "high": high}


def wrong_allowed(plan: Plan) -> int:
    """Return how many test sequences may be answered wrongly at a length that is held: what is asked of a trial that
    has learned is asked at longer lengths too."""
    (learned,) = LEARNED.values()
    return learned.wrong * plan.test_sequences // learned.sequences


def holds_to(plan: Plan, rows: pd.DataFrame) -> np.ndarray:
    """Return up to how many times the length each trial holds what it has learned; 0: not even where it was trained."""
    allowed = wrong_allowed(plan)
    going = rows["learned_after"].notna().to_numpy(copy=True)
    found = np.zeros(len(rows), int)
    for times in plan.lengths:
        going &= (rows[f"right_{times}"] >= plan.test_sequences - allowed).to_numpy()
        found[going] = times
    return found


def _score(accuracy: np.ndarray, chance: float | np.ndarray) -> np.ndarray:
    """Accuracy above chance: 1 is always right, 0 as good as the best guess from the present symbol."""
    return (accuracy - chance) / (1 - chance)


def _cell(plan: Plan, cell: str, rows: pd.DataFrame, squares: list[dict]) -> dict[str, Any]:
    mine = [square for square in squares if square["cell"] == cell]
    over_tasks = lambda share: float(np.mean([share(square) for square in mine]))
    return {
        "cell": cell,
        "size": rows["size"].iloc[0],
        "tasks": len(mine),
        "score": over_tasks(lambda square: square["scores"][1]),
        "learned": over_tasks(lambda square: square["learned"]["rate"]),
        "holds": over_tasks(lambda square: square["holds"][plan.lengths[-1]]["rate"]),
        "recall": _recall(plan, rows, {square["task"] for square in squares}),
    }


def _recall(plan: Plan, rows: pd.DataFrame, tried: set[str]) -> dict[str, Any] | None:
    """A cell's mean score, with its interval over seeds, on those tasks that ask for recall, and its mean size on them;
    None where it was not tried on all of them that others were, or on no such task at all."""
    tasks = [task for task in tried if plan.tasks[task].task in RECALL]
    of_tasks = rows[rows["task"].isin(tasks)]
    if not tasks or of_tasks["task"].nunique() < len(tasks):
        return None
    chance = of_tasks["task"].map({task: plan.chance(task) for task in tasks}).to_numpy()
    scored = of_tasks.assign(score=_score(of_tasks["accuracy_1"].to_numpy(), chance))
    of_seeds = scored.groupby("seed")["score"].mean()
    sizes = of_tasks.groupby("task")[["parameters", "state"]].first().mean()
    return _mean(of_seeds.to_numpy()) | {"parameters": float(sizes["parameters"]), "state": float(sizes["state"])}


def _best(trials: pd.DataFrame, cells: list[str]) -> dict[str, Any] | None:
    """By paired permutation tests of how many of the tasks each seed learns, adjusted by Holm for their number."""
    learned = (
        trials["learned_after"].notna().groupby([trials["seed"], trials["task"], trials["cell"]]).first().unstack()
    )
    if len(cells) < 2 or learned.isna().to_numpy().any():
        return None
    runs = {cell: learned[cell].groupby("seed").mean().to_numpy(float) for cell in cells}
    best = max(runs, key=lambda cell: runs[cell].mean())
    others = [cell for cell in cells if cell != best]
    adjusted = statistics.holm([ranking.compare(best, other, runs, paired=True).p for other in others])
    return {"cell": best, "undecided": [cell for cell, p in zip(others, adjusted) if p >= 1 - CONFIDENCE]}


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
    for task in tasks:
        learned = _learned(trials[trials["task"] == task])
        for one, other in pairs:
            if one in learned and other in learned and len(both := learned[[one, other]].dropna()):
                a, b = both[one].to_numpy(bool), both[other].to_numpy(bool)
                rows.append({"task": task, "cells": [one, other], "p": _mcnemar(a, b),
                             "difference": float(a.mean() - b.mean())})  # fmt: skip
    for row, adjusted in zip(rows, statistics.holm([row["p"] for row in rows])):
        row |= {"adjusted_p": adjusted, "decided": adjusted < 1 - CONFIDENCE}
    return rows


def _learned(of_task: pd.DataFrame) -> pd.DataFrame:
    """Which seeds have learned a task, a column for each cell; missing where a cell was not tried from a seed."""
    table = of_task.assign(learned=of_task["learned_after"].notna())
    return table.pivot(index="seed", columns="cell", values="learned")


def _mcnemar(one: np.ndarray, other: np.ndarray) -> float:
    """As `statistics.compare`, of a single pair, whose p is not adjusted for any number of pairs."""
    from statsmodels.stats.contingency_tables import mcnemar

    apart = [[0, int((one & ~other).sum())], [int((~one & other).sum()), 0]]
    return min(1.0, float(mcnemar(apart, exact=True).pvalue))


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
