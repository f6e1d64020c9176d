"""The cells of Hochreiter & Schmidhuber (1997), "Long Short-Term Memory": their weights, and what these begin with.

The units of a memory cell's layer are the blocks' input gates, their output gates, and the cells, block by block; they
are the columns of its kernels. A fully recurrent layer has hidden units alone. A chunker is two of those with their
outputs, and outputs of the first, the automatizer, that imitate the second's hidden units. Initial weights are drawn
from the generator of `models.initializers`, keyed by the seed: the same on every machine.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from memory_trials.models import flat, initializers
from memory_trials.settings import PUBLISHED_CELLS, Biases, MemoryCellOptions, ModelSettings
from memory_trials.tasks.interface import Shape

if TYPE_CHECKING:
    from jaxtyping import Float32, Int

GUESSED = 100.0  # guessed weights are within +- this


def weight_shapes(model: ModelSettings, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    """By name, in the order in which weights are kept; what a model does not have is left out."""
    if model.cell not in PUBLISHED_CELLS:
        return _keras_shapes(model, inputs, outputs)
    options = model.published_options
    if isinstance(options, MemoryCellOptions):
        units = model.units + (1 + options.output_gate) * (model.units // options.block_size)
        recurrent, through = {"F": units, "C": model.units, "B": 0}[options.connected], options.connected == "B"
        biased, output_bias = sum(size for size, _ in hidden_biases(model.units, options)), options.output_bias
    else:
        units, recurrent, through = model.units, model.units, True
        biased, output_bias = model.units if options.bias else 0, options.bias
    shapes = {
        "cell/kernel": (inputs, units),
        "cell/recurrent_kernel": (recurrent, units),
        "cell/bias": (biased,),
        **(_chunker_shapes(model, inputs, outputs) if model.cell == "chunker" else {}),
        "output/kernel": (model.units, outputs),
        "output/input_kernel": (inputs if through else 0, outputs),
        "output/bias": (outputs if output_bias else 0,),
    }
    return {name: shape for name, shape in shapes.items() if prod(shape)}


def _chunker_shapes(model: ModelSettings, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    """What a chunker has besides its automatizer."""
    net = weight_shapes(model.model_copy(update={"cell": "fully_recurrent"}), inputs, outputs)
    imitation = {"kernel": (model.units,), "input_kernel": (inputs,)} | ({"bias": ()} if "output/bias" in net else {})
    return {f"chunker/{name.replace('/', '_')}": shape for name, shape in net.items()} | {
        f"imitation/{name}": (*shape, model.units) for name, shape in imitation.items()
    }


def _keras_shapes(model: ModelSettings, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    gates = initializers.GATES[model.cell] * model.units
    return {
        "cell/kernel": (inputs, gates),
        "cell/recurrent_kernel": (model.units, gates),
        "cell/bias": (2, gates) if model.cell == "gru" else (gates,),
        "output/kernel": (model.units, outputs),
        "output/bias": (outputs,),
    }


def weight_count(model: ModelSettings, inputs: int, outputs: int) -> int:
    return sum(map(prod, weight_shapes(model, inputs, outputs).values()))


def hidden_biases(cells: int, options: MemoryCellOptions) -> list[tuple[int, Biases]]:
    """Of the units that have a bias, in their order: how many there are of a kind, and what their biases begin with."""
    blocks = cells // options.block_size
    kinds = [
        (blocks, options.input_gate_bias),
        (blocks, options.output_gate_bias),
        (cells, "random" if options.cell_bias else None),
    ]
    return [(size, biases) for size, biases in kinds if biases is not None]


def guesses(
    model: ModelSettings, shape: Shape, seeds: Int[np.ndarray, " T"], number: int
) -> list[Float32[np.ndarray, "T ..."]]:
    """Each trial's guess of this number, from 0: all weights and biases uniform within +-100, whatever options say, and
    none of them learned (Schmidhuber & Hochreiter 1996, "Guessing can outperform many long time lag algorithms")."""
    shapes = weight_shapes(model, shape.inputs, shape.outputs)
    return flat.parted(initializers.uniform(GUESSED, sum(map(prod, shapes.values())), seeds, number), shapes.values())


def initial_weights(
    model: ModelSettings, inputs: int, outputs: int, seeds: Int[np.ndarray, " T"]
) -> list[Float32[np.ndarray, "T ..."]]:
    """As `weight_shapes` names them: uniform within +-options.weights, but for the biases that options give; of lstm,
    gru and simple_rnn, Keras's."""
    if model.cell not in PUBLISHED_CELLS:
        return initializers.initial_weights(model, inputs, outputs, seeds)
    options, shapes = model.published_options, weight_shapes(model, inputs, outputs)
    drawn = initializers.uniform(options.weights, sum(map(prod, shapes.values())), seeds)
    weights = dict(zip(shapes, flat.parted(drawn, shapes.values())))
    if isinstance(options, MemoryCellOptions):
        first = 0
        for size, biases in hidden_biases(model.units, options):
            if isinstance(biases, list):
                weights["cell/bias"][:, first : first + size] = biases
            first += size
    return list(weights.values())
