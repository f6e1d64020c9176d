"""What evaluation leaves of an arm, and its files: metrics.json, and tables as CSV.

Everything that is known of an arm is computed once, by `outcome`, into an `Outcome`, which charts, pages and MLflow are
made of; `write` and `read` take it to its files and back. Numbers are rounded, to so many digits that what a machine
does with the last ones cannot show.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from memory_trials import files
from memory_trials.errors import UserError
from memory_trials.evaluation import predictions, statistics
from memory_trials.evaluation.predictions import Answers
from memory_trials.evaluation.statistics import METRICS
from memory_trials.settings import Settings
from memory_trials.tasks import encoding, symbols
from memory_trials.tasks.encoding import UpdateTable
from memory_trials.tasks.problems import Problem
from memory_trials.training.trained import Trained

if TYPE_CHECKING:
    from jaxtyping import Bool, Int

FIGURE, SCALABLE = "answer.png", "answer.svg"
LONG = 50  # steps; of longer rows only the scored ones are predicted
DIGITS = 7  # significant ones of a number; a single-precision number has no more
DECIMALS = 6  # of leads, memory and activations, which may be differences of almost equal numbers

# Each table's columns and what they hold, as pandas reads them; Int64 may be missing.
TABLES = {
    "trials": {
        "seed": "int64", "learned": "int64", "sequence_accuracy": "float64", "step_accuracy": "float64",
        "final_loss": "float64", "first_learned_epoch": "Int64", "margin": "float64", "memory": "float64",
    },
    "predictions": {
        "seed": "int64", "sequence": "int64", "step": "int64", "input": "str", "target": "str", "predicted": "str",
        "activation": "float64", "lead": "float64", "scored": "int64", "right": "int64",
    },
    "confusion": {
        "seed": "int64", "sequence": "int64", "step": "int64", "input": "str", "target": "str", "predicted": "str",
    },
    "loss": {"epoch": "int64", "median": "float64", "p10": "float64", "p90": "float64"},
    "learned": {"epoch": "int64", "share_learned": "float64", "low": "float64", "high": "float64"},
    "remembered": {"epoch": "int64", "median": "float64", "p10": "float64", "p90": "float64"},
    "time_to_learn": {"epoch": "int64", "share_ever_learned": "float64", "low": "float64", "high": "float64"},
    "free_run": {"seed": "int64", "sequence": "int64", "prefix": "str", "following": "str"},
}  # fmt: skip


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
        """Of each seed: has it learned?"""
        return dict(zip(self.trials["seed"].tolist(), (self.trials["learned"] == 1).tolist()))


def outcome(settings: Settings, problem: Problem, table: UpdateTable, trained: Trained) -> Outcome:
    """Evaluate an arm's trials, and work out all that is told of them. `UserError` where a free run is not possible."""
    confidence, required_margin = settings.evaluation.confidence, settings.evaluation.margin
    said = predictions.answers(settings.model, trained.weights, table, np.any(shown_steps(table), axis=0))
    verdicts = _verdicts(said, table, required_margin)
    learned = verdicts.learned
    memory, margin = said.memory(table), said.margin(table.eval_mask)
    learned_at_checks = trained.learned_by(required_margin)
    epochs_to_learn = statistics.first_learned(trained.checks, learned_at_checks)
    losses = trained.losses.astype(np.float64)
    epochs = losses.shape[1]
    metrics = statistics.summary(verdicts, losses[:, -1], epochs_to_learn, epochs, confidence)
    metrics |= {
        "verdict_changes": statistics.changes_of_verdict(learned_at_checks),
        "memory_whole": whole_memory(table),
        "margin_required": required_margin,
    }
    metrics |= statistics.memory_summary(memory, learned, margin, confidence)
    metrics |= statistics.chance(*said.signal_and_bias(table))
    metrics |= _evaluated_otherwise(settings, problem, table, trained)
    metrics |= {"parameters": sum(array[0].size for array in trained.weights.values())}
    metrics |= {"updates": epochs * table.updates, "confidence": confidence}
    free_run = None
    if run := settings.evaluation.free_run:
        following = predictions.free_run(settings.model, trained.weights, problem, run)
        metrics |= predictions.recited(following, problem, run.prefix, learned)
        free_run = _free_run(problem, trained.seeds, following, run.prefix)
    trials = (trained.seeds, *verdicts, losses[:, -1], epochs_to_learn, margin, memory)
    every_epoch = np.arange(1, epochs + 1)
    curves = {
        "loss": (every_epoch, *statistics.loss_curves(losses).T),
        "learned": (trained.checks, *statistics.share_learned(learned_at_checks, confidence).T),
        "remembered": (trained.checks, *statistics.memory_curves(trained.memory).T),
        "time_to_learn": statistics.time_to_learn(epochs_to_learn, epochs, confidence)[0].T,
    }
    return Outcome(
        metrics={name: rounded(value) for name, value in metrics.items()},
        trials=typed_frame("trials", trials),
        predictions=_predictions(problem, table, trained.seeds, said),
        confusion=_confusion(problem, table, trained.seeds, said.predicted),
        free_run=free_run,
        **{name: typed_frame(name, columns) for name, columns in curves.items()},
    )


def whole_memory(table: UpdateTable) -> float | None:
    """Return all there is to remember, in bits: the entropy of the next symbol given the input, over the steps that
    need memory; None where no step needs it."""
    needed = table.eval_group >= 0
    counts = (table.candidates >= 0).sum(axis=1)[table.eval_group[needed]]
    return float(np.log2(counts / table.eval_frequency[needed]).mean()) if len(counts) else None


def shown_steps(table: UpdateTable) -> Bool[np.ndarray, "K L"]:
    """The evaluation steps that predictions are made and kept of: all, of long rows only what counts."""
    return table.eval_mask if table.eval_y.shape[1] > LONG else table.eval_position[:, :, 0] >= 0


def _verdicts(said: Answers, table: UpdateTable, margin: float) -> statistics.Verdicts:
    return statistics.verdicts(said.right(table, margin), table.eval_mask, table.eval_position[:, :, 0])


def _evaluated_otherwise(settings: Settings, problem: Problem, table: UpdateTable, trained: Trained) -> dict:
    """Success rate and memory by the other way of evaluating, where it is another: from a fresh state before each
    sequence (afresh), or with the resets and batches of training (stateful)."""
    stateful = not settings.evaluation.stateful
    other = encoding.make_table(problem, settings.encoding, settings.training, stateful)
    names = [name for name in vars(table) if name.startswith("eval_")]
    if all(np.array_equal(getattr(table, name), getattr(other, name)) for name in names):
        return {}
    said = predictions.answers(settings.model, trained.weights, other, np.any(other.eval_mask, axis=0))
    learned, *_ = _verdicts(said, other, settings.evaluation.margin)
    rate = statistics.success_rate(int(learned.sum()), len(learned), settings.evaluation.confidence)
    memory = np.nan_to_num(said.memory(other), nan=0.0)
    numbers: dict[str, int | float | None] = {"successes": int(learned.sum())}
    numbers |= zip(("success_rate", "success_rate_low", "success_rate_high"), rate)
    numbers["memory_median"] = float(np.median(memory)) if (other.eval_group >= 0).any() else None
    return {f"{'stateful' if stateful else 'afresh'}_{name}": value for name, value in numbers.items()}


def rounded(value: int | float | None) -> int | float | None:
    """A metric as it is written; None where it is not finite."""
    if not isinstance(value, float):
        return value
    if not np.isfinite(value):
        return None
    return round(float(f"{value:.{DIGITS}g}"), DECIMALS + 3)


def typed_frame(name: str, columns) -> pd.DataFrame:
    """A table of these columns, in the order and of the kinds that `TABLES` says, rounded."""
    kinds = TABLES[name]
    frame = pd.DataFrame(dict(zip(kinds, columns)), columns=list(kinds)).astype(kinds)
    for column in frame.select_dtypes("float"):
        digits = [float(f"{value:.{DIGITS}g}") for value in frame[column]]
        frame[column] = digits if column == "final_loss" or name == "loss" else np.round(digits, DECIMALS)
    return frame


def _predictions(problem: Problem, table: UpdateTable, seeds: Int[np.ndarray, " T"], said: Answers) -> pd.DataFrame:
    """What every trial said at each of `shown_steps`."""
    names, given, targets = _names(problem)
    scored = [problem.scored(sequence) for sequence in problem.evaluation_sequences]
    rows = (
        (
            seed,
            k + 1,
            step + 1,
            given[k][step],
            targets[k][step],
            symbol,
            said.activation[trial, row, t],
            said.lead[trial, row, t],
            scored[k][step],
            symbol == targets[k][step],
        )
        for trial, seed, k, step, row, t in _positions(table, seeds, shown_steps(table))
        for symbol in [names[said.predicted[trial, row, t]]]
    )
    return typed_frame("predictions", zip(*rows))


def _names(problem: Problem) -> tuple[list[str], list[list[str]], list[list[str]]]:
    """What the symbols are called: of the alphabet, of each evaluation sequence, and of its targets."""
    names = [symbols.name(symbol) for symbol in problem.alphabet]
    named = lambda sequence: [names[problem.index[symbol]] for symbol in sequence]
    sequences = problem.evaluation_sequences
    return names, list(map(named, sequences)), [named(problem.targets(sequence)) for sequence in sequences]


def _confusion(
    problem: Problem, table: UpdateTable, seeds: Int[np.ndarray, " T"], predicted: Int[np.ndarray, "T K L"]
) -> pd.DataFrame:
    """What each trial said at each step that needs memory."""
    names, given, targets = _names(problem)
    rows = (
        (seed, k + 1, step + 1, given[k][step], targets[k][step], names[predicted[trial, row, t]])
        for trial, seed, k, step, row, t in _positions(table, seeds, table.eval_group >= 0)
    )
    return typed_frame("confusion", zip(*rows))


def _positions(
    table: UpdateTable, seeds: Int[np.ndarray, " T"], shown: Bool[np.ndarray, "K L"]
) -> Iterator[tuple[int, ...]]:
    """Trial, seed, sequence, step, and where that is in the table (row, time), of every shown step."""
    positions = sorted((*table.eval_position[row, t].tolist(), row, t) for row, t in np.argwhere(shown).tolist())
    for trial, seed in enumerate(seeds.tolist()):
        for index in positions:
            yield trial, seed, *index


def _free_run(
    problem: Problem, seeds: Int[np.ndarray, " T"], following: Int[np.ndarray, "T K steps"], prefix: int
) -> pd.DataFrame:
    """following: the indices of the symbols that each trial says after the prefix."""
    said = lambda trial, k: [problem.alphabet[index] for index in following[trial, k]]
    rows = (
        (seed, k + 1, symbols.written(sequence[:prefix]), symbols.written(said(trial, k)))
        for trial, seed in enumerate(seeds)
        for k, sequence in enumerate(problem.evaluation_sequences)
    )
    return typed_frame("free_run", zip(*rows))


def write(folder: Path, result: Outcome) -> None:
    """metrics.json and a CSV file for each table, in an arm's folder."""
    for name in TABLES:
        if (frame := getattr(result, name)) is not None:
            files.write_text(folder / f"{name}.csv", frame.to_csv(index=False, lineterminator="\n"))
    files.write_json(folder / METRICS, result.metrics)


def read(folder: Path) -> Outcome:
    """What `write` has written; `UserError` where a file is missing or damaged."""
    frames = {name: read_table(folder, name) for name in TABLES if name != "free_run"}
    free_run = read_table(folder, "free_run") if (folder / "free_run.csv").exists() else None
    return Outcome(files.read_json(folder / METRICS), free_run=free_run, **frames)


def read_table(folder: Path, name: str) -> pd.DataFrame:
    path, kinds = folder / f"{name}.csv", TABLES[name]
    missing = {column: [""] for column, kind in kinds.items() if kind in ("float64", "Int64")}
    try:
        frame = pd.read_csv(
            io.StringIO(files.read_text(path)), dtype=kinds, keep_default_na=False, na_values=missing,
        )  # fmt: skip
        if list(frame.columns) != list(kinds):
            raise ValueError("other columns")
    except ValueError:  # pandas' own are ValueErrors too
        raise UserError(f"{path} is damaged: run dvc repro to make it anew") from None
    return frame
