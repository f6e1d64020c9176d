"""params.yaml: what is read, and the one sentence for each way to get it wrong."""

import sys

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from memory_trials.config import Settings, load_settings
from memory_trials.errors import UserError

TUTORIAL = {"problem": {"sequences": [[3, 0, 1, 2, 3], [4, 0, 1, 2, 4]]}}


def with_change(section, key, value):
    return TUTORIAL | {section: TUTORIAL.get(section, {}) | {key: value}}


def refusal(tmp_path, content) -> str:
    path = tmp_path / "params.yaml"
    path.write_bytes(content if isinstance(content, bytes) else yaml.safe_dump(content).encode())
    with pytest.raises(UserError) as caught:
        load_settings(path)
    sentence = str(caught.value)
    assert sentence.startswith(str(path)) and "\n" not in sentence
    return sentence.removeprefix(f"{path}")


def test_params_yaml_spells_out_every_knob_with_the_tutorials_defaults(settings):
    defaults = Settings(problem=settings.problem)
    assert settings.model_copy(update={"check": defaults.check}) == defaults
    assert settings.problem.sequences == [[3, 0, 1, 2, 3], [4, 0, 1, 2, 4]]
    with open("params.yaml") as file:
        written = yaml.safe_load(file)
    for name, field in Settings.model_fields.items():
        assert set(written[name]) == set(field.annotation.model_fields), name


def test_a_backend_that_is_not_installed_is_refused_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert refusal(tmp_path, with_change("compute", "backend", "ray")) == (
        ": compute.backend is 'ray': Ray is not installed in this environment; `make ray` installs it"
    )


def test_settings_are_frozen(settings):
    with pytest.raises(ValueError):
        settings.training.epochs = 3


@pytest.mark.parametrize(
    ("section", "key", "value", "sentence"),
    [
        ("training", "epoch", 3, "unknown key training.epoch; allowed here are trials, first_seed, epochs,"),
        ("trainin", "epochs", 3, "unknown key trainin; allowed here are problem, encoding, model,"),
        ("training", "epochs", 0, "training.epochs is 0: must be greater than or equal to 1"),
        ("training", "trials", -5, "training.trials is -5: must be greater than or equal to 1"),
        ("training", "trials", "many", "training.trials is 'many': must be a valid integer"),
        ("training", "trials", 1.5, "training.trials is 1.5: must be a valid integer"),
        ("training", "trials", True, "training.trials is True: must be a valid integer"),
        ("training", "learning_rate", float("nan"), "training.learning_rate is nan: must be a finite number"),
        ("training", "learning_rate", 0, "training.learning_rate is 0: must be greater than 0"),
        ("training", "optimizer", "adm", "training.optimizer is 'adm': must be 'adam', 'rmsprop' or 'sgd'"),
        ("training", "window", "all", "training.window is 'all': allowed are a number of steps, at least 1, or the word"),
        ("training", "window", 0, "training.window is 0: must be greater than or equal to 1"),
        ("model", "cell", "lstmm", "model.cell is 'lstmm': no such cell; the built-in cells are lstm, gru, simple_rnn, mlp"),
        ("model", "cell", "no_such_package.Cell", "model.cell is 'no_such_package.Cell': no module 'no_such_package'"),
        ("model", "units", 0, "model.units is 0: must be greater than or equal to 1"),
        ("evaluation", "confidence", 1, "evaluation.confidence is 1: must be less than 1"),
        ("evaluation", "every", 0, "evaluation.every is 0: must be greater than or equal to 1"),
        ("problem", "sequences", [], "problem.sequences is []: List must have at least 1 item"),
        ("problem", "sequences", [[1, None]], "problem.sequences[0][1] is null: must be a valid"),
        ("problem", "sequences", [[True, 1]], "problem.sequences[0][0] is True: must be a valid"),
        ("problem", "sequences", None, "problem: give one of sequences, file and generate"),
        ("problem", "file", "words.csv", "problem: give one of sequences, file and generate"),
        ("problem", "generate", {"lag": 0}, "problem.generate.lag is 0: must be greater than or equal to 1"),
        ("problem", "generate", {"lag": 3, "middles": 1}, "unknown key problem.generate.middles; allowed here are lag, middle,"),
        ("model", "forget_bias", {"chrono": 2}, "model.forget_bias"),
        ("training", "batch", 0, "training.batch is 0"),
        ("tracking", "experiment", "", "tracking.experiment is ''"),
        ("compute", "threads", 0, "compute.threads is 0: must be greater than or equal to 1"),
    ],
)  # fmt: skip
def test_one_sentence_names_field_value_and_what_is_allowed(tmp_path, section, key, value, sentence):
    assert refusal(tmp_path, with_change(section, key, value)).startswith(f": {sentence}")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", " must hold named sections"),
        (b"[1, 2]", " must hold named sections"),
        (b"training: [", ", line 2 is not valid YAML"),
        (b"a: b: c", ", line 1 is not valid YAML"),
        (b"training:\n  epochs: 3\n  epochs: 4\n", ", line 3 is not valid YAML: the key 'epochs' stands twice"),
        (b"\xff\xfe\x00", " is not UTF-8 text"),
        (b"training: {epochs: 3}", ": problem is missing"),
        (b"problem: 3", ": problem is 3: must be a valid dictionary"),
        (b"? [1]\n: 2\n", ", line 1 is not valid YAML: found unhashable key"),
    ],
)
def test_a_malformed_file(tmp_path, content, sentence):
    assert refusal(tmp_path, content).startswith(sentence)


def test_a_missing_file(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        load_settings(tmp_path / "params.yaml")


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner))
keys = {name: st.sampled_from(list(field.annotation.model_fields)) for name, field in Settings.model_fields.items()}
sections = st.sampled_from(list(keys)).flatmap(
    lambda name: st.tuples(st.just(name), st.dictionaries(keys[name] | st.text(max_size=8), values, max_size=3))
)


@given(st.lists(sections, max_size=4).map(dict) | values)
def test_whatever_is_written_is_accepted_or_refused_in_one_sentence(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "generated.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    try:
        assert isinstance(load_settings(path), Settings)
    except UserError as error:
        assert "\n" not in str(error)


@given(st.binary(max_size=60))
def test_whatever_bytes_are_refused_in_one_sentence(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "generated.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_settings(path)
    assert "\n" not in str(caught.value)
