"""check: what is right with a cell is said, and what is wrong in a sentence each, before anything is trained."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memory_trials
from memory_trials.cli import commands
from memory_trials.errors import UserError
from memory_trials.interactive import check as check_module
from memory_trials.interactive import given
from memory_trials.interactive.check import PROPERTIES, check
from memory_trials.interactive.measure import measure
from memory_trials.models.backend import keras
from my_cells.leaky import LeakyCell

OPS = keras.ops


@pytest.fixture(autouse=True)
def fewer_steps(monkeypatch):
    monkeypatch.setattr(check_module, "STEPS", 600)


class Plain(LeakyCell):
    """Each of the following changes one thing of it."""


class Explodes(Plain):
    def call(self, inputs, states):
        h = 2 * states[0] + OPS.matmul(inputs, self.kernel)
        return h, [h]


class WrongGradient(Plain):
    def call(self, inputs, states):
        h = OPS.tanh(OPS.matmul(inputs, self.kernel) + OPS.stop_gradient(OPS.matmul(states[0], self.recurrent_kernel)))
        return h, [h]


class CountsCalls(Plain):
    calls = 0

    def call(self, inputs, states):
        self.calls += 1
        return super().call(inputs, states)


class Whole(Plain):
    def call_sequence(self, inputs):
        h, outputs = OPS.zeros((inputs.shape[0], self.units)), []
        for step in range(inputs.shape[1]):
            h, _ = self.call(inputs[:, step], [h])
            outputs.append(h)
        return OPS.stack(outputs, axis=1)


class WrongWhole(Whole):
    def call_sequence(self, inputs):
        outputs = super().call_sequence(inputs)
        return OPS.concatenate([outputs[:, :7], outputs[:, 7:] * 1.01], axis=1)


class ShortWhole(Whole):
    def call_sequence(self, inputs):
        return super().call_sequence(inputs)[:, :-1]


class NotOfTheSeed(Plain):
    def build(self, input_shape):
        super().build(input_shape)
        drawn = lambda shape, dtype: np.random.default_rng().normal(size=shape)
        self.more = self.add_weight(shape=(self.units,), initializer=drawn, name="more")

    def call(self, inputs, states):
        output, after = super().call(inputs, states)
        return output + self.more, after


def test_a_right_cell_passes_with_its_sizes():
    checked = check(Whole(4, leak=0.5))  # whose arguments count
    assert checked.passed and checked.failures == [], checked
    assert [finding.passed for finding in checked.findings] == [True] * 7
    assert checked.sizes["parameters"] == 5 * 4 + 4 * 4 and checked.sizes["numbers of state"] == 4
    assert 0 < checked.sizes["microseconds a step"] < 1000
    assert "gradients: as finite differences say" in str(checked) and str(checked) == repr(checked)
    assert "<td>gradients</td>" in checked._repr_html_()
    assert [finding.name for finding in checked.findings[1:]] == list(PROPERTIES)


def test_a_built_in_cell_passes():
    checked = check("lstm", units=3)
    assert checked.passed, checked
    assert checked.findings[-1].passed is None  # it has no form of its own for whole sequences


def test_a_cell_that_calls_tensorflow_is_checked_there():
    checked = check("tests.people.cells.nested_shapes.Cell", units=3)
    assert checked.passed, checked
    assert [finding.passed for finding in checked.findings] == [*[True] * 6, None]


class OfNoLibrary:
    """The three functions of the protocol, and a form for whole sequences."""

    def __init__(self, units, keep=0.5):
        self.units, self.keep = units, keep

    def init(self, key, inputs):
        return {"w": jax.random.normal(key, (inputs, self.units))}

    def initial_state(self, params, batch):
        return jnp.zeros((batch, self.units))

    def step(self, params, state, x):
        state = self.keep * state + x @ params["w"]
        return state, state

    def call_sequence(self, params, inputs):
        lags = jnp.arange(inputs.shape[1])
        powers = jnp.tril(self.keep ** (lags[:, None] - lags).astype(float))
        return jnp.einsum("ts,bsi,iu->btu", powers, inputs, params["w"])


class MixesRows(OfNoLibrary):
    def step(self, params, state, x):
        state, y = super().step(params, state, x)
        return state, y - y.mean(axis=0)


class CountsSteps(OfNoLibrary):
    steps = 0

    def step(self, params, state, x):
        self.steps += 1
        return super().step(params, state, x)


def test_three_functions_are_a_cell(monkeypatch):
    checked = check(OfNoLibrary, units=3)
    assert checked.passed and [finding.passed for finding in checked.findings] == [True] * 7, checked
    assert checked.sizes["parameters"] == 15 and checked.sizes["numbers of state"] == 3
    monkeypatch.setattr(check_module, "PROPERTIES", {"rows": PROPERTIES["rows"]})
    assert check(OfNoLibrary(4)).sizes["parameters"] == 20
    (words,) = check(MixesRows, units=3).failures
    assert words.startswith("step: it computes something else for a row alone than for a batch: its rows are sequences")
    monkeypatch.setattr(check_module, "PROPERTIES", {"no side effects": PROPERTIES["no side effects"]})
    (words,) = check(CountsSteps, units=3).failures
    assert words.startswith("call: it changes self.steps, which is lost once it is compiled")


@pytest.mark.parametrize(
    ("cell", "name", "sentence"),
    [
        (
            Explodes,
            "10,000 steps",
            "call: its output or state is not a finite number from step 1[23][0-9] on: bound .*",
        ),
        (
            WrongGradient,
            "gradients",
            r"call: its gradient for the weight kernel is .* where finite differences say .* stop_gradient.*",
        ),
        (CountsCalls, "no side effects", "call: it changes self.calls, which is lost once it is compiled: return .*"),
        (WrongWhole, "whole sequences", "call_sequence: it differs from step by step by .*, first at step 8: .*"),
        (ShortWhole, "whole sequences", r"call_sequence: it returns the shape \(3, 19, 4\), and step by step .*"),
        (
            NotOfTheSeed,
            "deterministic",
            "the same seed gives it other weights each time: draw them by an initializer.*",
        ),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(cell, name, sentence, monkeypatch):
    monkeypatch.setattr(check_module, "PROPERTIES", {name: PROPERTIES[name]})
    checked = check(cell, units=4)
    assert [finding.passed for finding in checked.findings] == [True, False], checked
    (words,) = checked.failures
    assert re.fullmatch(sentence, words) and not checked.passed and f"FAILED  {name}: {words}" in str(checked)


@pytest.mark.parametrize(
    "cell",
    [
        "one_value", "other_shape", "not_finite", "noise_by_numpy", "double_precision", "batch_size", "counted_calls",
        "assigned_weight", "typo",
    ],
)  # fmt: skip
def test_a_cell_that_trials_cannot_share_is_refused_alike_by_check_and_measure(cell):
    path = f"tests.people.cells.{cell}.Cell"
    checked = check(path, units=4)
    assert len(checked.failures) == 1 and "\n" not in checked.failures[0]
    with pytest.raises(UserError) as caught:
        measure(path, trials=2, epochs=1, units=4)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(checked.failures[0])


def test_what_is_no_cell_is_refused():
    with pytest.raises(UserError, match="check: cell: no module 'nowhere' can be imported"):
        check("nowhere.Cell")
    with pytest.raises(UserError, match="inputs is 1: allowed are whole numbers from 2"):
        check(LeakyCell, inputs=1)
    with pytest.raises(UserError, match="check: units is 0: must be greater"):
        check(LeakyCell, units=0)
    assert check(LeakyCell, cell_options={"leek": 1}).failures[0].startswith("made with units 20 and cell_options")
    assert memory_trials.check is check


def test_the_command_prints_the_list_and_fails_where_one_fails(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_cell.py").write_text("from my_cells.leaky import LeakyCell\n\n\nclass Own(LeakyCell):\n    pass\n")
    run = lambda *words: commands.main(["check", *words], standalone_mode=False)
    monkeypatch.setattr(check_module, "PROPERTIES", {"gradients": PROPERTIES["gradients"]})
    run("own_cell.py:Own", "--units", "3", "--inputs", "4", "--options", '{"leak": 0.9}')
    assert capsys.readouterr().out.startswith("own_cell.Own: 21 parameters, 3 numbers of state\n")
    with pytest.raises(UserError, match="^1 of 1 checks failed$"):
        run("tests.people.cells.one_value.Cell")
    assert "FAILED" in capsys.readouterr().out
    with pytest.raises(UserError, match="--options is '{leak}': it must be JSON"):
        run("own_cell.py:Own", "--options", "{leak}")


def test_a_file_that_was_edited_is_read_anew(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(check_module, "PROPERTIES", {})
    file, code = tmp_path / "edited_cell.py", "from helper_of_edited import Base\n\nclass Cell(Base):\n    size = 1\n"
    helper = (
        "import jax.numpy as jnp\n\nclass Base:\n    def __init__(self, units):\n        self.units = units\n"
        "    def init(self, key, inputs):\n        return {'w': jnp.ones((inputs, self.size * self.units))}\n"
        "    def initial_state(self, params, batch):\n        return jnp.zeros((batch, 2))\n"
        "    def step(self, params, state, x):\n        return state, x @ params['w']\n"
    )
    (tmp_path / "helper_of_edited.py").write_text(helper)
    file.write_text(code)
    assert check("edited_cell.py:Cell", units=3).sizes == {"parameters": 15, "numbers of state": 2}
    file.write_text(code.replace("size = 1", "size = 22"))
    assert check("edited_cell.py:Cell", units=3).sizes["parameters"] == 330
    (tmp_path / "helper_of_edited.py").write_text(helper.replace("(batch, 2)", "(batch, 2, 2)"))
    assert check("edited_cell.py:Cell", units=3).sizes["numbers of state"] == 4


def test_a_file_that_calls_tensorflow_and_was_edited_is_refused(monkeypatch):
    monkeypatch.setattr(given, "edited", lambda: ["mine.py"])
    with pytest.raises(UserError, match="^mine.py was edited since this process imported it: restart Python, or .*"):
        check("tests.people.cells.nested_shapes.Cell", units=3)
