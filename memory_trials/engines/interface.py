"""What an engine is: a program that trains batches of trials of one setting, and is entered again and again.

Two engines keep to it: `native` (a small program in C, for the built-in cells) and `xla` (any Keras cell).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

import numpy as np

from memory_trials.tasks.encoding import UpdateTable

if TYPE_CHECKING:
    from jaxtyping import Float32, Int, Shaped


@runtime_checkable
class State(Protocol):
    """Trials on their way: all that training needs to go on from where they are."""

    def arrays(self) -> dict[str, Shaped[np.ndarray, "T ..."]]:
        """By name: rows of them are some of the trials."""
        ...


SomeState = TypeVar("SomeState", bound=State)  # an engine's own


@runtime_checkable
class Program(Protocol[SomeState]):
    """A model, how it is trained, and on which table. Nothing in it changes, so threads may run it side by side.

    names: the model's variables. capacity: how many checks one call takes at most.
    """

    table: UpdateTable
    names: list[str]
    capacity: int

    def start(self, weights: list[Float32[np.ndarray, "T ..."]]) -> SomeState:
        """Trials before their first epoch, from their initial weights in the order of `names`."""
        ...

    def resume(self, arrays: dict[str, Shaped[np.ndarray, "T ..."]]) -> SomeState:
        """Trials from the arrays of a state, or from some rows of them."""
        ...

    def run(
        self, state: SomeState, checks: Int[np.ndarray, " C"], order: Int[np.ndarray, "T E U"] | None
    ) -> tuple[Float32[np.ndarray, "T E"], dict[str, Shaped[np.ndarray, "T C"]]]:
        """Train E = checks[-1] epochs, evaluating the trials after each of the checks; the state moves on.

        order: None, or the order in which each trial takes the updates of each epoch. Returns losses, and learned,
        margin and memory, as in `trained.Trained`.
        """
        ...

    def weights(self, state: SomeState) -> list[Float32[np.ndarray, "T ..."]]:
        """The trained weights, as `start` takes them."""
        ...
