"""The file of trained trials is read as it was written, or refused."""

import dataclasses

import numpy as np
import pytest

from memory_trials import files
from memory_trials.errors import UserError
from memory_trials.training.trained import FORMAT, Trained, read_trained, write_trained

SHAPE = (3, 2)


def trained(**changes) -> Trained:
    whole = Trained(
        seeds=np.arange(3), weights={"cell/kernel": np.ones((3, 4, 5), np.float32)},
        losses=np.arange(12, dtype=np.float32).reshape(3, 4), checks=np.array([2, 4]),
        learned=np.array([[True, True], [True, False], [False, True]]), margin=np.float32([[0.1, 0.2], [0.3, 0.4], [0, 0.2]]),
        memory=np.full(SHAPE, 0.5, np.float32), met_criterion_at={"success": np.array([2, 0, 4])},
    )  # fmt: skip
    return dataclasses.replace(whole, **changes)


def test_it_is_read_as_it_was_written(tmp_path):
    write_trained(tmp_path / "x.npz", trained(), {"cell": "lstm"})
    settings, again = read_trained(tmp_path / "x.npz")
    assert (
        settings == {"cell": "lstm"}
        and list(again.weights) == ["cell/kernel"]
        and list(again.met_criterion_at) == ["success"]
    )
    for name, array in vars(trained()).items():
        found = getattr(again, name)
        pairs = [(array[key], found[key]) for key in array] if isinstance(array, dict) else [(array, found)]
        assert all(np.array_equal(one, other) and one.dtype == other.dtype for one, other in pairs), name


@pytest.mark.parametrize(
    "broken",
    [
        {"losses": np.zeros((2, 4), np.float32)}, {"learned": np.zeros((3, 3), bool)}, {"margin": np.zeros((2, 2), np.float32)},
        {"memory": np.zeros(3, np.float32)}, {"weights/cell/kernel": np.zeros((2, 4), np.float32)}, {"until/success": np.zeros(2, int)},
        {"weights/cell/kernel": None},
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit_together_are_refused(tmp_path, broken, unchecked):
    write_trained(tmp_path / "x.npz", trained(), {})
    _, arrays = files.read_arrays(tmp_path / "x.npz", FORMAT)
    arrays = {name: array for name, array in (arrays | broken).items() if array is not None}
    files.write_arrays(tmp_path / "x.npz", FORMAT, arrays, {})
    with pytest.raises(
        UserError, match=r"x\.npz is damaged \(its arrays do not fit together\): run dvc repro to make it anew"
    ):
        read_trained(tmp_path / "x.npz")


def test_losses_are_of_every_epoch_or_of_the_checks_and_a_lead_may_be_asked_for():
    assert trained().loss_epochs.tolist() == [1, 2, 3, 4]
    assert trained(losses=np.zeros(SHAPE, np.float32)).loss_epochs.tolist() == [2, 4]
    assert trained().learned_by(0.2).tolist() == [[False, True], [True, False], [False, True]]
    assert trained().learned_by(0.0).tolist() == trained().learned.tolist()
