"""Keras's layers of a model: the cell that the settings name, made, built and called as Keras's RNN layer does it.

Here alone a cell is asked for its initial states, and here its weights are named.
"""

from __future__ import annotations

import importlib
import operator
import re
import warnings
from collections.abc import Iterator
from typing import Any, no_type_check

import numpy as np

from memory_trials.cells import registry
from memory_trials.errors import brief
from memory_trials.files import not_in_this_copy
from memory_trials.models.backend import called, keras
from memory_trials.models.user_code import Refusal, during
from memory_trials.settings import ModelSettings

UNNAMED = re.compile(r"variable(_\d+)?$")  # Keras's name for a weight without one, numbered through the process


@keras.saving.register_keras_serializable(package="memory_trials")
@no_type_check  # Keras reads the signature of __init__, which a wrapper that checks would hide
class MLPCell(keras.layers.Dense):
    """A hidden layer without memory, in a cell's clothes: h = tanh(x W + b), no state."""

    def __init__(self, units: int, activation: str = "tanh", **kwargs):
        super().__init__(units, activation=activation, **kwargs)
        self.state_size = []

    def call(self, inputs, states, training=None):
        return super().call(inputs), []


def make_cell(settings: ModelSettings) -> keras.layers.Layer:
    return constructed(_cell_class(settings.cell), settings.units, settings.cell_options)


def constructed(cell_class: type, units: int, options: dict[str, Any]) -> keras.layers.Layer:
    with during(f"made with units {units} and cell_options {options}"):
        return cell_class(units, **options)


def built_in(name: str) -> type:
    """Return Keras's class of a cell in the registry."""
    cell = registry.find(name)
    if cell is None or cell.keras is None:
        raise Refusal("it has no form in Keras")
    return imported(cell.keras.cell if "." in cell.keras.cell else f"keras.layers.{cell.keras.cell}")


def _cell_class(name: str) -> type:
    cell_class = built_in(name) if registry.find(name) else imported(name)
    if not (isinstance(cell_class, type) and issubclass(cell_class, keras.layers.Layer)):
        raise Refusal("it is not a Keras layer class")
    return cell_class


def imported(name: str) -> Any:
    """Return the object at a dotted path."""
    module_name, _, class_name = name.rpartition(".")
    try:
        with during("import"):
            return getattr(importlib.import_module(module_name), class_name)
    except Refusal as refusal:
        refusal.args = (f"{refusal}{not_in_this_copy(module_name)}",)
        raise


@keras.saving.register_keras_serializable(package="memory_trials")
@no_type_check
class Step(keras.layers.Layer):
    """One time step of a cell, called as keras.layers.RNN calls it: x, states -> output, the new states in a list.

    It is a cell itself, one with an initial state and a width of its output whatever the cell says of them, so an RNN
    layer takes it where it would not take the cell.
    """

    def __init__(self, cell: keras.layers.Layer, **kwargs):
        super().__init__(**kwargs)
        self.cell = cell
        self.state_size: list[int] = []  # read for the shapes of states that are returned, which none is
        self.output_size: int | None = None
        self.built = cell.built

    def build(self, input_shape):
        output, _ = built(self.cell, input_shape[-1])
        self.output_size = output.shape[-1]

    def call(self, inputs, states, training=None):
        named = {"training": training} if self.cell._call_has_training_arg else {}
        result = self.cell(inputs, states, **named)
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise Refusal(f"it returns {_kind(result)}; it must return two, output and states, such as: return h, [h]")
        output, new_states = result
        return output, list(new_states) if isinstance(new_states, tuple | list) else [new_states]

    def get_initial_state(self, batch_size=None):
        row = keras.tree.map_structure(lambda state: state[:1], initial_states(self.cell, 1))
        return keras.tree.map_structure(lambda s: keras.ops.tile(s, (batch_size, *[1] * (len(s.shape) - 1))), row)

    @classmethod
    def from_config(cls, config: dict) -> Step:
        """Construct the cell from a .keras file: config holds the settings of the model section."""
        return cls(make_cell(ModelSettings(**config)))


def _kind(result: Any) -> str:
    return f"{len(result)} things" if isinstance(result, tuple | list) else "one value"


def initial_states(cell: keras.layers.Layer, batch: int) -> list:
    """Return the states with which a sequence begins, nested as `call` takes them: [batch, ...] float32 each.

    They are what the cell's `get_initial_state` returns. A cell without this method begins with zeros, in the shapes
    that its `state_size` names: a number of units, a shape (a tuple in a list, or a TensorShape), or a list of such for
    nested cells.
    """
    own = getattr(cell, "get_initial_state", None)
    if own is None:
        sizes = cell.state_size
        sizes = list(sizes) if isinstance(sizes, tuple | list) else [sizes]
        return [_zeros(size, batch) for size in sizes]
    states = own(batch_size=batch)
    states = list(states) if isinstance(states, tuple | list) else [states]
    states = keras.tree.map_structure(lambda state: keras.ops.convert_to_tensor(state, "float32"), states)
    for state in keras.tree.flatten(states):
        if state.shape[:1] != (batch,):
            raise Refusal(f"it returns a state of shape {tuple(state.shape)} for batch_size {batch}")
    return states


def _zeros(size: Any, batch: int) -> Any:
    if isinstance(size, list) or (isinstance(size, tuple) and not all(isinstance(n, int | np.integer) for n in size)):
        return [_zeros(each, batch) for each in size]
    try:
        shape = [
            operator.index(n) for n in (size if hasattr(size, "__iter__") and not isinstance(size, str) else [size])
        ]
        if min(shape, default=0) < 0:
            raise ValueError
        return keras.ops.zeros((batch, *shape))
    except (TypeError, ValueError):
        raise Refusal(f"state_size holds {brief(size)}, which is neither a number of units nor a shape") from None


def built(cell: keras.layers.Layer, inputs: int) -> tuple[Any, list]:
    """Make the weights of a cell and of the layers in it, in the order in which Keras's RNN would.

    Returns its output and new states for one row, from the initial state.
    """
    if not cell.built:
        with during("build"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"`build\(\)` was called on layer")
            cell.build((1, inputs))
            cell.built = True  # layers without a `build` make their weights when they are called
    if getattr(cell, "state_size", None) is None:
        raise Refusal("it has no state_size, so it is not a Keras cell")
    with during("get_initial_state"):
        states = initial_states(cell, 1)
    with during("call"):
        return called(lambda x, states: Step(cell)(x, states), keras.ops.zeros((1, inputs)), states)


def weight_names(layer: keras.layers.Layer, name: str) -> list[str]:
    """Return names of a layer's trainable variables, such as cell/kernel, or cell/gate/kernel for a layer in self.gate.

    They are the same in every process, unlike Keras's numbered names, and no two are equal.
    """
    found: dict[int, str] = {}
    for path, variable in _variables(layer, name, set()):
        found.setdefault(id(variable), path)
    names: list[str] = []
    for variable in layer.trainable_variables:
        path = found[id(variable)]
        count = sum(other == path or other.startswith(f"{path}.") for other in names)
        names.append(f"{path}.{count}" if path in names else path)
    return names


def _variables(layer: keras.layers.Layer, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    seen.add(id(layer))
    attributes = {id(value): name for name, value in reversed(vars(layer).items())}
    for position, variable in enumerate(layer._trainable_variables):
        unnamed = UNNAMED.fullmatch(variable.name)
        yield f"{path}/{attributes.get(id(variable), f'weight{position}') if unnamed else variable.name}", variable
    # those of Keras and TensorFlow come last, and are looked into only for layers that no attribute holds
    held = sorted(vars(layer).items(), key=lambda item: (item[0].startswith("_self_"), item[0] == "_layers"))
    for name, value in held:
        for place, inner in _layers_in(value, name):
            if id(inner) not in seen:
                yield from _variables(inner, f"{path}/{place}", seen)


def _layers_in(value: Any, name: str) -> Iterator[tuple[str, keras.layers.Layer]]:
    if isinstance(value, keras.layers.Layer):
        yield name, value
    elif isinstance(value, list | tuple | dict):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, each in items:
            yield from _layers_in(each, f"{name}/{key}")


def flat_states(cell: keras.layers.Layer, batch: int) -> list:
    return keras.tree.flatten(initial_states(cell, batch))
