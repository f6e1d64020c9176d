"""Files between stages: whole or not at all, the same bytes for the same content, and damage is noticed."""

import fcntl
import hashlib
import json
import os
import sys
import time
import zipfile
from pathlib import Path

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


def test_the_bytes_are_those_of_numpy_under_a_new_python_and_the_same_under_all(tmp_path):
    arrays = {"é/kernel": np.arange(6, dtype=np.float32).reshape(2, 3).T, "none": np.empty((0, 4), np.int64)}
    files.write_arrays(tmp_path / "x.npz", "test 1", arrays, {"a": 1})
    content = (tmp_path / "x.npz").read_bytes()
    assert hashlib.sha256(content).hexdigest().startswith("290e99fe5d17daf6")
    if sys.version_info >= (3, 11, 4):
        settings = np.array('{"a": 1}')
        np.savez(tmp_path / "y.npz", format=np.array("test 1"), settings=settings, allow_pickle=False, **arrays)
        assert content == (tmp_path / "y.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "x.npz") as packed:
        assert packed.testzip() is None and packed.namelist()[2] == "é/kernel.npy"


def test_more_than_a_zip_can_hold_is_refused(tmp_path):
    huge = np.broadcast_to(np.float32(0), (2**30,))
    with pytest.raises(UserError, match="x.npz would have more than 4 GB: train fewer trials"):
        files.write_arrays(tmp_path / "x.npz", "test 1", {"a": huge}, {})
    assert not list(tmp_path.iterdir())


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


def test_what_outlasts_a_run_belongs_to_the_repository_also_in_dvcs_temporary_copies(tmp_path, monkeypatch):
    for folder, expected in (
        ("clone", "clone"),
        ("clone/.dvc/tmp/exps/standalone/tmpabc", "clone"),
        ("clone/.dvc/tmp/exps", "clone"),
        ("clone/.dvc/tmp", "clone/.dvc/tmp"),
        ("clone/tmp/exps/x", "clone/tmp/exps/x"),
    ):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        monkeypatch.chdir(tmp_path / folder)
        assert files.repository() == tmp_path / expected


ADVICE = ": run Python in the folder that holds it, or put that folder on Python's path (PYTHONPATH, sys.path)"


@pytest.mark.parametrize(
    ("holds", "first", "said"),
    [
        ("nothing", "", " from this folder, {here}" + ADVICE),
        ("nothing", "{here}", " from this folder, {here}" + ADVICE),
        ("nothing", "{other}", " from this folder, {here}, nor from {other}" + ADVICE),
        ("mine", "{other}", ": it is in {here}, which is not on Python's path: set PYTHONPATH={here}"),
        ("mine.py", "{other}", ": it is in {here}, which is not on Python's path: set PYTHONPATH={here}"),
        ("mine.pyc", "{other}", " from this folder, {here}, nor from {other}" + ADVICE),
    ],
)
def test_of_a_package_that_is_not_found_the_folders_that_were_searched_are_named(
    tmp_path, monkeypatch, holds, first, said
):
    folders = {name: tmp_path / name for name in ("here", "other", "third")}
    for folder in folders.values():
        folder.mkdir()
    (folders["here"] / holds).touch()
    monkeypatch.chdir(folders["here"])
    monkeypatch.setattr(sys, "path", [first.format(**folders), str(folders["third"])])
    assert files.where_a_package_is("mine") == said.format(**folders)


@pytest.mark.parametrize(
    ("module", "original", "copied", "missing"),
    [
        ("mine.new", ["mine/new.py"], ["mine/old.py"], "mine/new.py"),
        ("mine.new", ["mine/new/cell.py"], ["mine/old.py"], "mine/new"),
        ("mine.new", ["mine/new.py"], ["mine/new.py"], None),
        ("mine.new", ["mine/old.py"], ["mine/old.py"], None),
        ("a.b.c", ["a/b/c.py"], [], "a/b/c.py"),
        ("mine", ["mine.py", "mine/new.py"], [], "mine.py"),
    ],
)
def test_of_a_module_that_dvcs_copy_lacks_git_add_is_the_advice(
    tmp_path, monkeypatch, module, original, copied, missing
):
    copy = tmp_path / ".dvc/tmp/exps/tmpabc"
    for folder, names in ((tmp_path, original), (copy, copied)):
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
    copy.mkdir(parents=True, exist_ok=True)
    said = f": git does not know {missing}, so DVC's copy of the repository is without it: git add {missing}"
    monkeypatch.chdir(copy)
    assert files.not_in_this_copy(module) == (said if missing else "")
    assert (files.where_a_package_is(module) == said) == bool(missing)
    monkeypatch.chdir(tmp_path)  # where nothing was copied, nothing is missing
    assert files.not_in_this_copy(module) == ""


def test_a_file_is_readable_by_all_and_its_folders_are_made(tmp_path):
    path = tmp_path / "a" / "b" / "x.txt"
    for text in ("\N{GREEK SMALL LETTER ALPHA}\n", "again"):
        files.write_text(path, text)
        assert files.read_text(path) == text and path.stat().st_mode & 0o777 == 0o644
    assert list(path.parent.iterdir()) == [path]


def test_a_file_is_written_beside_its_place_since_only_there_it_can_be_renamed(tmp_path, monkeypatch):
    names = []
    replace = os.replace
    monkeypatch.setattr("os.replace", lambda old, new: names.append(Path(old)) or replace(old, new))
    files.write_text(tmp_path / "x.txt", "content")
    assert names[0].parent == tmp_path and names[0].name.startswith(".x.txt.")


def test_a_file_system_without_locks_or_syncs_of_folders_is_written_to_all_the_same(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    opened = os.open
    monkeypatch.setattr("fcntl.flock", refuse)
    monkeypatch.setattr("os.open", lambda path, *how: refuse() if Path(path).is_dir() else opened(path, *how))
    files.write_bytes(tmp_path / "x.bin", b"\x00")
    assert files.read_bytes(tmp_path / "x.bin") == b"\x00"


@pytest.mark.parametrize(("age", "stays"), [(0.5, True), (1.5, False)])
def test_what_was_begun_a_second_ago_may_not_have_its_lock_yet(tmp_path, age, stays):
    left = tmp_path / ".x.txt.half"
    left.write_bytes(b"half")
    os.utime(left, (time.time() - age, time.time() - age))
    files.write_text(tmp_path / "x.txt", "whole")
    assert left.exists() == stays


def test_what_cannot_be_read_is_told_in_one_sentence(tmp_path):
    with pytest.raises(UserError, match=f"^{tmp_path} cannot be read: Is a directory$"):
        files.read_bytes(tmp_path)
    (tmp_path / "x.json").write_bytes(b"\xff{}")
    with pytest.raises(UserError, match=r"x\.json is damaged: run dvc repro"):
        files.read_text(tmp_path / "x.json")
    (tmp_path / "x.json").write_bytes(b"{")
    with pytest.raises(UserError, match=r"x\.json is damaged: run dvc repro"):
        files.read_json(tmp_path / "x.json")


def test_json_is_indented_by_two_in_its_own_letters(tmp_path):
    files.write_json(tmp_path / "x.json", {"b": [1], "a": "\N{LATIN SMALL LETTER E WITH ACUTE}"})
    assert (tmp_path / "x.json").read_text(
        "utf-8"
    ) == '{\n  "b": [\n    1\n  ],\n  "a": "\N{LATIN SMALL LETTER E WITH ACUTE}"\n}\n'
    assert files.read_json(tmp_path / "x.json") == {"b": [1], "a": "\N{LATIN SMALL LETTER E WITH ACUTE}"}


def test_settings_in_a_file_of_arrays_are_in_one_order_and_in_their_own_letters(tmp_path):
    settings = {"b": "\N{LATIN SMALL LETTER E WITH ACUTE}", "a": 1}
    files.write_arrays(tmp_path / "x.npz", "test 1", ARRAYS, settings)
    with np.load(tmp_path / "x.npz") as file:
        assert str(file["settings"]) == '{"a": 1, "b": "\N{LATIN SMALL LETTER E WITH ACUTE}"}'
    files.write_arrays(tmp_path / "y.npz", "test 1", ARRAYS, dict(reversed(settings.items())))
    assert (tmp_path / "x.npz").read_bytes() == (tmp_path / "y.npz").read_bytes()


def test_no_pickle_is_written(tmp_path):
    with pytest.raises(ValueError):
        files.write_arrays(tmp_path / "x.npz", "test 1", {"a": np.array([{}], dtype=object)}, {})
    assert not list(tmp_path.iterdir())


def test_a_section_has_the_arrays_of_a_prefix_by_the_rest_of_their_names():
    arrays = {"weights/a/weights/": np.zeros(1), "weights/b": np.ones(1), "seeds": np.ones(1)}
    found = files.section(arrays, "weights/")
    assert list(found) == ["a/weights/", "b"] and found["b"] is arrays["weights/b"]


@pytest.fixture
def lock(tmp_path, monkeypatch):
    """Two recorded files, one of which is here; what may be written into dvc.lock instead."""
    monkeypatch.chdir(tmp_path)
    Path("here.txt").write_text("content")
    stages = {
        "a": {"cmd": "x"},
        "b": {
            "outs": [{"path": "gone.txt", "md5": "0"}, {"path": "here.txt", "md5": "9a0364b9e99bb480dd25e1f0284c8555"}]
        },
    }
    Path("dvc.lock").write_text(json.dumps({"stages": stages}))
    return stages


def test_what_dvc_has_recorded_is_read_and_compared_with_what_is_here(lock, tmp_path):
    assert files.recorded() == lock and files.recorded(tmp_path / "none.lock") == {}
    files.check_recorded()
    Path("here.txt").write_text("Content")
    with pytest.raises(
        UserError, match=r"^here\.txt is not as dvc\.lock records it \(changed, or damaged\): run dvc repro$"
    ):
        files.check_recorded()
    Path("here.txt").unlink()
    files.check_recorded()
    Path("dvc.lock").rename("other.lock")
    Path("here.txt").write_text("Content")
    files.check_recorded()
    with pytest.raises(UserError, match=r"as other\.lock records it"):
        files.check_recorded("other.lock")


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "stages",
        "stages: 3",
        "{}",
        "stages: {a: {outs: [{path: 3}]}}",
        "stages: {a: {outs: [{md5: b}]}}",
        "stages: {a: 3}",
    ],
)
def test_a_damaged_lock_is_told_in_one_sentence(lock, text):
    Path("dvc.lock").write_text(text)
    with pytest.raises(
        UserError, match=r"^dvc\.lock is damaged: take it from git again, or remove it, and run dvc repro$"
    ):
        files.recorded()
