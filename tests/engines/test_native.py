"""The engine in C: against Keras, against TensorFlow's gradients, and against itself."""

import dataclasses
import threading

import numpy as np
import pytest

from memory_trials.engines import native
from memory_trials.engines.optimizers import OPTIMIZERS
from memory_trials.errors import UserError
from memory_trials.models.backend import tf
from memory_trials.tasks.encoding import UpdateTable
from tests import plain_keras, plain_numpy

pytestmark = pytest.mark.skipif(not native.available(), reason="no C compiler")

NAMES = ("kernel", "recurrent_kernel", "bias")


def table(x, y, loss_mask=True, step_mask=True, reset=False, detach=False, symbols=5, inputs=5, evaluation=([[0]], [[0]], [[True]]),
          group=None, candidates=((-1,),), frequency=1.0):  # fmt: skip
    """x [U, S, B] or [U, S, B, F], y [U, S, B]; flags are broadcast."""
    x, y = np.array(x, np.int32), np.array(y, np.int32)
    x = x if x.ndim == 4 else x[..., np.newaxis]
    flags = lambda flag, shape: np.ascontiguousarray(np.broadcast_to(flag, shape), bool)
    eval_x, eval_y, eval_mask = (np.array(array) for array in evaluation)
    eval_x = eval_x if eval_x.ndim == 3 else np.repeat(eval_x[..., np.newaxis], x.shape[3], axis=2)
    return UpdateTable(
        inputs=inputs, symbols=symbols, x=x, y=y, loss_mask=flags(loss_mask, y.shape), step_mask=flags(step_mask, y.shape),
        reset=flags(reset, y.shape[:2]), detach=flags(detach, y.shape[:2]),
        eval_x=eval_x.astype(np.int32), eval_y=eval_y.astype(np.int32), eval_mask=eval_mask.astype(bool),
        eval_group=np.full(eval_y.shape, -1, np.int32) if group is None else np.array(group, np.int32),
        candidates=np.array(candidates, np.int32), block=np.arange(len(x), dtype=np.int32),
        eval_position=np.zeros((*eval_y.shape, 2), np.int32),
        eval_frequency=np.broadcast_to(np.float32(frequency), eval_y.shape).copy(),
    )  # fmt: skip


def tutorial():
    x, y = np.array([[3, 0, 1, 2], [4, 0, 1, 2]]), np.array([[0, 1, 2, 3], [0, 1, 2, 4]])
    first = np.arange(8)[:, np.newaxis] % 4 == 0
    return table(x.reshape(8, 1, 1), y.reshape(8, 1, 1), reset=first, evaluation=(x, y, np.ones((2, 4))))


def program(of_table, cell="lstm", units=20, output="sigmoid", optimizer="adam", learning_rate=0.001):
    return native.Program(cell, units, output, optimizer, learning_rate, of_table)


def random_weights(of_program, trials, seed=0, scale=0.5):
    random = np.random.default_rng(seed)
    return [(scale * random.normal(size=(trials, *shape))).astype(np.float32) for shape in of_program.shapes]


@pytest.mark.parametrize(("cell", "output", "optimizer", "rate"), [
    ("lstm", "sigmoid", "adam", 0.001), ("gru", "sigmoid", "adam", 0.001), ("simple_rnn", "sigmoid", "adam", 0.001),
    ("mlp", "sigmoid", "adam", 0.001), ("lstm", "softmax", "rmsprop", 0.01), ("gru", "softmax", "sgd", 0.1),
])  # fmt: skip
def test_the_tutorial_is_that_of_plain_keras(cell, output, optimizer, rate):
    network = plain_keras.model(3, cell, output=output, optimizer=optimizer)
    network.optimizer.learning_rate = rate
    ours = program(tutorial(), cell, output=output, optimizer=optimizer, learning_rate=rate)
    state = ours.start([array[np.newaxis] for array in network.get_weights()])
    losses, found = ours.run(state, np.array([60]), None)
    pairs = [
        (np.eye(5, dtype=np.float32)[list(s[:-1])], np.eye(5)[list(s[1:])]) for s in ([3, 0, 1, 2, 3], [4, 0, 1, 2, 4])
    ]
    assert np.abs(losses[0] - plain_keras.train_by_steps(network, pairs, 60)).max() < 1e-4
    assert found["learned"][0, 0] == plain_keras.learned(network, pairs)
    if optimizer != "rmsprop":  # which divides by the root of almost nothing where a weight has hardly any gradient
        for mine, theirs in zip(ours.weights(state), network.get_weights()):
            assert np.abs(mine[0] - theirs).max() < 2e-3


def cell_step(cell, weights, x, h, c):
    """The equations once more, for TensorFlow to differentiate: h and c [B, units] after x [B, inputs]."""
    if cell == "mlp":
        return tf.tanh(x @ weights[0] + weights[1]), c
    kernel, recurrent, bias = weights[:3]
    if cell == "simple_rnn":
        return tf.tanh(x @ kernel + h @ recurrent + bias), c
    if cell == "gru":
        zx, rx, ax = tf.split(x @ kernel + bias[0], 3, axis=-1)
        zh, rh, ah = tf.split(h @ recurrent + bias[1], 3, axis=-1)
        z = tf.sigmoid(zx + zh)
        return z * h + (1 - z) * tf.tanh(ax + tf.sigmoid(rx + rh) * ah), c
    i, f, a, o = tf.split(x @ kernel + h @ recurrent + bias, 4, axis=-1)
    c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(a)
    return tf.sigmoid(o) * tf.tanh(c), c


def reference(of_table, cell, output, weights, h, c, u=0):
    """Loss of update u, its gradients, and the state after it, in the plainest way there is (one trial)."""
    symbols, inputs = of_table.symbols, of_table.inputs
    one_hot = np.eye(inputs + 1, inputs, dtype=np.float32)[of_table.x[u]].sum(axis=-2)
    weights = [tf.constant(array) for array in weights]
    count = max(of_table.loss_mask[u].sum(), 1)
    with tf.GradientTape() as tape:
        tape.watch(weights)
        total = tf.constant(0.0)
        for step in range(of_table.y.shape[1]):
            if of_table.reset[u, step]:
                h, c = tf.zeros_like(h), tf.zeros_like(c)
            if of_table.detach[u, step]:
                h, c = tf.stop_gradient(h), tf.stop_gradient(c)
            new_h, new_c = cell_step(cell, weights, one_hot[step], h, c)
            moves = of_table.step_mask[u, step][:, np.newaxis]
            h, c = tf.where(moves, new_h, h), tf.where(moves, new_c, c)
            logits = new_h @ weights[-2] + weights[-1]
            y = tf.one_hot(of_table.y[u, step], symbols)
            if output == "sigmoid":
                losses = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(y, logits), axis=-1)
            else:
                losses = tf.nn.softmax_cross_entropy_with_logits(y, logits)
            total += tf.reduce_sum(losses * of_table.loss_mask[u, step]) / count
    gradients = tape.gradient(total, weights, unconnected_gradients="zero")
    return float(total), [g.numpy() for g in gradients], h, c


@pytest.mark.parametrize("cell", native.CELLS)
@pytest.mark.parametrize(("seed", "output", "units", "symbols", "steps", "scale"), [
    (0, "sigmoid", 20, 5, 5, 0.5), (1, "sigmoid", 20, 5, 5, 0.5), (2, "softmax", 7, 18, 5, 0.5), (3, "softmax", 7, 18, 5, 0.5),
    (4, "sigmoid", 37, 3, 70, 0.1),  # larger weights make 37 units chaotic, and rounding errors grow from step to step
])  # fmt: skip
def test_gradients_are_those_of_tensorflow(cell, seed, output, units, symbols, steps, scale):
    """Three updates by gradient descent, with resets, cuts, padding and unscored steps anywhere."""
    random = np.random.default_rng(seed)
    shape, inputs = (3, steps, 2), 6
    step_mask = random.random(shape) < 0.8
    mixed = table(
        random.integers(-1, inputs, (*shape, 2)), random.integers(0, symbols, shape), step_mask=step_mask, inputs=inputs,
        loss_mask=step_mask & (random.random(shape) < (0.6 if steps == 5 else 0.05)), symbols=symbols,
        reset=random.random(shape[:2]) < 1 / steps, detach=random.random(shape[:2]) < 1 / steps,
    )  # fmt: skip
    rate = 0.5
    ours = program(mixed, cell, units, output, "sgd", rate)
    states = [ours.start(random_weights(ours, 1, seed, scale))]
    h = c = np.zeros((2, units), np.float32)
    expected_loss = 0.0
    for u in range(3):
        names = ("x", "y", "loss_mask", "step_mask", "reset", "detach", "block")
        single = dataclasses.replace(mixed, **{name: getattr(mixed, name)[u : u + 1] for name in names})
        one = program(single, cell, units, output, "sgd", rate)
        before = states[-1]
        after = native.State(*(array.copy() for array in vars(before).values()))
        losses, _ = one.run(after, np.array([1]), None)
        old, new = ([array[0] for array in ours.weights(state)] for state in (before, after))
        loss, gradients, h, c = reference(single, cell, output, old, h, c)
        assert abs(losses[0, 0] - loss) < 1e-5
        for mine, theirs, start in zip(new, gradients, old):
            assert np.abs((start - mine) / rate - theirs).max() < 1e-5 * max(1, np.abs(theirs).max())
        vectors = {"lstm": [h, c], "mlp": []}.get(cell, [h])
        expected = np.concatenate(vectors, axis=1) if vectors else np.zeros((2, 0))
        assert np.abs(after.states[0] - expected).max(initial=0) < 1e-5
        expected_loss += loss / 3
        states.append(after)
    together, _ = ours.run(states[0], np.array([1]), None)
    assert abs(together[0, 0] - expected_loss) < 1e-5
    assert np.array_equal(states[0].parameters, states[-1].parameters)


@pytest.mark.parametrize("optimizer", native.OPTIMIZERS)
def test_steps_are_those_of_the_formulas(optimizer):
    """Keras's gradients are compared above; here the optimizer gets the gradients that sgd shows."""
    one_update = table([[[0, 1]], [[2, 3]]], [[[1, 2]], [[3, 4]]])
    ours, shown = (program(one_update, "gru", 6, "softmax", name, 0.01) for name in (optimizer, "sgd"))
    state = ours.start(random_weights(ours, 1))
    step, slots = OPTIMIZERS[optimizer]
    expected, expected_slots = state.parameters[0].copy(), [np.zeros_like(state.parameters[0])] * slots
    single = [table(one_update.x[[u]], one_update.y[[u]]) for u in range(2)]
    states = state.states.copy()
    for number in range(1, 21):
        u = (number - 1) % 2
        descended = shown.start(shown.weights(dataclasses.replace(state, parameters=expected[np.newaxis].copy())))
        descended.states[:] = states
        program(single[u], "gru", 6, "softmax", "sgd", 1.0).run(descended, np.array([1]))
        gradient, states = expected - descended.parameters[0], descended.states
        stepped, stepped_slots = step(
            tf,
            tf.constant(float(number)),
            0.01,
            tf.constant(expected),
            tf.constant(gradient),
            tuple(map(tf.constant, expected_slots)),
        )
        expected, expected_slots = stepped.numpy(), [slot.numpy() for slot in stepped_slots]
    ours.run(state, np.array([10]))
    assert state.steps[0] == 20
    bound = {"adam": 1e-4, "rmsprop": 1e-4, "sgd": 1e-6}[
        optimizer
    ]  # a difference of weights shows 7 digits of a gradient
    assert np.abs(state.parameters[0] - expected).max() < bound


def test_an_update_without_a_scored_step_moves_only_the_state():
    silent = table([[[1]], [[2]]], [[[0]], [[0]]], loss_mask=np.array([False, True]).reshape(2, 1, 1))
    ours = program(silent)
    state = ours.start(random_weights(ours, 1))
    first = program(table([[[1]]], [[[0]]], loss_mask=False))
    moved = first.start(random_weights(ours, 1))
    losses, _ = first.run(moved, np.array([3]))
    assert not losses.any() and not moved.steps.any() and moved.states.any()
    assert np.array_equal(moved.parameters, state.parameters)
    ours.run(state, np.array([3]))
    assert state.steps[0] == 3


def parts(state):
    return [array.tobytes() for array in vars(state).values()]


@pytest.mark.parametrize("cell", native.CELLS)
def test_bits_depend_neither_on_neighbours_nor_on_threads_nor_on_how_epochs_are_cut(cell):
    ours = program(tutorial(), cell, learning_rate=0.01)
    weights = random_weights(ours, 5)
    order = np.random.default_rng(0).permuted(np.tile(np.arange(8, dtype=np.int32), (5, 40, 1)), axis=-1)
    together = ours.start(weights)
    losses, found = ours.run(together, np.array([10, 25, 40]), order)

    alone = [ours.start([array[t : t + 1] for array in weights]) for t in range(5)]
    cuts = ((0, 10), (10, 25), (25, 40))
    results = [[None] * 3 for _ in range(5)]

    def train(t):
        for number, (first, last) in enumerate(cuts):
            results[t][number] = ours.run(alone[t], np.array([last - first]), order[t : t + 1, first:last])

    threads = [threading.Thread(target=train, args=(t,)) for t in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for t, result in enumerate(results):
        assert np.array_equal(np.concatenate([loss for loss, _ in result], axis=1)[0], losses[t])
        for name, of_all in found.items():
            assert np.array_equal(
                np.concatenate([part[name] for _, part in result], axis=1)[0], of_all[t], equal_nan=True
            )
        ours_alone = native.State(*(array[t : t + 1] for array in vars(together).values()))
        assert parts(alone[t]) == parts(ours_alone)


def test_judging_changes_nothing():
    ours = program(tutorial())
    often, once = (ours.start(random_weights(ours, 2)) for _ in range(2))
    losses, found = ours.run(often, np.arange(1, 21))
    assert np.array_equal(losses, ours.run(once, np.array([20]))[0]) and parts(often) == parts(once)
    assert all(array.shape == (2, 20) for array in found.values()) and found["learned"].dtype == bool


def test_updates_are_taken_in_the_order_given():
    whole = tutorial()
    ours = program(whole, learning_rate=0.01)
    order = np.array([[[4, 5, 6, 7, 0, 1, 2, 3], [0, 1, 2, 3, 4, 5, 6, 7]]], np.int32)
    state = ours.start(random_weights(ours, 1))
    losses, _ = ours.run(state, np.array([2]), order)
    names = ("x", "y", "loss_mask", "step_mask", "reset", "detach")
    turned = dataclasses.replace(whole, **{name: getattr(whole, name)[order[0, 0]] for name in names})
    expected = ours.start(random_weights(ours, 1))
    first = program(turned, learning_rate=0.01).run(expected, np.array([1]))[0]
    second = ours.run(expected, np.array([1]))[0]
    assert np.array_equal(losses, np.concatenate([first, second], axis=1)) and parts(state) == parts(expected)


@pytest.mark.parametrize("cell", native.CELLS)
@pytest.mark.parametrize("output", native.OUTPUTS)
@pytest.mark.parametrize("optimizer", native.OPTIMIZERS)
def test_divergence_gives_nan_and_not_learned(cell, output, optimizer):
    """One trial starts with a NaN; its neighbours do not notice."""
    ours = program(tutorial(), cell, output=output, optimizer=optimizer)
    weights = random_weights(ours, 3)
    healthy = ours.start(weights)
    expected = ours.run(healthy, np.array([3]))[0]
    weights[0][1, 0, 0] = np.nan  # of symbol 0, which every sequence shows
    weights[-1][1, :] = 100.0
    state = ours.start(weights)
    losses, found = ours.run(state, np.array([3]))
    assert np.isnan(losses[1]).all() and not found["learned"][1].any()
    assert np.isnan(found["margin"][1]).all() and not np.isnan(found["margin"][[0, 2]]).any()
    assert np.array_equal(losses[[0, 2]], expected[[0, 2]])


def test_an_enormous_learning_rate_ends():
    ours = program(tutorial(), optimizer="sgd", learning_rate=1e38)
    losses, found = ours.run(ours.start(random_weights(ours, 2)), np.array([5]))
    assert not np.isfinite(losses[:, -1]).any() and not found["learned"].any()


@pytest.mark.parametrize("cell", native.CELLS)
@pytest.mark.parametrize("output", native.OUTPUTS)
@pytest.mark.parametrize("scale", [0.5, 30.0])  # 30: many outputs are saturated, and equal
def test_verdicts_are_those_of_the_numpy_equations(cell, output, scale):
    """Weights are asked what they would answer, and scored by targets that some of them hit."""
    random = np.random.default_rng(1)
    trials, sequences, steps, symbols = 40, 2, 3, 3
    x = random.integers(0, 5, (sequences, steps, 2))
    x[0, :, 1] = -1
    asked = random.random((sequences, steps)) < 0.6
    asked[0, 0] = True
    # nothing is scored in training, so that the weights stay as they are
    group = np.where(asked, random.integers(-1, 2, asked.shape), -1)
    group[0, 0] = 0
    sets = np.array([[0, 1, 2], [2, 0, -1]])
    frequency = random.integers(1, 9, asked.shape).astype(np.float32) / np.float32(4)

    def make(y):
        return table([[[[0, 1]]]], [[[0]]], loss_mask=False, symbols=symbols, evaluation=(x, y, asked), group=group,
                     candidates=sets, frequency=frequency)  # fmt: skip

    y = np.zeros((sequences, steps), int)
    ours = program(make(y), cell, 9, output)
    weights = random_weights(ours, trials, scale=scale)
    outputs = plain_numpy.outputs(cell, output, dict(zip(names(cell), weights)), x, np.float32)
    predicted, places = outputs.argmax(axis=-1), np.argwhere(asked).tolist()
    seen = set()
    for target in (y, predicted[0], predicted[7]):
        found = program(make(target), cell, 9, output).run(ours.start(weights), np.array([1]))[1]
        learned, margin, memory = (found[name][:, 0] for name in ("learned", "margin", "memory"))
        assert np.array_equal(learned, ((predicted == target) | ~asked).all(axis=(1, 2)))
        seen |= set(learned.tolist())
        for trial in range(trials):
            wrong = [np.delete(outputs[trial, k, t], target[k, t]).max() for k, t in places]
            right = [outputs[trial, k, t, target[k, t]] for k, t in places]
            assert margin[trial] == pytest.approx(np.min(np.subtract(right, wrong)), abs=1e-5)
            needing = [(k, t) for k, t in places if group[k, t] >= 0]
            own = [float(outputs[trial, k, t, target[k, t]]) for k, t in needing]
            among = [outputs[trial, k, t, [s for s in sets[group[k, t]] if s >= 0]].mean() for k, t in needing]
            among = np.multiply(among, [frequency[k, t] for k, t in needing])
            if scale < 1:  # saturated outputs have no logarithm in single precision
                assert memory[trial] == pytest.approx(np.log2(np.divide(own, among)).mean(), abs=2e-5)
    assert seen == {True, False}


def names(cell):
    of_cell = [name for name in NAMES if not (cell == "mlp" and name == "recurrent_kernel")]
    return [f"cell/{name}" for name in of_cell] + ["output/kernel", "output/bias"]


def test_weights_come_back_as_they_were_given():
    for cell in native.CELLS:
        ours = program(table([[[0]]], [[[0]]], loss_mask=False), cell, 5)
        weights = random_weights(ours, 2)
        state = ours.start(weights)
        ours.run(state, np.array([1]))
        assert all(np.array_equal(a, b) for a, b in zip(ours.weights(state), weights))


def test_gradients_that_vanish_on_the_way_cost_nothing_and_change_nothing():
    """400 steps of which only the last is scored: the gradient fades to zero long before the first."""
    x = np.random.default_rng(0).integers(0, 5, (1, 400, 1))
    loss_mask = np.arange(400).reshape(1, 400, 1) == 399
    ours = program(table(x, x, loss_mask=loss_mask), "simple_rnn", 8, optimizer="sgd", learning_rate=1.0)
    weights = random_weights(ours, 1, scale=0.2)
    state = ours.start(weights)
    ours.run(state, np.array([1]))
    zero = np.zeros((1, 8), np.float32)
    gradients = reference(ours.table, "simple_rnn", "sigmoid", [array[0] for array in weights], zero, zero)[1]
    for before, after, gradient in zip(weights, ours.weights(state), gradients):
        assert np.abs(before[0] - after[0] - gradient).max() < 1e-6


@pytest.mark.parametrize("wrong", [
    {"x": [[[5]]]}, {"y": [[[5]]]}, {"x": [[[-2]]]}, {"step_mask": False}, {"evaluation": ([[0]], [[7]], [[True]])},
    {"evaluation": ([[9]], [[0]], [[True]])},
])  # fmt: skip
def test_a_table_that_would_lead_outside_is_refused(wrong):
    with pytest.raises(ValueError, match="table"):
        program(table(**({"x": [[[0]]], "y": [[[0]]]} | wrong)))


def test_wrong_calls_are_refused():
    ours = program(tutorial())
    state = ours.start(random_weights(ours, 2))
    for checks in ([], [0, 1], [2, 2]):
        with pytest.raises(ValueError, match="checks"):
            ours.run(state, np.array(checks, int))
    for order in (np.full((2, 1, 8), 8), np.zeros((1, 1, 8), int)):
        with pytest.raises(ValueError, match="order"):
            ours.run(state, np.array([1]), order)
    state.steps = state.steps[:1]
    with pytest.raises(ValueError, match="state"):
        ours.run(state, np.array([1]))
    with pytest.raises(ValueError, match="weights"):
        ours.start(random_weights(ours, 2)[1:])


def test_a_compiler_that_fails_is_told_in_one_sentence(tmp_path, monkeypatch):
    compiler = tmp_path / "cc-that-fails"
    compiler.write_text("#!/bin/sh\necho 'x: error: no such thing' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    with pytest.raises(UserError, match="cannot compile native.c: x: error: no such thing"):
        native.LIBRARY.compile(tmp_path / "library.so")
    assert [path.name for path in tmp_path.iterdir()] == ["cc-that-fails"]


def test_without_a_compiler(tmp_path, monkeypatch):
    compiled = native.library()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(native.Library, "path_in", lambda *_: tmp_path / "library.so")
    assert not native.available()
    with pytest.raises(UserError, match="no C compiler"):
        native.LIBRARY.compile(tmp_path / "library.so")
    (tmp_path / "library.so").write_bytes(compiled[:-1])
    assert not native.available()
    (tmp_path / "library.so").write_bytes(compiled)
    assert native.available()


@pytest.mark.parametrize("output", ["sigmoid", "softmax"])
def test_a_small_loss_is_not_lost_in_rounding(output):
    """With logits of 12 and -12 the loss is 1e-5 or so, which a difference of numbers near 12 would not show."""
    ours = program(table([[[0]]], [[[1]]]), "mlp", units=1, output=output, optimizer="sgd", learning_rate=1e-9)
    weights = [np.zeros((1, *shape), np.float32) for shape in ours.shapes]
    weights[-1][0] = [-12, 12, -12, -12, -12]
    losses, _ = ours.run(ours.start(weights), np.array([1]))
    expected = np.log1p(np.exp(-12.0)) if output == "sigmoid" else np.log1p(4 * np.exp(-24.0))
    assert losses[0, 0] == pytest.approx(expected, rel=1e-5, abs=1e-9)
