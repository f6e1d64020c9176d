"""What training and evaluation leave of an arm: names of files, reading and writing."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from memory_trials import artifacts
from memory_trials.encoding import Table
from memory_trials.errors import UserError
from memory_trials.problems import Problem

METRICS, TRIALS, PREDICTIONS = "metrics.json", "trials.csv", "predictions.csv"
LOSS, LEARNED, FIGURE = "loss.csv", "learned.csv", "answer.png"
TIME_TO_LEARN, FREE_RUN = "time_to_learn.csv", "free_run.csv"
FORMAT = "memory-trials trained 1"
LONG = 50


@dataclass(frozen=True)
class Trained:
    """What training leaves behind, for T trials, E epochs and C checks.

    seeds [T] int64. weights: the model's variables by name, in the model's order, each [T, ...] float32.
    losses [T, E] float32: per epoch, the mean over its updates of the loss just before the update (what
    Keras's fit reports). checks [C] int64: the epochs after which the trials were asked; learned [T, C]
    bool: their verdicts.
    """

    seeds: np.ndarray
    weights: dict[str, np.ndarray]
    losses: np.ndarray
    checks: np.ndarray
    learned: np.ndarray


def write_trained(path: Path, trained: Trained, settings: dict) -> None:
    weights = {f"weights/{name}": array for name, array in trained.weights.items()}
    history = {name: getattr(trained, name) for name in ("seeds", "losses", "checks", "learned")}
    artifacts.write_arrays(path, FORMAT, history | weights, settings)


def read_trained(path: Path) -> tuple[dict, Trained]:
    """The settings (problem, encoding, model, training, evaluation.every) and the result of training."""
    history = ("seeds", "losses", "checks", "learned")
    settings, arrays = artifacts.read_arrays(path, FORMAT, history)
    weights = {name.removeprefix("weights/"): array for name, array in arrays.items() if name.startswith("weights/")}
    trained = Trained(weights=weights, **{name: arrays[name] for name in history})
    trials = len(trained.seeds)
    shapes_agree = (
        all(len(array) == trials for array in (trained.losses, trained.learned, *weights.values()))
        and trained.learned.shape[1:] == trained.checks.shape
        and weights
    )
    if not shapes_agree:
        raise UserError(f"{path} is damaged (its arrays do not fit together): run dvc repro to make it anew")
    return settings, trained


def shown_steps(table: Table) -> np.ndarray:
    """[K, L] bool: the asked steps that predictions are made and kept of: all, of long flows only what counts."""
    return table.judge_scored if table.judge_y.shape[1] > LONG else table.judge_at[:, :, 0] >= 0


def write_predictions(
    folder: Path, problem: Problem, table: Table, seeds: np.ndarray, predicted: np.ndarray, activations: np.ndarray
) -> None:
    """predictions.csv: what every trial said at each of `shown_steps`; predicted, activations [T, K, L]."""
    header = ("seed", "sequence", "step", "input", "target", "predicted", "activation", "scored", "right")
    asked = [problem.scored(sequence) for sequence in problem.asked]
    places = [(*table.judge_at[flow, t], flow, t) for flow, t in np.argwhere(shown_steps(table))]
    rows = (
        (seed, k + 1, step + 1, problem.asked[k][step], problem.asked[k][step + 1], symbol,
         f"{activations[trial, flow, t]:.6f}", int(asked[k][step]), int(symbol == problem.asked[k][step + 1]))
        for trial, seed in enumerate(seeds)
        for k, step, flow, t in sorted(places)
        for symbol in [problem.alphabet[predicted[trial, flow, t]]]
    )  # fmt: skip
    artifacts.write_csv(folder / PREDICTIONS, header, rows)


def write_free_run(folder: Path, problem: Problem, seeds: np.ndarray, following: np.ndarray, prefix: int) -> None:
    """free_run.csv: following [T, K, steps], the places of the symbols that each trial says after the prefix."""
    written = lambda symbols: " ".join(str(symbol) for symbol in symbols)
    rows = (
        (seed, k + 1, written(sequence[:prefix]), written(problem.alphabet[place] for place in following[trial, k]))
        for trial, seed in enumerate(seeds)
        for k, sequence in enumerate(problem.asked)
    )
    artifacts.write_csv(folder / FREE_RUN, ("seed", "sequence", "prefix", "following"), rows)


def write_curves(
    folder: Path,
    loss_curves: np.ndarray,
    checks: np.ndarray,
    shares: np.ndarray,
    time_to_learn: np.ndarray,
    confidence: float,
) -> None:
    """loss.csv, learned.csv and time_to_learn.csv, which `dvc plots show` draws.

    loss_curves [E, 3], checks [C], shares [C, 3], time_to_learn [N, 4]: as `statistics` computes them.
    """
    rows = ((epoch, *row) for epoch, row in enumerate(loss_curves.tolist(), 1))
    artifacts.write_csv(folder / LOSS, ("epoch", "median", "p10", "p90"), rows)
    rows = ((check, *row, confidence) for check, row in zip(checks.tolist(), shares.tolist()))
    artifacts.write_csv(folder / LEARNED, ("epoch", "share_learned", "low", "high", "confidence"), rows)
    header = ("epoch", "share_ever_learned", "low", "high")
    artifacts.write_csv(folder / TIME_TO_LEARN, header, ((int(row[0]), *row[1:]) for row in time_to_learn.tolist()))
