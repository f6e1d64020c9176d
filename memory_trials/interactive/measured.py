"""What `measure` returns: a result that shows itself, as text, in a notebook, as tables and as pictures."""

from __future__ import annotations

import base64
import functools
import html
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from memory_trials.errors import UserError, brief
from memory_trials.evaluation import statistics
from memory_trials.settings import Settings, TrackingSettings
from memory_trials.tasks.interface import Task
from memory_trials.tasks.problems import Problem
from memory_trials.tasks.streams import Stream
from memory_trials.training.trained import Trained

if TYPE_CHECKING:  # pandas takes half a second to import
    import pandas as pd

    from memory_trials.evaluation.results import Outcome

EXPERIMENT = "memory-trials-measured"  # in MLflow


@dataclass
class Measured:
    """The trials of one cell on one task, and all numbers about them, which are computed when they are asked for.

    task: what the task is called. settings: all of them, as params.yaml would have them. trained: weights, losses and
    verdicts of every trial. problem, table: what they learned, and what an epoch of
    it is, which is the stream itself where it never ends. seconds: that training took.
    """

    task: str
    settings: Settings
    trained: Trained
    problem: Problem | Stream
    table: Task
    seconds: float = 0.0

    @functools.cached_property
    def outcome(self) -> Outcome:
        """All numbers and tables, as the pipeline writes them into an arm's folder."""
        from memory_trials.evaluation import results

        return results.outcome(self.settings, self.problem, self.table, self.trained)

    @property
    def cell(self) -> str:
        """What the cell is called: its name, or the last part of its path."""
        return self.settings.model.cell.rpartition(".")[2]

    @property
    def metrics(self) -> dict[str, int | float | None]:
        """The numbers of metrics.json, by name; docs/results.md explains them."""
        return self.outcome.metrics

    @property
    def rate(self) -> float:
        """The share of trials that learned."""
        return float(self.metrics["success_rate"] or 0)

    @property
    def interval(self) -> tuple[float, float]:
        """The Wilson interval of `rate`."""
        return float(self.metrics["success_rate_low"] or 0), float(self.metrics["success_rate_high"] or 0)

    @property
    def memory(self) -> float | None:
        """The median memory of all trials in bits; None where no step needs memory."""
        return self.metrics["memory_median"]

    @property
    def trials(self) -> pd.DataFrame:
        """A row for each trial: its seed, whether it learned, its accuracies, last loss, lead and memory."""
        return self.outcome.trials

    @property
    def epochs(self) -> pd.DataFrame:
        """A row for each epoch: quantiles of the loss; where trials were evaluated, the share that knew every step
        (learned, with its interval) and the memory."""
        outcome = self.outcome
        frame = outcome.loss.rename(columns=lambda name: name if name == "epoch" else f"loss_{name}")
        learned = outcome.learned.rename(
            columns={"share_learned": "learned", "low": "learned_low", "high": "learned_high"}
        )
        memory = outcome.remembered.rename(columns=lambda name: name if name == "epoch" else f"memory_{name}")
        return frame.merge(learned, on="epoch", how="outer").merge(memory, on="epoch", how="left")

    def __str__(self) -> str:
        from memory_trials.studies.answers import how_often_and_how_much

        answer = how_often_and_how_much(self.metrics)
        return f"{self.cell} on {self.task}: {answer}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from memory_trials.studies.answers import bits, percent

        numbers = self.metrics
        low, high = self.interval
        remembered = bits(self.memory, numbers["memory_whole"]) or "no step needs it"
        cells = {
            "learned": f"<b>{numbers['successes']} of {numbers['trials']}</b>",
            "rate": f"<b>{percent(self.rate)}</b> ({percent(low)} to {percent(high)})",
            "memory, median": remembered,
            "parameters": f"{numbers['parameters']:,}",
            "updates": f"{numbers['updates']:,}",
            "training": f"{self.seconds:.1f} s",
        }
        head = "".join(f"<th>{name}</th>" for name in cells)
        row = "".join(f"<td>{value}</td>" for value in cells.values())
        return (
            f"<p><b>{html.escape(self.cell)}</b> on {html.escape(self.task)}</p>"
            f"<table><tr>{head}</tr><tr>{row}</tr></table>{self.plot()._repr_html_()}"
        )

    def plot(self, chart: str | None = None) -> Picture:
        """Return a picture of all charts, or of one; a notebook shows it, and `save` writes it.

        Args:
            chart: the name of one chart, such as learned, memory, loss or time_to_learn.

        Raises:
            UserError: there is no chart of this name.
        """
        from memory_trials.report import drawing, figures
        from memory_trials.studies.answers import how_often_and_how_much

        charts = figures.of_arm(self.outcome, self.settings.model.cell, self.trained.losses)
        if chart is not None and chart not in charts:
            raise UserError(f"there is no chart {brief(chart)}; there are {', '.join(charts)}")
        if chart is not None:
            charts = {chart: charts[chart]}
        return Picture(drawing.svg(figures.overview(charts, how_often_and_how_much(self.metrics))))

    def compare(self, other: Measured) -> Comparison:
        """Compare two cells, or two settings, on the same task by the seeds that both have.

        Raises:
            UserError: the other is no result, is of another task, or has no seed of these.
        """
        if not isinstance(other, Measured):
            raise UserError(f"compare takes another result of measure, not {brief(other)}")
        if self.settings.problem != other.settings.problem or self.problem != other.problem:
            raise UserError(f"one is of the task {self.task}, the other of {other.task}: only the same task compares")
        mine, others = self.outcome.verdicts(), other.outcome.verdicts()
        shared = sorted(mine.keys() & others.keys())
        if not shared:
            raise UserError("they have no seed in common: give both the same first_seed")
        return Comparison(
            (self._told(other), other._told(self)),
            np.array([mine[seed] for seed in shared]),
            np.array([others[seed] for seed in shared]),
        )

    def _told(self, other: Measured) -> str:
        """What to call it beside the other: by its cell, and where they are of one cell by what differs."""
        if self.settings.model.cell != other.settings.model.cell:
            return self.cell
        flat = lambda settings: {
            f"{name}={value}"
            for section in ("encoding", "model", "training", "evaluation")
            for name, value in getattr(settings, section).model_dump().items()
        }
        return " ".join([self.cell, *sorted(flat(self.settings) - flat(other.settings))])

    def log_to_mlflow(self, experiment: str = EXPERIMENT, uri: str | None = None) -> str:
        """Publish the trials in MLflow: a run, with a child run for each trial.

        Args:
            experiment: MLflow's experiment.
            uri: the tracking URI; by default that of MLflow in this process, where it was set, else
                MLFLOW_TRACKING_URI, else the file mlflow.db in this folder.

        Returns:
            The name of the experiment.

        Raises:
            UserError: MLflow cannot be reached there.
        """
        from memory_trials.evaluation import results
        from memory_trials.studies import design
        from memory_trials.tracking import publisher
        from memory_trials.training.trained import write_trained

        text = self.problem.to_json(int(self.trained.seeds[0]))
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Pydantic serializer")  # of an endless task of one's own
            arm = design.Arm(design.PIPELINE, "", self.settings, {}, design.pipeline_files(Path(folder)))
            write_trained(arm.files.trained, self.trained, design.training_inputs(self.settings))
            results.write(arm.files.folder, self.outcome)
            arm.files.sequences.write_text(text, encoding="utf-8")
            self.plot().save(arm.files.folder / results.FIGURE)
            publisher.publish([arm], TrackingSettings(experiment=experiment, uri=uri or _own_uri()))
        return experiment


def _own_uri() -> str | None:
    """The tracking URI that this process has given MLflow, if it has."""
    mlflow = sys.modules.get("mlflow")
    return mlflow.get_tracking_uri() if mlflow is not None and mlflow.is_tracking_uri_set() else None


@dataclass(frozen=True)
class Picture:
    """A picture as SVG, which a notebook shows."""

    svg: str

    def png(self) -> bytes:
        """Return it as PNG."""
        from memory_trials.report import drawing

        return drawing.png(self.svg)

    def save(self, path: str | Path) -> None:
        """Write it to a file, .svg or .png."""
        from memory_trials import files

        kind = Path(path).suffix
        if kind not in (".svg", ".png"):
            raise UserError(f"{path}: allowed are files .svg and .png")
        files.write_bytes(path, self.png() if kind == ".png" else self.svg.encode())

    def _repr_html_(self) -> str:
        """As PNG, whose text looks the same whatever fonts a browser has."""
        return f'<img src="data:image/png;base64,{base64.b64encode(self.png()).decode()}" style="max-width: 100%">'


@dataclass(frozen=True)
class Comparison:
    """Two results on the seeds that both have. names: of the two. first, second [T] bool: who learned, seed by seed."""

    names: tuple[str, str]
    first: np.ndarray
    second: np.ndarray

    @functools.cached_property
    def p(self) -> float:
        """The p value of the exact McNemar test that both learn equally often."""
        return statistics.compare(self.first, [self.second])[0]

    @property
    def table(self) -> pd.DataFrame:
        """How many seeds learned with both, with one, with neither."""
        import pandas as pd

        counts = [[(a & b).sum() for b in (self.second, ~self.second)] for a in (self.first, ~self.first)]
        one, other = self.names
        return pd.DataFrame(
            counts, index=[f"{one} learned", f"{one} did not"], columns=[f"{other} learned", f"{other} did not"]
        )

    def __str__(self) -> str:
        seeds, (one, other) = len(self.first), self.names
        only, only_other = int((self.first & ~self.second).sum()), int((~self.first & self.second).sum())
        p = "p < 0.001" if self.p < 0.001 else f"p = {self.p:.3f}"
        verdict = "they differ" if self.p < 0.05 else "they are not shown to differ"
        return (
            f"Of the same {seeds} seeds, {one} learned in {int(self.first.sum())} and {other} in "
            f"{int(self.second.sum())}: {verdict} ({p}, exact McNemar test; {only} only with {one}, "
            f"{only_other} only with {other})"
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(str(self))}</p>{self.table.to_html()}"
