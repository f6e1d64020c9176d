"""What training leaves of an arm: the weights, losses and verdicts of every trial, and their file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from memory_trials import files
from memory_trials.errors import UserError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Int64

FORMAT = "memory-trials trained 2"
FOUND = {"learned": np.bool_, "margin": np.float32, "memory": np.float32}  # what a check finds of a trial


@dataclass(frozen=True)
class Trained:
    """What training leaves behind, for T trials, E epochs and C checks.

    weights: the model's variables by name, in the model's order. losses: per epoch, the mean over its updates of the
    loss just before the update (what Keras's fit reports). checks: the epochs after which the trials were evaluated.
    What was found then, by the engine that trains: learned, every scored step right; margin, the least lead of a right
    output over the best wrong one; memory in bits, as `predictions.memory_bits` defines it (NaN where no step needs
    memory).

    Of a stream an epoch is one sequence, losses [T, C] are mean absolute errors at the checks, learned tells who has
    met the task's first criterion by then, margin and memory are NaN, and met_criterion_at holds, for each criterion
    by name, after how many sequences each trial met it (0: never); the file calls it until.
    """

    seeds: Int64[np.ndarray, " T"]
    weights: dict[str, Float32[np.ndarray, "T ..."]]
    losses: Float32[np.ndarray, "T E"]
    checks: Int64[np.ndarray, " C"]
    learned: Bool[np.ndarray, "T C"]
    margin: Float32[np.ndarray, "T C"]
    memory: Float32[np.ndarray, "T C"]
    met_criterion_at: dict[str, Int64[np.ndarray, " T"]] = field(default_factory=dict)

    @property
    def loss_epochs(self) -> Int64[np.ndarray, " E"]:
        """The epochs of `losses`: all; of a stream, those of the checks."""
        count = self.losses.shape[1]
        return self.checks if count == len(self.checks) else np.arange(1, count + 1)

    def learned_by(self, margin: float) -> Bool[np.ndarray, "T C"]:
        """Return which trials learned, with at least this lead."""
        return self.learned & (self.margin >= margin)


HISTORY = ("seeds", "losses", "checks", *FOUND)


def write_trained(path: Path, trained: Trained, settings: dict) -> None:
    weights = {f"weights/{name}": array for name, array in trained.weights.items()}
    weights |= {f"until/{name}": array for name, array in trained.met_criterion_at.items()}
    history = {name: getattr(trained, name) for name in HISTORY}
    files.write_arrays(path, FORMAT, history | weights, settings)


def read_trained(path: Path) -> tuple[dict, Trained]:
    """Read the settings (problem, encoding, model, training, evaluation.interval) and the result of training."""
    settings, arrays = files.read_arrays(path, FORMAT, HISTORY)
    weights, met = files.section(arrays, "weights/"), files.section(arrays, "until/")
    trained = Trained(weights=weights, met_criterion_at=met, **{name: arrays[name] for name in HISTORY})
    trials = len(trained.seeds)
    shapes_agree = (
        all(len(array) == trials for array in (trained.losses, *weights.values(), *met.values()))
        and all(arrays[name].shape == (trials, *trained.checks.shape) for name in FOUND)
        and weights
    )
    if not shapes_agree:
        raise UserError(f"{path} is damaged (its arrays do not fit together): run dvc repro to make it anew")
    return settings, trained
