"""A model's weights whatever its cell: their names and shapes, what they begin with, and guesses.

Those of Keras's cells are drawn as Keras draws them; those of cells with a layout of their own uniformly, by the
generator of `models.initializers`, keyed by the seed: the same on every machine.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from memory_trials.cells import registry
from memory_trials.models import flat, initializers
from memory_trials.settings import ModelSettings
from memory_trials.tasks.interface import Shape

if TYPE_CHECKING:
    from jaxtyping import Float32, Int

GUESSED = 100.0  # guessed weights are within +- this


def weight_shapes(model: ModelSettings, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a model's weights by name, in the order in which they are kept."""
    cell = registry.all_cells()[model.cell]
    if cell.layout is None:
        return cell.shapes(model.units, inputs, outputs)
    shapes = cell.layout.shapes(model.units, model.options, inputs, outputs)
    return {name: shape for name, shape in shapes.items() if prod(shape)}


def weight_count(model: ModelSettings, inputs: int, outputs: int) -> int:
    return sum(map(prod, weight_shapes(model, inputs, outputs).values()))


def guessed_weights(
    model: ModelSettings, shape: Shape, seeds: Int[np.ndarray, " T"], number: int
) -> list[Float32[np.ndarray, "T ..."]]:
    """Return guess `number` of each trial, from 0: all weights and biases are uniform within +-100, and none is
    learned.

    Initializers and biases of the options are ignored (Schmidhuber & Hochreiter 1996, "Guessing can outperform many
    long time lag algorithms").
    """
    shapes = weight_shapes(model, shape.inputs, shape.outputs)
    return flat.parted(initializers.uniform(GUESSED, sum(map(prod, shapes.values())), seeds, number), shapes.values())


def initial_weights(
    model: ModelSettings, inputs: int, outputs: int, seeds: Int[np.ndarray, " T"]
) -> list[Float32[np.ndarray, "T ..."]]:
    """Return the weights that T seeds give a model, in the order of `weight_shapes`."""
    layout, options = registry.all_cells()[model.cell].layout, model.options
    if layout is None or options is None:
        return initializers.initial_weights(model, inputs, outputs, seeds)
    shapes = weight_shapes(model, inputs, outputs)
    drawn = initializers.uniform(getattr(options, "weights"), sum(map(prod, shapes.values())), seeds)  # noqa: B009
    weights = dict(zip(shapes, flat.parted(drawn, shapes.values())))
    layout.set_biases(weights, model.units, options)
    return list(weights.values())
