"""What trained trials predict, from their weights: the ground of every verdict."""

import numpy as np

from memory_trials import forward
from memory_trials.config import ModelSettings


def activations(settings: ModelSettings, weights: dict[str, np.ndarray], x: np.ndarray, symbols: int) -> np.ndarray:
    """Output activations [T, K, L, symbols] of T trials for K sequences x [K, L, inputs], each from a fresh state.

    weights: the model's variables by name, each [T, ...]. The built-in cells are computed by `forward`;
    a cell of the user's, or one with other activations, by Keras (seconds slower, for its import).
    """
    if forward.knows(settings):
        return forward.activations(settings, weights, x)
    from memory_trials import cells

    return cells.predict(cells.make_model(settings, x.shape[-1], symbols), list(weights.values()), x).numpy()
