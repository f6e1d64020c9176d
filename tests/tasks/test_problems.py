"""The sequences: where they come from, what they need, and what cannot be used."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_trials.errors import UserError
from memory_trials.settings import GeneratedSettings, ProblemSettings
from memory_trials.tasks import problems, sequence_files
from memory_trials.tasks.problems import (
    FOLDER,
    Problem,
    from_json,
    lag,
    make_problem,
    read_problem,
)

TUTORIAL = [[3, 0, 1, 2, 3], [4, 0, 1, 2, 4]]


def problem_of(*sequences, scored="all") -> Problem:
    return make_problem(ProblemSettings(sequences=[list(sequence) for sequence in sequences], scored=scored))


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    FOLDER.mkdir(parents=True)

    def write(name, content):
        (FOLDER / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return make_problem(ProblemSettings(sequences=None, file=name))

    return write


def test_the_tutorial():
    problem = problem_of(*TUTORIAL)
    assert problem.alphabet == (0, 1, 2, 3, 4)
    assert problem.sequences == ((3, 0, 1, 2, 3), (4, 0, 1, 2, 4))
    assert problem.evaluation_sequences == problem.sequences and problem.scored(problem.sequences[0]) == [True] * 4
    assert lag(problem) == 3


def test_only_the_last_step_scored():
    problem = problem_of([1, 2, 3], [4, 5], scored="last")
    assert [problem.scored(sequence) for sequence in problem.sequences] == [[False, True], [True]]


def test_numbers_come_before_strings():
    assert problem_of(["b", 10, "a", 2]).alphabet == (2, 10, "a", "b")


@pytest.mark.parametrize(
    ("sequences", "expected"),
    [
        (["abcd"], 0),  # each symbol tells the next
        (["aab"], 1),  # after the first a comes a, after the second b: it needs to see that it is the second
        (["xabx", "yaby"], 2),
        (["ab", "ac"], None),  # nothing tells b from c
        (["aaab"], 2),
    ],
)
def test_lag(sequences, expected):
    assert lag(problem_of(*sequences)) == expected


def test_lag_counts_scored_steps_only():
    assert lag(problem_of("xabx", "yaby", scored="last")) == 2
    assert lag(problem_of("axb", "ayb", scored="last")) == 0


@given(
    st.lists(st.text("abc", min_size=2, max_size=5), min_size=1, max_size=4).filter(lambda s: len(set("".join(s))) > 1)
)
def test_lag_against_brute_force(sequences):
    def determined(memory):
        """Can a table from (the last memory + 1 symbols, or all since the start) to the next one be right everywhere?"""
        answers = {}
        for sequence in sequences:
            for step in range(len(sequence) - 1):
                seen = ("^" * 10 + sequence[: step + 1])[-(memory + 1) :]
                if answers.setdefault(seen, sequence[step + 1]) != sequence[step + 1]:
                    return False
        return True

    assert lag(problem_of(*sequences)) == next((memory for memory in range(6) if determined(memory)), None)


@pytest.mark.parametrize(
    ("sequences", "words"),
    [
        ([[]], "sequence 1 is []: it must have at least 2"),
        ([[1, 2], [3]], "sequence 2 is [3]"),
        ([[7, 7, 7]], "one symbol 7"),
    ],
)
def test_sequences_that_leave_nothing_to_predict(sequences, words):
    with pytest.raises(UserError) as caught:
        problem_of(*sequences)
    assert words in str(caught.value)


def test_csv(write):
    problem = write("mine.csv", "\ufeffx,1,2.5,x\r\n 4 , 1_0,,\n")  # a spreadsheet's byte order mark and padding
    assert problem.sequences == (("x", 1, 2.5, "x"), (4, "1_0"))


def test_spaces_around_cells_do_not_count(write):
    assert write("mine.csv", 'x,  "a, b"\n"y", z\n').sequences == (("x", "a, b"), ("y", "z"))


def test_json_lines(write):
    assert write("mine.jsonl", '[3, "0", 1]\n[4, 5]\n').sequences == ((3, "0", 1), (4, 5))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "", "a.csv is empty"),
        ("a.csv", " \n \n", "a.csv is empty"),
        ("a.csv", b"\xe9,2", "a.csv is not UTF-8 text (byte 0): save it as UTF-8"),
        ("a.csv", b"\xff\xfe1,2", "a.csv is not UTF-16 text (byte 4): save it as UTF-8"),
        ("a.csv", "1,2".encode("utf-16-le"), "a.csv is not UTF-8 text (character 2 is NUL): save it as UTF-8"),
        ("a.csv", "1,2\n\n3,4\n", "a.csv, line 2 is empty"),
        ("a.csv", "1,,2\n", "a.csv, line 1: symbol 2 is missing"),
        ("a.csv", '1,"2\n', "a.csv, line 1 is not valid CSV"),
        ("a.csv", "1,2\n,\n3,4\n", "a.csv, line 2 is empty"),
        ("a.csv", ",,\n,\n", "a.csv is empty"),
        ("a.csv", "sep=;\n1;;2\n", "a.csv, line 2: symbol 2 is missing"),
        ("a.csv", "1,2\n3\n", "a.csv: sequence 2 is [3]: it must have at least 2"),
        ("a.jsonl", "[1, 2]\n[1,\n", "a.jsonl, line 2 is not valid JSON"),
        ("a.jsonl", "[1, 2]\n\n[1, 2]\n", "a.jsonl, line 2 is empty"),
        ("a.jsonl", "[1, 2]\n{}\n", "a.jsonl, line 2 must be an array"),
        ("a.jsonl", "[1, [2]]\n", "a.jsonl, line 1: what is nested is not a symbol"),
        ("a.jsonl", "[1, null]\n", "a.jsonl, line 1: null is not a symbol"),
        ("a.jsonl", "[1, true]\n", "a.jsonl, line 1: true is not a symbol"),
        ("a.jsonl", "[1, NaN]\n", "a.jsonl, line 1: NaN is not a symbol"),
        ("a.jsonl", '["\\ud800", 1]\n', "is no text in Unicode"),
        ("a.jsonl", "[" * 900 + "]" * 900, "a.jsonl, line 1: what is nested is not a symbol"),
        ("a.txt", "1,2\n", "problem.file is 'a.txt': allowed is the name of a .csv or .jsonl file"),
    ],
)
def test_a_file_that_cannot_be_used(write, name, content, words):
    with pytest.raises(UserError) as caught:
        write(name, content)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_trailing_lines_that_are_empty_are_left_out_alike(write):
    for end in ("", "\n", "\n\n", ",,,,\n", "\n,,\n \n"):
        assert write("a.csv", "3,0,3\n4,0,4\n" + end).sequences == ((3, 0, 3), (4, 0, 4))
        assert write("a.jsonl", "[3, 0, 3]\n[4, 0, 4]\n" + end.replace(",", "")).sequences == ((3, 0, 3), (4, 0, 4))


def test_only_plain_files_are_read(write):
    plain = write("plain.csv", "1,2\n")
    os.mkfifo(FOLDER / "pipe.csv")
    (FOLDER / "folder.csv").mkdir()
    for name, target in (("to_pipe.csv", "pipe.csv"), ("to_zeros.csv", "/dev/zero"), ("to_plain.csv", "plain.csv")):
        (FOLDER / name).symlink_to(target)
    for name, kind in (
        ("pipe", "a pipe, a device"),
        ("to_pipe", "a pipe"),
        ("to_zeros", "a pipe"),
        ("folder", "a folder"),
    ):
        with pytest.raises(UserError, match=f"{name}.csv, named by problem.file, is {kind}.*: allowed is a plain file"):
            make_problem(ProblemSettings(file=f"{name}.csv"))
    assert make_problem(ProblemSettings(file="to_plain.csv")) == plain
    for name in ("pipe.csv", "to_zeros.csv"):  # which DVC would read, whichever file is named
        with pytest.raises(UserError, match=f"{name} is a pipe, a device or the like: allowed in data/problems/ are"):
            sequence_files.check_folder()
        (FOLDER / name).unlink()
    sequence_files.check_folder()


def test_a_file_that_is_too_large_is_refused(write, monkeypatch):
    monkeypatch.setattr(sequence_files, "MOST_SYMBOLS", 5)
    assert write("a.csv", "1,2\n3,4,5\n").alphabet == (1, 2, 3, 4, 5)
    with pytest.raises(UserError, match="a.csv has 6 symbols: allowed are 5"):
        write("a.csv", "1,2,3\n3,4,5\n")
    monkeypatch.setattr(sequence_files, "MOST_BYTES", 9)
    with pytest.raises(UserError, match="a.csv has 10 bytes: allowed are 9"):
        write("a.csv", "1,2\n33,44\n")


@pytest.mark.parametrize(
    ("content", "looks"),
    [
        ("a,b\n1,2\n", True),
        ("a,b\n1,2,3\n", False),  # names of columns are as many as these
        ("a,b,a\n1,2,1\n", False),  # and differ
        ("a,1\n1,2\n", False),
        ("a,b\n1,c\n", False),
        ("a,b\n", False),
        ("0,1,2\n3,1,3\n4,1,4\n", True),
        ("0,1,2\n3,1,3\n", False),  # two lines are too few to say
        ("0,1\n3,3\n4,4\n", False),
        ("0,1,2\n3,1,5,3\n4,1,4\n", False),
        (",a,b\n0,1,2\n", True),
        ("id,a,b\n1,c,d\n2,c,e\n3,c,f\n", True),
        ("anna,lives,here\nbert,lives,here\n", False),
    ],
)
def test_what_looks_like_a_header_is_asked_for(write, content, looks):
    if looks:
        with pytest.raises(
            UserError, match=r"a.csv, line 1 looks like a header, since .* set problem.csv.header to true"
        ):
            write("a.csv", content)
    else:
        write("a.csv", content)


@pytest.mark.parametrize(
    ("content", "looks"),
    [
        ("1,7,8\n2,8,9\n3,9,8\n4,7,7\n5,8,7\n", True),
        ("0,7,8\n1,8,9\n2,9,8\n3,7,7\n4,8,7\n", True),
        ("1,7,8\n2,8,9\n3,9,8\n4,7,7\n", False),  # too few lines
        ("1,7,8\n2,8,9\n3,9,8\n4,7,7\n6,8,7\n", False),
        ("2,7,8\n3,8,9\n4,9,8\n5,7,7\n6,8,7\n", False),
        ("1,a,b\n2,b,c\n3,c,b\n", True),  # where all else is words, three lines are enough
        ("1,a,b\n2,b,c\n", False),
        ("1,a,1\n2,a,2\n3,a,3\n", False),  # what must be remembered
        ("3,0,1,2,3\n4,0,1,2,4\n", False),
    ],
)
def test_what_looks_like_an_index_is_asked_for(write, content, looks):
    if looks:
        with pytest.raises(
            UserError, match=r"a.csv: the first cells .* like an index, .* set problem.csv.index to true"
        ):
            write("a.csv", content)
    else:
        write("a.csv", content)


def read_with(**csv) -> Problem:
    return make_problem(ProblemSettings(file="a.csv", csv=csv))


def test_settings_say_what_a_file_leaves_open(write):
    (FOLDER / "a.csv").write_text("id;a;b\n1;2,5;c\n2;0,5;d\n3;1;e\n")
    assert read_with(header=True, index=True).sequences == ((2.5, "c"), (0.5, "d"), (1, "e"))
    assert read_with(header=False, index=True).sequences[0] == ("a", "b")
    assert read_with(header=True, index=False).sequences[0] == (1, 2.5, "c")
    (FOLDER / "a.csv").write_text("3 0  1\n4 0 2\n")
    assert read_with(separator=" ").alphabet == (0, 1, 2, 3, 4)
    (FOLDER / "a.csv").write_text("a;b,c\nd;e,f\n")
    assert read_with(separator=";").sequences == (("a", "b,c"), ("d", "e,f"))
    assert read_with(separator=",").sequences == (("a;b", "c"), ("d;e", "f"))
    (FOLDER / "a.csv").write_text("a,b\n")
    with pytest.raises(UserError, match="a.csv has only a header"):
        read_with(header=True)


def test_two_sources_share_their_symbols(write):
    (FOLDER / "a.csv").write_text("3,0,3\n4,0,4\n")
    with pytest.raises(
        UserError, match=r"a.csv: 3 \(sequence 1\) and '3' \(evaluation sequence 1\) have the same name"
    ):
        make_problem(ProblemSettings(file="a.csv", evaluation_sequences=[["3", 0]]))


@pytest.mark.parametrize(
    ("sequences", "words"),
    [
        ([[1, 2], [1.0, 2]], "params.yaml: 1 (sequence 1) and 1.0 (sequence 2) are one number, written in two ways"),
        ([[0.0, -0.0]], "0.0 (sequence 1) and -0.0 (sequence 1) are one number"),
        ([["3", 3]], "'3' (sequence 1) and 3 (sequence 1) have the same name"),
        ([["100000", 1e5]], "'100000' (sequence 1) and 100000.0 (sequence 1) have the same name"),
        ([["\n", "\\n"]], "have the same name"),
        ([["\u00e9", "e\u0301"]], "'\\xe9' (sequence 1) and 'e\\u0301' (sequence 1) look the same"),
        ([[0, 10**5000]], "params.yaml: sequence 1 holds a number of more than 4,300 digits"),
    ],
)
def test_symbols_that_would_pass_for_one_are_refused(sequences, words):
    with pytest.raises(UserError) as caught:
        problem_of(*sequences)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_whole_numbers_that_a_double_does_not_tell_apart_are_text():
    assert problem_of([2**53 - 1, 2**53, 2**53 + 1]).alphabet == (2**53 - 1, str(2**53), str(2**53 + 1))


@pytest.mark.parametrize(
    "name", ["missing.csv", "../params.csv", "/etc/passwd.csv", "a\0.csv", "a\n.csv", 999 * "a" + ".txt"]
)
def test_a_file_that_is_missing_or_elsewhere(name):
    with pytest.raises(UserError, match=r"does not exist|allowed is the name"):
        make_problem(ProblemSettings(sequences=None, file=name))


@given(
    name=st.sampled_from(["g.csv", "g.jsonl"]),
    content=st.binary(max_size=40) | st.text('0a,"[]\n\r ', max_size=40).map(str.encode),
)
def test_any_file_is_read_or_refused_in_one_sentence(tmp_path_factory, name, content):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.getbasetemp())
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / name).write_bytes(content)
        try:
            assert isinstance(make_problem(ProblemSettings(sequences=None, file=name)), Problem)
        except UserError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"version": 4}', '{"version": 4, "alphabet": 3, "sequences": []}', "[" * 9999]
)
def test_a_damaged_sequences_json(text):
    with pytest.raises(UserError, match="is damaged"):
        from_json(text, FOLDER)


def test_a_sequences_json_of_another_version():
    with pytest.raises(UserError, match="of version 1, this code reads version 4"):
        from_json(json.dumps({"version": 1}), FOLDER)


def generated(**settings) -> Problem:
    return make_problem(ProblemSettings(generate=GeneratedSettings(**settings)))


def test_the_tutorial_is_lag_3_counting():
    assert generated(lag=3).sequences == problem_of(*TUTORIAL).sequences
    assert lag(generated(lag=3)) == 3
    assert generated(lag=2, middle="fixed", keys=3).sequences == ((1, 0, 0, 1), (2, 0, 0, 2), (3, 0, 0, 3))


@given(st.integers(1, 4), st.integers(2, 4), st.integers(2, 6), st.integers(0, 6), st.integers(0, 9))
def test_random_middles_are_different_and_the_unseen_unseen(length, symbols, train, unseen, seed):
    settings = dict(lag=length, middle="random", symbols=symbols, train=train, unseen=unseen, seed=seed)
    if train + unseen > 2 * symbols**length:
        with pytest.raises(UserError, match="problem.generate asks for .* different sequences, but .* there are only"):
            generated(**settings)
        return
    problem = generated(**settings)
    evaluation_sequences = problem.evaluation_sequences if unseen else ()
    assert len(problem.sequences) == train and len(evaluation_sequences) == unseen
    assert len({*problem.sequences, *evaluation_sequences}) == train + unseen
    for sequence in (*problem.sequences, *evaluation_sequences):
        assert len(sequence) == length + 2 and sequence[0] == sequence[-1] in (symbols, symbols + 1)
        assert all(0 <= symbol < symbols for symbol in sequence[1:-1])
    assert problem == generated(**settings)


def test_asked_sequences_share_the_alphabet():
    problem = make_problem(ProblemSettings(sequences=TUTORIAL, evaluation_sequences=[[7, 0, 7]]))
    assert problem.alphabet == (0, 1, 2, 3, 4, 7) and problem.evaluation_sequences == ((7, 0, 7),)
    with pytest.raises(UserError, match="evaluation sequence 1 is .7.: it must have at least 2 symbols"):
        make_problem(ProblemSettings(sequences=TUTORIAL, evaluation_sequences=[[7]]))


def test_no_more_symbols_are_generated_than_ten_million(monkeypatch):
    generated(lag=10, keys=4, middle="fixed")
    monkeypatch.setattr(problems, "MOST_GENERATED", 4 * 12)
    assert len(generated(lag=10, keys=4, middle="fixed").sequences) == 4
    with pytest.raises(
        UserError,
        match=r"^params.yaml: problem.generate asks for 4 sequences of 13 symbols, which is more than 48 in all$",
    ):
        generated(lag=11, keys=4, middle="fixed")
    assert len(generated(lag=10, middle="random", train=2, unseen=2).evaluation_sequences) == 2
    with pytest.raises(UserError, match="asks for 5 sequences of 12 symbols"):
        generated(lag=10, middle="random", train=2, unseen=3)


def test_more_sequences_than_there_are_cannot_be_generated():
    every = generated(lag=2, middle="random", symbols=2, keys=3, train=10, unseen=2)
    assert len({*every.sequences, *every.evaluation_sequences}) == 12
    with pytest.raises(
        UserError, match="asks for 13 different sequences, but with lag 2, 2 symbols and 3 keys there are only 12$"
    ):
        generated(lag=2, middle="random", symbols=2, keys=3, train=11, unseen=2)
    assert generated(lag=60, middle="random", symbols=2, train=2).sequences  # not counted


def test_a_last_line_may_end_in_any_way_but_its_symbols_keep_their_spaces(write):
    assert write("x.jsonl", '["a", " b "]\r\n["c", "d"]\r\n\n').sequences == (("a", " b "), ("c", "d"))
    assert write("y.csv", "1,2\n3,x\t\n").sequences == ((1, 2), (3, "x"))


def test_a_problem_is_described_by_its_size_and_how_far_back_memory_must_reach():
    told = lambda sequences: make_problem(ProblemSettings(sequences=sequences)).described()
    assert told([[3, 0, 1, 2, 3], [4, 0, 1, 2, 4]]) == "2 sequences of 5 symbols; memory must reach back 3 steps"
    assert told([[0, 1, 2], [0, 1, 3]]).startswith("note: no model can learn this: ")


def test_letters_are_kept_as_they_are_and_a_damaged_file_is_named(tmp_path):
    problem = make_problem(ProblemSettings(sequences=[["\N{LATIN SMALL LETTER E WITH ACUTE}", "b"], ["b", "a"]]))
    text = problem.to_json()
    assert text.count("\N{LATIN SMALL LETTER E WITH ACUTE}") == 3 and "\\u" not in text
    path = tmp_path / "sequences.json"
    path.write_text(text, encoding="utf-8")
    assert read_problem(path) == problem
    path.write_text(text.replace('"b"', '"c"', 1), encoding="utf-8")
    with pytest.raises(UserError, match=rf"^{path} is damaged: run dvc repro to make it anew$"):
        read_problem(path)
