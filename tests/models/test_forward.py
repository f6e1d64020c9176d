"""The equations in NumPy against Keras, for every built-in cell and any weights."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory_trials.models import forward
from memory_trials.models.keras_model import make_model, predict
from memory_trials.settings import ModelSettings
from tests import plain_numpy


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple_rnn", "mlp"])
@pytest.mark.parametrize("output", ["sigmoid", "softmax"])
@settings(deadline=None, max_examples=2)
@given(st.integers(0, 2**32 - 1))
def test_outputs_equal_those_of_keras(cell, output, seed):
    random = np.random.default_rng(seed)
    scales = np.repeat([0.1, 1.0, 3.0], 4)  # of a trial each; Keras takes a quarter of a second for any number
    model_settings = ModelSettings(cell=cell, units=7, output=output)
    model = make_model(model_settings, 5, 5)
    scaled = lambda shape: random.normal(size=(12, *shape)) * scales.reshape(12, *(1 for _ in shape))
    weights = [scaled(v.shape).astype(np.float32) for v in model.variables]
    x = random.integers(-1, 5, size=(4, 6, 1))
    ours = np.stack([o for _, o in forward.outputs(model_settings, dict(zip(model.names, weights)), x)], axis=2)
    assert ours.shape == (12, 4, 6, 5)
    assert np.abs(ours - predict(model, weights, x, 5).numpy()).max() < 1e-4  # Keras rounds to float32


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple_rnn", "mlp"])
@pytest.mark.parametrize("output", ["sigmoid", "softmax"])
@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 3))
def test_outputs_are_right_to_twelve_digits(cell, output, seed, units, features):
    random = np.random.default_rng(seed)
    gates = {"lstm": 4, "gru": 3}.get(cell, 1) * units
    shapes = {"cell/kernel": (5, gates), "cell/recurrent_kernel": (units, gates),
              "cell/bias": (2, gates) if cell == "gru" else (gates,), "output/kernel": (units, 5), "output/bias": (5,)}  # fmt: skip
    weights = {name: random.normal(size=(3, *shape), scale=0.5).astype(np.float32) for name, shape in shapes.items()}
    x = random.integers(-1, 5, size=(2, 4, features))
    model_settings = ModelSettings(cell=cell, units=units, output=output)
    ours = np.stack([o for _, o in forward.outputs(model_settings, weights, x)], axis=2)
    assert ours.dtype == np.float64 and np.abs(ours - plain_numpy.outputs(cell, output, weights, x)).max() < 1e-12


def test_weights_that_are_no_numbers_give_no_numbers():
    weights = {"cell/kernel": np.full((2, 5, 4), np.nan), "cell/recurrent_kernel": np.ones((2, 1, 4)), "cell/bias": np.ones((2, 4)),
               "output/kernel": np.full((2, 1, 5), [[[1]], [[np.inf]]]), "output/bias": np.zeros((2, 5))}  # fmt: skip
    for _, activations in forward.outputs(ModelSettings(units=1), weights, np.zeros((1, 3, 1), int)):
        assert np.isnan(activations).all()


def test_only_wanted_steps_are_read_out():
    model = ModelSettings(cell="simple_rnn", units=1)
    weights = {"cell/kernel": np.ones((1, 2, 1)), "cell/recurrent_kernel": np.ones((1, 1, 1)), "cell/bias": np.zeros((1, 1)),
               "output/kernel": np.ones((1, 1, 2)), "output/bias": np.zeros((1, 2))}  # fmt: skip
    x = np.array([[[0], [1], [0]]])
    every = dict(forward.outputs(model, weights, x))
    (only,) = forward.outputs(model, weights, x, np.array([False, False, True]))
    assert list(every) == [0, 1, 2] and only[0] == 2 and np.array_equal(only[1], every[2])


def test_running_freely_is_asking_again_with_what_was_said():
    random = np.random.default_rng(1)
    model_settings = ModelSettings(cell="gru", units=4)
    model = make_model(model_settings, 5, 5)
    weights = dict(zip(model.names, [2 * random.normal(size=(3, *v.shape)) for v in model.variables]))
    prefix = np.array([[3, 1], [4, 0]])
    said = forward.free_run(model_settings, weights, prefix, 6)
    for trial in range(3):
        of_one = {name: array[trial : trial + 1] for name, array in weights.items()}
        for k in range(2):
            x = np.concatenate([prefix[k], said[trial, k]])[np.newaxis, :, np.newaxis]
            asked = [output.argmax() for _, output in forward.outputs(model_settings, of_one, x)]
            assert asked[1:-1] == said[trial, k].tolist()


def test_one_unit_by_hand():
    weights = {
        "cell/kernel": np.array([[[1.0]]]), "cell/recurrent_kernel": np.array([[[0.5]]]), "cell/bias": np.array([[0.0]]),
        "output/kernel": np.array([[[2.0]]]), "output/bias": np.array([[-1.0]]),
    }  # fmt: skip
    x = np.array([[[0], [-1]]])  # 1, then nothing
    activations = np.array([o for _, o in forward.outputs(ModelSettings(cell="simple_rnn", units=1), weights, x)])
    first = np.tanh(1.0)
    second = np.tanh(0.5 * first)
    assert np.allclose(activations.ravel(), [1 / (1 + np.exp(-(2 * h - 1))) for h in (first, second)])


def test_only_models_whose_equations_these_are():
    assert forward.supports(ModelSettings(cell="gru", cell_options={"recurrent_initializer": "zeros"}))
    assert not forward.supports(ModelSettings(cell="gru", cell_options={"activation": "relu"}))
    assert not forward.supports(ModelSettings(cell="my_cells.leaky.LeakyCell"))
