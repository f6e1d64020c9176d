"""Keras's draws without Keras: against Keras, against exact mathematics, and against recorded bits."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from memory_trials.cells import registry
from memory_trials.errors import UserError
from memory_trials.models import initializers, keras_model
from memory_trials.models.backend import keras
from memory_trials.models.initializers import draw, initial_weights, supports
from memory_trials.settings import ChronoSettings, ModelSettings

UNIFORM = sorted(name for name, (kind, _) in initializers.DISTRIBUTIONS.items() if kind == "uniform")
NORMAL = sorted(set(initializers.DISTRIBUTIONS) - set(UNIFORM))
CONSTANT = ["zeros", "ones"]
ULPS = 6  # float32's roundings in Keras's own log, sin and cos


def by_keras(name: str, shape: tuple[int, ...], seeds: np.ndarray) -> np.ndarray:
    made = [keras.initializers.get({"class_name": name, "config": {"seed": int(seed)}}) for seed in seeds]
    return np.stack([np.asarray(initializer(shape)) for initializer in made])


shapes = st.tuples(st.integers(1, 40), st.integers(1, 40)) | st.tuples(st.integers(1, 90))
keras_seeds = st.lists(st.integers(1, 10**9), min_size=1, max_size=4).map(np.array)


@pytest.mark.parametrize("name", UNIFORM)
@settings(max_examples=15)
@given(shapes, keras_seeds)
@example((5, 80), np.array([1, 10**9]))
def test_uniform_numbers_are_those_of_keras_to_the_bit(name, shape, seeds):
    assert np.array_equal(draw(name, shape, seeds), by_keras(name, shape, seeds))


@pytest.mark.parametrize("name", NORMAL)
@settings(max_examples=15)
@given(shapes, keras_seeds)
@example((200, 200), np.array([1, 10**9]))
def test_normal_numbers_are_those_of_keras_but_for_roundings(name, shape, seeds):
    ours, theirs = draw(name, shape, seeds), by_keras(name, shape, seeds)
    assert ours.dtype == theirs.dtype == np.float32
    assert (np.abs(ours.astype(float) - theirs) <= ULPS * np.spacing(np.abs(theirs))).all()


@settings(max_examples=30)
@given(st.tuples(st.integers(1, 40), st.integers(1, 40)), keras_seeds)
@example((20, 80), np.arange(1, 30))
@example((20, 20), np.arange(1, 30))
@example((80, 20), np.array([7]))
def test_an_orthogonal_matrix_is_that_of_keras_as_far_as_float32_goes(shape, seeds):
    """Against the QR decomposition of LAPACK in double precision; and against Keras, whose own is in float32 and so loses
    the matrix's condition number of float32's digits."""
    ours, theirs = draw("orthogonal", shape, seeds), by_keras("orthogonal", shape, seeds)
    long, short = max(shape), min(shape)
    normal = initializers._normal(seeds, long * short).reshape(-1, long, short).astype(float)
    across = shape[0] < shape[1]
    for matrix, own, of_keras in zip(normal, ours, theirs):
        q, r = np.linalg.qr(matrix)
        exact = q * np.sign(np.diag(r))
        condition = np.linalg.cond(matrix)
        assert np.abs(own - (exact.T if across else exact)).max() <= 6e-8 + 1e-14 * condition
        assert np.abs(own - of_keras).max() <= 2e-7 + 2e-7 * condition
        own = own.astype(float).T if across else own.astype(float)
        assert np.abs(own.T @ own - np.eye(short)).max() <= 4e-7


@pytest.mark.parametrize("name", [*CONSTANT, "identity"])
def test_what_is_not_random(name):
    assert np.array_equal(draw(name, (3, 5), np.arange(2)), [np.asarray(keras.initializers.get(name)((3, 5)))] * 2)


@pytest.mark.parametrize("name", initializers.NAMES)
def test_every_name_is_keras_s(name):
    shape = (4, 3)
    assert np.allclose(draw(name, shape, np.array([5])), by_keras_name(name, shape), atol=1e-6)


def by_keras_name(name: str, shape: tuple[int, ...]) -> np.ndarray:
    initializer = keras.initializers.get(name)
    if hasattr(initializer, "seed"):
        initializer.seed = 5
    return np.asarray(initializer(shape))[np.newaxis]


strings = st.sampled_from(sorted(initializers.NAMES))
models = st.fixed_dictionaries(
    {"cell": st.sampled_from(["lstm", "gru", "simple_rnn", "mlp"]), "units": st.integers(1, 30)}
)
options = st.fixed_dictionaries(
    {},
    optional={
        "kernel_initializer": strings, "recurrent_initializer": strings, "bias_initializer": strings,
        "unit_forget_bias": st.booleans(), "seed": st.none() | st.integers(0, 9),
    },
)  # fmt: skip


@settings(max_examples=60)
@given(
    models, options, st.integers(1, 12), st.integers(1, 12), st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3)
)
@example({"cell": "lstm"}, {}, 5, 5, [0, 7, 123456])
@example({"cell": "gru"}, {"seed": 3}, 5, 5, [0])
@example({"cell": "simple_rnn"}, {"recurrent_initializer": "identity"}, 5, 5, [1])
@example({"cell": "mlp"}, {"kernel_initializer": "ones"}, 5, 5, [1])
def test_a_seed_gives_a_model_the_weights_that_keras_draws(model, options, inputs, symbols, seeds):
    known = registry.find(model["cell"]).keras.arguments
    model = ModelSettings(**model, cell_options={name: value for name, value in options.items() if name in known})
    if not supports(model):
        assert initializers.NAMES[options["bias_initializer"]] in initializers.MATRICES and model.cell != "gru"
        return
    ours = initial_weights(model, inputs, symbols, np.array(seeds))
    named = {"recurrent_initializer": "orthogonal"} | model.cell_options
    drawn_from = {initializers.NAMES.get(name) for name in named.values()}
    for row, seed in enumerate(seeds):
        theirs = keras_model._plain_weights(model, inputs, symbols, seed)
        assert [w.shape[1:] for w in ours] == [w.shape for w in theirs]
        for array, by_keras in zip(ours, theirs):
            assert array.dtype == np.float32
            # to tell draws apart; how far Keras's orthogonal matrices are from exact ones is tested above
            assert np.allclose(array[row], by_keras, rtol=1e-5, atol=1e-6 if "orthogonal" not in drawn_from else 1e-2)


def test_a_trial_s_weights_do_not_depend_on_the_others():
    together = initial_weights(ModelSettings(units=30), 5, 5, np.arange(50))
    for seed in (0, 17, 49):
        alone = initial_weights(ModelSettings(units=30), 5, 5, np.array([seed]))
        assert all(np.array_equal(a[seed], b[0]) for a, b in zip(together, alone))


@pytest.mark.parametrize(
    ("cell", "cell_options"),
    [
        ("my_cells.leaky.LeakyCell", {}),
        ("lstm", {"activation": "relu"}),
        ("lstm", {"use_bias": False}),
        ("lstm", {"kernel_initializer": {"class_name": "Constant", "config": {"value": 1.0}}}),
        ("lstm", {"kernel_initializer": None}),
        ("lstm", {"kernel_initializer": "of my own"}),
        ("lstm", {"bias_initializer": "orthogonal"}),
        ("lstm", {"unit_forget_bias": "yes"}),
        ("lstm", {"seed": "7"}),
        ("gru", {"unit_forget_bias": True}),
        ("mlp", {"recurrent_initializer": "zeros"}),
        ("mlp", {"seed": 7}),
    ],
)
def test_what_keras_is_left_to_draw(cell, cell_options):
    assert not supports(ModelSettings(cell=cell, cell_options=cell_options))


@pytest.mark.parametrize("options", [{"bias_initializer": "orthogonal"}, {"kernel_initializer": "of my own"}])
def test_what_keras_cannot_draw_is_told_in_a_sentence(options):
    with pytest.raises(UserError, match="^model.cell lstm, (made with|build)"):
        keras_model.initial_weights(ModelSettings(cell_options=options), 5, 5, np.arange(2))


@pytest.mark.parametrize(("cell", "gate"), [("lstm", slice(20, 40)), ("gru", slice(0, 20))])
def test_the_forget_bias(cell, gate):
    seeds = np.array([3, 8])
    default = initial_weights(ModelSettings(cell=cell), 5, 5, seeds)
    fixed = initial_weights(ModelSettings(cell=cell, forget_bias=4.0), 5, 5, seeds)
    chrono = initial_weights(ModelSettings(cell=cell, forget_bias=ChronoSettings(chrono=100)), 5, 5, seeds)
    rows = [np.s_[:, gate] if cell == "lstm" else np.s_[:, 0, gate]][0]
    assert (fixed[2][rows] == 4).all()
    keeps_for = np.exp(chrono[2][rows])  # uniform between 1 and 99 steps
    assert 1 <= keeps_for.min() and keeps_for.max() <= 99 and 35 < keeps_for.mean() < 65
    assert not np.array_equal(chrono[2][0], chrono[2][1])
    if cell == "lstm":
        assert np.array_equal(chrono[2][:, :20], -chrono[2][rows])
    for with_bias in (fixed, chrono):
        assert all(np.array_equal(a, b) for i, (a, b) in enumerate(zip(default, with_bias)) if i != 2)
        others = with_bias[2].copy()
        others[rows] = default[2][rows]
        if cell == "lstm":
            others[:, :20] = default[2][:, :20]
        assert np.array_equal(others, default[2])


def test_chrono_is_the_same_whether_keras_draws_the_rest_or_not():
    model = ModelSettings(forget_bias=ChronoSettings(chrono=1000))
    seeds = np.arange(5)
    ours, theirs = initial_weights(model, 5, 5, seeds), keras_model.initial_weights(model, 5, 5, seeds)
    assert np.array_equal(ours[2], theirs[2])
    exact = [np.log(np.random.default_rng(seed).uniform(1, 999, 20)).astype(np.float32) for seed in seeds]
    assert np.array_equal(ours[2][:, 20:40], exact)
