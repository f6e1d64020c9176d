"""The cells that are written in JAX against their equations in NumPy, and what each of them must be able to do."""

import importlib
import json
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memory_trials.cells import registry
from memory_trials.errors import UserError
from memory_trials.settings import ModelSettings, Settings
from tests.cells import equations

INPUTS, UNITS, STEPS = 5, 4, 12
CASES = [
    ("min_gru", {}),
    ("lru", {"r_min": 0.4, "r_max": 0.9}),
    ("s6", {"state_size": 3}),
    ("s6", {"state_size": 2, "rank": 2, "eigenvalues": "signed"}),
    ("slstm", {"recurrent": "uniform"}),
    ("mlstm", {}),
    ("mlstm", {"heads": 2, "key_size": 3}),
    ("retnet", {}),
    ("retnet", {"heads": 1, "key_size": 3, "decay": False}),
    ("delta_net", {}),
    ("delta_net", {"heads": 2, "key_size": 3, "beta_to": 2}),
    ("nbrc", {}),
    ("attention", {}),
    ("attention", {"heads": 2, "key_size": 3, "positions": "alibi", "context": 5}),
]
NAMES = sorted({name for name, _ in CASES})
NAMED = [f"{name}{json.dumps(options) if options else ''}" for name, options in CASES]


def made(name, units=UNITS, **options):
    """A cell's functions and its options."""
    model = ModelSettings(cell=name, units=units, cell_options=options)
    return registry.find(name).jax.functions(units, model.options), model.options


def drawn(functions, seed=0, inputs=INPUTS):
    return jax.jit(functions.init, static_argnums=1)(jax.random.key(seed), inputs)


def weights_of(functions, seed=0, inputs=INPUTS, deviation=0.7):
    """Weights unlike those that a cell begins with, none of them even or zero."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda key: functions.init(key, inputs), jax.random.key(0))
    return {name: rng.normal(0, deviation, of.shape).astype(np.float32) for name, of in shapes.items()}


def inputs_of(steps=STEPS, rows=2, size=INPUTS, seed=1):
    return np.random.default_rng(seed).standard_normal((steps, rows, size)).astype(np.float32)


def run(functions, weights, x, state=None):
    """The outputs [L, rows, width] of x [L, rows, inputs]."""
    state = functions.initial_state(weights, x.shape[1]) if state is None else state
    return jax.lax.scan(lambda state, row: functions.step(weights, state, row), state, x)[1]


def reference(form, name, weights, x, units, options, **more):
    """The outputs [L, rows, width] by one of `equations`."""
    if name == "retnet" and options.heads is None:
        options = options.model_copy(update={"heads": math.gcd(units, 4)})
    weights = {key: np.asarray(array, np.float64) for key, array in weights.items()}
    rows = [
        getattr(equations, form)(weights, row, units, options, **more) for row in x.astype(np.float64).swapaxes(0, 1)
    ]
    return np.stack(rows, axis=1)


@pytest.mark.parametrize(("name", "options"), CASES, ids=NAMED)
def test_a_cell_computes_its_equations_step_by_step_and_at_once(name, options):
    functions, options = made(name, **options)
    weights, x = weights_of(functions), inputs_of()
    found = jax.jit(lambda weights, x: run(functions, weights, x))(weights, x)
    assert found.dtype == jnp.float32 and found.shape == (STEPS, 2, UNITS)
    expected = reference(name, name, weights, x, UNITS, options)
    assert np.abs(expected).max() > 0.1
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-5)
    if hasattr(equations, f"{name}_at_once"):
        assert np.allclose(
            reference(f"{name}_at_once", name, weights, x, UNITS, options), expected, rtol=1e-9, atol=1e-9
        )


def test_every_cell_in_jax_has_equations_here():
    assert registry.named(lambda cell: cell.jax) == NAMES


@pytest.mark.parametrize(("name", "options"), CASES, ids=NAMED)
def test_the_docstring_says_how_many_parameters_and_numbers_of_state_there_are(name, options):
    functions, options = made(name, **options)
    weights = jax.eval_shape(lambda key: functions.init(key, INPUTS), jax.random.key(0))
    state = jax.eval_shape(lambda: functions.initial_state(weights, 1))
    doc = " ".join((importlib.import_module(registry.module_of(name)).__doc__ or "").split())
    said = re.search(r"State: (.*?)(?: for d units.*?)?(?:; .*?)?\. Parameters: (.*?)\.$", doc)
    known = {"d": UNITS, "inputs": INPUTS, "heads": 1} | {
        k: v for k, v in options.model_dump().items() if v is not None
    }
    if name == "retnet":
        known["heads"] = options.heads or 4
    known["d_k"] = known.get("key_size", UNITS // known["heads"])
    known["rank"] = known.get("rank", 1)
    size = lambda tree: sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))
    assert (value(said[1].removesuffix(" numbers"), known), value(said[2], known)) == (size(state), size(weights))


def value(formula, known):
    """What a formula in a docstring comes to, where a space between two factors is a product."""
    formula = formula.replace("^", "**").replace(" numbers", "")
    words = re.findall(r"[a-z_]+|\d+|\*\*|[()+-]", formula)
    text = ""
    for word in words:
        if text and (word[0].isalnum() or word == "(") and (text[-1].isalnum() or text[-1] == ")") and text[-1:] != "(":
            text += "*"
        text += str(known[word]) if word[0].isalpha() else word
    return eval(text)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"cell": "min_gru", "cell_options": {"heads": 2}}, "unknown key heads; allowed here are none"),
        (
            {"cell": "lru", "cell_options": {"r_min": 0.9, "r_max": 0.9}},
            "r_min is 0.9, and r_max is 0.9: r_max must be",
        ),
        ({"cell": "lru", "cell_options": {"r_max": 1.5}}, "r_max is 1.5: must be less than or equal to 1"),
        ({"cell": "delta_net", "cell_options": {"beta_to": 3}}, "beta_to is 3: must be 1 or 2"),
        ({"cell": "retnet", "cell_options": {"heads": 3}}, "4 units cannot be split into 3 heads of one size"),
        (
            {"cell": "attention", "cell_options": {"positions": "rope"}},
            "positions is 'rope': must be 'none' or 'alibi'",
        ),
        ({"cell": "nbrc", "forget_bias": 1.0}, "forget_bias is for the cells gru and lstm; nbrc has no forget gate"),
        ({"cell": "s6", "output": "linear"}, "output is linear, which only memory_cell takes, not s6"),
    ],
)
def test_an_option_that_does_not_fit_is_refused_in_one_sentence(model, said):
    with pytest.raises(UserError, match=re.escape(said)):
        Settings(problem={"sequences": [[0, 1, 0], [1, 1, 1]]}, model={"units": 4} | model)


def test_tensorflow_does_not_train_a_cell_in_jax():
    with pytest.raises(UserError, match="training.engine: tensorflow does not train the cell lru: set auto or jax"):
        Settings(problem={"sequences": [[0, 1], [1, 1]]}, model={"cell": "lru"}, training={"engine": "tensorflow"})
