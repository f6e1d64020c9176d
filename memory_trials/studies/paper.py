"""The paper's rows: what Hochreiter & Schmidhuber (1997) report, and the arms that measure it anew, as data.

A row of paper/params.yaml is one arm with artifacts of its own in data/paper/, and what the paper says of it.
"""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from memory_trials import files
from memory_trials.errors import UserError, brief
from memory_trials.evaluation import statistics
from memory_trials.evaluation.results import Outcome
from memory_trials.settings import Section, Settings, read_yaml, validated
from memory_trials.studies.design import Arm, changed, pipeline_files
from memory_trials.training.trained import Trained

FILE = Path("paper/params.yaml")
FOLDER = Path("data/paper")
MEASURED = FOLDER / "measured"  # each row's numbers, in git
DIGESTS = FOLDER / "digests"  # and its trials' digests
PREFIX = "paper-"  # begins the name of a row's arm where studies have theirs, which hold no dash
ARGUMENT = "paper/"  # begins a stage's argument that names a row
RESAMPLES = 10_000
EXPERIMENTS = {
    "1": "Experiment 1: embedded Reber grammar",
    "2a": "Experiment 2a: noise-free sequences with long time lags",
    "2b": "Experiment 2b: no local regularities",
    "2c": "Experiment 2c: very long time lags, no local regularities",
    "3a": "Experiment 3a: the two-sequence problem",
    "3b": "Experiment 3b: the two-sequence problem, the signal noisy too",
    "3c": "Experiment 3c: the two-sequence problem with noisy targets",
    "4": "Experiment 4: adding",
    "5": "Experiment 5: multiplication",
    "6a": "Experiment 6a: temporal order, four classes",
    "6b": "Experiment 6b: temporal order, eight classes",
    "long_sequences": "Our own long question: a middle that counts",
}
VERSION = 1


class Published(Section):
    """What the paper says of a row: how many trials, which share of them succeeded (%), after how many sequences in
    the mean, the number of weights, and how many test sequences were wrong. For the criterion ST1 first_after."""

    trials: Annotated[int, Field(ge=1)]
    successful: Annotated[float, Field(ge=0, le=100)] = 100.0
    after: Annotated[int, Field(ge=1)] | None = None
    first_after: Annotated[int, Field(ge=1)] | None = None
    weights: Annotated[int, Field(ge=1)] | None = None
    wrong: Annotated[float, Field(ge=0)] | None = None


class Row(Section):
    """A block of paper/params.yaml. like: the base that it starts from, before its own `set`.

    kind: a row of the paper's tables; another reading of what the paper leaves open, or a rival on the same task (`of`
    names the row that it stands beside); guess, random weights; or a question of our own.
    """

    experiment: Annotated[str, Field(min_length=1)]
    label: Annotated[str, Field(min_length=1)]
    kind: Literal["paper", "reading", "rival", "guess", "own"] = "paper"
    of: str | None = None
    like: str
    set: dict[str, Any]
    paper: Published | None = None


class Rows(Section):
    defaults: dict[str, Any]
    bases: dict[str, dict[str, Any]]
    rows: dict[str, Row]


def load_rows() -> Rows:
    """paper/params.yaml; `UserError` for the first mistake."""
    content = validated(Rows, read_yaml(FILE), str(FILE))
    for name, row in content.rows.items():
        if not re.fullmatch(r"[a-z0-9_]{1,60}", name):
            raise UserError(f"{FILE}: the row {brief(name)}: a name is made of at most 60 small letters, digits and _")
        if row.like not in content.bases:
            raise UserError(f"{FILE}: rows.{name}.like is {brief(row.like)}: allowed are {', '.join(content.bases)}")
        if row.experiment not in EXPERIMENTS:
            raise UserError(
                f"{FILE}: rows.{name}.experiment is {brief(row.experiment)}: allowed are {', '.join(EXPERIMENTS)}"
            )
        if row.of is not None and row.of not in content.rows:
            raise UserError(f"{FILE}: rows.{name}.of is {brief(row.of)}, which is no row")
    return content


def row_arm(name: str, rows: Rows | None = None) -> Arm:
    """The arm of a row; `UserError` where there is no such row, or it is not valid."""
    rows = rows or load_rows()
    if name not in rows.rows:
        raise UserError(f"{FILE} has no row {brief(name)}; it has {', '.join(rows.rows)}")
    row, place = rows.rows[name], f"{FILE}: rows.{name}"
    changes = rows.bases[row.like] | row.set
    settings = validated(Settings, changed(rows.defaults, changes, place), place)
    if settings.problem.stream is None:
        raise UserError(f"{place}: it must set problem.stream")
    paths = replace(pipeline_files(FOLDER / name), folder=FOLDER / name / "arm")
    return Arm(f"{PREFIX}{name}", row.label, settings, changes, paths)


def row_of(arm: Arm) -> str | None:
    """The name of the row that an arm is; None of other arms."""
    return arm.study.removeprefix(PREFIX) if arm.study.startswith(PREFIX) else None


def measured(name: str, outcome: Outcome, trained: Trained) -> dict[str, Any]:
    """What git keeps of a row: its metrics, and after how many sequences each trial met each criterion (0: never)."""
    until = {criterion: times.tolist() for criterion, times in trained.until.items()}
    return {"version": VERSION, "row": name, "metrics": outcome.metrics, "until": until}


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
