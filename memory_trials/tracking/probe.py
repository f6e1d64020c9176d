"""A probe in MLflow: one experiment, and in it a run for each cell and task.

A run is found by the fingerprint of its trials. So publishing again changes nothing, and where trials have changed, the
earlier run is kept, marked as such.
"""

from __future__ import annotations

import hashlib
import time
from typing import Any

import pandas as pd

from memory_trials.report.palette import series_style
from memory_trials.settings import TrackingSettings
from memory_trials.tracking import store
from memory_trials.tracking.publisher import COLOUR, experiment_id

EXPERIMENT = "memory-trials-probe"
ABOUT = """Each run is a cell on a task of the probe (docs/probe.md): how often trials learn, and how far that holds.

- Filters: `tags.kind = 'square'`, `tags.cell = 'gru'`, `tags.task = 'parity'`, `tags.size = 'parameters'` (what is \
matched; or 'state'), ``metrics.`learned/rate` > 0.9``.
- `learned/low` and `learned/high` are the 95 % interval; `holds_10/rate` is the share that learned and still answers \
right at 10 times the length; `score_10` is the mean accuracy there, corrected for guessing.
- trials.csv has a row for each trial. Earlier results are kept as `tags.kind = 'earlier square'`.
"""


def publish(summary: dict[str, Any], trials: pd.DataFrame, settings: TrackingSettings) -> None:
    """Publish what was found of each cell on each task. Publishing again changes nothing.

    Args:
        summary: As `probe.recorded.summarize` returns it.
        trials: The rows that it was made of.
        settings: Where to publish; the experiment is always `EXPERIMENT`.

    Raises:
        UserError: The store cannot be reached.
    """
    squares = [square for found in (summary, summary.get("by_state")) if found for square in found["squares"]]
    with store.opened(settings) as opened:
        added = store.repeated(_publish, opened, summary["cells"], squares, trials)
    state = f"now shows {added} of" if added else "has all"
    print(f"MLflow {state} {len(squares)} runs of the probe, experiment {EXPERIMENT!r}")


def _publish(opened: store.MlflowStore, cells: list[dict], squares: list[dict], trials: pd.DataFrame) -> int:
    client = opened.client
    experiment = experiment_id(client, EXPERIMENT, not opened.server, ABOUT)
    there = store.all_runs(client, experiment, "tags.kind = 'square'")
    colour = {row["cell"]: series_style(row["cell"], number)[0] for number, row in enumerate(cells)}
    added = 0
    for square in squares:
        cell, task, size = (square[key] for key in ("cell", "task", "size"))
        rows = trials[(trials["cell"] == cell) & (trials["task"] == task) & (trials["size"] == size)]
        content = rows.to_csv(index=False)
        tags = {"cell": cell, "task": task, "size": size}
        fingerprint = hashlib.sha256(content.encode()).hexdigest()
        same = [run for run in there if tags.items() <= run.data.tags.items()]
        if any(run.data.tags["fingerprint"] == fingerprint and run.info.status == "FINISHED" for run in same):
            continue
        for run in same:
            client.set_tag(run.info.run_id, "kind", "earlier square")
        tags |= {"kind": "square", "fingerprint": fingerprint, COLOUR: colour[cell]}
        name = f"{cell} on {task}{', by state' * (size == 'state')}"
        run_id = client.create_run(experiment, tags=tags, run_name=name).info.run_id
        _log(client, run_id, square, content)
        client.set_terminated(run_id)
        added += 1
    return added


def _log(client: Any, run_id: str, square: dict[str, Any], content: str) -> None:
    from mlflow.entities import Metric, Param

    numbers = {f"learned/{name}": value for name, value in square["learned"].items()}
    for times, held in square["holds"].items():
        numbers |= {f"holds_{times}/{name}": value for name, value in held.items()}
        numbers[f"score_{times}"] = square["scores"][times]
    if square["sequences_until_learned"] is not None:
        numbers["sequences_until_learned"] = square["sequences_until_learned"]
    now = int(1000 * time.time())
    metrics = [Metric(name, value, now, 0) for name, value in numbers.items()]
    params = [Param(key, str(square[key])) for key in ("units", "parameters", "state", "learning_rate", "trials")]
    client.log_batch(run_id, metrics=metrics, params=params)
    client.log_text(run_id, content, "trials.csv")
