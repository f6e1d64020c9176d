"""The fully recurrent network that the paper of 1997 compares with: logistic hidden units that see the inputs and one
another, under outputs that see inputs and hidden units. Its equations are those of engines/fully_recurrent.h."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from memory_trials.cells.interface import Cell, Layout, Shapes
from memory_trials.sections import Section


class Options(Section):
    """bias: whether hidden units and outputs have one. weights: drawn uniformly within +- this."""

    bias: bool = False
    weights: Annotated[float, Field(gt=0, le=1000)] = 0.2


def shapes(units: int, options: Options, inputs: int, outputs: int) -> Shapes:
    return {
        "cell/kernel": (inputs, units),
        "cell/recurrent_kernel": (units, units),
        "cell/bias": (units if options.bias else 0,),
        "output/kernel": (units, outputs),
        "output/input_kernel": (inputs, outputs),
        "output/bias": (outputs if options.bias else 0,),
    }


def setting(options: Options) -> dict[str, int | float]:
    return {"through": True, "recurrent": True, "cell_bias": options.bias, "output_bias": options.bias}


CELL = Cell(engines=("streaming",), layout=Layout(Options, shapes, setting, lambda units, options: units))
