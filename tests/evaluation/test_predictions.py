"""What trials answer, against outputs that are written by hand."""

import sys
import types

import numpy as np
import pytest

from memory_trials.errors import UserError
from memory_trials.evaluation import predictions
from memory_trials.models import forward
from memory_trials.settings import FreeRunSettings, ModelSettings, ProblemSettings, Settings
from memory_trials.tasks.encoding import make_table
from memory_trials.tasks.problems import make_problem

TUTORIAL = [[3, 0, 1, 2, 3], [4, 0, 1, 2, 4]]
# after 2, of the symbols 0 to 4: right by little, right by much, wrong, equal (the first is said), nothing
AFTER_2 = np.array([[0, 0, 0, 0.51, 0.5], [0, 0, 0, 0.9, 0.1], [0, 0, 0, 0.2, 0.8], [0, 0, 0, 0.5, 0.5], [np.nan] * 5])


def settings_of(sequences=TUTORIAL, **sections) -> Settings:
    return Settings(problem={"sequences": sequences}, **sections)


def answers_to(monkeypatch, outputs: np.ndarray, wanted=None, sequences=TUTORIAL, output="sigmoid"):
    """Answers whose outputs [T, K, L, symbols] are these; and the table."""
    settings = settings_of(sequences, model={"output": output})
    problem = make_problem(settings.problem)
    table = make_table(problem, settings.encoding, settings.training, False)
    wanted = np.ones(table.eval_y.shape[1], bool) if wanted is None else np.array(wanted)
    steps = lambda settings, weights, x, wanted: ((t, outputs[:, :, t]) for t in np.flatnonzero(wanted))
    monkeypatch.setattr(predictions.forward, "outputs", steps)
    return predictions.answers(settings.model, {"output/bias": np.zeros((len(outputs), 5))}, table, wanted), table


@pytest.fixture
def tutorial(monkeypatch):
    outputs = np.zeros((5, 2, 4, 5))
    for step, symbol in enumerate((0, 1, 2)):
        outputs[:, :, step, symbol] = 0.75
    outputs[:, 0, 3] = AFTER_2
    outputs[:, 1, 3] = AFTER_2[:, [0, 1, 2, 4, 3]]  # of the other sequence the same, the other way round
    return answers_to(monkeypatch, outputs)


def test_the_largest_output_is_said_and_leads_the_best_wrong_one(tutorial):
    said, table = tutorial
    assert said.predicted[:4, 0].tolist() == [[0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 4], [0, 1, 2, 3]]
    assert said.predicted[:4, 1, 3].tolist() == [4, 4, 3, 3]
    assert said.activation[:4, 0, 3].tolist() == [0.51, 0.9, 0.8, 0.5] and said.activation[0, 0, 0] == 0.75
    assert said.lead[:4, 0, 3] == pytest.approx([0.01, 0.8, -0.6, 0.0]) and said.lead[0, 1, 0] == 0.75
    assert np.isnan(said.lead[4, :, 3]).all()
    assert said.right(table, 0.0)[:, :, 3].tolist() == [
        [True, True],
        [True, True],
        [False, False],
        [True, False],
        [False, False],
    ]
    assert said.right(table, 0.1)[:, :, 3].tolist() == [[False] * 2, [True] * 2, [False] * 2, [False] * 2, [False] * 2]
    assert said.right(table, 0.75)[0, 0, 0] and not said.right(table, 0.76)[0, 0, 0]  # by at least so much


def test_the_margin_is_the_least_lead_over_scored_steps(tutorial):
    said, table = tutorial
    assert said.margin(table.eval_mask)[:4] == pytest.approx([0.01, 0.75, -0.6, 0.0])
    assert np.isnan(said.margin(table.eval_mask)[4])


def test_signal_and_bias_are_in_logits(tutorial):
    said, table = tutorial
    logit = lambda p: np.log(p / (1 - p))
    expected = logit(0.9) - logit(0.1)
    signal, bias = said.signal_and_bias(table)
    assert signal[1] == pytest.approx(expected) and bias[1] == pytest.approx(0, abs=1e-12)
    assert signal[2] == pytest.approx(logit(0.2) - logit(0.8)) and np.isnan(signal[4])
    assert np.isnan(said.logit_lead[:, :, :3]).all() and np.isnan(said.bits[:, :, :3]).all()


def test_with_softmax_a_lead_in_logits_is_the_logarithm_of_the_ratio(monkeypatch):
    outputs = np.full((1, 2, 4, 5), 0.1)
    outputs[0, 0, 3, 3], outputs[0, 1, 3, 3] = 0.6, 0.3
    said, table = answers_to(monkeypatch, outputs, output="softmax")
    assert said.logit_lead[0, :, 3] == pytest.approx([np.log(6), -np.log(3)])
    signal, bias = said.signal_and_bias(table)
    assert signal[0] == pytest.approx((np.log(6) - np.log(3)) / 2)
    assert bias[0] == pytest.approx((np.log(6) + np.log(3)) / 2)


def test_an_output_of_one_or_of_zero_has_a_finite_logit(monkeypatch):
    outputs = np.zeros((1, 2, 4, 5))
    outputs[0, 0, 3, 3] = outputs[0, 1, 3, 4] = 1.0
    said, table = answers_to(monkeypatch, outputs)
    assert np.isfinite(said.logit_lead[0, :, 3]).all() and said.signal_and_bias(table)[0][0] > 700


def test_what_is_not_wanted_says_nothing(monkeypatch):
    said, _ = answers_to(monkeypatch, np.full((2, 2, 4, 5), 0.5), wanted=[False, False, True, False])
    assert (said.predicted[:, :, [0, 1, 3]] == -1).all() and (said.predicted[:, :, 2] == 0).all()
    assert (said.activation[:, :, [0, 1, 3]] == 0).all() and np.isnan(said.lead[:, :, [0, 1, 3]]).all()
    assert np.isnan(said.bits).all() and said.predicted.dtype == np.int64


def test_the_outputs_of_a_float_of_single_precision_are_compared_in_double(monkeypatch):
    outputs = np.full((1, 2, 4, 5), 0.25, np.float32)
    outputs[0, 0, 3, 3] = np.float32(0.3)
    said, _ = answers_to(monkeypatch, outputs)
    assert said.lead.dtype == np.float64 and said.lead[0, 0, 3] == float(np.float32(0.3)) - 0.25


def test_where_no_step_needs_memory_there_is_nothing_to_decide(monkeypatch):
    said, table = answers_to(monkeypatch, np.full((3, 1, 2, 3), 0.5), sequences=[[0, 1, 2]])
    signal, bias = said.signal_and_bias(table)
    assert [len(array) for array in (said.memory(table), signal, bias)] == [3, 3, 3]
    assert np.isnan([said.memory(table), signal, bias]).all()


def test_the_memory_of_a_trial_is_the_mean_over_the_steps_that_need_it(tutorial):
    said, table = tutorial
    assert said.memory(table)[:4] == pytest.approx(said.bits[:4, :, 3].mean(axis=1))
    assert said.memory(table)[1] > said.memory(table)[0] > said.memory(table)[2] and np.isnan(said.memory(table)[4])


def weights_of(inputs: int, symbols: int, trials: int = 2, units: int = 3) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(1).normal
    shapes = {
        "cell/kernel": (inputs, units), "cell/recurrent_kernel": (units, units), "cell/bias": (units,),
        "output/kernel": (units, symbols), "output/bias": (symbols,),
    }  # fmt: skip
    return {name: draw(size=(trials, *shape)).astype(np.float32) for name, shape in shapes.items()}


MODEL = ModelSettings(cell="simple_rnn", units=3)


def test_a_free_run_goes_on_with_what_was_said_beyond_the_longest_sequence():
    problem = make_problem(ProblemSettings(sequences=[["b", "a", "c"], ["c", "a", "b", "a", "b"]]))
    weights = weights_of(3, 3)
    said = predictions.free_run(MODEL, weights, problem, FreeRunSettings(prefix=2, beyond=4))
    assert said.shape == (2, 2, 5 - 2 + 4)
    for k, prefix in enumerate([[1, 0], [2, 0]]):  # symbol by symbol
        fed = list(prefix)
        for step in range(7):
            outputs = forward.outputs(
                MODEL, weights, np.array(fed, np.int32)[np.newaxis, :, np.newaxis], np.arange(len(fed)) == len(fed) - 1
            )
            ((_, last),) = outputs
            assert said[0, k, step] == last[0, 0].argmax()
            fed.append(int(said[0, k, step]))


def test_a_free_run_that_cannot_be_is_told():
    problem = make_problem(ProblemSettings(sequences=[["b", "a", "c"], ["c", "a", "b", "a", "b"]]))
    refused = r"^evaluation.free_run.prefix is 3: the shortest sequence has 3 symbols, so allowed are 1 to 2$"
    with pytest.raises(UserError, match=refused):
        predictions.free_run(MODEL, weights_of(3, 3), problem, FreeRunSettings(prefix=3))
    for model, inputs in ((MODEL, 6), (ModelSettings(cell="my_cells.leaky.LeakyCell"), 3)):
        with pytest.raises(UserError, match="is computed for the built-in cells with encoding.history 1 only"):
            predictions.free_run(model, weights_of(inputs, 3), problem, FreeRunSettings())


def test_who_recites_every_sequence_and_what_comes_next_is_counted():
    problem = make_problem(ProblemSettings(sequences=[["b", "a", "c"], ["c", "a", "b", "a"]]))
    a, b, c = range(3)
    following = np.array([
        [[a, c, b, a], [a, b, a, c]],  # both right; then b and c
        [[a, c, c, a], [a, b, a, c]],  # both right; then c and c
        [[a, c, b, a], [a, b, b, a]],  # the second is wrong
        [[a, b, b, a], [a, b, a, b]],  # the first is wrong
        [[a, c, b, a], [a, b, a, b]],  # right, by one that did not learn
    ])  # fmt: skip
    learned = np.array([True, True, True, False, False])
    assert predictions.recited(following, problem, 1, learned) == {
        "free_run_learned_right": 2, "free_run_unlearned_right": 1,
        "free_run_next/a": 1, "free_run_next/b": 2, "free_run_next/c": 3,
    }  # fmt: skip
    assert predictions.recited(following[:2, :, :3], problem, 1, learned[:2]) == {
        "free_run_learned_right": 2, "free_run_unlearned_right": 0, "free_run_next/b": 1, "free_run_next/c": 1,
    }  # fmt: skip


def test_a_cell_of_ones_own_is_computed_by_keras_for_the_wanted_steps(monkeypatch):
    """Keras takes seconds to import, so what stands between is made up here."""
    called = []
    everything = np.random.default_rng(0).random((2, 2, 4, 5))  # [T, K, L, symbols]

    def predict(*what):
        called.extend(what)
        return types.SimpleNamespace(numpy=lambda: everything)

    make_model = lambda *what: types.SimpleNamespace(names=["output/bias", "a"], what=what)
    cells = types.SimpleNamespace(make_model=make_model, predict=predict)
    monkeypatch.setitem(sys.modules, "memory_trials.models.keras_model", cells)
    monkeypatch.setattr("memory_trials.models.keras_model", cells, raising=False)
    monkeypatch.setattr("memory_trials.engines.own.calls_tensorflow", lambda cell: True)  # others are JAX's
    own = settings_of(model={"cell": "my_cells.leaky.LeakyCell"})
    problem = make_problem(own.problem)
    table = make_table(problem, own.encoding, own.training, False)
    weights = {"a": np.ones((2, 3)), "output/bias": np.zeros((2, 5))}
    said = predictions.answers(own.model, weights, table, np.array([False, True, False, True]))
    model, given, x, inputs = called
    assert model.what == (own.model, 5, 5) and inputs == 5 and x is table.eval_x
    assert given[0] is weights["output/bias"] and given[1] is weights["a"]  # in the order of the model's names
    assert np.array_equal(said.predicted[:, :, [1, 3]], everything[:, :, [1, 3]].argmax(axis=-1))
    assert (said.predicted[:, :, [0, 2]] == -1).all()
