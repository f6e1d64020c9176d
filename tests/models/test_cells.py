"""Cells: the weights a seed gives, and the user's own."""

import numpy as np
import pytest

from memory_trials.errors import UserError
from memory_trials.models.backend import keras, tf
from memory_trials.models.cells import _plain_weights, _traced_weights, initial_weights, make_model, predict
from memory_trials.settings import ModelSettings
from my_cells.leaky import LeakyCell
from tests import plain_keras

OWN = "my_cells.leaky.LeakyCell"


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple_rnn", "mlp", OWN])
def test_a_seed_gives_the_weights_that_plain_keras_draws(cell):
    seeds = np.array([7, 0, 123456])
    stacked = initial_weights(ModelSettings(cell=cell), 5, 5, seeds)
    for row, seed in enumerate(seeds):
        for ours, theirs in zip(stacked, plain_keras.model(int(seed), cell).get_weights(), strict=True):
            assert np.array_equal(ours[row], theirs)


def test_drawing_all_at_once_is_possible_for_the_built_in_cells_and_equal_to_drawing_singly():
    for cell in ("lstm", "gru", "simple_rnn", "mlp", OWN):
        settings = ModelSettings(cell=cell, units=3, cell_options={"name": "other"} if cell == "lstm" else {})
        traced = _traced_weights(settings, 4, 4, np.arange(3))
        for seed in range(3):
            assert all(np.array_equal(a[seed], b) for a, b in zip(traced, _plain_weights(settings, 4, 4, seed)))


class UnusualCell(LeakyCell):
    """Draws on NumPy's global randomness, which drawing all at once does not foresee."""

    def build(self, input_shape):
        super().build(input_shape)
        self.kernel.assign(np.random.uniform(size=self.kernel.shape))


def test_a_cell_with_randomness_of_its_own_is_drawn_singly():
    settings = ModelSettings(cell=f"{__name__}.UnusualCell", units=3)
    stacked = initial_weights(settings, 4, 4, np.arange(3))
    assert len({array.tobytes() for array in stacked[0]}) == 3
    for seed in range(3):
        assert all(np.array_equal(a[seed], b) for a, b in zip(stacked, _plain_weights(settings, 4, 4, seed)))


def test_names_do_not_depend_on_how_many_cells_were_made_before():
    settings = ModelSettings()
    expected = ["cell/kernel", "cell/recurrent_kernel", "cell/bias", "output/kernel", "output/bias"]
    assert make_model(settings, 5, 5).names == make_model(settings, 5, 5).names == expected


def test_predict_maps_the_model_over_trials():
    model = make_model(ModelSettings(units=3), 4, 4)
    weights = initial_weights(ModelSettings(units=3), 4, 4, np.arange(2))
    places = np.array([[0, 1, 2], [3, 2, 1]])
    x = np.eye(4, dtype=np.float32)[places]
    both = predict(model, weights, places[:, :, np.newaxis], 4).numpy()
    assert both.shape == (2, 2, 3, 4)
    for trial in range(2):
        layer = keras.layers.LSTM(3, return_sequences=True)
        layer.build(x.shape)
        layer.set_weights([w[trial] for w in weights[:3]])
        hidden = layer(x).numpy()
        expected = tf.sigmoid(hidden @ weights[3][trial] + weights[4][trial]).numpy()
        assert np.allclose(both[trial], expected, atol=1e-6)


class NoState(keras.layers.Layer):
    def __init__(self, units):
        super().__init__()


class BadState(LeakyCell):
    def call(self, inputs, states):
        return states[0], [states[0][:, :1]]


class Crash(LeakyCell):
    def call(self, inputs, states):
        raise RuntimeError("first line\nsecond line")


NOT_A_LAYER = 3


@pytest.mark.parametrize(
    ("cell", "options", "words"),
    [
        (f"{__name__}.Missing", {}, "Missing, import: AttributeError"),
        ("tests.no_such_module.Cell", {}, "tests.no_such_module.Cell, import: ModuleNotFoundError"),
        (f"{__name__}.NOT_A_LAYER", {}, "NOT_A_LAYER: it is not a Keras layer class"),
        (f"{__name__}.NoState", {}, "has no state_size"),
        (f"{__name__}.BadState", {}, "call: its states have the shapes [(1, 20)], and it returns others: [(1, 1)]"),
        (f"{__name__}.Crash", {}, "Crash, call: RuntimeError: first line (tests/models/test_cells.py, line 83)"),
        (
            "lstm",
            {"no_such_option": 1},
            "model.cell lstm, made with units 20 and cell_options {'no_such_option': 1}: ValueError",
        ),
        ("lstm", {"dropout": 0.5}, "model.cell lstm: dropout is 0.5, which is not supported"),
    ],
)
def test_a_cell_that_cannot_be_used(cell, options, words):
    with pytest.raises(UserError) as caught:
        make_model(ModelSettings(cell=cell, cell_options=options), 5, 5)
    assert words in str(caught.value) and "\n" not in str(caught.value)
