"""What evaluation leaves of an arm, and its files: metrics.json, and tables as CSV.

Everything that is known of an arm is computed once, by `outcome`, into an `Outcome`, which charts, pages and MLflow are
made of; `write` and `read` take it to its files and back.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

from memory_trials import files
from memory_trials.evaluation import statistics
from memory_trials.evaluation.statistics import METRICS
from memory_trials.evaluation.tables import TABLES, read_table, rounded, typed_frame
from memory_trials.settings import Settings
from memory_trials.tasks.encoding import UpdateTable
from memory_trials.tasks.interface import Task
from memory_trials.tasks.problems import Problem
from memory_trials.tasks.streams import Stream
from memory_trials.training.trained import Trained

FIGURE, SCALABLE = "answer.png", "answer.svg"


@dataclass(frozen=True)
class Outcome:
    """What is known of an arm. metrics: the content of metrics.json. The tables, named and typed as in `TABLES`:

    trials: a row for each. predictions: what each trial said at each step that is shown; confusion: at those that need
    memory. loss, learned, remembered: over epochs, the loss, the share of trials that are right in every step with its
    interval, and the memory in bits. time_to_learn: the Kaplan-Meier curve. free_run: only where the
    settings ask for it.
    """

    metrics: dict[str, int | float | None]
    trials: pd.DataFrame
    predictions: pd.DataFrame
    confusion: pd.DataFrame
    loss: pd.DataFrame
    learned: pd.DataFrame
    remembered: pd.DataFrame
    time_to_learn: pd.DataFrame
    free_run: pd.DataFrame | None = None

    @property
    def of_stream(self) -> bool:
        """Whether the trials learned from a stream, of which nothing is predicted symbol by symbol."""
        return "epochs_budget" in self.metrics

    def verdicts(self) -> dict[int, bool]:
        """Return whether the trial of each seed has learned."""
        return dict(zip(self.trials["seed"].tolist(), (self.trials["learned"] == 1).tolist()))


def outcome(settings: Settings, made: Problem | Stream, task: Task, trained: Trained) -> Outcome:
    """Evaluate an arm's trials, and work out all that is known of them.

    Args:
        settings: of the arm.
        made: what its settings describe: sequences, or a stream.
        task: what its trials were trained on: the sequences' table of updates, or the stream itself.
        trained: its trials.

    Raises:
        UserError: a free run is asked for, and not possible.
    """
    if task.endless:
        from memory_trials.evaluation import of_streams

        found = of_streams.found(settings, cast("Stream", task), trained)
    else:
        from memory_trials.evaluation import of_tables

        found = of_tables.found(settings, cast("Problem", made), cast("UpdateTable", task), trained)
    confidence, learned = settings.evaluation.confidence, found.verdicts.learned
    losses, epochs = trained.losses.astype(np.float64), int(trained.loss_epochs[-1])
    metrics = statistics.summary(found.verdicts, losses[:, -1], found.epochs_to_learn, epochs, confidence)
    metrics |= {"verdict_changes": found.verdict_changes, "memory_whole": found.memory_whole} | found.about_margin
    metrics |= statistics.memory_summary(found.memory, learned, found.margin, confidence)
    metrics |= statistics.chance(found.signal, found.bias) | found.otherwise
    metrics |= {"parameters": sum(array[0].size for array in trained.weights.values())}
    metrics |= {"updates": found.updates, "confidence": confidence} | found.further
    trials = (
        trained.seeds, *found.verdicts, losses[:, -1], found.epochs_to_learn, found.margin, found.memory,
    )  # fmt: skip
    curves = {
        "loss": (trained.loss_epochs, *statistics.loss_curves(losses).T),
        "learned": (trained.checks, *statistics.share_learned(found.learned_at_checks, confidence).T),
        "remembered": (trained.checks, *statistics.memory_curves(trained.memory).T),
        "time_to_learn": statistics.time_to_learn(found.epochs_to_learn, epochs, confidence)[0].T,
    }
    return Outcome(
        metrics={name: rounded(value) for name, value in metrics.items()},
        trials=typed_frame("trials", trials),
        predictions=found.predictions,
        confusion=found.confusion,
        free_run=found.free_run,
        **{name: typed_frame(name, columns) for name, columns in curves.items()},
    )


def write(folder: Path, result: Outcome) -> None:
    """Write metrics.json, and a CSV file for each table, into an arm's folder."""
    for name in TABLES:
        if (frame := getattr(result, name)) is not None:
            files.write_text(folder / f"{name}.csv", frame.to_csv(index=False, lineterminator="\n"))
    files.write_json(folder / METRICS, result.metrics)


def read(folder: Path) -> Outcome:
    """Read what `write` has written.

    Raises:
        UserError: A file is missing or damaged.
    """
    frames = {name: read_table(folder, name) for name in TABLES if name != "free_run"}
    free_run = read_table(folder, "free_run") if (folder / "free_run.csv").exists() else None
    return Outcome(files.read_json(folder / METRICS), free_run=free_run, **frames)
