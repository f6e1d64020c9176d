"""Cells of other libraries as `protocol.Cell`: one function for each library, which is imported only for its own cells.

`adapted` finds out which it is. Keras's cells are in `keras_cells`, since they need a process in which Keras runs on
JAX, and torch's in `torch_cells`, since these are translated.
"""

from __future__ import annotations

import inspect
import operator
import sys
from typing import Any

import jax
import jax.numpy as jnp

from memory_trials.models import step_checks
from memory_trials.models.protocol import FUNCTIONS, Cell
from memory_trials.models.user_code import Refusal, during


def adapted(cell: Any, units: int, options: dict[str, Any], inputs: int) -> Cell:
    """Return a cell of any library as three pure functions.

    Args:
        cell: a Keras, Flax (linen or nnx), Equinox, Haiku or torch class; or an object with the functions of the
            protocol, or a class of such, which is called with `units` and the options.
        units: what the class is called with, as the number of its units.
        options: further arguments of the class.
        inputs: length of the input vector.

    Raises:
        Refusal: it is none of these, or cannot be made.
    """
    for library, is_of_it, adapter in ADAPTERS:
        module = sys.modules.get(library)  # the module of a class that exists has been imported
        if module is not None and is_of_it(module, cell):
            with during("" if library in ("keras", "torch") else f"made with units {units} and cell_options {options}"):
                return adapter(cell, units, options, inputs)
    with during(f"made with units {units} and cell_options {options}"):
        own = cell(units, **options) if isinstance(cell, type) else cell
    if missing := [name for name in FUNCTIONS if not callable(getattr(own, name, None))]:
        raise Refusal(
            "it is neither a Keras, Flax, Equinox, Haiku or torch class, nor has it the functions "
            f"{', '.join(FUNCTIONS)} ({', '.join(missing)} missing)"
        )
    takes_key = "key" in inspect.signature(own.step).parameters
    step = own.step if takes_key else lambda params, state, x, key=None: own.step(params, state, x)
    sequence = getattr(own, "call_sequence", None)
    return Cell(own.init, own.initial_state, step, random=takes_key, call_sequence=sequence)


def check(cell: Cell, inputs: int) -> None:
    """Check that an adapted cell does nothing that trials cannot share; `Refusal` where it does."""
    if cell.check:
        cell.check()
    else:
        step_checks.check_step(cell, inputs)


def _class_of(*path: str):
    """Whether a cell is a subclass of what stands at this path in a library."""

    def is_of_it(module: Any, cell: Any) -> bool:
        for name in path:
            module = getattr(module, name, None)
        return isinstance(cell, type) and isinstance(module, type) and issubclass(cell, module)

    return is_of_it


def keras_cell(cell: Any, units: int, options: dict[str, Any], inputs: int) -> Cell:
    from memory_trials.models import keras_cells

    return keras_cells.adapted(cell, units, options, inputs)


def equinox(cell: Any, units: int, options: dict[str, Any], inputs: int) -> Cell:
    """cell(inputs, units, key=key, **options), called with one row: (x, state) -> state, or (y, state).

    As in equinox.nn, what has the structure of the state is the new state, whose first array is the output. A state
    begins with what `initial_state()` returns, without it with zeros of `hidden_size`, one array or a pair.
    """
    import equinox

    made = lambda key: cell(inputs, units, key=key, **options)
    split = lambda module: equinox.partition(module, equinox.is_inexact_array)
    template = made(jax.random.key(0))
    static = split(template)[1]
    begin = _equinox_state(template, units, inputs)
    takes_key = "key" in inspect.signature(cell.__call__).parameters
    structure: Any = jax.tree.structure(begin)

    def one_row(params, state, x, key):
        result = equinox.combine(params, static)(x, state, **({"key": key} if takes_key else {}))
        if structure == jax.tree.structure(result):
            return result, jax.tree.leaves(result)[0]
        if not isinstance(result, tuple | list) or len(result) != 2:
            kind = f"{len(result)} things" if isinstance(result, tuple | list) else "one value"
            raise Refusal(f"it returns {kind}; it must return the new state, or two: y, state", "__call__")
        y, state = result
        return state, y

    def step(params, state, x, key=None):
        if key is None or not takes_key:
            return jax.vmap(lambda state, x: one_row(params, state, x, None))(state, x)
        keys = jax.random.split(key, len(x))
        return jax.vmap(lambda state, x, key: one_row(params, state, x, key))(state, x, keys)

    rows = lambda params, batch: jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (batch, *leaf.shape)), begin)
    return Cell(lambda key, inputs: split(made(key))[0], rows, step, random=takes_key)


def _equinox_state(module: Any, units: int, inputs: int) -> Any:
    if callable(getattr(module, "initial_state", None)):
        return jax.tree.map(jnp.asarray, module.initial_state())
    zeros = jnp.zeros(getattr(module, "hidden_size", units))
    keyed = {"key": None} if "key" in inspect.signature(type(module).__call__).parameters else {}
    failure: Exception | None = None
    for state in (zeros, (zeros, zeros)):
        try:
            jax.eval_shape(lambda x, state=state: module(x, state, **keyed), jnp.zeros(inputs))
            return state
        except Exception as error:  # whatever a module raises that takes another state
            failure = failure or error
    raise Refusal("its state is neither one array of hidden_size nor a pair: give it a method initial_state()") from (
        failure
    )


def flax(cell: Any, units: int, options: dict[str, Any], inputs: int) -> Cell:
    """A linen cell: cell(features=units, **options), called with (carry, x) -> (carry, y)."""
    module = cell(features=units, **options)
    begin = lambda batch: module.initialize_carry(jax.random.key(0), (batch, inputs))
    names = inspect.signature(cell.__call__).parameters
    random = any(name in names for name in ("deterministic", "training", "train"))

    def named(key):
        modes = {"deterministic": key is None, "training": key is not None, "train": key is not None}
        return {name: value for name, value in modes.items() if name in names}

    def init(key, inputs):
        variables = module.init(key, begin(1), jnp.zeros((1, inputs)), **named(None))
        if others := sorted(set(variables) - {"params"}):
            raise Refusal(f"it has variables besides its parameters ({', '.join(others)}), which trials cannot share")
        return variables.get("params", {})

    def step(params, state, x, key=None):
        rngs = {} if key is None else {"rngs": {"dropout": key, "params": key}}
        return module.apply({"params": params}, state, x, **named(key), **rngs)

    return Cell(init, lambda params, batch: begin(batch), step, random)


def nnx(cell: Any, units: int, options: dict[str, Any], inputs: int) -> Cell:
    """Flax's newer API: cell(inputs, units, rngs=rngs, **options), called with (carry, x) -> (carry, y)."""
    from flax import nnx

    made = lambda key: cell(inputs, units, rngs=nnx.Rngs(key), **options)
    parts: Any = nnx.split(made(jax.random.key(0)), nnx.Param, ...)
    graph, template, others = parts
    # what a cell draws is the user's rngs, which are the same at every step
    if drawn := [path for path, _ in nnx.to_flat_state(others) if "dropout" in map(str, path)]:
        raise Refusal(f"it draws random numbers ({drawn[0][-2]}), which is not supported of nnx: use linen or Keras")

    def init(key, inputs):
        return nnx.split(made(key), nnx.Param, ...)[1].to_pure_dict()

    def step(params, state, x, key=None):
        weights = jax.tree.map(lambda leaf: leaf, template)
        nnx.replace_by_pure_dict(weights, params)
        module = nnx.merge(graph, weights, others)
        result = module(state, x)
        parts: Any = nnx.split(module, nnx.Param, ...)
        if parts[0] != graph or any(map(operator.is_not, jax.tree.leaves(parts[2]), jax.tree.leaves(others))):
            raise Refusal(
                "it changes an attribute of self, which is lost: return what is to be kept as a state", "step"
            )
        return result

    def begin(params, batch):
        return made(jax.random.key(0)).initialize_carry((batch, inputs), nnx.Rngs(0))

    return Cell(init, begin, step)


def torch_cell(cell: Any, units: int, options: dict[str, Any], inputs: int) -> Cell:
    from memory_trials.models import torch_cells

    return torch_cells.adapted(cell, units, options, inputs)


def haiku(cell: Any, units: int, options: dict[str, Any], inputs: int) -> Cell:
    """An RNNCore: cell(units, **options), called with (x, state) -> (y, state)."""
    import haiku as hk

    called = hk.transform(lambda x, state: cell(units, **options)(x, state))
    begin = hk.transform(lambda batch: cell(units, **options).initial_state(batch))
    zeros = lambda batch: begin.apply({}, None, batch)

    def step(params, state, x, key=None):
        y, state = called.apply(params, key, x, state)
        return state, y

    init = lambda key, inputs: called.init(key, jnp.zeros((1, inputs)), zeros(1))
    return Cell(init, lambda params, batch: zeros(batch), step)


ADAPTERS = (
    ("keras", _class_of("layers", "Layer"), keras_cell),
    ("equinox", _class_of("Module"), equinox),
    ("flax.linen", _class_of("Module"), flax),
    ("flax.nnx", _class_of("Module"), nnx),
    ("haiku", _class_of("Module"), haiku),
    ("torch", _class_of("nn", "Module"), torch_cell),
)
