"""The memory cell as Hochreiter & Schmidhuber published it in 1997, "Long Short-Term Memory": without a forget gate.

The units of a layer are the blocks' input gates, their output gates, and the cells, block by block; they are the
columns of its kernels. Its equations are those of engines/memory_cell.h.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from memory_trials.cells.interface import OUTPUTS, Cell, Layout, Shapes
from memory_trials.sections import Section

Biases = list[float] | Literal["random"] | None  # one for each block; drawn like weights; none
RANGES = {"equations": (2, 1), "caption": (1, 2), "plain": (1, 1)}  # of g and h


class Options(Section):
    """Of the memory cell; `model.units` are its cells, in blocks that share their gates.

    connected: F, where cells and gates see the inputs, all cells and all gates, and outputs see the cells; C, the same
    without the gates as sources; or B, where cells and gates see the inputs alone, and outputs see inputs and cells.
    squashing: as the paper's equations have it (g from -2 to 2, h from -1 to 1), as its table's caption (g from -1 to
    1, h from -2 to 2), or plain (g from 0 to 1, h the identity). biases: of cells, of output units. weights: drawn
    uniformly within +- this.
    added: the cells are there at first, or later: once the error of outputs that see only inputs stops to decrease.
    """

    block_size: Annotated[int, Field(ge=1, le=100)] = 1
    connected: Literal["F", "B", "C"] = "F"
    output_gate: bool = True
    input_gate_bias: Biases = None
    output_gate_bias: Biases = None
    cell_bias: bool = False
    output_bias: bool = False
    squashing: Literal["equations", "caption", "plain"] = "equations"
    weights: Annotated[float, Field(gt=0, le=1000)] = 0.1
    added: Literal["at_first", "later"] = "at_first"


def check(units: int, options: Options) -> None:
    blocks, rest = divmod(units, options.block_size)
    if rest:
        raise ValueError(f"{units} units make no whole blocks of {options.block_size}")
    for name in ("input_gate_bias", "output_gate_bias"):
        biases = getattr(options, name)
        if isinstance(biases, list) and len(biases) != blocks:
            raise ValueError(f"cell_options.{name} has {len(biases)} numbers for {blocks} blocks")
    if options.added == "later" and options.connected != "B":
        raise ValueError("cell_options.added is later, and outputs see cells alone: set connected: B")
    if options.output_gate_bias is not None and not options.output_gate:
        raise ValueError("cell_options.output_gate_bias is set, and output_gate is false")


def columns_of(units: int, options: Options) -> int:
    """Return how many units a layer has: its gates and cells."""
    return units + (1 + options.output_gate) * (units // options.block_size)


def sources(units: int, options: Options) -> int:
    """Return how many units of the step before cells and gates see."""
    return {"F": columns_of(units, options), "C": units, "B": 0}[options.connected]


def state_size(units: int, options: Options) -> int:
    """Of the cells' own states, and the units of the step before that are seen."""
    return units + sources(units, options)


def shapes(units: int, options: Options, inputs: int, outputs: int) -> Shapes:
    columns = columns_of(units, options)
    return {
        "cell/kernel": (inputs, columns),
        "cell/recurrent_kernel": (sources(units, options), columns),
        "cell/bias": (sum(size for size, _ in _biased(units, options)),),
        "output/kernel": (units, outputs),
        "output/input_kernel": (inputs if options.connected == "B" else 0, outputs),
        "output/bias": (outputs if options.output_bias else 0,),
    }


def set_biases(weights: dict[str, np.ndarray], units: int, options: Options) -> None:
    first = 0
    for size, biases in _biased(units, options):
        if isinstance(biases, list):
            weights["cell/bias"][:, first : first + size] = biases
        first += size


def _biased(units: int, options: Options) -> list[tuple[int, Biases]]:
    """Of the units that have a bias, in their order: how many there are of a kind, and what their biases begin with."""
    blocks = units // options.block_size
    kinds: list[tuple[int, Biases]] = [
        (blocks, options.input_gate_bias),
        (blocks, options.output_gate_bias),
        (units, "random" if options.cell_bias else None),
    ]
    return [(size, biases) for size, biases in kinds if biases is not None]


def setting(options: Options) -> dict[str, int | float]:
    range_of_g, range_of_h = RANGES[options.squashing]
    return {
        "range_of_g": range_of_g,
        "range_of_h": range_of_h,
        "through": options.connected == "B",
        "output_bias": options.output_bias,
        "block_size": options.block_size,
        "recurrent": options.connected != "B",
        "sees_gates": options.connected == "F",
        "output_gate": options.output_gate,
        "plain": options.squashing == "plain",
        "input_gate_bias": options.input_gate_bias is not None,
        "output_gate_bias": options.output_gate_bias is not None,
        "cell_bias": options.cell_bias,
    }


CELL = Cell(
    engines=("streaming",),
    outputs=(*OUTPUTS, "linear"),
    layout=Layout(Options, shapes, setting, state_size, check, set_biases),
)
