"""A function as an endless task: each trial draws examples of its own, and is judged on fresh ones."""

import numpy as np
import pytest

from memory_trials.errors import UserError
from memory_trials.interactive.measure import measure
from memory_trials.interactive.own_streams import LONGEST, own_stream

SEEDS = np.array([3, 4])


def recall(rng):
    """The first symbol, after a random number of others."""
    key, steps = rng.integers(2), int(rng.integers(2, 5))
    x = np.concatenate([[key], rng.integers(2, 4, size=steps), [4]])
    return x, np.where(np.arange(len(x)) == len(x) - 1, key, 99), np.arange(len(x)) == len(x) - 1


def vectors(rng):
    x = rng.normal(size=(3, 2))
    x[0, 0] = rng.choice([-1, 1])
    return x, ["up" if x[0, 0] > 0 else "down"] * 3, [0, 0, 1]


def test_an_example_follows_from_seed_purpose_and_number_alone():
    _, stream = own_stream(recall)
    whole = stream.draw(SEEDS, "train", 0, 6)
    ends = np.cumsum(whole.lengths, axis=1)
    for trial, seed in enumerate(SEEDS):
        for first, count in ((0, 2), (2, 4), (5, 1)):
            part = stream.draw(np.array([seed]), "train", first, count)
            begin, end = ends[trial, first] - whole.lengths[trial, first], ends[trial, first + count - 1]
            assert np.array_equal(part.lengths[0], whole.lengths[trial, first : first + count])
            for name in ("x", "y", "mask"):
                assert np.array_equal(getattr(part, name)[0], getattr(whole, name)[trial, begin:end])
    others = stream.draw(SEEDS, "check", 0, 6), stream.draw(SEEDS + 2, "train", 0, 6)
    assert not any(np.array_equal(whole.x, other.x) for other in others)
    x, y = whole.x[0, : ends[0, 0]], whole.y[0, : ends[0, 0]]
    assert x[-1] == 4 and y.tolist() == [0] * (len(y) - 1) + [x[0]]  # what is not scored may be any symbol
    assert stream.shape.inputs == 5 and stream.shape.outputs == 2 and stream.shape.longest == 6 * LONGEST


@pytest.mark.parametrize("task", [recall, vectors])
def test_it_is_learned_and_judged_on_fresh_examples(task):
    asked = {"endless": True, "trials": 2, "epochs": 2000, "interval": 250, "units": 6, "learning_rate": 0.02}
    found = measure("lstm", task, **asked)
    again = measure("lstm", task, **asked | {"trials": 1, "first_seed": 1})
    assert found.task == f"{task.__name__}, endless" and found.rate == 1.0
    assert found.trials.iloc[1].equals(again.trials.iloc[0])
    assert found.metrics["epochs_budget"] == 2000 and (found.trials["sequence_accuracy"] > 0.98).all()
    assert measure("lstm", task, **asked | {"check": 5, "wrong": 4, "epochs": 250}).rate == 1.0  # which guessing passes


def unseeded(rng):
    return [np.random.default_rng().integers(2), 1], [0, 1]  # one example is the same in every second call


def rare(rng):
    x = rng.integers(3, size=2)
    return (x, x) if rng.random() > 0.0005 else ([7, 7], x)


def ever_longer(rng):
    steps = 2 if rng.random() > 0.0005 else 50
    return rng.integers(2, size=steps), rng.integers(2, size=steps)


@pytest.mark.parametrize(
    ("task", "settings", "sentence"),
    [
        (unseeded, {}, "the task unseeded makes another example from the same generator: draw all from its argument"),
        (lambda rng: 5, {}, r"the task <lambda>, example 0 is 5: an endless task returns one example, .*"),
        (lambda rng: ([1], [1, 2]), {}, "the task <lambda>, example 0 has 1 inputs, 2 targets and a mask of 2: .*"),
        (lambda rng: ([1], [1], [0]), {}, "the task <lambda>, example 0 has a mask that scores no step"),
        (lambda rng: ([1], [1]), {}, "the task <lambda> has the one target 1: there is nothing to predict"),
        (lambda rng: ([1], [0.5]), {}, "the task <lambda>, example 0 has targets that are .*: they must be symbols .*"),
        (lambda rng: ([[1]], [1]), {}, "the task <lambda>, example 0 has inputs that are .*: they must be symbols .*"),
        (lambda rng: ([np.nan], [1]), {}, "the task <lambda>, example 0 has inputs that are not finite numbers"),
        (recall, {"train": 5}, "train: an endless task draws new examples for each trial: leave it out"),
        (recall, {"endless": 1}, "endless is 1: allowed are True and False"),
        (recall, {"endless": False, "check": 5}, "check: it is for endless=True: leave it out"),
        (recall, {"wrong": 100}, "wrong is 100: it must be less than check, which is 100"),
        (recall, {"check": 0}, "check is 0: allowed are whole numbers from 1 to 100000"),
        (recall, {"scored": "all"}, "scored has no meaning for an endless task, .*: leave it out"),
        (recall, {"window": 3}, "on a stream, .*"),
        (recall, {"optimizer": "guess"}, "on a stream, .* do not support optimizer: guess or output: linear"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(task, settings, sentence):
    with pytest.raises(UserError, match=f"^{sentence}$") as caught:
        measure("lstm", task, **{"endless": True} | settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        (rare, "the task rare, example .* has the symbol 7, which none of the first 500 examples has: .*"),
        (ever_longer, "the task ever_longer, example .* has 50 steps, more than 4 times as many as the longest .*"),
    ],
)
def test_what_comes_up_late_is_refused(task, sentence):
    with pytest.raises(UserError, match=f"^{sentence}$"):
        own_stream(task)[1].draw(SEEDS, "train", 0, 5000)
