"""The cells of 1997: the paper's numbers of weights, and what they begin with."""

from math import prod

import numpy as np
import pytest

from memory_trials.models import initializers
from memory_trials.models.weights import initial_weights, weight_count, weight_shapes
from memory_trials.settings import ModelSettings
from tests.published_numpy import ARCHITECTURES, memory_cell


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_memory_cell_has_as_many_weights_as_the_paper_says(name):
    model, shape, count = ARCHITECTURES[name]
    assert weight_count(model, shape.inputs, shape.outputs) == count


def test_without_the_gates_as_sources_a_kernel_has_rows_of_cells_alone():
    model, shape, count = ARCHITECTURES["2c 50"]
    blind = model.model_copy(update={"cell_options": model.cell_options | {"connected": "C"}})
    assert weight_shapes(blind, shape.inputs, shape.outputs)["cell/recurrent_kernel"] == (2, 6)
    assert weight_count(blind, shape.inputs, shape.outputs) == count - 4 * 6


@pytest.mark.parametrize(("p", "count"), [(4, 36), (10, 144), (100, 10404)])
def test_a_fully_recurrent_network_has_as_many_weights_as_the_paper_says(p, count):
    model = ModelSettings(cell="fully_recurrent", units=1)
    assert weight_count(model, p + 1, p + 1) == count
    biased = ModelSettings(cell="fully_recurrent", units=1, cell_options={"bias": True})
    assert weight_count(biased, p + 1, p + 1) == count + 1 + p + 1


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_weights_fill_their_range_and_follow_from_the_seed_alone(name):
    model, shape, _ = ARCHITECTURES[name]
    weights = initial_weights(model, shape.inputs, shape.outputs, np.arange(5, 45))
    assert [a.shape[1:] for a in weights] == list(weight_shapes(model, shape.inputs, shape.outputs).values())
    assert all(a.dtype == np.float32 and a.shape[0] == 40 for a in weights)
    width = model.options.weights
    kernel = weights[0]
    assert np.abs(kernel).max() <= np.float32(width)
    assert kernel.min() < -0.9 * width and kernel.max() > 0.9 * width
    assert abs(kernel.mean()) < 4 * width / np.sqrt(3 * kernel.size)
    alone = initial_weights(model, shape.inputs, shape.outputs, np.array([17]))
    assert all((a[12] == b[0]).all() for a, b in zip(weights, alone))


def test_biases_are_the_given_numbers_or_drawn():
    options = {"block_size": 2, "output_gate_bias": "random", "cell_bias": True, "output_bias": True, "weights": 0.1}
    seeds = np.arange(30)
    of = lambda **more: dict(
        zip(
            weight_shapes(memory_cell(4, **options, **more), 2, 1),
            initial_weights(memory_cell(4, **options, **more), 2, 1, seeds),
        )
    )
    given, drawn = of(input_gate_bias=[-3.0, -6.0]), of(input_gate_bias="random")
    assert (given["cell/bias"][:, :2] == [-3.0, -6.0]).all()
    assert given["cell/bias"].shape == (30, 8) and np.abs(given["cell/bias"][:, 2:]).max() <= np.float32(0.1)
    assert np.abs(drawn["cell/bias"]).max() <= np.float32(0.1) and len(np.unique(drawn["cell/bias"])) > 200
    assert all((given[name] == drawn[name]).all() for name in given if name != "cell/bias")
    assert np.abs(given["output/bias"]).max() <= np.float32(0.1)


def test_no_bias_where_there_is_none():
    shapes = weight_shapes(memory_cell(6, block_size=2), 5, 3)
    assert shapes == {"cell/kernel": (5, 12), "cell/recurrent_kernel": (12, 12), "output/kernel": (6, 3)}
    only_output_gates = weight_shapes(memory_cell(6, block_size=2, output_gate_bias=[-1.0, -2.0, -3.0]), 5, 3)
    assert only_output_gates["cell/bias"] == (3,)


def test_numbers_are_those_of_the_one_generator():
    """A uniform kernel of Keras of the same seed, as wide."""
    model = memory_cell(2, weights=0.05)
    weights = initial_weights(model, 3, 2, np.array([3, 4]))
    flat = np.concatenate([a.reshape(2, -1) for a in weights], axis=1)
    assert (flat == initializers.draw("random_uniform", (flat.shape[1],), np.array([3, 4]))).all()
    assert flat.shape[1] == sum(map(prod, weight_shapes(model, 3, 2).values()))
