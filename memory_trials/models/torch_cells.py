"""A cell of torch as `protocol.Cell`: a torch.nn.Module that is called with (x, state), such as torch.nn.GRUCell.

torch.fx takes its forward apart once, into operations that JAX computes (`torch_operations`), so that all engines and
tasks have it. What comes of that, and its gradients, are compared with torch's own before anything is trained. A trial
begins with the weights that the module has when it is made after torch.manual_seed.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from memory_trials.models.protocol import Cell
from memory_trials.models.torch_operations import check_operations, computed
from memory_trials.models.user_code import Refusal, during

ROWS, NEAR = 3, 1e-4  # of the batch with which it is tried; between JAX's numbers and torch's
DEPENDS_ON_NUMBERS = ("GuardOnDataDependentSymNode", "DataDependentOutputException", "DynamicOutputShapeException")
SIMPLE = int | float | str | list | dict | torch.Tensor  # kinds of attributes that are looked at
LAYERS = {torch.nn.LSTM: "LSTMCell", torch.nn.GRU: "GRUCell", torch.nn.RNN: "RNNCell"}


def adapted(kind: type, units: int, options: dict[str, Any], inputs: int) -> Cell:
    """Return a module, made by kind(inputs, units, **options), as three pure functions.

    What `forward` returns is the new state, where it has the state's structure, whose first tensor is the output; else
    (y, state). A state begins with what `initial_state(batch)` returns, without it with zeros of `hidden_size`, one
    tensor or a pair.

    Raises:
        Refusal: it does what trials cannot share, or is not translated.
    """
    for layer, its_cell in LAYERS.items():
        if issubclass(kind, layer):
            raise Refusal(f"torch.nn.{layer.__name__} is a layer for whole sequences: give torch.nn.{its_cell}")
    made = functools.partial(_made, kind, units, options, inputs)
    module = made(1)
    _check_weights(module, made(1), made(2))
    begin = _begin(module, units, inputs)
    with during("forward"):
        traced = _Traced(module, begin, inputs)
        _check_trace(traced, _Traced(made(2), begin, inputs))
        _check_numbers(traced, module, begin, inputs)
    rows = [np.asarray(tensor[:1]) for tensor in jax.tree.leaves(begin(1))]
    structure: Any = jax.tree.structure(begin(1))

    def initial_state(params, batch):
        return jax.tree.unflatten(structure, [jnp.broadcast_to(row, (batch, *row.shape[1:])) for row in rows])

    def step(params, state, x, key=None):
        *leaves, y = traced(params, jax.tree.leaves(state), x, key)
        return jax.tree.unflatten(structure, leaves), y

    def draw(seeds: Sequence[int]) -> list[np.ndarray]:
        drawn = [list(made(seed).parameters()) for seed in seeds]
        return [np.stack([tensor.detach().numpy() for tensor in of_all]) for of_all in zip(*drawn)]

    shapes = [tuple(parameter.shape) for parameter in module.parameters()]
    names = tuple(f"cell/{name.replace('.', '/')}" for name, _ in module.named_parameters())
    init = lambda key, inputs: [jnp.zeros(shape) for shape in shapes]
    return Cell(init, initial_state, step, traced.draws(True), names, draw)


def _made(kind: type, units: int, options: dict[str, Any], inputs: int, seed: int) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        with during(f"made with units {units} and cell_options {options}"):
            return kind(inputs, units, **options).train(False)


def _check_weights(module: torch.nn.Module, again: torch.nn.Module, other: torch.nn.Module) -> None:
    """Check that weights follow from the seed alone, and nothing else does."""
    for name, weight in module.named_parameters():
        if weight.dtype != torch.float32:
            kind = str(weight.dtype).removeprefix("torch.")
            raise Refusal(f"its parameter {name} is of type {kind}, and trials are trained in float32")
        if not weight.requires_grad:
            raise Refusal(f"its parameter {name} has requires_grad=False, and every weight is trained: use a buffer")
        if not torch.equal(weight, again.get_parameter(name)):
            raise Refusal("the same seed gives it other weights each time: draw them by torch")
    for name, buffer in module.named_buffers():
        if not torch.equal(buffer, other.get_buffer(name)):
            raise Refusal(f"its buffer {name} is another after another seed, which trials cannot share")


def _begin(module: torch.nn.Module, units: int, inputs: int):
    """Return the function (batch) -> the state that a sequence begins with."""
    if callable(getattr(module, "initial_state", None)):

        def own(batch: int) -> Any:
            with torch.no_grad():
                return module.initial_state(batch)

        with during("initial_state"):
            one, more = (jax.tree.leaves(own(batch)) for batch in (1, ROWS))
            if not all(torch.equal(a.expand(b.shape), b) for a, b in zip(one, more)):
                raise Refusal("it returns other states for other rows of a batch, or each time that it is called")
        return own
    size = getattr(module, "hidden_size", units)
    zeros = lambda batch: torch.zeros(batch, size)
    failure: Exception | None = None
    for begin in (zeros, lambda batch: (zeros(batch), zeros(batch))):
        try:
            with torch.no_grad():
                module(torch.zeros(1, inputs), begin(1))
            return begin
        except Exception as error:  # whatever a module raises that takes another state
            failure = failure or error
    with during("forward"):
        assert failure is not None
        raise failure


class _Traced:
    """A module's forward as graphs, one for each number of rows, for training and else: made when first asked for."""

    def __init__(self, module: torch.nn.Module, begin: Any, inputs: int):
        self._module, self._begin, self._inputs = module, begin, inputs
        self._making = threading.Lock()
        self._graphs: dict[tuple[int, bool], Any] = {}

    def __call__(self, params: list, states: list, x: Any, key: Any) -> list:
        """Return the new states, and after them the output."""
        return computed(self.graph(x.shape[0], key is not None), [*params, *states, x], key)

    def draws(self, training: bool) -> bool:
        """Return whether random numbers are drawn."""
        return check_operations(self.graph(1, training))

    def graph(self, rows: int, training: bool) -> Any:
        with self._making:
            if (rows, training) not in self._graphs:
                self._graphs[rows, training] = self._made(rows, training)
            return self._graphs[rows, training]

    def _made(self, rows: int, training: bool) -> Any:
        from torch._decomp import core_aten_decompositions
        from torch.fx.experimental.proxy_tensor import make_fx

        module, begin = self._module, self._begin(rows)
        buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
        names = [name for name, _ in module.named_parameters()]

        def step(params, state, x):
            return _called(module, (dict(zip(names, params)), buffers), state, x)

        params = [parameter.detach() for parameter in module.parameters()]
        before = _attributes(module)
        try:
            module.train(training)
            return make_fx(
                torch.func.functionalize(step, remove="mutations_and_views"),  # which keeps .detach()
                decomposition_table=core_aten_decompositions(),
                tracing_mode="fake",
                _allow_non_fake_inputs=True,
            )(params, begin, torch.zeros(rows, self._inputs))
        except Exception as error:
            if type(error).__name__ in DEPENDS_ON_NUMBERS:
                raise Refusal(
                    "it decides by a number in a tensor (if, while, .item()), which cannot be compiled: use torch.where"
                ) from error
            raise
        finally:
            module.train(False)
            changed = [name for name, value in _attributes(module).items() if before.get(name, before) != value]
            for name, buffer in module.named_buffers():
                if not torch.equal(buffer, buffers[name]):
                    changed.append(name)
            if changed:
                raise Refusal(
                    f"it changes self.{changed[0]}, which is lost once it is compiled: return what is to be kept as a "
                    "state"
                )


def _called(module: torch.nn.Module, given: Any, state: Any, x: torch.Tensor) -> list:
    """Return the new states, and after them the output. given: parameters, and buffers."""
    result = torch.func.functional_call(module, given, (x, state))
    structure: Any = jax.tree.structure(state)
    if jax.tree.structure(result) == structure:
        return [*jax.tree.leaves(result), jax.tree.leaves(result)[0]]
    if isinstance(result, tuple | list) and len(result) == 2 and jax.tree.structure(result[1]) == structure:
        return [*jax.tree.leaves(result[1]), result[0]]
    kind = f"{len(result)} things" if isinstance(result, tuple | list) else "one value"
    raise Refusal(f"it returns {kind}; it must return the new state, like the one that it is given, or (y, state)")


def _attributes(module: torch.nn.Module) -> dict[str, Any]:
    """By name, what can be compared: of tensors who they are, of others what they show."""
    return {
        f"{path}.{name}" if path else name: id(value) if isinstance(value, torch.Tensor) else repr(value)
        for path, each in module.named_modules()
        for name, value in vars(each).items()
        if not name.startswith("_") and name != "training" and isinstance(value, SIMPLE)
    }


def _check_trace(traced: _Traced, other: _Traced) -> None:
    """Check that a call depends on inputs, states and weights alone."""
    if traced.draws(False):
        raise Refusal("it draws random numbers also when it is evaluated: draw them only where self.training is true")
    mine = traced.graph(ROWS, False)
    for its, when in (
        (traced._made(ROWS, False), "when it is called again: it draws random numbers, or keeps something"),
        (other.graph(ROWS, False), "when it is made after another seed, with equal weights: it draws random numbers"),
    ):
        same = mine.code == its.code and all(map(torch.equal, _constants(mine), _constants(its)))
        if not same:
            raise Refusal(f"it computes something else {when}")


def _constants(graph: Any) -> list[torch.Tensor]:
    return [getattr(graph, node.target) for node in graph.graph.nodes if node.op == "get_attr"]


def _check_numbers(traced: _Traced, module: torch.nn.Module, begin: Any, inputs: int) -> None:
    """Check that JAX computes what torch does, with the same gradients."""
    rng = np.random.default_rng(0)
    some = lambda shape: 0.3 * rng.standard_normal(tuple(shape)).astype(np.float32)
    params, x = [some(parameter.shape) for parameter in module.parameters()], some((ROWS, inputs))
    states = [some(state.shape) for state in jax.tree.leaves(begin(ROWS))]
    tensors = [torch.tensor(array, requires_grad=True) for array in (*params, *states, x)]
    names = [name for name, _ in module.named_parameters()]
    state = jax.tree.unflatten(jax.tree.structure(begin(ROWS)), tensors[len(params) : -1])
    given = dict(zip(names, tensors)), dict(module.named_buffers())
    expected = _called(module, given, state, tensors[-1])
    coefficients = [some(each.shape) for each in expected]
    loss = sum((each * torch.from_numpy(c)).sum() for each, c in zip(expected, coefficients))
    none = not isinstance(loss, torch.Tensor) or not loss.requires_grad
    slopes = [None] * len(tensors) if none else torch.autograd.grad(loss, tensors, allow_unused=True)

    def objective(params, states, x):
        found = traced(params, states, x, None)
        return sum((each * c).sum() for each, c in zip(found, coefficients)), found

    gradients, found = jax.jit(jax.grad(objective, argnums=(0, 1, 2), has_aux=True))(params, states, x)
    near = lambda one, other: np.allclose(one, other, NEAR, NEAR, equal_nan=True)
    if not all(near(one, other.detach().numpy()) for one, other in zip(found, expected)):
        raise Refusal("what JAX computes of it is not what torch computes: write the cell in plain JAX, or report this")
    for name, mine, its in zip((*names, *["the state"] * len(states), "x"), jax.tree.leaves(gradients), slopes):
        if not near(mine, 0.0 if its is None else its.numpy()):
            raise Refusal(
                f"its gradient for {name} is not the one of its operations: torch.no_grad and gradients of your own "
                "(torch.autograd.Function) are not translated, .detach() is"
            )
