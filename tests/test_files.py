"""Files between stages: whole or not at all, the same bytes for the same content, and damage is noticed."""

import fcntl
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_trials import files
from memory_trials.errors import UserError

ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([True, False])}


def write(path):
    files.write_arrays(path, "test 1", ARRAYS, {"cell": "lstm"})
    return path


def test_round_trip_and_equal_bytes(tmp_path):
    settings, arrays = files.read_arrays(write(tmp_path / "x.npz"), "test 1", ["a"])
    assert settings == {"cell": "lstm"}
    assert all(np.array_equal(arrays[name], ARRAYS[name]) for name in ARRAYS)
    assert (tmp_path / "x.npz").read_bytes() == write(tmp_path / "y.npz").read_bytes()


@given(st.data())
def test_a_file_cut_short_or_with_a_changed_byte_is_never_taken_for_another_content(tmp_path_factory, data):
    path = write(tmp_path_factory.getbasetemp() / "damaged.npz")
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[place:]
    else:
        content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        settings, arrays = files.read_arrays(path, "test 1", ["a", "b"])
    except UserError as error:
        assert "\n" not in str(error)
    else:  # bytes of the zip's table of contents that no reader needs
        assert settings == {"cell": "lstm"} and all(np.array_equal(arrays[name], ARRAYS[name]) for name in ARRAYS)


@given(st.integers(0, 2000), st.binary(min_size=1, max_size=64))
def test_nor_is_one_with_a_changed_stretch(tmp_path_factory, place, stretch):
    path = write(tmp_path_factory.getbasetemp() / "damaged.npz")
    content = path.read_bytes()
    place = min(place, len(content))
    for changed in (stretch, bytes(len(stretch))):  # zeros are what a power cut leaves
        path.write_bytes(content[:place] + changed + content[place + len(changed) :])
        try:
            settings, arrays = files.read_arrays(path, "test 1", ["a", "b"])
        except UserError as error:
            assert "\n" not in str(error)
        else:
            assert settings == {"cell": "lstm"} and all(np.array_equal(arrays[name], ARRAYS[name]) for name in ARRAYS)


def test_another_format_or_version(tmp_path):
    with pytest.raises(UserError, match="is of the format 'test 1', this code reads 'test 2'"):
        files.read_arrays(write(tmp_path / "x.npz"), "test 2")


def test_a_missing_array_and_a_missing_file(tmp_path):
    with pytest.raises(UserError, match="lacks c"):
        files.read_arrays(write(tmp_path / "x.npz"), "test 1", ["c"])
    with pytest.raises(UserError, match="does not exist: run dvc repro"):
        files.read_arrays(tmp_path / "y.npz", "test 1")


def test_pickles_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", format=np.array("test 1"), settings=np.array("{}"), a=np.array([{}], dtype=object))
    with pytest.raises(UserError, match="is damaged"):
        files.read_arrays(tmp_path / "x.npz", "test 1")


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "x.txt"
    files.write_text(path, "before")

    def full_disk(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(UserError, match="x.txt cannot be written: No space left on device"):
        files.write_text(path, "after")
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_is_removed_and_what_one_at_work_has_is_not(tmp_path):
    path = tmp_path / "x.txt"
    left, begun, at_work = (tmp_path / f".x.txt.{name}" for name in ("left", "begun", "work"))
    for temporary in (left, begun, at_work):
        temporary.write_bytes(b"half")
    for temporary in (left, at_work):
        os.utime(temporary, (0, 0))
    with open(at_work) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        files.write_text(path, "whole")
        assert sorted(tmp_path.iterdir()) == [begun, at_work, path]


def test_json_has_no_nan(tmp_path):
    with pytest.raises(ValueError):
        files.write_json(tmp_path / "x.json", {"rate": float("nan")})
