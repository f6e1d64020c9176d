"""Digests of trained trials, in git, so that anyone can train a trial again and see that it is the same."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from memory_trials import files
from memory_trials.cells import registry
from memory_trials.errors import UserError
from memory_trials.models import forward
from memory_trials.settings import ModelSettings
from memory_trials.training.trained import FOUND, Trained

LENGTH = 12  # hexadecimal digits of a trial's digest: two trials of 100,000 agree by chance once in 50,000 tries
TOLERANCE = 1e-3  # of the final loss, relative: another processor's XLA rounds otherwise


def of_trials(trained: Trained) -> list[str]:
    """Return a digest for each of T trials: of its weights, its losses, and the results of its checks."""
    arrays = [*trained.weights.values(), trained.losses, *(getattr(trained, name) for name in FOUND)]
    arrays = [np.ascontiguousarray(array, array.dtype.newbyteorder("<")) for array in arrays]
    contents = (b"".join(array[trial].tobytes() for array in arrays) for trial in range(len(trained.seeds)))
    return [hashlib.sha256(content).hexdigest()[:LENGTH] for content in contents]


def recorded(model: ModelSettings, changes: dict[str, Any], trained: Trained) -> dict[str, Any]:
    """Return what git keeps of an arm: its changes, its first seed, and the digest of each trial.

    Of a cell of the user's it also keeps the final losses, since XLA's bits depend on the processor.
    """
    kept: dict[str, Any] = {"changes": changes, "first_seed": int(trained.seeds[0])}
    cell = registry.find(model.cell)
    if cell and cell.engines and (cell.layout or forward.supports(model)):
        return kept | {"trials": "".join(of_trials(trained))}
    return kept | {"losses": [float(f"{loss:.6g}") for loss in trained.losses[:, -1].tolist()]}


def agree(kept: dict[str, Any], first: int, trained: Trained) -> list[bool]:
    """Return whether each trained trial is the recorded one.

    Args:
        kept: The record of the arm.
        first: The index of the first trained trial in the record.
        trained: The trained trials.
    """
    if "trials" in kept:
        found = of_trials(trained)
        expected = kept["trials"][LENGTH * first :]
        return [digest == expected[LENGTH * n : LENGTH * (n + 1)] for n, digest in enumerate(found)]
    losses = trained.losses[:, -1].tolist()
    return [abs(loss - kept) <= TOLERANCE * abs(kept) for loss, kept in zip(losses, kept["losses"][first:])]


def count(kept: dict[str, Any]) -> int:
    """Return the number of trials in an arm's record."""
    return len(kept["losses"]) if "losses" in kept else len(kept["trials"]) // LENGTH


def read(path: Path) -> dict[str, dict[str, Any]]:
    """Read the records of a study's arms, by their names.

    Raises:
        UserError: The file is damaged.
    """
    content = files.read_json(path)
    try:
        for kept in content.values():
            if not isinstance(kept["first_seed"], int) or count(kept) < 1 or not isinstance(kept["changes"], dict):
                raise ValueError
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UserError(f"{path} is damaged: take it from git again, or run dvc repro") from None
    return content
