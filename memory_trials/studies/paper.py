"""What was measured of the paper's rows, and whether it agrees with what the paper says."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from memory_trials import files
from memory_trials.errors import UserError
from memory_trials.evaluation import statistics
from memory_trials.studies.rows import FOLDER, Published
from memory_trials.training.trained import Trained

if TYPE_CHECKING:  # pandas takes half a second to import
    from memory_trials.evaluation.results import Outcome

MEASURED = FOLDER / "measured"  # each row's numbers, in git
DIGESTS = FOLDER / "digests"  # and its trials' digests
RESAMPLES = 10_000
VERSION = 1


def measured(name: str, outcome: Outcome, trained: Trained) -> dict[str, Any]:
    """What git keeps of a row: its metrics, and after how many sequences each trial met each criterion (0: never)."""
    until = {criterion: times.tolist() for criterion, times in trained.until.items()}
    return {"version": VERSION, "row": name, "metrics": outcome.metrics, "until": until}


def all_measured(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Of those of these rows that have been run."""
    return {name: content for name in names if (content := read_measured(name)) is not None}


def read_measured(name: str) -> dict[str, Any] | None:
    """None where the row has not been run; `UserError` where the file is damaged or of another version."""
    path = MEASURED / f"{name}.json"
    if not path.exists():
        return None
    content = files.read_json(path)
    if content.get("version") != VERSION:
        raise UserError(f"{path} is of another version: run make paper ROW={name}")
    return content


def text_of(content: dict[str, Any]) -> str:
    """As it is written: a line for each metric, and one for the times of each criterion."""
    metrics = ",\n".join(f"    {json.dumps(key)}: {json.dumps(value)}" for key, value in content["metrics"].items())
    until = ",\n".join(f"    {json.dumps(key)}: {json.dumps(value)}" for key, value in content["until"].items())
    head = f'"version": {content["version"]},\n  "row": {json.dumps(content["row"])}'
    return f'{{\n  {head},\n  "metrics": {{\n{metrics}\n  }},\n  "until": {{\n{until}\n  }}\n}}\n'


def agreement(paper: Published, found: dict[str, Any]) -> dict[str, Any]:
    """How the paper's numbers stand to ours, by a stated rule.

    success: Fisher's exact test of the two counts of successes does not reject (p at least 0.05). after: the paper's
    mean lies where 95 % of the means of as many trials as the paper's would, given ours: between the 2.5 % and the
    97.5 % quantile of the means of so many of our times, drawn with replacement, around our mean, which is drawn anew
    each time, too (bootstrap, 10,000 times, by a seed of its own). None where there is nothing to compare.
    """
    until = np.array(next(iter(found["until"].values())))
    successes = round(paper.successful * paper.trials / 100)
    p = statistics.fisher(successes, paper.trials, int((until > 0).sum()), len(until))
    result: dict[str, Any] = {"success_p": p, "success": p >= 0.05, "after": None, "range": None, "ratio": None}
    times = until[until > 0]
    count = max(1, successes)
    if paper.after is not None and len(times) > 1:
        low, high = statistics.means_of(times, count, RESAMPLES)
        result |= {
            "after": low <= paper.after <= high,
            "range": [low, high],
            "ratio": float(times.mean()) / paper.after,
        }
    return result
