"""A trial's weights one after another in one row, and apart again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float32


def joined(
    weights: Sequence[Float32[np.ndarray, "T ..."]], shapes: Sequence[tuple[int, ...]]
) -> Float32[np.ndarray, "T P"]:
    """Return the P weights of each of T trials as one array [T, P].

    Raises:
        ValueError: They do not have these shapes.
    """
    trials = len(weights[0])
    if [array.shape for array in weights] != [(trials, *shape) for shape in shapes]:
        raise ValueError(f"weights are {[array.shape for array in weights]}, not [T, *] of {shapes}")
    return np.concatenate([np.reshape(array, (trials, -1)) for array in weights], axis=1, dtype=np.float32)


def parted(parameters: Float32[np.ndarray, "T P"], shapes: Iterable[tuple[int, ...]]) -> list[np.ndarray]:
    """Return the inverse of `joined`: an array [T, *shape] for each shape."""
    shapes = list(shapes)
    ends = np.cumsum([prod(shape) for shape in shapes])
    parts = np.split(parameters, ends[:-1], axis=1)
    return [array.reshape(-1, *shape) for array, shape in zip(parts, shapes)]
