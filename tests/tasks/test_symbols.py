"""The names of symbols: one each, the same in every file, and found again by it."""

import posixpath
import re

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from memory_trials import files
from memory_trials.errors import UserError
from memory_trials.evaluation import of_tables, results
from memory_trials.evaluation.predictions import Answers
from memory_trials.serving import predictor
from memory_trials.settings import EncodingSettings, ProblemSettings, TrainingSettings
from memory_trials.tasks.encoding import make_table
from memory_trials.tasks.problems import Problem, from_json, make_problem
from memory_trials.tasks.symbols import from_text, name, words, written
from memory_trials.tracking import metric_names
from tests.serving.test_predictor import make_predictor

awkward = st.sampled_from(
    ["", " ", "  ", ".", "..", "a.", "/", "a/b", "..//", ":", ":2F", ",", '"', "'", "[", "[]", "[1]", '["a"]', "\\", "\\n", "\n", "\r", "\t",
     "\0", "\x7f", "\x85", "\u2028", "\u200b", "\ufeff", "a\u00a0b", " the", "the ", "NA", "nan", "null", "None", "true", "007", "1_0", "\uff13",
     "é", "e\u0301", "1e5", "-0", "=1+1", "#", "seed", "😀", "x" * 300, "1" * 400]
)  # fmt: skip
symbols = (
    awkward
    | st.integers(-3, 3)
    | st.sampled_from([2**53 - 1, 2**53, -(2**70), 1e5, 1e16, 1e-5, 2.5, -0.0, 5e-324, 1.7976931348623157e308])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3)
)
usable = st.lists(st.lists(symbols, min_size=2, max_size=5), min_size=1, max_size=4).filter(
    lambda s: len({x for row in s for x in row}) > 1
)


def accepted(sequences) -> Problem:
    try:
        return make_problem(ProblemSettings(sequences=sequences))
    except UserError as error:
        assert "\n" not in str(error)
        reject()


def read_back(folder, table: str, frame) -> list[tuple]:
    """The rows of a table, written and read."""
    files.write_text(folder / f"{table}.csv", frame.to_csv(index=False, lineterminator="\n"))
    return list(results.read_table(folder, table).itertuples(index=False, name=None))


@hypothesis_settings(max_examples=25)
@given(usable)
def test_every_file_gives_each_symbol_back(tmp_path_factory, sequences):
    folder, problem = tmp_path_factory.getbasetemp(), accepted(sequences)
    names = [name(symbol) for symbol in problem.alphabet]
    assert len(set(names)) == len(names) and not re.search(r"[\x00-\x1f\x7f-\x9f]", "".join(names))
    again = from_json(problem.to_json(), folder)
    assert again == problem and list(map(repr, again.alphabet)) == list(map(repr, problem.alphabet))

    files.write_arrays(folder / "memory.npz", "symbols", {}, {"alphabet": problem.alphabet})
    kept, _ = files.read_arrays(folder / "memory.npz", "symbols")
    assert list(map(repr, kept["alphabet"])) == list(map(repr, problem.alphabet))
    for sequence in problem.sequences:
        places = [problem.index[symbol] for symbol in sequence]
        assert words(written(sequence)) == [names[place] for place in places]
        for asked in (sequence, [name(symbol) for symbol in sequence], words(written(sequence))):
            assert predictor._indices(problem.alphabet, asked) == places

    table = make_table(problem, EncodingSettings(), TrainingSettings(), stateful=False)
    shape = (1, *table.eval_y.shape)
    said = Answers(table.eval_y[np.newaxis].astype(np.int64), np.zeros(shape), *np.zeros((3, *shape)))
    steps = [(k, t) for k, sequence in enumerate(problem.sequences) for t in range(len(sequence) - 1)]
    told = read_back(folder, "predictions", of_tables._predictions(problem, table, np.array([7]), said))
    expected = [tuple(names[problem.index[problem.sequences[k][t + at]]] for at in (0, 1, 1)) for k, t in steps]
    assert [row[3:6] for row in told] == expected and all(row[8] for row in told)
    told = read_back(folder, "confusion", of_tables._confusion(problem, table, np.array([7]), said.predicted))
    assert [row[3:] for row in told] == [expected[steps.index((row[1] - 1, row[2] - 1))] for row in told]
    following = np.full((1, len(problem.sequences), len(names)), np.arange(len(names)))
    told = read_back(folder, "free_run", of_tables._free_run(problem, np.array([7]), following, 1))
    assert [words(row[2]) for row in told] == [[names[problem.index[sequence[0]]]] for sequence in problem.sequences]
    assert all(words(row[3]) == names for row in told)

    shown = [metric_names.shown(f"free_run_next/{each}") for each in names]
    assert len(set(shown)) == len(names)
    for each in shown:  # what MLflow takes
        assert re.fullmatch(r"[/\w.\- :]+", each) and len(each) <= 250 and posixpath.normpath(each) == each


@given(st.text("0123456789.eE+-_ ,x", max_size=8))
def test_a_text_is_a_number_only_where_python_and_json_would_agree(text):
    symbol = from_text(text)
    if not isinstance(symbol, str):
        assert symbol == float(text) and (type(symbol) is int) == (not set(text) & set(".eE"))
        assert not re.match(r"[-+]?0[0-9]", text)


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("7", 7), ("-7", -7), ("+7", 7), ("0", 0), ("2.50", 2.5), (".5", 0.5), ("5.", 5.0), ("1E3", 1000.0), ("3.0", 3.0),
        ("007", "007"), ("00", "00"), ("-01", "-01"), ("1_000", "1_000"), (" 7", " 7"), ("\uff13", "\uff13"), ("0x1", "0x1"), ("", ""),
        ("nan", "nan"), ("inf", "inf"), ("1e999", "1e999"), ("9007199254740992", "9007199254740992"), ("9" * 5000, "9" * 5000),
    ],
)  # fmt: skip
def test_numbers_and_texts(text, symbol):
    assert repr(from_text(text)) == repr(symbol)


@pytest.mark.parametrize(
    ("symbol", "called"),
    [(3, "3"), (3.0, "3.0"), (1e5, "100000.0"), (1e16, "1e+16"), ("007", "007"), (" the", " the"), ("\n", "\\n"), ("a\u200bb", "a\\u200bb"),
     ("a\u00a0b", "a\\xa0b"), ("\u064a\u200c", "\u064a\u200c"), ("é", "é"), ("", "")],
)  # fmt: skip
def test_names(symbol, called):
    assert name(symbol) == called


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("3 0 1 2", ["3", "0", "1", "2"]),
        (" 3,0,  1 ,2 ", ["3", "0", "1", "2"]),
        ("", []),
        ('["two words", 3, 1e5, "a,b"]', ["two words", "3", "1e5", "a,b"]),
        ("[ 1", ["[", "1"]),
        ("[" + "[" * 9999, ["[" * 10000]),
    ],
)
def test_symbols_of_a_text(text, symbols):
    assert words(text) == symbols
    assert words(written(symbols)) == symbols


@pytest.mark.parametrize(
    ("text", "shown"), [("[null]", "null"), ('["a", true]', "true"), ("[[3, 0]]", "what is nested")]
)
def test_what_is_no_symbol_in_an_array_is_told(text, shown):
    with pytest.raises(UserError, match=f"the sequence holds {shown}: allowed are numbers and strings"):
        words(text)


def test_what_a_predictor_says_is_found_again():
    best = make_predictor(alphabet=("\n", " ", "a b", 1e5, "007"), output="softmax")
    said = [symbol for symbol, _ in predictor.predict(best, ["\\n", "1e5"], 9)]
    assert predictor._indices(best.alphabet, words(written(said))) == [best.alphabet.index(symbol) for symbol in said]
