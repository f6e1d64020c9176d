"""Training all trials at once, against plain Keras training one."""

import random
import time

import numpy as np
import pytest

from memory_trials.errors import UserError
from memory_trials.evaluation.predictions import answers
from memory_trials.evaluation.statistics import verdicts
from memory_trials.models.backend import tf
from memory_trials.models.keras_model import make_model
from memory_trials.settings import ComputeSettings, EncodingSettings, ModelSettings, ProblemSettings, TrainingSettings
from memory_trials.tasks.encoding import make_table, one_hot
from memory_trials.tasks.problems import make_problem
from memory_trials.training import trainer
from memory_trials.training.job import TrainingJob, shard_size
from tests import keras_outcomes, plain_keras

TUTORIAL = [[3, 0, 1, 2, 3], [4, 0, 1, 2, 4]]
OWN = "my_cells.leaky.LeakyCell"


def arm(
    sequences=TUTORIAL, scored="all", model=None, eval_interval=10, compute=None, history=1, as_steps=False, **settings
):
    problem = make_problem(ProblemSettings(sequences=sequences, scored=scored))
    settings = TrainingSettings(**settings)
    encoding = EncodingSettings(history=history, history_as="steps" if as_steps else "features")
    table = make_table(problem, encoding, settings, False)
    job = TrainingJob(ModelSettings(**(model or {})), settings, eval_interval, table)
    return trainer.train(job, ComputeSettings(**(compute or {}))), table


def pairs(table):
    """x and one-hot y of each (unpadded) sequence."""
    lengths = (table.eval_position[:, :, 0] >= 0).sum(axis=1)
    x, y = one_hot(table.eval_x, table.inputs), one_hot(table.eval_y[..., np.newaxis], table.symbols)
    return [(x[k, :n], y[k, :n]) for k, n in enumerate(lengths)]


def test_the_first_ten_seeds_of_the_tutorial_are_those_of_plain_keras():
    trained, table = arm(trials=10)
    said, known = answers(ModelSettings(), trained.weights, table, np.ones(4, bool)), keras_outcomes.recorded()
    for trial in range(10):
        by_keras = known[keras_outcomes.name("lstm", trial, 250)]
        assert np.abs(trained.losses[trial] - by_keras["losses"]).max() < 1e-4
        assert trained.learned[trial, -1] == by_keras["learned"]
        outputs = np.array(by_keras["outputs"])  # [K, L, symbols]
        assert np.abs(said.activation[trial] - outputs.max(axis=-1)).max() < 1e-5
        right = np.take_along_axis(outputs, table.eval_y[..., np.newaxis], axis=-1)[..., 0]
        wrong = np.where(np.eye(5, dtype=bool)[table.eval_y], -1, outputs).max(axis=-1)
        assert abs(said.margin(table.eval_mask)[trial] - (right - wrong).min()) < 1e-5
        q = right[:, 3] / (outputs[:, 3, 3] + outputs[:, 3, 4])  # after 2, where 3 or 4 may follow
        assert abs(said.memory(table)[trial] - (1 + np.log2(q).mean())) < 1e-5
    verdict, _, _ = verdicts(said.right(table, 0.0), table.eval_mask, table.eval_position[:, :, 0])
    assert np.array_equal(verdict, trained.learned[:, -1])
    assert np.abs(said.memory(table) - trained.memory[:, -1]).max() < 1e-5
    assert np.abs(said.margin(table.eval_mask) - trained.margin[:, -1]).max() < 1e-5
    other, _ = arm(trials=10, engine="tensorflow")
    assert np.array_equal(other.learned, trained.learned) and np.abs(other.losses - trained.losses).max() < 1e-4
    assert np.abs(other.memory - trained.memory).max() < 1e-3 and np.abs(other.margin - trained.margin).max() < 1e-3


@pytest.mark.parametrize("cell", ["gru", "simple_rnn", OWN, "mlp"])
def test_other_cells_are_those_of_plain_keras(cell):
    trained, _ = arm(trials=2, epochs=80, first_seed=5, model={"cell": cell})
    for trial in range(2):
        by_keras = keras_outcomes.recorded()[keras_outcomes.name(cell, 5 + trial, 80)]
        assert np.abs(trained.losses[trial] - by_keras["losses"]).max() < 1e-4
        assert trained.learned[trial, -1] == by_keras["learned"]


def test_what_is_recorded_of_plain_keras_is_what_it_comes_to():
    """One trial of the tutorial and one of another cell, others each time."""
    known = keras_outcomes.recorded()
    assert known.keys() == {keras_outcomes.name(*trial) for trial in keras_outcomes.TRIALS}
    assert len({tuple(trial["losses"]) for trial in known.values()}) == len(known)
    chance = random.Random(time.time_ns())
    for trial in (chance.choice(keras_outcomes.TRIALS[:10]), chance.choice(keras_outcomes.TRIALS[10:])):
        name = keras_outcomes.name(*trial)
        by_keras = keras_outcomes.computed(*trial)
        assert by_keras["learned"] == known[name]["learned"], name
        for what in ("losses", "outputs"):
            assert np.abs(np.array(by_keras[what]) - known[name][what]).max() < 1e-5, name


def test_a_memoryless_network_cannot_learn_the_tutorial():
    trained, _ = arm(trials=20, epochs=500, learning_rate=0.01, model={"cell": "mlp"})
    assert not trained.learned.any()


@pytest.mark.parametrize("optimizer", ["rmsprop", "sgd"])
def test_other_optimizers_and_softmax(optimizer):
    trained, table = arm(trials=1, epochs=20, optimizer=optimizer, learning_rate=0.01, model={"output": "softmax"})
    network = plain_keras.model(0, output="softmax", optimizer=optimizer)
    network.optimizer.learning_rate = 0.01
    assert np.abs(trained.losses[0] - plain_keras.train_by_steps(network, pairs(table), 20)).max() < 1e-4


def test_never_resetting_keeps_the_state_from_sequence_to_sequence_and_epoch_to_epoch():
    trained, table = arm(trials=1, epochs=20, reset="never")
    network = plain_keras.model(0)
    assert np.abs(trained.losses[0] - plain_keras.train_by_steps(network, pairs(table), 20, resets=False)).max() < 1e-4


def window_losses(table, epochs, window, **kwargs):
    """Plain Keras on windows of several steps: the gradient flows through a window, the state from one to the next."""
    network = plain_keras.model(0, steps=window, return_sequences=True, **kwargs)
    losses = []
    for _ in range(epochs):
        epoch_losses = []
        for x, y in pairs(table):
            for start in range(0, len(x), window):
                part = slice(start, start + window)
                epoch_losses.append(float(network.train_on_batch(x[np.newaxis, part], y[np.newaxis, part])))
            plain_keras.reset(network)
        losses.append(np.mean(epoch_losses))
    return losses


@pytest.mark.parametrize("window", [2, "sequence"])
def test_windows_are_those_of_plain_keras(window):
    trained, table = arm(trials=1, epochs=30, window=window)
    assert np.abs(trained.losses[0] - window_losses(table, 30, 4 if window == "sequence" else 2)).max() < 1e-4


def last_step_losses(network, table, epochs):
    """Plain Keras on whole sequences, without return_sequences."""
    losses = []
    for _ in range(epochs):
        epoch_losses = []
        for x, y in pairs(table):
            epoch_losses.append(float(network.train_on_batch(x[np.newaxis], y[np.newaxis, -1])))
            plain_keras.reset(network)
        losses.append(np.mean(epoch_losses))
    return losses


def test_only_the_last_step_scored_is_keras_without_return_sequences():
    trained, table = arm(trials=1, epochs=30, window="sequence", scored="last")
    expected = last_step_losses(plain_keras.model(0, steps=4), table, 30)
    assert np.abs(trained.losses[0] - expected).max() < 1e-4


def test_unscored_updates_take_no_optimizer_step():
    trained, table = arm(trials=1, epochs=3, eval_interval=1, scored="last", window=1)
    network = plain_keras.model(0)
    losses = []
    for _ in range(3):
        for x, y in pairs(table):
            for step in range(3):
                network(x[np.newaxis, step : step + 1], training=False)  # moves the state, nothing else
            losses.append(float(network.train_on_batch(x[np.newaxis, 3:], y[3:])))
            plain_keras.reset(network)
    # the mean over an epoch's 8 updates, 6 of which score nothing
    assert np.allclose(trained.losses[0], np.reshape(losses, (3, 2)).sum(axis=1) / 8, atol=1e-5)


def test_a_batch_of_whole_sequences_is_that_of_plain_keras():
    trained, table = arm(trials=1, epochs=30, window="sequence", batch=2)
    network = plain_keras.model(0, batch=2, steps=4, return_sequences=True)
    x, y = (np.stack(arrays) for arrays in zip(*pairs(table)))
    losses = []
    for _ in range(30):
        losses.append(float(network.train_on_batch(x, y)))
        plain_keras.reset(network)
    assert np.abs(trained.losses[0] - losses).max() < 1e-4


def test_a_batch_of_steps_is_what_the_tutorials_code_does_with_another_n_batch():
    trained, table = arm(trials=1, epochs=30, batch=2, batch_of="steps")
    network = plain_keras.model(0, batch=2)
    losses = []
    for _ in range(30):
        epoch_losses = []
        for x, y in pairs(table):
            for start in (0, 2):
                part = slice(start, start + 2)
                epoch_losses.append(float(network.train_on_batch(x[part, np.newaxis], y[part])))
            plain_keras.reset(network)
        losses.append(np.mean(epoch_losses))
    assert np.abs(trained.losses[0] - losses).max() < 1e-4


def test_history_as_steps_is_the_readers_num_lag():
    trained, _ = arm(trials=1, epochs=30, history=2, as_steps=True)
    network = plain_keras.model(0, steps=2)
    losses = []
    for _ in range(30):
        epoch_losses = []
        for sequence in TUTORIAL:
            encoded = np.eye(5, dtype=np.float32)[sequence]
            for i in range(2, len(sequence)):
                x = encoded[np.newaxis, i - 2 : i]
                epoch_losses.append(float(network.train_on_batch(x, encoded[np.newaxis, i])))
            plain_keras.reset(network)
        losses.append(np.mean(epoch_losses))
    assert np.abs(trained.losses[0] - losses).max() < 1e-4


def test_shuffled_epochs_are_plain_keras_in_the_same_order():
    trained, table = arm(trials=2, first_seed=3, epochs=25, shuffle=True)
    network, stream = plain_keras.model(4), np.random.default_rng(4)
    losses, orders = [], set()
    for _ in range(25):
        order = stream.permutation(2)
        orders.add(tuple(order))
        losses += plain_keras.train_by_steps(network, [pairs(table)[k] for k in order], 1)
    assert np.abs(trained.losses[1] - losses).max() < 1e-4 and len(orders) == 2


@pytest.mark.parametrize(
    "settings",
    [
        dict(window=1, update="sequence"),
        dict(window=2, update="epoch", reset="never"),
        dict(window=3, reset="epoch", history=2),
        dict(window="sequence", batch=2, scored="last", sequences=[[1, 2, 3, 1], [2, 3, 2], [3, 1]]),
        dict(batch=2, batch_of="steps", model={"cell": "gru", "output": "softmax"}),
        dict(window="sequence", model={"cell": "simple_rnn"}, optimizer="rmsprop"),
        dict(
            window=2, update="sequence", model={"cell": "gru", "forget_bias": 2.0}, optimizer="sgd", learning_rate=0.5
        ),
    ],
)
def test_both_engines_do_the_same(settings):
    native, _ = arm(trials=3, epochs=20, **settings)
    xla, _ = arm(trials=3, epochs=20, engine="tensorflow", **settings)
    assert np.abs(native.losses - xla.losses).max() < 1e-4
    for name in native.weights:
        assert np.abs(native.weights[name] - xla.weights[name]).max() < 1e-3, name


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple_rnn", "mlp"])
def test_weights_have_the_models_names(cell):
    trained, table = arm(trials=1, epochs=1, model={"cell": cell})
    assert list(trained.weights) == make_model(ModelSettings(cell=cell), table.inputs, table.symbols).names


def test_xla_refuses_what_it_cannot():
    with pytest.raises(UserError, match="training.shuffle needs a built-in cell"):
        arm(trials=2, epochs=2, shuffle=True, engine="tensorflow")


def test_padding_does_not_move_the_state_and_lengths_may_differ():
    sequences = [["a", "b", "c", "d", "a"], ["b", "d", "b"]]
    trained, table = arm(sequences, trials=1, epochs=20, window=3, reset="never")
    network = plain_keras.model(0, symbols=4, steps=None, return_sequences=True)
    losses = []
    for _ in range(20):
        epoch_losses = []
        for x, y in pairs(table):
            for start in range(0, len(x), 3):
                part = slice(start, start + 3)
                epoch_losses.append(float(network.train_on_batch(x[np.newaxis, part], y[np.newaxis, part])))
        losses.append(np.mean(epoch_losses))
    assert np.abs(trained.losses[0] - losses).max() < 1e-4


def same(a, b, rows=slice(None)):
    return (
        np.array_equal(a.losses[rows], b.losses)
        and np.array_equal(a.learned[rows], b.learned)
        and all(np.array_equal(x[rows], y) for x, y in zip(a.weights.values(), b.weights.values()))
    )


@pytest.mark.parametrize("engine", ["auto", "tensorflow"])
def test_a_trial_does_not_depend_on_its_shard_to_the_bit(engine):
    together, _ = arm(trials=23, epochs=60, compute={"threads": 2, "shard": 23}, engine=engine)
    apart, _ = arm(trials=23, epochs=60, compute={"threads": 1, "shard": 5}, engine=engine)
    alone, _ = arm(trials=1, first_seed=17, epochs=60, engine=engine)
    assert same(together, apart) and same(together, alone, slice(17, 18))


@pytest.mark.parametrize(("cell", "engine"), [("lstm", "auto"), ("lstm", "tensorflow"), ("simple_rnn", "auto")])
def test_a_long_sequence_is_that_of_plain_keras_and_of_any_shard(cell, engine):
    """Back-propagation through 41 steps; written out step by step it would take minutes to compile."""
    sequences = [[k, *(i % 3 + 2 for i in range(40)), k] for k in (0, 1)]
    arguments = dict(scored="last", model={"cell": cell, "units": 8}, window="sequence", epochs=15, learning_rate=0.01)
    arguments["engine"] = engine
    trained, table = arm(sequences, trials=5, compute={"threads": 1, "shard": 5}, **arguments)
    network = plain_keras.model(0, cell, units=8, steps=41)
    network.optimizer.learning_rate = 0.01
    assert np.abs(trained.losses[0] - last_step_losses(network, table, 15)).max() < 1e-4
    alone, _ = arm(sequences, trials=1, first_seed=3, **arguments)
    assert same(trained, alone, slice(3, 4))


def test_checks_come_every_so_many_epochs_and_at_the_end_and_asking_changes_nothing():
    often, _ = arm(trials=3, epochs=25, eval_interval=4)
    once, _ = arm(trials=3, epochs=25, eval_interval=100)
    assert often.checks.tolist() == [4, 8, 12, 16, 20, 24, 25] and once.checks.tolist() == [25]
    assert np.array_equal(often.losses, once.losses) and np.array_equal(often.learned[:, -1], once.learned[:, -1])


def test_progress_adds_up():
    told = []
    trained, _ = arm_with_progress(lambda epochs, learned, kept: told.append((epochs, learned)))
    assert sum(epochs for epochs, _ in told) == 7 * 40
    assert sum(learned for _, learned in told) == trained.learned[:, -1].sum()


def arm_with_progress(progress):
    settings = TrainingSettings(trials=7, epochs=40)
    table = make_table(make_problem(ProblemSettings(sequences=TUTORIAL)), EncodingSettings(), settings, False)
    return trainer.train(TrainingJob(ModelSettings(), settings, 10, table), ComputeSettings(shard=3), progress), table


@pytest.mark.parametrize(
    ("trials", "largest", "threads", "size"),
    [(100, 50, 2, 50), (10, 50, 2, 5), (1, 50, 8, 1), (101, 50, 2, 26), (7, 3, 1, 3)],
)
def test_shards_are_even_and_enough_for_the_threads(trials, largest, threads, size):
    assert shard_size(trials, largest, threads) == size


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        (
            "auto",
            "compute.gpus_per_shard is 1, and this cell is trained in C, on CPUs: set it to 0, or training.engine",
        ),
        ("jax", "compute.gpus_per_shard is above 0, and JAX finds no GPU on this machine: set it to 0, or install"),
        ("tensorflow", "compute.gpus_per_shard is above 0, and TensorFlow finds no GPU on this machine: set it to 0"),
    ],
)
def test_a_gpu_that_cannot_be_used_is_told(engine, said):
    with pytest.raises(UserError, match=said):
        arm(trials=1, epochs=1, engine=engine, compute={"gpus_per_shard": 1})


def test_a_gpu_that_tensorflow_uses_counts_in_the_key(monkeypatch):
    found, real = [], trainer.key
    monkeypatch.setattr(trainer, "key", lambda job, engine, on_gpu: found.append(on_gpu) or real(job, engine, on_gpu))
    for devices in ([], ["GPU:0"]):
        monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind, devices=devices: devices)
        arm(trials=1, epochs=1, engine="tensorflow")
    assert found == [False, True]
