"""The table of updates, against the tutorial's own numbers and against rules that hold for any problem."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_trials.config import ProblemSettings, TrainingSettings
from memory_trials.encoding import make_table, one_hot, read_table, write_table
from memory_trials.errors import UserError
from memory_trials.problems import make_problem

TUTORIAL = [[3, 0, 1, 2, 3], [4, 0, 1, 2, 4]]


def table_of(sequences=TUTORIAL, scored="all", **training):
    return make_table(make_problem(ProblemSettings(sequences=sequences, scored=scored)), TrainingSettings(**training))


def test_one_hot():
    assert one_hot(np.array([3, 0]), 5).tolist() == [[0, 0, 0, 1, 0], [1, 0, 0, 0, 0]]


def test_the_tutorials_eight_updates():
    table = table_of()
    assert table.x.shape == table.y.shape == (8, 1, 1, 5)
    assert table.x.argmax(-1).ravel().tolist() == [3, 0, 1, 2, 4, 0, 1, 2]
    assert table.y.argmax(-1).ravel().tolist() == [0, 1, 2, 3, 0, 1, 2, 4]
    assert table.reset.ravel().tolist() == [True, False, False, False, True, False, False, False]
    assert table.scored.all() and table.valid.all()
    assert table.judge_x.argmax(-1).tolist() == [[3, 0, 1, 2], [4, 0, 1, 2]]
    assert table.judge_y.tolist() == [[0, 1, 2, 3], [0, 1, 2, 4]]


def test_windows_are_padded_where_a_sequence_ends():
    table = table_of(window=3)
    assert table.x.shape == (4, 3, 1, 5)
    assert table.valid[:, :, 0].tolist() == [[True] * 3, [True, False, False]] * 2
    assert table.reset.tolist() == [[True, False, False], [False, False, False]] * 2
    assert not table.scored[1, 1:].any() and not table.x[1, 1:].any()


def test_window_sequence_is_one_update_a_sequence():
    table = table_of([["a", "b", "c"], ["c", "a"]], window="sequence")
    assert table.x.shape == (2, 2, 1, 3)
    assert table.judge_scored.tolist() == [[True, True], [True, False]]


def test_resets():
    assert table_of(reset="window", window=2).reset.tolist() == [[True, False]] * 4
    assert not table_of(reset="never").reset.any()


def test_only_the_last_step_scored():
    assert table_of(scored="last").scored.ravel().tolist() == [False, False, False, True] * 2


def test_a_window_longer_than_every_sequence_is_refused():
    with pytest.raises(
        UserError, match="training.window is 5: the longest sequence has 4 steps, so allowed are 1 to 4"
    ):
        table_of(window=5)


@given(
    st.lists(st.lists(st.integers(0, 3), min_size=2, max_size=7), min_size=1, max_size=4),
    st.integers(1, 6),
    st.sampled_from(["all", "last"]),
)
def test_the_valid_steps_in_order_are_the_sequences(sequences, window, scored):
    sequences = [*sequences, [0, 1]]
    window = min(window, max(len(s) - 1 for s in sequences))
    table = table_of(sequences, scored, window=window)
    alphabet = sorted({symbol for sequence in sequences for symbol in sequence})
    valid = table.valid
    assert [alphabet[i] for i in table.x[valid].argmax(-1)] == [x for s in sequences for x in s[:-1]]
    assert [alphabet[i] for i in table.y[valid].argmax(-1)] == [x for s in sequences for x in s[1:]]
    assert (table.x.sum(-1) == valid).all()
    assert table.reset.sum() == len(sequences) and not (table.scored & ~valid).any()
    assert table.scored.sum() == (len(sequences) if scored == "last" else valid.sum())


def test_round_trip(tmp_path):
    table = table_of(window=3)
    write_table(tmp_path / "table.npz", table)
    assert all(
        np.array_equal(a, b) for a, b in zip(vars(table).values(), vars(read_table(tmp_path / "table.npz")).values())
    )
