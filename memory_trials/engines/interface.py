"""What an engine is: a program that trains batches of trials of one setting, and is entered again and again.

Two engines keep to it: `native` (a small program in C, for the built-in cells) and `xla` (any Keras cell).
"""

from typing import Protocol

import numpy as np

from memory_trials.tasks.encoding import UpdateTable


class State(Protocol):
    """Trials on their way: all that training needs to go on from where they are."""

    def arrays(self) -> dict[str, np.ndarray]:
        """By name, each [T, ...]: rows of them are some of the trials."""
        ...


class Program(Protocol):
    """A model, how it is trained, and on which table. Nothing in it changes, so threads may run it side by side.

    names: the model's variables. capacity: how many checks one call takes at most.
    """

    table: UpdateTable
    names: list[str]
    capacity: int

    def start(self, weights: list[np.ndarray]) -> State:
        """Trials before their first epoch, from their initial weights, each [T, ...] in the order of `names`."""
        ...

    def resume(self, arrays: dict[str, np.ndarray]) -> State:
        """Trials from the arrays of a state, or from some rows of them."""
        ...

    def run(
        self, state: State, checks: np.ndarray, order: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Train checks[-1] epochs, evaluating the trials after each of the checks; the state moves on.

        order: None, or the order in which each trial takes the updates of each epoch [T, checks[-1], U]. Returns
        losses [T, checks[-1]], and learned, margin and memory [T, len(checks)] as in `trained.Trained`.
        """
        ...

    def weights(self, state: State) -> list[np.ndarray]:
        """The trained weights, as `start` takes them."""
        ...
