"""The picture: a PNG, the same bytes for the same numbers, drawn for any outcome."""

import numpy as np
import pytest

from memory_trials.figures import answer
from memory_trials.statistics import loss_curves, share_learned


@pytest.mark.parametrize("successes", [0, 1, 3])
def test_the_picture_is_drawn_for_any_outcome_and_always_alike(successes):
    losses = np.random.default_rng(0).uniform(size=(3, 40)).astype(np.float32)
    checks = np.array([10, 20, 40])
    learned = np.arange(3)[:, np.newaxis] < np.array([0, successes, successes])
    drawn = [
        answer(
            f"memory learned in {successes} of 3 trials",
            losses,
            loss_curves(losses),
            checks,
            share_learned(learned, 0.95),
            0.95,
        )
        for _ in range(2)
    ]
    assert drawn[0].startswith(b"\x89PNG") and drawn[0] == drawn[1]
