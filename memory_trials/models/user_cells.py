"""Refuses cells that depend on anything but inputs, states and weights, since many trials share one cell.

This is checked before anything is trained, so that nothing is ignored silently. A cell is tried on a few numbers:
called twice, compiled, row by row, and constructed again.
"""

from __future__ import annotations

import math
import re

import numpy as np

from memory_trials.models.backend import ON_JAX, keras, tf
from memory_trials.models.layers import Step, flat_states, initial_states
from memory_trials.models.user_code import Refusal, during

ROWS = 3  # of a batch that a cell is tried with
NEAR = 1e-4  # between two ways of computing the same
RANDOM_OPERATION = re.compile(r"Random|Multinomial|TruncatedNormal|StatefulUniform|StatefulStandardNormal|Sampler|^Rng")
DROPOUT = ("dropout", "recurrent_dropout")
PYTHON_OPERATIONS = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}


def check_options(cell: keras.layers.Layer) -> None:
    """Check that nothing is asked for that changes training in Keras, and would not here.

    Raises:
        UserError: It is; the message names it.
    """
    for layer in cell._flatten_layers():
        where = "" if layer is cell else f" (of its layer {type(layer).__name__})"
        for name, value in vars(layer).items():
            if name.endswith(("_regularizer", "_constraint")) and value is not None:
                raise Refusal(f"{name}{where} is not supported: set it to null, or leave it out")
            if name in DROPOUT and isinstance(value, int | float) and value and not _draws_itself(layer):
                raise Refusal(f"{name}{where} is {value}, which is not supported: trials draw no random numbers")
        types = layer.variable_dtype, layer.compute_dtype, *(variable.dtype for variable in layer.weights)
        if other := next((kind for kind in types if kind != "float32"), None):
            raise Refusal(f"dtype{where} is {other}, which is not supported: trials are trained in float32")
        if not layer.trainable:
            raise Refusal(f"trainable{where} is false, which is not supported: every weight is trained")
    if cell.non_trainable_weights:
        names = ", ".join(weight.name for weight in cell.non_trainable_weights)
        raise Refusal(f"it has weights that are not trained ({names}), which trials cannot share")
    for weight in cell.trainable_weights:
        for name in ("regularizer", "constraint"):
            if getattr(weight, name, None) is not None:
                raise Refusal(f"its weight {weight.path.partition('/')[2]} has a {name}, which is not supported")


def _draws_itself(layer: keras.layers.Layer) -> bool:
    """Whether dropout that it names is its author's, on JAX: masks that Keras's own cells keep for a sequence are not
    drawn anew at each step, and so are not supported."""
    return ON_JAX and not hasattr(layer, "reset_dropout_mask")


def check_shapes(begun: list, output: tf.Tensor, states: list) -> None:
    """Check that a call returns one row of outputs, and states like those that it was given."""
    if len(output.shape) != 2 or output.shape[0] != 1:
        raise Refusal(f"it returns an output of shape {tuple(output.shape)} for one row, not (1, width)", "call")
    given, returned = ([tuple(state.shape) for state in keras.tree.flatten(each)] for each in (begun, states))
    if given != returned:
        raise Refusal(f"its states have the shapes {given}, and it returns others: {returned}", "call")
    types = [keras.backend.standardize_dtype(x.dtype) for x in (output, *keras.tree.flatten(states))]
    if other := next((kind for kind in types if kind != "float32"), None):
        raise Refusal(f"it returns numbers of type {other}, and trials are trained in float32", "call")


def check_call(cell: keras.layers.Layer, other: keras.layers.Layer, inputs: int) -> None:
    """Check that a call depends on inputs, states and weights alone, row by row.

    Args:
        other: The same cell, made after another seed.

    Raises:
        UserError: It depends on something else; the message says on what.
    """
    if len(cell.weights) != len(other.weights):
        raise Refusal("it has other weights each time it is made")
    for mine, its in zip(cell.weights, other.weights):
        its.assign(mine.value)
    check_initial_states(cell, other)
    x = tf.constant(np.sin(np.arange(ROWS * inputs, dtype=np.float32)).reshape(ROWS, inputs))
    start = [s + tf.reshape(tf.cos(tf.range(float(math.prod(s.shape)))), s.shape) for s in flat_states(cell, ROWS)]
    traced = _traced(cell, x, start)
    _check_first_step(cell, inputs)
    with during("call"):
        found = _called(cell, x, start)
        if cell.losses:
            raise Refusal("add_loss (or an activity_regularizer) is not supported: only the outputs are scored")
        again = _called(cell, x, start)
        elsewhere = _called(other, x, start)
        compiled = [array.numpy() for array in traced(x, start)]
        alone = _called(cell, x[:1], [state[:1] for state in start])
    for others, when in (
        (again, "when it is called again: it draws random numbers, or keeps something from call to call"),
        (elsewhere, "when it is made after another seed, with equal weights: it draws random numbers beside them"),
        (compiled, "when it is compiled: it depends on something that is not in its inputs, states and weights"),
        (alone, "for a row alone than for a batch: its rows are sequences and steps, which must not be mixed"),
    ):
        # where only the first row was computed, it is compared
        if not all(np.allclose(a[: len(b)], b, rtol=NEAR, atol=NEAR, equal_nan=True) for a, b in zip(found, others)):
            raise Refusal(f"it computes something else {when}", "call")


def _check_first_step(cell: keras.layers.Layer, inputs: int) -> None:
    with during("call"):
        first = _called(cell, tf.eye(ROWS, inputs), flat_states(cell, ROWS))
        if not all(np.isfinite(array).all() for array in first):
            raise Refusal(
                "its first step returns numbers that are not finite (NaN or infinite): look for 0 / 0, log(0), sqrt(-1)"
            )


def check_initial_states(cell: keras.layers.Layer, other: keras.layers.Layer) -> None:
    with during("get_initial_state"):
        first, again, others = flat_states(cell, ROWS), flat_states(cell, 1), flat_states(other, ROWS)
        moved = [(weight, keras.ops.cos(keras.ops.ones(weight.shape))) for weight in cell.weights]
        with keras.StatelessScope(state_mapping=moved, initialize_variables=False):
            with_others = flat_states(cell, ROWS)
        if not _equal([state[:1] for state in first], again) or not _equal(again, first):
            raise Refusal("it returns other states for other rows of a batch, or each time that it is called")
        if not _equal(first, others):
            raise Refusal("it draws random numbers, which is not supported: trials would not be the same on each run")
        if not _equal(first, with_others):
            raise Refusal("it depends on weights, which is not supported: return a state that is always the same")


def _equal(some: list, others: list) -> bool:
    """Return whether states are the same, where one row represents any number of them."""
    arrays = zip([np.asarray(state) for state in some], [np.asarray(state) for state in others])
    return all(np.array_equal(np.broadcast_to(one, other.shape), other, equal_nan=True) for one, other in arrays)


def _called(cell: keras.layers.Layer, x: tf.Tensor, states: list) -> list:
    return [array.numpy() for array in _step(cell, x, states)]


def _step(cell: keras.layers.Layer, x: tf.Tensor, states: list) -> list:
    nested = keras.tree.pack_sequence_as(initial_states(cell, 1), states)
    return keras.tree.flatten(Step(cell)(x, nested, training=True))


def _traced(cell: keras.layers.Layer, x: tf.Tensor, states: list):
    """A step as a graph, in which there is nothing random, no Python, and no variable but the cell's weights."""
    assigned = []

    def step(x, states):
        values = [weight.value for weight in cell.weights]
        with keras.StatelessScope(state_mapping=list(zip(cell.weights, values))) as scope:
            given = [scope.get_current_value(weight) for weight in cell.weights]
            result = _step(cell, x, states)
            for weight, value in zip(cell.weights, given):
                if scope.get_current_value(weight) is not value:
                    assigned.append(weight.name)
        return result

    with during("call"):
        function = tf.function(step, autograph=False).get_concrete_function(x, states)
        if assigned:
            raise Refusal(f"it assigns to the weight {assigned[0]}, which only training may change")
        graph = function.graph.as_graph_def()
        operations = {node.op for node in (*graph.node, *(n for f in graph.library.function for n in f.node_def))}
        if random := sorted(filter(RANDOM_OPERATION.search, operations)):
            drawing = [
                layer for layer in cell._flatten_layers(include_self=False) if getattr(layer, "seed_generator", None)
            ]
            names = ", ".join(sorted({type(layer).__name__ for layer in drawing})) or random[-1]
            raise Refusal(
                f"it draws random numbers ({names}), which is not supported: trials would not be the same on each run; "
                "take dropout, noise and random draws out of the cell"
            )
        if operations & PYTHON_OPERATIONS:
            raise Refusal("it runs Python (tf.numpy_function or tf.py_function), which XLA cannot compile")
        own = {id(weight.value) for weight in cell.variables}
        if others := [variable.name for variable in function.graph.variables if id(variable) not in own]:
            raise Refusal(
                f"it uses a tf.Variable ({others[0]}), which Keras does not train: make it by self.add_weight"
            )
        return function
