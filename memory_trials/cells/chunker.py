"""The neural sequence chunker of Schmidhuber 1992: two fully recurrent networks, of which the first, the automatizer,
has outputs besides that imitate the second's hidden units. Its equations are those of engines/chunker.h."""

from __future__ import annotations

from memory_trials.cells import fully_recurrent
from memory_trials.cells.fully_recurrent import Options
from memory_trials.cells.interface import Cell, Layout, Shapes


def shapes(units: int, options: Options, inputs: int, outputs: int) -> Shapes:
    net = fully_recurrent.shapes(units, options, inputs, outputs)
    of_cell = {name: shape for name, shape in net.items() if name.startswith("cell/")}
    chunker = {f"chunker/{name.replace('/', '_')}": shape for name, shape in net.items()}
    imitation = {
        "imitation/kernel": (units, units),
        "imitation/input_kernel": (inputs, units),
        "imitation/bias": (units if options.bias else 0,),
    }
    return of_cell | chunker | imitation | {name: shape for name, shape in net.items() if name not in of_cell}


def state_size(units: int, options: Options) -> int:
    """Of the hidden units of both networks, and the latest input of the second."""
    return 2 * units + 1


CELL = Cell(
    engines=("streaming",),
    predicts_its_input=True,
    layout=Layout(Options, shapes, fully_recurrent.setting, state_size),
)
