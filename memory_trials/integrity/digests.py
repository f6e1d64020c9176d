"""What identifies a trained trial, in git: so that anyone can train it anew and see that it is the same."""

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
    """A digest for each of T trials: of its weights, losses, and of what each check found of it."""
    arrays = [*trained.weights.values(), trained.losses, *(getattr(trained, name) for name in FOUND)]
    arrays = [np.ascontiguousarray(array, array.dtype.newbyteorder("<")) for array in arrays]
    contents = (b"".join(array[trial].tobytes() for array in arrays) for trial in range(len(trained.seeds)))
    return [hashlib.sha256(content).hexdigest()[:LENGTH] for content in contents]


def recorded(model: ModelSettings, changes: dict[str, Any], trained: Trained) -> dict[str, Any]:
    """What is kept in git of an arm: its changes (which a search has found), first seed, and of each trial the digest;
    of a cell of the user's the final loss, since XLA's bits are the processor's."""
    kept: dict[str, Any] = {"changes": changes, "first_seed": int(trained.seeds[0])}
    cell = registry.find(model.cell)
    if cell and cell.engines and (cell.layout or forward.supports(model)):
        return kept | {"trials": "".join(of_trials(trained))}
    return kept | {"losses": [float(f"{loss:.6g}") for loss in trained.losses[:, -1].tolist()]}


def agree(kept: dict[str, Any], first: int, trained: Trained) -> list[bool]:
    """Whether each trial that was trained is the recorded one; the first of them has this index in an arm's record."""
    if "trials" in kept:
        found = of_trials(trained)
        expected = kept["trials"][LENGTH * first :]
        return [digest == expected[LENGTH * n : LENGTH * (n + 1)] for n, digest in enumerate(found)]
    losses = trained.losses[:, -1].tolist()
    return [abs(loss - kept) <= TOLERANCE * abs(kept) for loss, kept in zip(losses, kept["losses"][first:])]


def count(kept: dict[str, Any]) -> int:
    """How many trials an arm's record holds."""
    return len(kept["losses"]) if "losses" in kept else len(kept["trials"]) // LENGTH


def read(path: Path) -> dict[str, dict[str, Any]]:
    """The records of a study's arms by name; `UserError` where they are damaged."""
    content = files.read_json(path)
    try:
        for kept in content.values():
            if not isinstance(kept["first_seed"], int) or count(kept) < 1 or not isinstance(kept["changes"], dict):
                raise ValueError
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UserError(f"{path} is damaged: take it from git again, or run dvc repro") from None
    return content
