"""The operations into which torch.fx takes a module apart (core ATen), in JAX.

`computed` runs such a graph. `torch_cells` compares what comes of it, and its gradients, with what torch says, so that
no operation that is taken for another one goes unnoticed.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from memory_trials.models.user_code import Refusal

LEFT_OUT = ("layout", "device", "pin_memory", "memory_format", "generator", "non_blocking", "implicit")  # arguments


def computed(graph: Any, leaves: Sequence[Any], key: Any) -> list[Any]:
    """Return what a traced module returns.

    Args:
        graph: a torch.fx.GraphModule, whose output is a flat list.
        leaves: its inputs.
        key: of random numbers, for graphs that draw some.
    """
    values: dict[Any, Any] = {}
    given, keys = iter(leaves), _keys(key)
    value = lambda each: _mapped(each, values)
    for node in graph.graph.nodes:
        if node.op == "placeholder":
            values[node] = next(given)
        elif node.op == "get_attr":
            values[node] = jnp.asarray(getattr(graph, node.target).detach().numpy())
        elif node.op == "output":
            return value(node.args[0])
        elif node.target is operator.getitem:
            values[node] = operator.getitem(*value(node.args))
        else:
            name = operation(node)
            drawn = {"key": next(keys)} if name in RANDOM else {}
            named = {key: value(given) for key, given in node.kwargs.items() if key not in LEFT_OUT}
            values[node] = (RANDOM if name in RANDOM else OPERATIONS)[name](*value(node.args), **named, **drawn)
    raise AssertionError("a graph has an output")


def operation(node: Any) -> str:
    """Return the name of a node's operation: of those that change a tensor, or copy a view, the plain one's."""
    return node.target._overloadpacket.__name__.removesuffix("_").removesuffix("_copy")


def _keys(key: Any) -> Iterator[Any]:
    number = 0
    while True:
        yield jax.random.fold_in(key, number)
        number += 1


def _mapped(given: Any, values: dict[Any, Any]) -> Any:
    """Arguments with nodes replaced by their values, and torch's types by JAX's."""
    if isinstance(given, tuple | list):
        return type(given)(_mapped(each, values) for each in given) if type(given) in (tuple, list) else [
            _mapped(each, values) for each in given
        ]  # fmt: skip
    kind = type(given).__module__, type(given).__name__
    if kind == ("torch", "dtype"):
        return jnp.dtype(DTYPES[str(given).removeprefix("torch.")])
    return values[given] if kind == ("torch.fx.node", "Node") else given


DTYPES = {"float32": "float32", "int64": "int32", "int32": "int32", "bool": "bool", "uint8": "uint8", "int8": "int8"}


def _axes(dim: Any) -> Any:
    return tuple(dim) or None if isinstance(dim, tuple | list) else dim


def _reduced(function: Callable) -> Callable:
    def reduced(x, dim=None, keepdim=False, dtype=None):
        return function(x, axis=_axes(dim), keepdims=keepdim, **({"dtype": dtype} if dtype is not None else {}))

    return reduced


def _arange(start, end=None, step=1, dtype=None):
    return jnp.arange(start, end, step, dtype=dtype)


def _extreme(of, at, x, dim, keepdim):
    return of(x) if dim is None else (of(x, axis=dim, keepdims=keepdim), at(x, axis=dim, keepdims=keepdim))


def _variance(x, dim=None, correction=1, keepdim=False):
    return jnp.var(x, axis=_axes(dim), ddof=1 if correction is None else correction, keepdims=keepdim)


def _norm(x, ord=2, dim=None, keepdim=False, dtype=None):
    return jnp.linalg.norm(x, ord=ord, axis=_axes(dim), keepdims=keepdim)


def _expanded(x, sizes):
    shape = (1,) * (len(sizes) - x.ndim) + x.shape
    return jnp.broadcast_to(x, tuple(own if size == -1 else size for own, size in zip(shape, sizes)))


def _sliced(x, dim=0, start=None, end=None, step=1):
    return x[(slice(None),) * (dim % x.ndim) + (slice(start, end, step),)]


def _split(x, sizes, dim=0):
    ends = range(sizes, x.shape[dim], sizes) if isinstance(sizes, int) else np.cumsum(sizes)[:-1]
    return jnp.split(x, list(ends), axis=dim)


def _squeezed(x, dim=None):
    axes = range(x.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    return jnp.squeeze(x, tuple(axis % x.ndim for axis in axes if x.shape[axis] == 1))


def _layer_norm(x, shape, weight, bias, epsilon):
    axes = tuple(range(x.ndim - len(shape), x.ndim))
    mean, variance = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
    scale = jax.lax.rsqrt(variance + epsilon)
    y = (x - mean) * scale
    return (y if weight is None else y * weight) + (0 if bias is None else bias), mean, scale


def _softplus(x, beta=1, threshold=20):
    return jnp.where(x * beta > threshold, x, jax.nn.softplus(jnp.minimum(x * beta, threshold)) / beta)


def _elu(x, alpha=1, scale=1, input_scale=1):
    return scale * jnp.where(x > 0, x, alpha * jnp.expm1(jnp.minimum(x, 0) * input_scale))


def _scattered(x, source, dim, index):
    return x.at[(slice(None),) * (dim % x.ndim) + (index,)].set(source)


OPERATIONS: dict[str, Callable] = {
    **{
        name: getattr(jnp, name)
        for name in (
            "abs",
            "acos",
            "all",
            "any",
            "asinh",
            "atan",
            "atan2",
            "ceil",
            "cos",
            "cosh",
            "exp",
            "expm1",
            "floor",
            "fmod",
            "isfinite",
            "isnan",
            "log",
            "log1p",
            "log2",
            "logical_and",
            "logical_not",
            "logical_or",
            "matmul",
            "maximum",
            "minimum",
            "pow",
            "reciprocal",
            "remainder",
            "round",
            "sign",
            "sin",
            "sinh",
            "sqrt",
            "square",
            "tan",
            "tanh",
            "tril",
            "triu",
            "trunc",
            "where",
        )
    },
    **{name: getattr(jax.nn, name) for name in ("hard_swish", "mish", "relu", "relu6", "sigmoid", "silu")},
    **{name: getattr(operator, name) for name in ("eq", "ge", "gt", "le", "lt", "mul", "ne", "neg")},
    **{name: lambda x, *_, **__: x for name in ("alias", "clone", "contiguous", "lift_fresh")},
    **{name: jnp.matmul for name in ("mm", "bmm", "mv", "dot")},
    **{name: lambda x, sizes: x.reshape(sizes) for name in ("view", "reshape", "_unsafe_view")},
    **{name: lambda x, dim, half=False: jax.nn.softmax(x, axis=dim) for name in ("softmax", "_softmax")},
    **{name: lambda x, dim, half=False: jax.nn.log_softmax(x, axis=dim) for name in ("log_softmax", "_log_softmax")},
    **{name: _split for name in ("split", "split_with_sizes")},
    **{name: lambda x, low=None, high=None: jnp.clip(x, low, high) for name in ("clamp", "hardtanh")},
    "add": lambda x, y, alpha=1: x + alpha * y,
    "addmm": lambda b, x, y, beta=1, alpha=1: beta * b + alpha * (x @ y),
    "argmax": lambda x, dim=None, keepdim=False: jnp.argmax(x, axis=dim, keepdims=keepdim),
    "argmin": lambda x, dim=None, keepdim=False: jnp.argmin(x, axis=dim, keepdims=keepdim),
    "amax": _reduced(jnp.max),
    "amin": _reduced(jnp.min),
    "arange": _arange,
    "baddbmm": lambda b, x, y, beta=1, alpha=1: beta * b + alpha * (x @ y),
    "bitwise_and": operator.and_,
    "bitwise_not": operator.invert,
    "bitwise_or": operator.or_,
    "cat": lambda arrays, dim=0: jnp.concatenate(arrays, axis=dim),
    "clamp_max": jnp.minimum,
    "clamp_min": jnp.maximum,
    "copy": lambda x, source: jnp.broadcast_to(source, x.shape).astype(x.dtype),
    "cumprod": lambda x, dim: jnp.cumprod(x, axis=dim),
    "cumsum": lambda x, dim: jnp.cumsum(x, axis=dim),
    "detach": jax.lax.stop_gradient,
    "diagonal": jnp.diagonal,
    "div": lambda x, y: x / y,
    "elu": _elu,
    "embedding": lambda weight, index, *_: weight[index],
    "empty": lambda size, dtype=None: jnp.zeros(size, dtype),
    "empty_like": lambda x, dtype=None: jnp.zeros_like(x, dtype),
    "erf": jax.scipy.special.erf,
    "expand": _expanded,
    "eye": lambda rows, columns=None, dtype=None: jnp.eye(rows, columns, dtype=dtype),
    "flip": lambda x, dims: jnp.flip(x, tuple(dims)),
    "full": lambda size, value, dtype=None: jnp.full(size, value, dtype),
    "full_like": lambda x, value, dtype=None: jnp.full_like(x, value, dtype),
    "gather": lambda x, dim, index: jnp.take_along_axis(x, index, axis=dim),
    "gelu": lambda x, approximate="none": jax.nn.gelu(x, approximate=approximate != "none"),
    "index": lambda x, at: x[tuple(slice(None) if each is None else each for each in at)],
    "index_select": lambda x, dim, index: jnp.take(x, index, axis=dim),
    "leaky_relu": lambda x, slope=0.01: jnp.where(x > 0, x, slope * x),
    "linalg_vector_norm": _norm,
    "log_sigmoid_forward": lambda x: (jax.nn.log_sigmoid(x), x),
    "logsumexp": lambda x, dim, keepdim=False: jax.nn.logsumexp(x, axis=_axes(dim), keepdims=keepdim),
    "mean": _reduced(jnp.mean),
    "max": lambda x, dim=None, keepdim=False: _extreme(jnp.max, jnp.argmax, x, dim, keepdim),
    "min": lambda x, dim=None, keepdim=False: _extreme(jnp.min, jnp.argmin, x, dim, keepdim),
    "native_layer_norm": _layer_norm,
    "ones": lambda size, dtype=None: jnp.ones(size, dtype),
    "ones_like": lambda x, dtype=None: jnp.ones_like(x, dtype),
    "permute": lambda x, dims: x.transpose(dims),
    "prod": _reduced(jnp.prod),
    "repeat": lambda x, times: jnp.tile(x, times),
    "roll": lambda x, shifts, dims=(): jnp.roll(x, tuple(shifts), tuple(dims)) if dims else jnp.roll(x, shifts[0]),
    "rsqrt": jax.lax.rsqrt,
    "rsub": lambda x, y, alpha=1: y - alpha * x,
    "scalar_tensor": lambda value, dtype=None: jnp.asarray(value, dtype),
    "select": lambda x, dim, index: jax.lax.index_in_dim(x, index, dim, keepdims=False),
    "select_scatter": _scattered,
    "slice": _sliced,
    "slice_scatter": lambda x, source, dim=0, start=None, end=None, step=1: _scattered(
        x, source, dim, slice(start, end, step)
    ),
    "softplus": _softplus,
    "squeeze": _squeezed,
    "stack": lambda arrays, dim=0: jnp.stack(arrays, axis=dim),
    "sub": lambda x, y, alpha=1: x - alpha * y,
    "sum": _reduced(jnp.sum),
    "t": jnp.transpose,
    "_to": lambda x, dtype=None: x if dtype is None else x.astype(dtype),
    "transpose": lambda x, one, other: jnp.swapaxes(x, one, other),
    "unbind": lambda x, dim=0: [jnp.take(x, index, axis=dim) for index in range(x.shape[dim])],
    "unsqueeze": jnp.expand_dims,
    "var": _variance,
    "zeros": lambda size, dtype=None: jnp.zeros(size, dtype),
    "zeros_like": lambda x, dtype=None: jnp.zeros_like(x, dtype),
}


def _dropped(x, p, train, key):
    kept = jax.random.bernoulli(key, 1 - p, x.shape)
    return jnp.where(kept, x / (1 - p), 0), kept


RANDOM: dict[str, Callable] = {
    "bernoulli": lambda x, p=None, key=None: jax.random.bernoulli(key, x if p is None else p, x.shape).astype(x.dtype),
    "native_dropout": _dropped,
    "rand": lambda size, dtype=None, key=None: jax.random.uniform(key, tuple(size)),
    "rand_like": lambda x, dtype=None, key=None: jax.random.uniform(key, x.shape),
    "randn": lambda size, dtype=None, key=None: jax.random.normal(key, tuple(size)),
    "randn_like": lambda x, dtype=None, key=None: jax.random.normal(key, x.shape),
}


def check_operations(graph: Any) -> bool:
    """Return whether a graph draws random numbers.

    Raises:
        Refusal: an operation is not among those above, or a number is of a type that trials do not have.
    """
    draws = False
    for node in graph.graph.nodes:
        for kind in _types(node.meta.get("val")):
            if kind not in DTYPES:
                raise Refusal(f"it computes with numbers of type {kind}, and trials are trained in float32")
        if node.op != "call_function" or node.target is operator.getitem:
            continue
        name = operation(node)
        if name == "_local_scalar_dense":
            raise Refusal("it reads a number out of a tensor (.item(), float()), which cannot be compiled")
        if name not in OPERATIONS and name not in RANDOM:
            raise Refusal(
                f"it uses torch's operation {name}, which is not translated for JAX: take others, or write the cell in "
                "plain JAX (docs/your_cell.md)"
            )
        draws |= name in RANDOM
    return draws


def _types(value: Any) -> list[str]:
    if isinstance(value, tuple | list):
        return [kind for each in value for kind in _types(each)]
    return [str(value.dtype).removeprefix("torch.")] if hasattr(value, "dtype") else []
