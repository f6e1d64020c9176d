"""What a cell must not do is one sentence, whatever library it was written in: of plain JAX, Equinox and Flax. Of Keras
see test_people_cells.py, of torch test_torch_cells.py."""

import random
import re

import equinox
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memory_trials.engines import own
from memory_trials.errors import UserError

UNITS, INPUTS = 3, 4


def refused(kind, monkeypatch) -> str:
    monkeypatch.setattr(own, "kind_of", lambda asked: kind)
    with pytest.raises(UserError) as caught:
        own.make_model(own.Request("here.Cell", UNITS, "{}", False, b"", INPUTS, INPUTS), check=True)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix("model.cell here.Cell").lstrip(":, ")


def one_value(h, x):
    return (h,)


def other_shape(h, x):
    return h[..., :-1], h


def not_finite(h, x):
    return h / h.sum(-1, keepdims=True), h


def coin_of_numpy(h, x):
    return h * (np.random.rand() < 0.5), h  # which falls alike in two traces every other time


def coin_of_python(h, x):
    return h * random.getrandbits(1), h


def unseeded(h, x):
    return h + np.random.default_rng().normal(), h


def double_precision(h, x):
    return h + jnp.asarray(np.arange(3.0), jnp.float64), h


def prints(h, x):
    jax.debug.print("{}", h)
    return h, h


def typo(h, x):
    return jnp.tahn(h), h


def branches(h, x):
    return (h if h.sum() > 0 else -h), h


def batch_size(h, x):
    return h / len(x), h


SENTENCES = {
    one_value: "(step|__call__): it returns 1 things; it must return .*two: .*",
    other_shape: "step: its states have the shapes .*, and it returns others: .*",
    not_finite: "step: its first step returns numbers that are not finite .*",
    unseeded: "step: it computes something else when it is called again: it draws random numbers, .*",
    coin_of_numpy: "step: it computes something else when it is called again: it draws random numbers, .*",
    coin_of_python: "step: it computes something else when it is called again: it draws random numbers, .*",
    double_precision: "step: it asks for float64, and trials are trained in float32",
    prints: "step: it runs Python \\(jax's debug_(print|callback)\\), which trials cannot share",
    typo: ".*AttributeError: module 'jax.numpy' has no attribute 'tahn' .*",
    branches: ".*TracerBoolConversionError: .*",
    batch_size: "step: it computes something else for a row alone than for a batch: .*",
}


def plain(wrong):
    class Cell:
        def __init__(self, units):
            self.units = units

        def init(self, key, inputs):
            return {"w": jax.random.normal(key, (inputs, self.units))}

        def initial_state(self, params, batch):
            return jnp.zeros((batch, self.units))

        def step(self, params, state, x):
            return wrong(state + 0 * x @ params["w"], x)

    return Cell


def of_equinox(wrong):
    class Cell(equinox.Module):
        w: jax.Array

        def __init__(self, inputs, units, *, key):
            self.w = jax.random.normal(key, (inputs, units))

        def initial_state(self):
            return jnp.zeros(UNITS)

        def __call__(self, x, h):
            after, *y = wrong(h + 0 * x @ self.w, x)
            return (*y, after)

    return Cell


def of_flax(wrong):
    import flax.linen as nn

    class Cell(nn.Module):
        features: int

        @nn.compact
        def __call__(self, h, x):
            return wrong(h + 0 * nn.Dense(self.features)(x), x)

        def initialize_carry(self, rng, input_shape):
            return jnp.zeros((*input_shape[:-1], self.features))

    return Cell


@pytest.mark.parametrize("wrong", SENTENCES, ids=lambda wrong: wrong.__name__)
@pytest.mark.parametrize("library", [plain, of_equinox, of_flax], ids=lambda library: library.__name__)
def test_what_a_step_must_not_do_is_one_sentence(library, wrong, monkeypatch):
    if library is of_flax:
        pytest.importorskip("flax")
    if library is of_equinox and wrong is batch_size:
        pytest.skip("it sees one row")
    said = refused(library(wrong), monkeypatch)
    assert re.fullmatch(SENTENCES[wrong], said), said


def test_weights_follow_from_the_key(monkeypatch):
    class Cell(plain(lambda h, x: (h, h))):
        def init(self, key, inputs):
            return {"w": jnp.asarray(np.random.default_rng().normal(size=(inputs, self.units)), jnp.float32)}

    said = refused(Cell, monkeypatch)
    assert said == "init: the same key gives it other weights each time: draw them from the key by jax.random"


def test_what_a_cell_of_nnx_changes_is_not_lost_in_silence(monkeypatch):
    nnx = pytest.importorskip("flax.nnx")

    class Keeps(nnx.Module):
        def __init__(self, inputs, units, *, rngs, counts):
            self.units, self.calls, self.last = units, 0, nnx.Variable(jnp.zeros(units))
            self.linear = nnx.Linear(inputs, units, rngs=rngs)
            self.counts = counts

        def __call__(self, h, x):
            if self.counts is not None:
                setattr(self, *(("calls", self.calls + 1) if self.counts else ("last", nnx.Variable(x[0]))))
            h = jnp.tanh(0.5 * h + self.linear(x))
            return h, h

        def initialize_carry(self, input_shape, rngs):
            return jnp.zeros((*input_shape[:-1], self.units))

    monkeypatch.setattr(own, "kind_of", lambda asked: Keeps)
    made = lambda counts: own.make_model(
        own.Request("here.Cell", UNITS, f'{{"counts": {counts}}}', False, b"", INPUTS, INPUTS), check=True
    )
    assert made("null").width == UNITS
    for counts in ("true", "false"):
        with pytest.raises(UserError, match="step: it changes an attribute of self, which is lost: return .* a state$"):
            made(counts)


class Sum:
    """Its state is the sum of its inputs."""

    def init(self, key, inputs):
        return {"kernel": jax.random.normal(key, (inputs, UNITS))}

    def initial_state(self, params, batch):
        return jnp.zeros((batch, UNITS))

    def step(self, params, h, x):
        h = h + x @ params["kernel"]
        return h, h

    def call_sequence(self, params, x):
        return jnp.cumsum(x @ params["kernel"], axis=1)


class LooksAhead(Sum):
    def call_sequence(self, params, x):
        return super().call_sequence(params, x[:, ::-1])[:, ::-1]


class LastStepAlone(Sum):
    def call_sequence(self, params, x):
        return super().call_sequence(params, x)[:, -1]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (LooksAhead, r"call_sequence: it differs from step by step by [\d.]+: one of the two is wrong"),
        (LastStepAlone, r"call_sequence: it returns the shape \(3, 3\), and step by step it is \(3, 12, 3\)"),
    ],
)
def test_a_form_for_whole_sequences_that_computes_something_else_is_refused(kind, said, monkeypatch):
    assert re.fullmatch(said, refused(kind(), monkeypatch))


def test_a_form_for_whole_sequences_that_computes_the_same_is_what_trains(monkeypatch):
    monkeypatch.setattr(own, "kind_of", lambda asked: Sum())
    model = own.make_model(own.Request("here.Cell", UNITS, "{}", False, b"", INPUTS, INPUTS), check=True)
    found = model.cell.call_sequence({"kernel": np.ones((INPUTS, UNITS))}, np.ones((1, 2, INPUTS)))
    assert np.array_equal(found[0, :, 0], [INPUTS, 2 * INPUTS])
