"""What a cell is, whatever library it was written in: three pure functions on trees of JAX's arrays.

Libraries' cells are made such by `adapters`; a person's own object, class or module with these three functions is one
already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Params = Any  # trees of arrays
State = Any
FUNCTIONS = ("init", "initial_state", "step")


@dataclass(frozen=True)
class Cell:
    """A recurrent cell of a fixed size.

    init: (key, inputs) -> params, one trial's weights. initial_state: (params, batch) -> state, arrays [batch, ...].
    step: (params, state, x [batch, inputs], key) -> (state, y [batch, width]); key is None when nothing random may
    happen, which is so whenever a trial is evaluated. random: training needs the key. names: of the arrays in params,
    in the order in which JAX flattens them; None: by their places in the tree. draw: (seeds) -> the arrays of params,
    stacked over seeds, where these are not drawn by `init`. drawn_before: integers that the cell draws from a seed
    before the output layer's turn comes. check: looks for all that trials cannot share, where
    `step_checks` is not what does.
    call_sequence: (params, x [batch, steps, inputs]) -> y [batch, steps, width], what all steps from the initial state
    come to, of a cell that computes them quicker at once; streams are trained and tested by it.
    """

    init: Callable[[Any, int], Params]
    initial_state: Callable[[Params, int], State]
    step: Callable[..., tuple[State, Any]]
    random: bool = False
    names: Sequence[str] | None = None
    draw: Callable[[Sequence[int]], list[np.ndarray]] | None = None
    drawn_before: int = 0
    check: Callable[[], None] | None = None
    call_sequence: Callable[..., Any] | None = None
