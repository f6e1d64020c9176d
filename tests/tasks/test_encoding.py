"""The table of updates, against the tutorial's own numbers and against rules that hold for any problem."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_trials import files
from memory_trials.errors import UserError
from memory_trials.settings import EncodingSettings, ProblemSettings, TrainingSettings
from memory_trials.tasks.encoding import FORMAT, make_table, one_hot, read_table
from memory_trials.tasks.problems import make_problem

TUTORIAL = [[3, 0, 1, 2, 3], [4, 0, 1, 2, 4]]


def table_of(
    sequences=TUTORIAL,
    scored="all",
    history=1,
    history_as="features",
    stateful=False,
    evaluation_sequences=None,
    **training,
):
    problem = make_problem(
        ProblemSettings(sequences=sequences, scored=scored, evaluation_sequences=evaluation_sequences)
    )
    encoding = EncodingSettings(history=history, history_as=history_as)
    return make_table(problem, encoding, TrainingSettings(**training), stateful)


def shown(array):
    """Places as one string a row: . is nothing."""
    return ["".join("." if place < 0 else str(place) for place in row) for row in array.reshape(len(array), -1)]


def test_one_hot():
    assert one_hot(np.array([[3], [0], [-1]]), 5).tolist() == [[0, 0, 0, 1, 0], [1, 0, 0, 0, 0], [0] * 5]
    assert one_hot(np.array([1, 3, -1]), 5).tolist() == [0, 1, 0, 1, 0]


def test_the_tutorials_eight_updates():
    table = table_of()
    assert table.x.shape == (8, 1, 1, 1) and table.y.shape == (8, 1, 1)
    assert table.inputs == table.symbols == 5 and table.updates == 8
    assert table.x.ravel().tolist() == [3, 0, 1, 2, 4, 0, 1, 2]
    assert table.y.ravel().tolist() == [0, 1, 2, 3, 0, 1, 2, 4]
    assert table.reset.ravel().tolist() == [True, False, False, False, True, False, False, False]
    assert table.loss_mask.all() and table.step_mask.all() and table.block.tolist() == [0] * 4 + [1] * 4
    assert table.eval_x[:, :, 0].tolist() == [[3, 0, 1, 2], [4, 0, 1, 2]]
    assert table.eval_y.tolist() == [[0, 1, 2, 3], [0, 1, 2, 4]]
    assert table.eval_position[1].tolist() == [[1, 0], [1, 1], [1, 2], [1, 3]]


def test_windows_are_padded_where_a_sequence_ends():
    table = table_of(window=3)
    assert shown(table.x) == ["301", "2..", "401", "2.."]
    assert table.step_mask[:, :, 0].tolist() == [[True] * 3, [True, False, False]] * 2
    assert table.reset.tolist() == [[True, False, False], [False, False, False]] * 2
    assert not table.loss_mask[1, 1:].any()


def test_window_sequence_is_one_update_a_sequence():
    table = table_of([["a", "b", "c"], ["c", "a"]], window="sequence")
    assert shown(table.x) == ["01", "2."]
    assert table.eval_mask.tolist() == [[True, True], [True, False]]


def test_resets():
    assert table_of(reset="window", window=2).reset.tolist() == [[True, False]] * 4
    assert not table_of(reset="never").reset.any()
    assert table_of(reset="epoch", window=2).reset.tolist() == [[True, False]] + [[False, False]] * 3


def test_one_update_a_sequence_or_an_epoch_cuts_the_gradient_between_windows():
    table = table_of(update="sequence", window=2)
    assert shown(table.x) == ["3012", "4012"]
    assert (
        table.detach.tolist() == [[True, False, True, False]] * 2 and table.reset.tolist() == [[True] + [False] * 3] * 2
    )
    table = table_of([[1, 2, 3], [4, 5]], update="epoch", window="sequence")
    assert shown(table.x) == ["013"] and table.reset.tolist() == [[True, False, True]] == table.detach.tolist()


def test_sequences_side_by_side_in_a_batch():
    table = table_of([[1, 2, 3], [4, 5], [2, 3, 4]], batch=2, window="sequence")
    assert table.x[:, :, :, 0].tolist() == [[[0, 3], [1, -1]], [[1, -1], [2, -1]]]
    assert table.step_mask.tolist() == [[[True, True], [True, False]], [[True, False], [True, False]]]


def test_steps_side_by_side_are_keras_batches_of_a_sequences_samples():
    table = table_of(batch=2, batch_of="steps", stateful=True)
    assert table.x[:, 0, :, 0].tolist() == [[3, 0], [1, 2], [4, 0], [1, 2]]
    assert table.reset[:, 0].tolist() == [True, False, True, False]
    assert table.eval_x[:, :, 0].tolist() == [[3, 1], [0, 2], [4, 1], [0, 2]]  # each row a flow of its own
    assert table.eval_position[1].tolist() == [[0, 1], [0, 3]]
    three = table_of(batch=3, batch_of="steps")
    assert three.x[:, 0, :, 0].tolist() == [[3, 0, 1], [2, -1, -1], [4, 0, 1], [2, -1, -1]]
    assert three.eval_x[:, :, 0].tolist() == [[3, 0, 1, 2], [4, 0, 1, 2]]


def test_history_as_features_is_a_longer_input_and_as_steps_a_run_for_each_symbol():
    table = table_of(history=2)
    assert table.inputs == 10 and table.symbols == 5
    assert table.x[:4, 0, 0].tolist() == [[3, -1], [0, 8], [1, 5], [2, 6]]
    table = table_of(history=2, history_as="steps")  # the reader's (3, 0) -> 1, (0, 1) -> 2, (1, 2) -> 3
    assert shown(table.x) == ["30", "01", "12", "40", "01", "12"]
    assert table.y[:3, 1, 0].tolist() == [1, 2, 3] and table.loss_mask[:, :, 0].tolist() == [[False, True]] * 6
    assert shown(table.eval_x) == ["300112", "400112"] and table.eval_position[0, :, 1].tolist() == [
        -1,
        1,
        -1,
        2,
        -1,
        3,
    ]
    assert table.reset[:, 0].tolist() == [True, False, False] * 2


def test_asked_stateful():
    assert shown(table_of(reset="epoch", stateful=True).eval_x) == ["30124012"]
    stateless = table_of(reset="window", window=2, stateful=True)
    assert shown(stateless.eval_x) == ["30", "12", "40", "12"]
    assert stateless.eval_position[1].tolist() == [[0, 2], [0, 3]]


def test_asked_for_other_sequences_than_those_trained():
    table = table_of(evaluation_sequences=[[4, 0, 2]])
    assert table.eval_y.tolist() == [[0, 2]] and len(table.x) == 8


def test_a_history_longer_than_a_sequence_is_refused():
    with pytest.raises(UserError, match="encoding.history is 5: as steps, .* allowed are 1 to 4"):
        table_of(history=5, history_as="steps")


def test_only_the_last_step_scored():
    assert table_of(scored="last").loss_mask.ravel().tolist() == [False, False, False, True] * 2


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
    step_mask = table.step_mask
    assert [alphabet[i] for i in table.x[step_mask][:, 0]] == [x for s in sequences for x in s[:-1]]
    assert [alphabet[i] for i in table.y[step_mask]] == [x for s in sequences for x in s[1:]]
    assert ((table.x[..., 0] >= 0) == step_mask).all()
    assert table.reset.sum() == len(sequences) and not (table.loss_mask & ~step_mask).any()
    assert table.loss_mask.sum() == (len(sequences) if scored == "last" else step_mask.sum())


def test_round_trip(tmp_path):
    table = table_of(window=3)
    table.write(tmp_path / "table.npz")
    assert all(
        np.array_equal(a, b) for a, b in zip(vars(table).values(), vars(read_table(tmp_path / "table.npz")).values())
    )


def test_evaluated_with_training_s_resets_each_window_is_a_row_from_a_fresh_state():
    sequences = [[0, 1, 2, 3, 4, 5], [5, 4]]
    rows = lambda **training: table_of(sequences, stateful=True, **training)
    table = rows(reset="window", window=2)
    assert shown(table.eval_x) == ["01", "23", "4.", "5."] and shown(table.eval_y) == ["12", "34", "50", "40"]
    assert table.eval_mask.tolist() == [[True, True], [True, True], [True, False], [True, False]]
    assert table.eval_position.tolist() == [[[0, 0], [0, 1]], [[0, 2], [0, 3]], [[0, 4], [-1, -1]], [[1, 0], [-1, -1]]]
    assert shown(rows(reset="window", window=3).eval_x) == ["012", "34.", "5.."]
    assert shown(rows(reset="window", window="sequence").eval_x) == ["01234", "5...."]
    assert shown(table_of(sequences, stateful=False, reset="window", window=2).eval_x) == ["01234", "5...."]
    steps = table_of([[0, 1, 2, 3, 4]], stateful=True, reset="window", window=2, history=2, history_as="steps")
    assert shown(steps.eval_x) == ["0112", "23.."]  # a window is two samples, each of two steps
    assert np.asarray(steps.eval_x).dtype == np.int32


def test_a_history_of_features_looks_back_into_segments_of_the_input_and_nowhere_before_the_beginning():
    table = table_of([[2, 0, 1, 2]], history=3)
    assert table.inputs == 9 and table.symbols == 3 and table.x.dtype == np.int32
    assert table.eval_x.tolist() == [[[2, -1, -1], [0, 5, -1], [1, 3, 8]]]


ARRAYS = (
    "x",
    "y",
    "loss_mask",
    "step_mask",
    "reset",
    "detach",
    "block",
    "eval_x",
    "eval_y",
    "eval_mask",
    "eval_position",
    "eval_group",
)


@pytest.fixture
def broken(tmp_path, unchecked):
    """Write a table of which an array is another one."""

    def write(name: str, array: np.ndarray) -> Path:
        files.write_arrays(tmp_path / "table.npz", FORMAT, {**vars(table_of()), name: array}, {})
        return tmp_path / "table.npz"

    return write


@pytest.mark.parametrize("name", ARRAYS)
def test_a_table_whose_arrays_do_not_fit_together_is_refused(broken, name):
    with pytest.raises(UserError, match="table.npz is damaged .its arrays do not fit together.: run dvc repro"):
        read_table(broken(name, getattr(table_of(), name)[:-1]))


def test_nor_is_one_whose_sets_of_candidates_are_no_table(broken):
    with pytest.raises(UserError, match="do not fit together"):
        read_table(broken("candidates", np.zeros(3, np.int32)))


def test_a_history_may_be_as_long_as_the_shortest_sequence():
    assert shown(table_of([[0, 1, 2], [0, 1, 2, 3]], history=2, history_as="steps").eval_x) == ["01..", "0112"]
