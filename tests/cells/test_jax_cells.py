"""The cells that are written in JAX against their equations in NumPy, and what each of them must be able to do."""

import functools
import importlib
import json
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memory_trials.cells import registry
from memory_trials.engines import own
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


@functools.cache  # so that what JAX has compiled for one test serves another
def made(name, units=UNITS, **options):
    """A cell's functions and its options."""
    model = ModelSettings(cell=name, units=units, cell_options=options)
    return registry.find(name).jax.functions(units, model.options), model.options


def drawn(functions):
    return compiled(functions.init, static_argnums=1)(jax.random.key(0), INPUTS)


def weights_of(functions, seed=0, inputs=INPUTS, deviation=0.7):
    """Weights unlike those that a cell begins with, none of them even or zero."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda key: functions.init(key, inputs), jax.random.key(0))
    return {name: rng.normal(0, deviation, of.shape).astype(np.float32) for name, of in shapes.items()}


def inputs_of(steps=STEPS, rows=2, size=INPUTS, seed=1):
    return np.random.default_rng(seed).standard_normal((steps, rows, size)).astype(np.float32)


def run(functions, weights, x, state=None):
    """The outputs [L, rows, width] of x [L, rows, inputs]."""
    return np.asarray(_run(functions, weights, x, state))


compiled = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})  # which is quicker


def outputs(functions, weights, x, state=None):
    state = functions.initial_state(weights, x.shape[1]) if state is None else state
    return jax.lax.scan(lambda state, row: functions.step(weights, state, row), state, x)[1]


_run = compiled(outputs, static_argnums=0)


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
    found = run(functions, weights, x)
    assert found.dtype == jnp.float32 and found.shape == (STEPS, 2, UNITS)
    expected = reference(name, name, weights, x, UNITS, options)
    assert np.abs(expected).max() > 0.1
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-5)
    if hasattr(equations, f"{name}_at_once"):
        assert np.allclose(
            reference(f"{name}_at_once", name, weights, x, UNITS, options), expected, rtol=1e-9, atol=1e-9
        )


@pytest.mark.parametrize(("name", "options"), CASES, ids=NAMED)
def test_whole_sequences_come_to_the_same_as_step_by_step_and_so_do_gradients(name, options):
    functions, options = made(name, **options)
    if functions.call_sequence is None:
        assert name in ("min_gru", "lru", "slstm", "nbrc")
        return
    weights, x = weights_of(functions), inputs_of(steps=40)
    at_once = lambda weights: functions.call_sequence(weights, x.swapaxes(0, 1)).swapaxes(0, 1)
    assert np.allclose(at_once(weights), reference(name, name, weights, x, UNITS, options), rtol=1e-4, atol=1e-4)
    gradients = [
        compiled(jax.grad(lambda weights, of=of: (of(weights) ** 2).sum()))(weights)
        for of in (at_once, lambda weights: outputs(functions, weights, x))
    ]
    for name, found in gradients[0].items():
        expected = np.asarray(gradients[1][name])
        assert np.allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


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


def test_min_grus_parallel_form_agrees_for_any_beginning_and_its_state_stays_positive():
    functions, options = made("min_gru")
    weights, x = weights_of(functions, deviation=2), inputs_of()
    for begin in (0.0, 3.5):
        found = run(functions, weights, x, jnp.full((2, UNITS), begin))
        for form in ("min_gru", "min_gru_at_once"):
            assert np.allclose(
                found, reference(form, "min_gru", weights, x, UNITS, options, h0=begin), rtol=1e-4, atol=1e-5
            )
        assert (found > 0).all()


def test_min_gru_forgets_no_more_than_all_and_cannot_alternate():
    """Between two states, the share that is kept is in (0, 1) whatever the input: their order never changes."""
    functions, _ = made("min_gru")
    weights, x = weights_of(functions, deviation=1), inputs_of()
    low, high = (run(functions, weights, x, jnp.full((2, UNITS), begin)) for begin in (1.0, 2.0))
    kept = np.diff(np.concatenate([np.full((1, 2, UNITS), 0), np.log(high - low)]), axis=0)
    assert (kept < 0).all()


@pytest.mark.parametrize(("r_min", "r_max"), [(0.0, 1.0), (0.9, 0.99), (0.4, 0.5)])
def test_lru_begins_with_eigenvalues_on_its_ring_and_inputs_of_its_own_scale(r_min, r_max):
    functions, _ = made("lru", 2000, r_min=r_min, r_max=r_max)
    weights = drawn(functions)
    radius = np.exp(-np.exp(np.float64(weights["nu"])))
    assert r_min - 1e-5 <= radius.min() and radius.max() <= r_max + 1e-5 and radius.max() < 1
    assert np.isclose(np.mean(radius**2), (r_min**2 + r_max**2) / 2, atol=0.02)  # uniform in area
    assert np.allclose(np.exp(2 * np.float64(weights["gamma"])), 1 - radius**2, rtol=1e-3, atol=1e-6)
    angle = np.exp(np.float64(weights["theta"]))
    assert 0 < angle.min() and angle.max() <= 2 * np.pi + 1e-5 and np.isclose(angle.mean(), np.pi, atol=0.15)
    b, output = np.asarray(weights["input_kernel"]), np.asarray(weights["output_kernel"])
    assert np.isclose(b.std(), (2 * INPUTS) ** -0.5, rtol=0.02)
    assert np.isclose(output[:4000].std(), 2000**-0.5, rtol=0.02) and np.isclose(
        output[4000:].std(), INPUTS**-0.5, rtol=0.05
    )


def test_s6_begins_with_its_decays_and_step_sizes():
    functions, _ = made("s6", 1000)
    weights = {name: np.asarray(array, np.float64) for name, array in drawn(functions).items()}
    assert np.allclose(np.exp(weights["log_decay"]), np.arange(1, 17)) and (weights["skip"] == 1).all()
    rate = np.log1p(np.exp(weights["rate_bias"]))
    assert 0.001 <= rate.min() * 1.001 and rate.max() <= 0.1001
    assert np.isclose(np.log(rate).mean(), np.log(0.01), atol=0.1)
    assert weights["rate_kernel"].shape == (63, 1000) and np.isclose(
        np.abs(weights["rate_kernel"]).max(), 63**-0.5, rtol=1e-3
    )


def test_s6_is_first_order_in_its_step_and_signed_eigenvalues_turn_parity_on():
    """One unit, one number of state: an input of 1 multiplies it by 2 e^-40 - 1, which is -1, an input of 0 by 1."""
    functions, _ = made("s6", 1, state_size=1, eigenvalues="signed")
    weights = {
        "input_kernel": np.float32([[0], [1]]),  # of inputs: always 1, the bit
        "selection_kernel": np.float32([[1, 0, 0]]),
        "rate_kernel": np.float32([[80]]),
        "rate_bias": np.float32([-40]),
        "log_decay": np.float32([[0]]),
        "skip": np.float32([0]),
    }
    bits = np.random.default_rng(0).integers(0, 2, 40)
    h, parity = jnp.ones((1, 1, 1)), 0
    for bit in bits:
        h, _ = functions.step(weights, h, np.float32([[1, bit]]))
        parity ^= bit
        assert np.isclose(h[0, 0, 0], 1 - 2 * parity, atol=1e-4)


def test_slstm_begins_as_if_nothing_had_been_and_its_normaliser_stays_above_1():
    functions, _ = made("slstm", recurrent="uniform")
    weights, x = weights_of(functions, deviation=3), inputs_of(steps=60)
    state = functions.initial_state(weights, 2)
    for row in x:
        state, y = functions.step(weights, state, row)
        assert (np.asarray(state[2]) >= 1).all() and (np.abs(y) < 1).all()


@pytest.mark.parametrize("name", ["slstm", "mlstm"])
def test_no_gradient_is_lost_where_the_largest_exponent_has_none(name):
    """m cancels in the outputs, so the gradient is that of the equations without it."""
    functions, options = made(name)
    weights, x = weights_of(functions), inputs_of(steps=6)
    loss = lambda weights: (outputs(functions, weights, x) ** 2).sum()
    gradient = compiled(jax.grad(loss))(weights)
    for key, direction in weights_of(functions, seed=5).items():
        at = lambda by, key=key, direction=direction: {**weights, key: np.float64(weights[key]) + by * direction}
        up, down = ((reference(name, name, at(by), x, UNITS, options) ** 2).sum() for by in (1e-5, -1e-5))
        assert np.isclose((np.asarray(gradient[key]) * direction).sum(), (up - down) / 2e-5, rtol=1e-3, atol=1e-4)


def test_slstm_and_mlstm_begin_with_the_biases_of_their_authors():
    one, zero = (drawn(made("slstm", 50, recurrent=kind)[0]) for kind in ("uniform", "zero"))
    assert np.allclose(np.asarray(one["bias"]).reshape(4, 50)[1, [0, 1, -1]], [5, 5 - 12 * (1 / 49) ** 0.3, -7])
    assert not zero["recurrent_kernel"].any() and np.isclose(np.abs(one["recurrent_kernel"]).max(), 50**-0.5, rtol=1e-3)
    many = drawn(made("mlstm", 400, heads=200)[0])
    bias = np.asarray(many["bias"])
    assert not bias[:400].any() and np.isclose(bias[400:600].std(), 0.1, rtol=0.2)
    assert np.allclose(bias[600:], np.linspace(3, 6, 200)) and not np.asarray(many["kernel"])[:, -400:].any()


def test_attention_without_positions_does_not_know_the_order_of_the_past():
    functions, _ = made("attention")
    weights, x = weights_of(functions), inputs_of()
    shuffled = np.concatenate([x[:-1][np.random.default_rng(0).permutation(STEPS - 1)], x[-1:]])
    assert np.allclose(run(functions, weights, x)[-1], run(functions, weights, shuffled)[-1], atol=1e-5)
    with_positions, _ = made("attention", positions="alibi")
    assert not np.allclose(run(with_positions, weights, x)[-1], run(with_positions, weights, shuffled)[-1], atol=1e-3)


def test_attentions_context_is_no_part_of_its_weights():
    (short, _), (long, _) = made("attention", context=4), made("attention", context=STEPS)
    weights, x = weights_of(short), inputs_of()
    assert jax.tree.map(np.shape, weights) == jax.tree.map(np.shape, weights_of(long))
    found = run(short, weights, x), run(long, weights, x)
    assert np.allclose(found[0][:4], found[1][:4], atol=1e-6) and not np.allclose(*found, atol=1e-3)
    assert np.allclose(found[0][4:8], run(short, weights, x[1:])[3:7], atol=1e-6)  # as if there had been no other


def test_delta_net_recalls_as_many_pairs_as_a_key_has_numbers():
    """With beta 1 and orthonormal keys each value is found again; one more pair than numbers does not fit."""
    size = 4
    functions, _ = made("delta_net", 3, key_size=size)
    keys = np.linalg.qr(np.random.default_rng(0).standard_normal((size, size)))[0].astype(np.float32)
    values = np.random.default_rng(1).standard_normal((size, 3)).astype(np.float32)
    # inputs: the key, the query, the value, and 1 where it is to be written
    kernel = np.zeros((2 * size + 4, 2 * size + 4), np.float32)
    kernel[size : 2 * size, :size] = kernel[:size, size : 2 * size] = np.eye(size)
    kernel[2 * size : -1, 2 * size : -1] = np.eye(3)
    kernel[-1, -1] = 40
    nothing = np.zeros((size, size), np.float32)
    write = np.concatenate([keys, nothing, values, np.ones((size, 1))], axis=1)
    read = np.concatenate([nothing, keys, nothing[:, :3], np.full((size, 1), -1)], axis=1)
    found = run(functions, {"kernel": kernel}, np.concatenate([write, read]).astype(np.float32)[:, None])
    assert np.allclose(found[size:, 0] * size**0.5, values, atol=1e-5)


@pytest.mark.parametrize(("beta_to", "possible"), [(1, False), (2, True)])
def test_delta_net_computes_parity_where_beta_goes_to_2(beta_to, possible):
    """A step with beta 2 turns what a key finds into its negative; with beta 1 it only takes it away."""
    functions, _ = made("delta_net", 1, beta_to=beta_to)
    bits = np.random.default_rng(0).integers(0, 2, 40)
    kernel = np.zeros((2, 4), np.float32)  # of inputs: always 1, the bit; q, k, v, beta
    kernel[0] = [1, 1, 0, -20]
    kernel[1, 3] = 40
    memory, found = jnp.ones((1, 1, 1, 1)), []
    for bit in bits:
        memory, y = functions.step({"kernel": kernel}, memory, np.float32([[1, bit]]))
        found.append(float(y[0, 0]))
    assert np.allclose(found, 1 - 2 * (np.cumsum(bits) % 2), atol=1e-3) == possible


def test_nbrc_has_two_stable_states_where_a_is_larger_than_1():
    functions, _ = made("nbrc", 1)

    def settles(a, begin):
        """Where h is after 200 steps without input, for tanh(bias) = a - 1 and half kept at each step."""
        weights = {
            "kernel": jnp.zeros((1, 3)),
            "recurrent_kernel": jnp.zeros((1, 2)),
            "bias": jnp.array([np.arctanh(a - 1), 0.0, 0.0]),
        }
        return float(run(functions, weights, jnp.zeros((200, 1, 1)), jnp.full((1, 1), begin))[-1, 0, 0])

    up, down = settles(1.5, 0.01), settles(1.5, -0.01)
    assert up > 0.8 and np.isclose(up, np.tanh(1.5 * up), atol=1e-5) and np.isclose(down, -up, atol=1e-5)
    assert abs(settles(0.5, 0.9)) < 1e-5 and abs(settles(0.5, -0.9)) < 1e-5


def test_retnets_decays_are_its_authors_and_without_them_order_does_not_count():
    functions, _ = made("retnet", 8, heads=4)
    memory, _ = functions.step({"kernel": jnp.zeros((INPUTS, 24))}, jnp.ones((1, 4, 2, 2)), jnp.ones((1, INPUTS)))
    assert np.allclose(memory[0, :, 0, 0], [31 / 32, 63 / 64, 127 / 128, 255 / 256])
    functions, _ = made("retnet", decay=False)
    weights, x = weights_of(functions), inputs_of()
    shuffled = np.concatenate([x[:-1][::-1], x[-1:]])
    assert np.allclose(run(functions, weights, x)[-1], run(functions, weights, shuffled)[-1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_cell_begins_empty_and_stays_finite_in_outputs_and_gradients(name):
    functions, _ = made(name)
    weights, x = drawn(functions), 20 * inputs_of(steps=100)
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(functions.initial_state(weights, 1))]
    assert all(leaf.dtype == np.float32 and ((leaf == 0) | (leaf <= -1e30)).all() for leaf in leaves)
    if name not in ("lru", "s6"):
        assert 0 < np.abs(weights["kernel"]).max() <= np.sqrt(6 / (INPUTS + 1))
    gradient = jax.jit(jax.value_and_grad(lambda weights, x: jnp.tanh(outputs(functions, weights, x)).sum()))
    for given in (x, 0 * x):
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient(weights, given)))


def test_sizes_are_those_of_the_weights_and_the_state(jax_here):
    model = ModelSettings(cell="lru", units=6)
    assert own.sizes(model, 5, 3) == (3 * 6 + 3 * 6 * 5 + 2 * 6**2, 180 + (6 + 1) * 3, 2 * 6)
    assert own.sizes(ModelSettings(cell="lstm", units=20), 5, 5) == (2080, 2185, 40)
    assert own.sizes(ModelSettings(cell="mlp", units=4), 5, 5) == (24, 49, 0)
    blocks = {"block_size": 2, "input_gate_bias": [-1, -2]}
    for connected, seen in (("F", 4 + 2 * 2), ("C", 4), ("B", 0)):
        options = blocks | {"connected": connected}
        found = own.sizes(ModelSettings(cell="memory_cell", units=4, cell_options=options), 3, 2)
        assert found.state == 4 + seen and found.cell == (3 + seen) * 8 + 2
