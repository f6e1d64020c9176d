"""Cells: the weights a seed gives, and the user's own."""

import inspect

import numpy as np
import pytest

from memory_trials.errors import UserError
from memory_trials.models.backend import keras, tf
from memory_trials.models.keras_model import _plain_weights, _traced_weights, initial_weights, make_model, predict
from memory_trials.models.layers import weight_names
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
        (f"{__name__}.Crash", {}, "Crash, call: RuntimeError: first line (tests/models/test_keras_model.py, line "),
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


# Every argument of Keras's own cells, and of Dense for the mlp, that is not in the last test: it is honoured.
HONOURED = {
    "lstm": {"activation": "relu", "recurrent_activation": "hard_sigmoid", "use_bias": False, "kernel_initializer": "ones",
             "recurrent_initializer": "glorot_normal", "bias_initializer": "ones", "unit_forget_bias": False, "seed": 3, "implementation": 1, "name": "n"},
    "gru": {"activation": "relu", "recurrent_activation": "hard_sigmoid", "use_bias": False, "kernel_initializer": "ones",
            "recurrent_initializer": "glorot_normal", "bias_initializer": "ones", "reset_after": False, "seed": 3, "implementation": 1},
    "simple_rnn": {"activation": "relu", "use_bias": False, "kernel_initializer": "ones", "bias_initializer": "ones",
                   "recurrent_initializer": "glorot_normal", "seed": 3},
    "mlp": {"activation": "relu", "use_bias": False, "kernel_initializer": "ones", "bias_initializer": "ones"},
}  # fmt: skip
LAYERS = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU, "simple_rnn": keras.layers.SimpleRNN}
NOT_OF_CELLS = {"lora_rank", "lora_alpha", "quantization_config", "kwargs", "self", "units"}  # Keras's for fine-tuning


@pytest.mark.parametrize(("cell", "option"), [(cell, option) for cell, all_of in HONOURED.items() for option in all_of])
def test_an_argument_of_keras_is_honoured(cell, option):
    options = {option: HONOURED[cell][option]}
    settings = ModelSettings(cell=cell, units=3, cell_options=options)
    model = make_model(settings, 4, 4)
    places = np.array([[0, 1, 3, 2]])
    x = np.eye(4, dtype=np.float32)[places]
    keras.utils.set_random_seed(5)
    if cell == "mlp":
        layer = keras.layers.Dense(3, **{"activation": "tanh"} | options)
    else:
        layer = LAYERS[cell](3, return_sequences=True, **options)
    dense = keras.layers.Dense(4, activation="sigmoid")
    expected = dense(layer(x)).numpy()
    weights = [array[0] for array in initial_weights(settings, 4, 4, np.array([5]))]
    for ours, theirs in zip(weights, layer.get_weights() + dense.get_weights(), strict=True):
        assert np.array_equal(ours, theirs)
    states = [tf.constant(state) for state in model.begin(1)]
    for step in range(4):
        output, states = model.step([tf.constant(w) for w in weights], tf.constant(x[:, step]), states, training=True)
        assert np.abs(model.readout([tf.constant(w) for w in weights], output) - expected[:, step]).max() < 1e-6


REFUSED = {
    "dropout": 0.5, "recurrent_dropout": 0.5, "kernel_regularizer": "l2", "recurrent_regularizer": "l2",
    "bias_regularizer": "l2", "activity_regularizer": "l2", "kernel_constraint": "non_neg",
    "recurrent_constraint": "non_neg", "bias_constraint": "non_neg", "dtype": "float64", "trainable": False,
}  # fmt: skip


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple_rnn", "mlp"])
def test_every_other_argument_of_keras_is_refused_by_its_name(cell):
    kind = keras.layers.Dense if cell == "mlp" else getattr(keras.layers, f"{LAYERS[cell].__name__}Cell")
    known = set(inspect.signature(kind.__init__).parameters) | {"activity_regularizer", "dtype", "trainable"}
    assert known - NOT_OF_CELLS - REFUSED.keys() <= HONOURED[cell].keys()
    for option in sorted(known & REFUSED.keys()):
        with pytest.raises(UserError) as caught:
            make_model(ModelSettings(cell=cell, cell_options={option: REFUSED[option]}), 5, 5)
        assert str(caught.value).startswith(f"model.cell {cell}: {option} is")
    if cell == "mlp":
        with pytest.raises(UserError, match="weights that are not trained"):
            make_model(ModelSettings(cell=cell, cell_options={"lora_rank": 2}), 5, 5)


def test_other_types_of_numbers_in_keras_are_refused_before_a_cell_is_made():
    keras.config.set_floatx("float64")
    try:
        with pytest.raises(UserError, match=r"Keras is set to float64.*set_floatx\('float32'\)"):
            make_model(ModelSettings(), 5, 5)
    finally:
        keras.config.set_floatx("float32")


def test_weights_have_the_names_of_the_attributes_that_hold_them():
    class Inner(keras.layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight(shape=(1,))
            self.w1, self.w2 = (self.add_weight(shape=(1,), name="twice") for _ in range(2))

    class Outer(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.one, self._two = Inner(), {"a": [Inner()]}

    outer = Outer()
    for inner in (outer.one, outer._two["a"][0]):
        inner.build((1, 1))
    own = [f"{place}/{name}" for place in ("one", "_two/a/0") for name in ("scale", "twice", "twice.1")]
    assert weight_names(outer, "cell") == [f"cell/{name}" for name in own]
