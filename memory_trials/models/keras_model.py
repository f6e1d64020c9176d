"""A model in Keras: a recurrent cell under a Dense output layer, and the initial weights for a seed.

A model here is a pair of Keras layers for *one* trial; `trainer` and `predictions` map it over many.
Any Keras cell serves: a layer with `state_size` and `call(inputs, states) -> (output, new_states)` (`layers`).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memory_trials.cells import registry
from memory_trials.errors import UserError
from memory_trials.models import initializers, layers, user_cells
from memory_trials.models.backend import keras, tf
from memory_trials.models.user_code import as_user_error
from memory_trials.settings import ModelSettings
from memory_trials.tasks.encoding import one_hot

if TYPE_CHECKING:
    from jaxtyping import Float32, Int

DRAWS = 64  # integers drawn while layers are constructed; the built-in cells draw up to six


@dataclass(frozen=True)
class Model:
    """A cell and its output layer, both built; `weights` of one trial are the cell's, then the layer's.

    initial: the states that a sequence begins with, each [*shape], in the order of `states`, which nests them as the
    cell takes them. unused: non-trainable variables, such as the seed of a dropout that is not there.
    """

    name: str
    cell: keras.layers.Layer
    dense: keras.layers.Layer
    softmax: bool
    initial: list[np.ndarray]
    states: list
    unused: list[np.ndarray]

    @property
    def variables(self) -> list:
        return self.cell.trainable_variables + self.dense.trainable_variables

    @property
    def names(self) -> list[str]:
        """Such as cell/kernel and output/bias: the same in every process, unlike Keras's numbered names."""
        return layers.weight_names(self.cell, "cell") + layers.weight_names(self.dense, "output")

    def begin(self, *shape: int) -> list[np.ndarray]:
        """Return the initial states of so many trials and sequences: [*shape, *state] each."""
        return [np.broadcast_to(state, (*shape, *state.shape)) for state in self.initial]

    def step(self, weights: list, x: tf.Tensor, states: list, training: bool = False) -> tuple[tf.Tensor, list]:
        """Take one time step of one trial: x [B, inputs], states [B, *state] each -> output [B, width], new states."""
        count = len(self.cell.trainable_variables)
        # constants, not variables: a compiled program locks the variables it reads, and shards would run in turn
        unused = [tf.constant(value) for value in self.unused]
        variables = self.cell.trainable_variables + self.cell.non_trainable_variables
        with keras.StatelessScope(state_mapping=list(zip(variables, [*weights[:count], *unused]))):
            nested = keras.tree.pack_sequence_as(self.states, states)
            output, states = layers.Step(self.cell)(x, nested, training=training)
        return output, keras.tree.flatten(states)

    def readout(self, weights: list, output: tf.Tensor) -> tf.Tensor:
        """Return the output layer's activations [B, symbols] for the cell's output [B, width]."""
        return self.dense.stateless_call(weights[len(self.cell.trainable_variables) :], [], output)[0]

    def loss(self, y: tf.Tensor, prediction: tf.Tensor) -> tf.Tensor:
        """Return Keras's own cross-entropy: y, prediction [B, symbols] -> [B]."""
        crossentropy = keras.losses.categorical_crossentropy if self.softmax else keras.losses.binary_crossentropy
        return crossentropy(y, prediction)


def make_model(settings: ModelSettings, inputs: int, symbols: int) -> Model:
    """Build the layers, in the order in which Keras's Sequential would, so that a seed means the same in both.

    `UserError` where the cell does what trials cannot share, and for whatever a library raises in it.
    """
    for kind in (keras.config.dtype_policy().name, keras.config.floatx()):
        if kind != "float32":
            set_back = "keras.config.set_floatx('float32')"
            raise UserError(f"Keras is set to {kind}, and trials are trained in float32: call {set_back} before")
    with as_user_error(settings.cell):
        cell, dense, output, states = _built_layers(settings, inputs, symbols)
        nested = layers.initial_states(cell, 1)
        user_cells.check_options(cell)
        user_cells.check_shapes(nested, output, states)
        if registry.find(settings.cell) is None:
            _check_call(settings.model_dump_json(), inputs, symbols, type(cell))  # type: ignore[arg-type]  # a class can be a key
    initial = [np.asarray(state)[0] for state in keras.tree.flatten(nested)]
    places = keras.tree.pack_sequence_as(nested, list(range(len(initial))))
    unused = [variable.numpy() for variable in cell.non_trainable_variables]
    return Model(settings.cell, cell, dense, settings.output == "softmax", initial, places, unused)


@functools.lru_cache(maxsize=32)
def _check_call(settings: str, inputs: int, symbols: int, kind: type) -> None:
    """Once for a cell, since it takes a tenth of a second. settings: of the model, as JSON. kind: the cell's class."""
    made = []
    for seed in (0, 1):
        keras.utils.set_random_seed(seed)
        made.append(_built_layers(ModelSettings.model_validate_json(settings), inputs, symbols)[0])
    user_cells.check_call(made[0], made[1], inputs)


def _built_layers(settings: ModelSettings, inputs: int, symbols: int) -> tuple:
    """The two layers, with weights; what the cell returns of one row, output and new states."""
    cell, dense = _make_layers(settings, symbols)
    output, states = layers.built(cell, inputs)
    dense.build((1, output.shape[-1]))
    return cell, dense, output, states


def _make_layers(settings: ModelSettings, symbols: int):
    """The two layers, not yet built. Constructing them is what draws on the seed."""
    return layers.make_cell(settings), keras.layers.Dense(symbols, activation=settings.output)


def initial_weights(
    settings: ModelSettings, inputs: int, symbols: int, seeds: Int[np.ndarray, " T"]
) -> list[Float32[np.ndarray, "T ..."]]:
    """Return the weights that Keras draws after `keras.utils.set_random_seed(seed)`, for each seed.

    `initializers` does the same without Keras, for the initializers that it supports. Keras takes some 20 ms to build
    the layers for one seed. But a seed changes only the integer that each initializer receives when it is constructed,
    so the draws are traced once for a model, as a function of these integers, and run as a graph. The last seed is also
    drawn without tracing. If it differs, because the cell draws random numbers in a way of its own, all seeds are drawn
    so.
    """
    last = _plain_weights(settings, inputs, symbols, int(seeds[-1]))
    weights = _traced_weights(settings, inputs, symbols, seeds)
    if weights is None or not _same([stacked[-1] for stacked in weights], last):
        drawn = [_plain_weights(settings, inputs, symbols, int(seed)) for seed in seeds[:-1]] + [last]
        weights = [np.stack(arrays) for arrays in zip(*drawn)]
    initializers.set_forget_bias(settings, weights, seeds)
    return weights


def _same(some: list[np.ndarray], others: list[np.ndarray]) -> bool:
    return len(some) == len(others) and all(map(np.array_equal, some, others))


def _plain_weights(settings: ModelSettings, inputs: int, symbols: int, seed: int) -> list[np.ndarray]:
    keras.utils.set_random_seed(seed)
    with as_user_error(settings.cell):
        cell, dense, *_ = _built_layers(settings, inputs, symbols)
    return [variable.numpy() for variable in cell.trainable_variables + dense.trainable_variables]


class _TracedSeed(keras.random.SeedGenerator):
    """Replaces the integer seed of an initializer by one that comes from a tensor."""

    def __init__(self, seed):
        self.seed = seed

    def next(self, ordered=True):
        return tf.stack([self.seed, 0])


def _traced_weights(
    settings: ModelSettings, inputs: int, symbols: int, seeds: Int[np.ndarray, " T"]
) -> list[Float32[np.ndarray, "T ..."]] | None:
    """As `initial_weights`, all at once; None where the layers do not allow it."""
    template = 1 if seeds[-1] != 1 else 2  # another seed than the one the result is compared for
    try:
        draw_all = _traced(settings.model_dump_json(), inputs, symbols, template)
        return [
            array.numpy()
            for array in draw_all(np.array([initializers.integers(int(s), DRAWS) for s in seeds], np.int32))
        ]
    except Exception:  # a cell of a kind not foreseen here; the plain way is always right
        return None


@functools.lru_cache(maxsize=8)
def _traced(settings: str, inputs: int, symbols: int, template: int) -> Callable:
    """[seeds, DRAWS] integers -> the weights of each seed, stacked. settings: of the model, as JSON."""
    model_settings = ModelSettings.model_validate_json(settings)
    keras.utils.set_random_seed(template)
    cell, dense = _make_layers(model_settings, symbols)
    order = {integer: index for index, integer in enumerate(initializers.integers(template, DRAWS))}
    with keras.StatelessScope():  # variables are only declared here, and drawn when the scope ends
        output, _ = layers.built(cell, inputs)
        dense.build((1, output.shape[-1]))
        variables = cell.trainable_variables + dense.trainable_variables
        declared = [(v._initializer, v.shape, v.dtype) for v in variables]
    held = [vars(layer).values() for layer in (*cell._flatten_layers(), *dense._flatten_layers())]
    drawing = [
        (value, order[value.seed])
        for value in (*itertools.chain(*held), *(initializer for initializer, _, _ in declared))
        if isinstance(value, keras.initializers.Initializer) and getattr(value, "seed", None) in order
    ]

    def draw(integers):
        for initializer, index in drawing:
            initializer.seed = _TracedSeed(integers[index])
        return [tf.convert_to_tensor(initializer(shape, dtype=dtype)) for initializer, shape, dtype in declared]

    @tf.function(autograph=False, input_signature=[tf.TensorSpec((None, DRAWS), tf.int32)])
    def draw_all(integers):
        return tf.map_fn(
            draw, integers, fn_output_signature=[tf.TensorSpec(shape, dtype) for _, shape, dtype in declared]
        )

    return draw_all


def predict(model: Model, weights: list, x: Int[np.ndarray, "K L F"], inputs: int) -> tf.Tensor:
    """Return activations [T, K, L, symbols] of T trials for K sequences, each from the initial state.

    Args:
        weights: The stacked variables of the model, each [T, ...].
        x: Where the input vector is 1.
        inputs: The length of the input vector.
    """
    if weights[0].shape[0] == 1:  # tf.vectorized_map loses the shape of a single trial
        return predict(model, [np.repeat(array, 2, axis=0) for array in weights], x, inputs)[:1]
    if tf.executing_eagerly():  # where a step would be traced anew each time
        return tf.function(lambda *weights: predict(model, list(weights), x, inputs), autograph=False)(*weights)
    sequences, steps, _ = x.shape
    trials = weights[0].shape[0]
    vectors = tf.constant(one_hot(x, inputs).transpose(1, 0, 2))

    def one_step(step, states, predictions):
        def one_trial(arguments):
            weights, states = arguments
            output, states = model.step(weights, vectors[step], states)
            return model.readout(weights, output), states

        prediction, states = tf.vectorized_map(one_trial, (weights, states))
        return step + 1, states, predictions.write(step, prediction)

    symbols = model.variables[-1].shape[-1]
    states = [tf.constant(state) for state in model.begin(trials, sequences)]
    predictions = tf.TensorArray(tf.float32, steps, element_shape=[trials, sequences, symbols])
    start = (tf.constant(0), states, predictions)
    predictions = tf.while_loop(lambda step, *_: step < steps, one_step, start)[2]
    return tf.transpose(predictions.stack(), (1, 2, 0, 3))  # from [L, T, K, symbols]
