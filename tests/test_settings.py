"""params.yaml: what is read, and the one sentence for each way to get it wrong."""

import re
import sys
from datetime import date

import pytest
import yaml
from dvc.utils.serialize import ParseError, parse_yaml
from hypothesis import given
from hypothesis import strategies as st

from memory_trials import parameter_files
from memory_trials import settings as module
from memory_trials.errors import UserError
from memory_trials.files import not_in_this_copy
from memory_trials.parameter_files import read_yaml
from memory_trials.sections import RENAMED
from memory_trials.settings import ModelSettings, Settings, load_settings, validated
from memory_trials.studies import design

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


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_a_key_of_another_day_is_told_by_its_new_name(old, new, tmp_path):
    section, _, key = old.partition(".")
    content = {"problem": {"sequences": [[1, 2]]}}
    content.setdefault(section, {})[key] = None
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=f"^{tmp_path}/params.yaml: {re.escape(old)} is called {re.escape(new)} now"):
        load_settings(tmp_path / "params.yaml")


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
        ("training", "optimizer", "adm", "training.optimizer is 'adm': must be 'adam', 'rmsprop', 'sgd' or 'guess'"),
        ("training", "window", "all", "training.window is 'all': allowed are a number of steps, at least 1, or the word"),
        ("training", "window", 0, "training.window is 0: must be greater than or equal to 1"),
        ("model", "cell", "lstmm", "model.cell is 'lstmm': no such cell; the built-in cells are attention, chunker, delta_net, fully_recurrent, gru, lru, lstm, memory_cell, min_gru, mlp, mlstm, nbrc, retnet, s6, simple_rnn, slstm"),
        ("model", "cell", "no_such_package.Cell", "model.cell is 'no_such_package.Cell': no module 'no_such_package'"),
        ("model", "units", 0, "model.units is 0: must be greater than or equal to 1"),
        ("evaluation", "confidence", 1, "evaluation.confidence is 1: must be less than 1"),
        ("evaluation", "interval", 0, "evaluation.interval is 0: must be greater than or equal to 1"),
        ("problem", "sequences", [], "problem.sequences is []: List must have at least 1 item"),
        ("problem", "sequences", [[1, None]], "problem.sequences[0][1] is null: must be a valid"),
        ("problem", "sequences", [[True, 1]], "problem.sequences[0][0] is True: must be a valid"),
        ("problem", "sequences", None, "problem: give one of sequences, file, generate and stream"),
        ("problem", "file", "words.csv", "problem: give one of sequences, file, generate and stream"),
        ("problem", "csv", {"header": True}, "problem: csv is for a .csv file in problem.file: set separator, header and"),
        ("problem", "csv", {"separator": "::"}, "problem.csv.separator is '::': must be ',', ';', '\\t', '|' or ' '"),
        ("problem", "csv", {"heading": True}, "unknown key problem.csv.heading; allowed here are separator, header, index"),
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
        (
            b"training:\n  epochs: 3\n  epochs: 4\n",
            ', line 3 is not valid YAML: found duplicate key "epochs" with value "4"',
        ),
        (b"\xff\xfe\x00", " is not UTF-8 text"),
        (b"training: {epochs: 3}", ": problem is missing"),
        (b"problem: 3", ": problem is 3: must be a valid dictionary"),
        (b"? [1]\n: 2\n", ": (1,) is neither text, number, true, false, null, list nor section"),
        (b"problem: !!set {a}", ": {'a'} is neither text"),
        (b"problem: !!python/object:os.system {}", ", line 1 is not valid YAML: could not determine a constructor"),
        (
            b"problem: {sequences: [[2001-01-01, 2]]}",
            ": 2001-01-01 is a date to YAML; put it in quotes, and it is text",
        ),
        (b"problem: &p {sequences: [*p]}", " is nested more than 50 levels deep"),
        (b"problem: " + b"[" * 1000, " is nested more than 50 levels deep"),
        (b"problem: " + b"[" * 200_000 + b"]" * 200_000, " is nested more than 50 levels deep"),
        (
            b"a: &a [1, 1]\n"
            + b"".join(b"%c: &%c [*%c, *%c]\n" % (n, n, n - 1, n - 1) for n in b"bcdefghijklmnopqrstu"),
            " holds more than 1,000,000 values",
        ),
    ],
)
def test_a_malformed_file(tmp_path, content, sentence):
    assert refusal(tmp_path, content).startswith(sentence)


written = st.sampled_from(
    ["1e-3", "1e3", "1E+3", "+.5e-3", ".5", "5.", "1.", "010", "0o10", "0b11", "0x1F", "1_000", "0.1_5", "-0", "+7", "1e999", ".inf",
     "-.INF", ".nan", "yes", "No", "on", "OFF", "y", "n", "true", "True", "tRUE", "null", "Null", "~", "", "12:30:00", "190:20:30.15",
     "2001-01-01", "2001-1-1 1:2:3", "2001-13-45", "=", "<<", "!!str 3", "!!float 3", "!!int '010'", "'010'", '"1e3"', "-", "?", "a b", "0x", "0b", "08", "1__0", "_1"]
) | st.from_regex(r"[-+.]?[0-9_.:eEoxb+-]{1,8}", fullmatch=True)  # fmt: skip
sections_written = st.one_of(
    st.builds("{}: {}\n".format, st.sampled_from("abc"), written),
    st.builds("{}: [{}, {}]\n".format, st.sampled_from("abc"), written, written),
    st.builds("{}:\n  x: {}\n  {}: 1\n".format, st.sampled_from("abc"), written, written),
)


@given(st.lists(sections_written, min_size=1, max_size=3).map("".join))
def test_a_parameter_file_means_what_dvc_means_by_it(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "generated.yaml"
    path.write_text(text, encoding="utf-8")
    try:
        read = read_yaml(path)
    except UserError as error:
        if "is a date to YAML" in str(error):
            assert any(isinstance(value, date) for value in _leaves(parse_yaml(text, path)))
        else:
            with pytest.raises((ParseError, ValueError)):  # ValueError: an impossible date
                parse_yaml(text, path)
    else:
        assert repr(read) == repr(parse_yaml(text, path))


def _leaves(value) -> list:
    inner = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else None
    return [value] if inner is None else [leaf for part in inner for leaf in _leaves(part)]


@pytest.mark.parametrize("written", ["007", "-07", "00.5", "0_1"])
def test_a_symbol_that_yaml_would_strip_of_its_zeros_is_refused(tmp_path, written):
    for sequences in (f"[[{written}, 7]]", f"\n    -\n      - {written}\n      - 7"):
        sentence = refusal(tmp_path, f"problem:\n  sequences: {sequences}\n".encode())
        assert f": {written} is a number to YAML, which drops the zeros; put it in quotes" in sentence
    (tmp_path / "params.yaml").write_text(f"problem: {{sequences: [['{written}', 7, 0, 0.5, -0.5]]}}\n")
    assert load_settings(tmp_path / "params.yaml").problem.sequences[0][0] == written


@pytest.mark.parametrize(
    ("number", "meant"), [("1e-3", 0.001), ("1e3", 1000.0), ("010", 10), ("0o10", 8), ("1_0", 10), (".5", 0.5)]
)
def test_numbers_as_they_are_written(tmp_path, number, meant):
    path = tmp_path / "params.yaml"
    path.write_text(f"problem: {{generate: {{lag: 3}}}}\ntraining: {{learning_rate: {number}}}\n")
    assert load_settings(path).training.learning_rate == meant


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


LSTM = {"cell": "lstm", "cell_options": {}}
MEMORY_CELL = {"cell": "memory_cell", "units": 4, "cell_options": {"block_size": 2, "input_gate_bias": [-3, -6]}}


@pytest.mark.parametrize(
    ("stream", "model", "training", "expected"),
    [
        (
            {"task": "adding", "signal": 3},
            {},
            {},
            "signal is no setting of the task adding, which takes length",
        ),
        ({"task": "addng"}, {}, {}, "problem.stream.task is 'addng': must be 'reber', 'keys'"),
        ({"task": "adding", "length": 5}, {}, {}, "problem.stream.length is 5: must be greater than or equal to 20"),
        ({"task": "temporal_order", "signal": 4}, {}, {}, "problem.stream.signal is 4: must be 2 or 3"),
        ({"task": "adding"}, {"units": 3}, {}, "model: 3 units make no whole blocks of 2"),
        ({"task": "adding"}, {"cell_options": {"blocks": 2}}, {}, "unknown key blocks; allowed here are block_size"),
        ({"task": "adding"}, {"cell_options": {"input_gate_bias": [-1]}}, {}, "has 1 numbers for 4 blocks"),
        (
            {"task": "adding"},
            {"cell": "mlp", "cell_options": {}},
            {},
            "problem.stream is for the cells attention, chunker, ",
        ),
        ({"task": "adding"}, {}, {"shuffle": True}, "training.shuffle has no meaning for a stream: leave it out"),
        (
            {"task": "adding"},
            {},
            {"update": "epoch"},
            "on a stream, training.update must be window, with training.window: 1, or sequence",
        ),
        (
            {"task": "adding"},
            {"cell": "gru", "cell_options": {}},
            {"update": "window"},
            "set training.update: sequence",
        ),
        ({"task": "adding"}, {}, {"loss": "mse"}, "training.loss is 'mse': must be 'squared_error' or 'cross_entropy'"),
        (None, {"cell": "lstm", "cell_options": {}}, {"loss": "cross_entropy"}, "training.loss is for problem.stream"),
        (
            {"task": "adding"},
            {"output": "linear"},
            {"loss": "cross_entropy"},
            "training.loss: cross_entropy takes outputs",
        ),
        (
            {"task": "adding"},
            {"cell": "lstm", "cell_options": {}, "output": "linear"},
            {},
            "output is linear, which only",
        ),
        (
            {"task": "adding"},
            {"output": "softmax"},
            {},
            "the cell memory_cell does not support batch, encoding.history, output: softmax or engine: jax",
        ),
        ({"task": "adding"}, {}, {"engine": "tensorflow"}, "training.engine: tensorflow does not train on a stream"),
        (
            {"task": "keys"},
            LSTM | {"output": "softmax"},
            {"loss": "squared_error"},
            "training.loss is squared_error, but with model.output: softmax it is cross_entropy",
        ),
        ({"task": "keys"}, LSTM, {"update": "window", "batch": 4}, "the gradient of the cell lstm needs whole"),
        ({"task": "keys"}, LSTM, {"batch": 4, "optimizer": "guess"}, "engine: jax do not support optimizer: guess"),
        ({"task": "keys"}, LSTM, {"batch": 4, "epochs": 10}, "epochs must be a multiple of training.batch, which is 4"),
        (
            {"task": "keys"},
            LSTM,
            {"batch": 4, "epochs": 8},
            "evaluation.interval must be a multiple of training.batch, which is 4",
        ),
        (None, {}, {}, "the cell memory_cell learns from a stream: set problem.stream"),
    ],
)
def test_streams_and_published_cells_are_refused_in_one_sentence(tmp_path, stream, model, training, expected):
    problem = {"stream": stream} if stream else TUTORIAL["problem"]
    content = {"problem": problem, "model": MEMORY_CELL | model, "training": {"update": "sequence"} | training}
    assert expected in refusal(tmp_path, content)


def test_a_stream_says_itself_which_steps_are_scored(tmp_path):
    content = {"problem": {"stream": {"task": "keys"}, "scored": "last"}, "model": MEMORY_CELL}
    assert refusal(tmp_path, content).startswith(": problem.scored has no meaning for a stream")


def test_a_stream_takes_the_defaults_of_its_task():
    stream = Settings(problem={"stream": {"task": "two_sequence", "signal": 1}}, model=MEMORY_CELL).problem.stream
    assert (stream.length, stream.signal, stream.noisy_signal, stream.symbols) == (100, 1, False, None)


def test_what_was_trained_before_there_were_streams_is_described_as_it_was(settings):
    described = design.training_inputs(settings)
    assert "stream" not in described["problem"] and "loss" not in described["training"]


def test_from_python_a_mistake_is_the_same_sentence(tmp_path):
    for section, key, value in (("model", "cell", "lstn"), ("training", "trials", 0), ("training", "epoch", 1)):
        content = with_change(section, key, value)
        with pytest.raises(UserError) as caught:
            Settings(**content)
        assert str(caught.value) == "Settings" + refusal(tmp_path, content)
    with pytest.raises(UserError, match="Settings: problem is missing"):
        Settings()
    assert Settings(**TUTORIAL) == Settings.model_validate(TUTORIAL)


def test_a_package_that_is_not_found_is_told_with_the_folders(tmp_path, monkeypatch):
    content = with_change("model", "cell", "cells_of_nobody.x.Cell")
    monkeypatch.chdir(tmp_path)
    said = refusal(tmp_path, content)
    assert f"no module 'cells_of_nobody' can be imported from this folder, {tmp_path}" in said and "PYTHONPATH" in said
    (tmp_path / "cells_of_nobody").mkdir()
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    assert f"it is in {tmp_path}, which is not on Python's path: set PYTHONPATH={tmp_path}" in refusal(
        tmp_path, content
    )


def test_in_a_copy_that_dvc_makes_a_module_that_git_does_not_know_is_told_so(tmp_path, monkeypatch):
    copy = tmp_path / ".dvc/tmp/exps/tmpabc"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    monkeypatch.delitem(sys.modules, "cells_of_mine", raising=False)  # what is imported can be used wherever it is from
    content = with_change("model", "cell", "cells_of_mine.new.Cell")
    assert "git" not in refusal(tmp_path, content)
    (tmp_path / "cells_of_mine").mkdir()
    (tmp_path / "cells_of_mine/new.py").touch()
    assert "git does not know cells_of_mine, so DVC's copy" in refusal(tmp_path, content)
    (copy / "cells_of_mine").mkdir()
    assert not_in_this_copy("cells_of_mine.new").endswith(": git add cells_of_mine/new.py")
    (copy / "cells_of_mine/new.py").touch()
    assert not_in_this_copy("cells_of_mine.new") == ""


@pytest.mark.parametrize(("letters", "shown"), [(58, "'" + "x" * 58 + "'"), (59, "'" + "x" * 56 + "...")])
def test_a_long_value_is_shown_by_its_first_sixty_letters(tmp_path, letters, shown):
    sentence = refusal(tmp_path, with_change("training", "trials", "x" * letters))
    assert sentence == f": training.trials is {shown}: must be a valid integer"


def test_of_several_mistakes_the_first_is_told_and_the_others_are_counted(tmp_path):
    content = TUTORIAL | {"training": {"epochs": 0, "trials": "many", "batch": 1.5}}
    assert refusal(tmp_path, content) == ": training.trials is 'many': must be a valid integer (and 2 more)"
    content = TUTORIAL | {"training": {"epochs": 0, "windw": 3}}
    assert refusal(tmp_path, content).endswith("must be greater than or equal to 1 (and 1 more)")
    one = refusal(tmp_path, with_change("problem", "sequences", [[1, None]]))  # of a union's three, at one place
    assert (
        one
        == ": problem.sequences[0][1] is null: must be a valid integer or must be a valid number or must be a valid string"
    )


def test_a_key_that_is_no_word_is_told_on_one_line(tmp_path):
    assert refusal(tmp_path, with_change("training", "a\nb", 1)).startswith(
        ": unknown key training.'a\\nb'; allowed here are trials,"
    )
    assert refusal(tmp_path, with_change("training", "k" * 59, 1)).startswith(f": unknown key training.{'k' * 59}; ")
    assert refusal(tmp_path, with_change("training", "k" * 60, 1)).startswith(
        f": unknown key training.'{'k' * 56}...; "
    )


@pytest.mark.parametrize(("levels", "allowed"), [(50, True), (51, False)])
def test_fifty_levels_are_allowed_and_no_more(tmp_path, levels, allowed):
    path = tmp_path / "params.yaml"
    path.write_text("a: " + "[" * (levels - 1) + "]" * (levels - 1))
    if allowed:
        assert list(read_yaml(path)) == ["a"]
    else:
        with pytest.raises(UserError, match="is nested more than 50 levels deep$"):
            read_yaml(path)


def test_levels_behind_an_alias_count_as_often_as_they_are_reached(tmp_path):
    path = tmp_path / "params.yaml"
    deep = "a: &a " + "[" * 30 + "]" * 30 + "\n"
    path.write_text(deep + "b: " + "[" * 19 + "*a" + "]" * 19)
    assert set(read_yaml(path)) == {"a", "b"}
    path.write_text(deep + "b: " + "[" * 20 + "*a" + "]" * 20)
    with pytest.raises(UserError, match="is nested more than 50 levels deep$"):
        read_yaml(path)


def test_values_are_counted_with_their_keys_and_as_often_as_an_alias_repeats_them(tmp_path, monkeypatch):
    path = tmp_path / "params.yaml"
    path.write_text("a: &a [1, 2]\nb: *a\n")  # the file, two keys, two lists, of two numbers each
    monkeypatch.setattr(parameter_files, "MOST_VALUES", 9)
    assert read_yaml(path) == {"a": [1, 2], "b": [1, 2]}
    monkeypatch.setattr(parameter_files, "MOST_VALUES", 8)
    with pytest.raises(UserError, match="holds more than 8 values$"):
        read_yaml(path)


def test_what_is_read_may_be_changed_without_changing_what_is_read_next(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("a: [1]\n")
    read_yaml(path)["a"].append(2)
    assert read_yaml(path) == {"a": [1]}


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(UserError, match=f"^{tmp_path} cannot be read: Is a directory$"):
        read_yaml(tmp_path)
    (tmp_path / "x.yaml").write_bytes(b"abc: \xff")
    with pytest.raises(UserError, match=r"x\.yaml is not UTF-8 text \(byte 5\)$"):
        read_yaml(tmp_path / "x.yaml")
    with pytest.raises(UserError, match=r"none\.yaml does not exist; run this from the folder that holds it$"):
        read_yaml(tmp_path / "none.yaml")


@pytest.mark.parametrize("cell", ["lstm", "memory_cell", "my_cells.leaky.LeakyCell", "os.anything"])
def test_a_cell_is_a_name_that_is_known_or_in_a_package_that_there_is(cell):
    assert module._known_cell(cell) == cell and module._known_cell(3) == 3


@pytest.mark.parametrize("cell", ["LeakyCell", "my_cells..X", "my-cells.X", ".X", "1a.X", ""])
def test_a_cell_that_is_no_dotted_path_is_no_cell(cell):
    with pytest.raises(
        ValueError,
        match="no such cell; the built-in cells are attention, chunker, delta_net, fully_recurrent, gru, lru, lstm, memory_cell, min_gru, mlp, mlstm, nbrc, retnet, s6, simple_rnn, slstm",
    ):
        module._known_cell(cell)


def test_a_mistake_in_a_part_is_told_after_where_it_was():
    with pytest.raises(UserError, match=r"^here: units is 0: must be greater than or equal to 1$"):
        validated(ModelSettings, {"units": 0}, "here")
    assert validated(ModelSettings, {"units": 3}, "here").units == 3


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"problem: {sequences: [[2001-13-45, 2]]}", " is not valid YAML: month must be in 1..12"),
        (b"", " must hold named sections, not null"),
        (b"[1, 2]", " must hold named sections, not [1, 2]"),
        (
            b"problem: {sequences: [[1, 2]]}\nmodel: {cell: memory_cell}",
            ": the cell memory_cell learns from a stream: set problem.stream",
        ),
    ],
)
def test_a_mistake_of_the_whole_file_is_told_without_a_field(tmp_path, content, sentence):
    assert refusal(tmp_path, content) == sentence


def test_threads_need_no_ray(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(with_change("compute", "backend", "threads")))
    assert load_settings(path).compute.backend == "threads"
