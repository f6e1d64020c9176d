"""The quick part of the fault battery: damaged files, malformed input, clocks that jump, folders that may not be written
to. What takes longer (kills, full disks, two at once) is in tests/fault_battery.py: make faults."""

import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from memory_trials import files
from memory_trials.engines import compiler, native
from memory_trials.errors import UserError, exit_on_user_error
from memory_trials.progress import Progress
from memory_trials.training import cache
from tests import faults, kills, untrained
from tests.conftest import ROOT
from tests.training.test_cache import trained


@pytest.fixture
def here(evaluated, tmp_path, monkeypatch) -> Path:
    """This folder, with results of the evaluate stage in it."""
    shutil.copytree(evaluated / "data", tmp_path / "data")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_damaged_file_of_any_kind_is_noticed_or_the_damage_harmless(here):
    ended = faults.meet_damage(here, 40, random.Random(1))
    assert all(noticed > 40 for noticed, _ in ended.values()) and ended["sequences.json"][1] == 0


def test_no_single_bit_of_a_table_of_contents_hides_an_array(here):
    path, refused = here / "data/tutorial/trained.npz", 0
    whole, expected = path.read_bytes(), faults.READERS["trained.npz"](path)
    entries = [match.start() for match in re.finditer(b"PK\1\2", whole)]
    for place in [first + length for first in entries for length in (28, 29, 30, 31, 32, 33)]:  # lengths
        path.write_bytes(faults.flipped(whole, place, 7))
        try:
            assert faults.READERS["trained.npz"](path) == expected
        except UserError:
            refused += 1
    assert refused > 3 * len(entries)


@pytest.mark.parametrize(("kind", "count"), [("parameters", 150), ("sequences", 150), ("studies", 60)])
def test_malformed_input_is_refused_in_one_sentence_and_overwrites_nothing(kind, count, tmp_path):
    refused, _ = faults.meet_malformed(tmp_path, kind, count, 1, examples=100)
    assert refused >= count


def test_the_report_and_the_tracking_refuse_text_that_was_changed(here, monkeypatch):
    from memory_trials.cli import commands
    from memory_trials.report import page
    from memory_trials.serving import registry
    from memory_trials.tracking import publisher

    answer = lambda: commands.main(["answer"], standalone_mode=False)
    faults.write_lock(here)
    files.check_recorded()
    path = here / "data/tutorial/trials.csv"
    path.write_bytes(path.read_bytes().replace(b"0.2", b"0.3"))
    for command in (page.write, registry.register_what_is_here, publisher.publish_what_is_here, answer):
        said = faults.message_of(command, "trials.csv is not as dvc.lock records it")
        assert "run dvc repro" in said


@pytest.mark.parametrize("text", ["", "[]", "stages: 3", "stages: {a: 3}", "stages: {a: {outs: [3]}}", "{", "\0"])
def test_a_damaged_dvc_lock(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("dvc.lock").write_text(text)
    with pytest.raises(UserError, match=r"dvc.lock is damaged: take it from git again"):
        files.check_recorded()


def test_a_full_disk_elsewhere_is_one_sentence_too(capsys):
    def main():
        raise OSError(28, "No space left on device", "data/tutorial")

    with pytest.raises(SystemExit):
        exit_on_user_error(main)
    assert capsys.readouterr().err == "error: data/tutorial cannot be written: No space left on device\n"


def test_training_does_not_look_at_the_clock_for_its_results(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "SECONDS", 1.0)  # is over at once, or never
    expected = kills.as_bytes(trained(), tmp_path)
    store = cache.TrialCache(tmp_path / ".shards", 100)
    for number in range(2):
        with faults.jumping_clocks(random.Random(number)):
            assert kills.as_bytes(trained(store), tmp_path) == expected
            assert kills.as_bytes(trained(store, trials=10 + number), tmp_path)
        for path in store.folder.glob("*.npz"):  # used in any year, or for a part of the tries not at all
            years = random.Random(number).uniform(-faults.YEARS, faults.YEARS)
            os.utime(path, (path.stat().st_atime + years, path.stat().st_mtime + years))
    with Progress(10, 100, seconds_between_lines=0.0) as progress, faults.jumping_clocks(random.Random(1)):
        for _ in range(20):
            progress(50, 1)


def test_the_store_keeps_within_its_bound_whatever_the_times_of_its_files(tmp_path):
    store, chance = cache.TrialCache(tmp_path / ".shards", 1), random.Random(1)
    batch = {"seeds": faults.np.arange(10), "losses": faults.np.zeros((10, 2500))}
    for number in range(30):
        store.write(cache.TRIALS, f"key{number}", batch)
        for path in store.folder.glob("*.npz"):
            os.utime(path, (0, max(0, chance.uniform(0, 2**32))))
    assert 0 < sum(path.stat().st_size for path in store.folder.iterdir()) <= 1_000_000


def test_publishing_does_not_look_at_the_clock_either(here, monkeypatch):
    from memory_trials.serving import registry
    from memory_trials.settings import TrackingSettings
    from memory_trials.tracking import publisher
    from tests import publishers

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    arm, settings = untrained.pipeline_arm(), TrackingSettings()
    for number in range(2):
        with faults.jumping_clocks(random.Random(number)):
            publisher.publish([arm], settings)
            registry.register(arm, settings)
    publishers.check_once(f"sqlite:///{here / 'mlflow.db'}", settings, [arm])


def test_a_database_that_was_cut_while_mlflow_made_it_is_made_anew(here, monkeypatch):
    import mlflow
    from mlflow.store.db import utils

    from memory_trials.settings import TrackingSettings
    from memory_trials.tracking import store

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    real = utils._upgrade_db

    def cut(engine):
        real(engine)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(utils, "_upgrade_db", cut)
    monkeypatch.setattr(mlflow, "__version__", "of another day")  # of which no tables are kept
    with pytest.raises(UserError, match="MLflow failed"), store.opened(TrackingSettings()):
        pass
    assert {path.name for path in here.glob("mlflow.db*")} <= {
        "mlflow.db.lock"
    }  # its tables are made in memory, and written when they are whole
    monkeypatch.undo()
    with faults.here(here), store.opened(TrackingSettings(uri=f"sqlite:///{here / 'mlflow.db'}")) as opened:
        assert opened.client.search_experiments()


needs_compiler = pytest.mark.skipif(compiler.compiler() is None, reason="no C compiler")


@needs_compiler
def test_a_damaged_library_is_compiled_anew(tmp_path):
    (tmp_path / "small.c").write_text("int answer(void) { return 39; }")  # native.c takes a second
    small = compiler.Library(tmp_path / "small.c")
    assert small.load().answer() == 39
    library = small.path_in(small.folder)
    whole = library.read_bytes()
    for damaged in (whole[:1000], b"", faults.flipped(whole, len(whole) // 2, 3)):
        library.unlink()  # it is loaded here
        library.write_bytes(damaged)
        assert small.load().answer() == 39
        assert library.read_bytes() == whole


@needs_compiler
def test_a_folder_where_no_library_can_be_kept(tmp_path, monkeypatch):
    for header in native.LIBRARY.headers:
        shutil.copy(native.LIBRARY.source.with_name(header), tmp_path)
    of_its_own = compiler.Library(Path(shutil.copy(native.LIBRARY.source, tmp_path)), native.LIBRARY.headers)
    of_its_own.folder.write_text("a file instead of the folder")
    monkeypatch.setattr(native, "LIBRARY", of_its_own)
    native._library.__wrapped__()
    monkeypatch.setattr(compiler.tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="compiled, cannot be kept or loaded"):
        native._library.__wrapped__()


@pytest.mark.parametrize("stage", ["generate_data", "encode"])
def test_a_read_only_folder_is_one_sentence_and_loses_nothing(stage, here):
    if not faults.rights_bind(here):
        pytest.skip("root cannot be bound by the rights of files here")
    before = faults.snapshot(here / "data")
    (here / "data/tutorial").chmod(0o555)
    done = subprocess.run(
        [sys.executable, "-m", f"stages.{stage}"], cwd=here, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, preexec_fn=faults.bound_by_rights,
    )  # fmt: skip
    (here / "data/tutorial").chmod(0o755)
    assert done.returncode == 1 and "Permission denied" in faults.check_sentence(done.stderr, "data/tutorial/")
    assert faults.snapshot(here / "data") == before
