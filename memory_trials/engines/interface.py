"""What an engine promises: a program that trains a shard of trials, and is entered again and again.

Every engine's program keeps to `Program`, and besides to one of two protocols, or to both: `TableProgram` trains on a
table of updates, every epoch the same (native, xla); `StreamProgram` trains on sequences that are new each time
(streaming). What happens around them is the same whatever the engine, and is none of its business: drawing sequences,
criteria, checkpoints, threads and clusters belong to `memory_trials.training`.

Three rules hold for all of them, and tests/engines check them:

- A trial depends on no other. Its bits are the same whatever trials share its shard, so rows of a state's arrays
  are a state too, in any order.
- A state's arrays are all that training needs to go on: after `resume(state.arrays())` it goes on to the same bits,
  also in another process.
- A program never changes after it was made, so threads may run it side by side, each with a state of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np

from memory_trials.tasks.encoding import UpdateTable
from memory_trials.tasks.interface import Criterion, Sequences, Shape

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Int, Shaped


@runtime_checkable
class State(Protocol):
    """Trials on their way, in whatever form the engine keeps them."""

    def arrays(self) -> dict[str, Shaped[np.ndarray, "T ..."]]:
        """Return all that training needs to go on, by name: one row for each trial."""
        ...


SomeState = TypeVar("SomeState", bound=State)  # an engine's own


@runtime_checkable
class Program(Protocol[SomeState]):
    """A model, how it is trained, and the shape of what it is trained on.

    names: the model's variables, in the order in which `start` takes and `weights` returns them.
    """

    names: list[str]

    def start(self, weights: list[Float32[np.ndarray, "T ..."]]) -> SomeState:
        """Return T trials before their first update.

        Args:
            weights: initial values of each variable, in the order of `names`, one row for each trial.
        """
        ...

    def resume(self, arrays: dict[str, Shaped[np.ndarray, "T ..."]]) -> SomeState:
        """Return trials from where they were.

        Args:
            arrays: what `State.arrays` returned, or the same rows of each; the state may take them as its own.
        """
        ...

    def weights(self, state: SomeState) -> list[Float32[np.ndarray, "T ..."]]:
        """Return the weights as they are now, as `start` takes them."""
        ...


@runtime_checkable
class TableProgram(Program[SomeState], Protocol[SomeState]):
    """Trains on a table of updates, and evaluates the trials on the table's evaluation rows.

    table: what an epoch consists of. capacity: the largest number of checks in one call of `run`.
    """

    table: UpdateTable
    capacity: int

    def run(
        self, state: SomeState, checks: Int[np.ndarray, " C"], order: Int[np.ndarray, "T E U"] | None
    ) -> tuple[Float32[np.ndarray, "T E"], dict[str, Shaped[np.ndarray, "T C"]]]:
        """Train E = checks[-1] more epochs, and evaluate the trials after each of the checks; the state moves on.

        Args:
            state: the trials; it is changed in place.
            checks: ascending numbers of epochs from 1, counted from where the state is.
            order: in which order each trial takes the updates of each epoch; None: as they are in the table.

        Returns:
            The losses [T, E], for each epoch the mean over its updates of the loss just before the update; and what
            each check found, [T, C] each: learned (bool), margin and memory (float32), as `trained.Trained` defines
            them.
        """
        ...


class Errors(NamedTuple):
    """Of each sequence, as the outputs were before anything was learned from it.

    worst: the largest absolute error of an output at a scored step. absolute, squared: means over scored steps and
    outputs. right: at every scored step the target (or all symbols that are possible) was more active than every
    other output. NaN and wrong where there was no sequence.
    """

    worst: Float32[np.ndarray, "T N"]
    absolute: Float32[np.ndarray, "T N"]
    squared: Float32[np.ndarray, "T N"]
    right: Bool[np.ndarray, "T N"]

    def meet(self, criterion: Criterion) -> Bool[np.ndarray, "T N"]:
        """Return which sequences are right by what the criterion asks of one."""
        return self.right if criterion.judged == "most_active" else self.worst < criterion.tolerance


@runtime_checkable
class StreamProgram(Program[SomeState], Protocol[SomeState]):
    """Trains each trial on sequences of its own, and tests it on others with frozen weights.

    shape: inputs, outputs and scored steps of these sequences.
    """

    shape: Shape

    def train(self, state: SomeState, sequences: Sequences, dormant: bool = False) -> Errors:
        """Train each trial on its N sequences, one after another, each from a fresh state of the cell.

        Args:
            state: the trials; it is changed in place.
            sequences: N for each trial.
            dormant: train as if there were no cell: outputs see inputs alone, and no other weight moves. An engine
                whose cells are always there refuses it with `UserError`.

        Returns:
            The errors of each sequence, with the weights as they were before it was learned from.
        """
        ...

    def test(self, state: SomeState, sequences: Sequences, last_step_only: bool = False) -> Errors:
        """Return the errors of each trial, with the weights it has now, on its sequences.

        Args:
            state: the trials; nothing of it changes.
            sequences: N for each trial.
            last_step_only: score the last step of each sequence, whatever else the task scores.
        """
        ...
