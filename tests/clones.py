"""A small copy of the repository for tests/fault_battery.py: made once, run in, and checked in the end."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml

from tests import faults
from tests.conftest import ROOT, change_params, make_repository
from tests.faults import Wrong

TRIALS, EPOCHS, UNITS = 40, 300, 80  # a second or two of training, so that kills meet each stage
STAGES = ("generate_data", "encode", "train", "evaluate")
COMMANDS = (*STAGES, "publish")  # the stages' own, which is two of evaluate
SHARED = "FAULTS_SHARED"  # a folder with a repository and its results, of which parts take copies

Row = tuple[str, str, str]  # fault, how often tried, how it ended


class Skipped(Exception):
    """A part cannot be tried here; the message says why."""


def environment(**more: str) -> dict[str, str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_TRACKING")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return inherited | {"PATH": path, "PYTHONDONTWRITEBYTECODE": "1"} | more


def start(folder: Path, *command: str, more: dict | None = None, **options) -> subprocess.Popen:
    """In a group of processes of its own, so that all of it can be killed; what it says goes into said.log."""
    with open(folder.parent / f"{folder.name}.log", "w") as said:
        return subprocess.Popen(
            command, cwd=folder, env=environment(**(more or {})), stdin=subprocess.DEVNULL,
            stdout=said, stderr=subprocess.STDOUT, start_new_session=True, **options,
        )  # fmt: skip


def said(folder: Path) -> str:
    return (folder.parent / f"{folder.name}.log").read_text(errors="replace")


def run(
    folder: Path, *command: str, more: dict | None = None, timeout: int = 600, **options
) -> subprocess.CompletedProcess:
    return subprocess.run(
        command, cwd=folder, env=environment(**(more or {})), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=timeout, **options,
    )  # fmt: skip


def stage(name: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"stages.{name}", *arguments)


def must(done: subprocess.CompletedProcess) -> str:
    if done.returncode or "Traceback" in done.stdout + done.stderr:
        raise Wrong(f"{' '.join(done.args[-3:])} ended with {done.returncode}: {(done.stdout + done.stderr)[-1500:]}")
    return done.stdout + done.stderr


def refused(done: subprocess.CompletedProcess, *names: str) -> str:
    """It ended with one sentence."""
    if done.returncode != 1:
        raise Wrong(f"{' '.join(done.args[-3:])} ended with {done.returncode}: {(done.stdout + done.stderr)[-1500:]}")
    return faults.check_sentence(done.stderr, *names)


def make_base(place: Path) -> Path:
    """A repository with no results, and the library compiled: what each try begins with."""
    base = place / "base"
    if SHARED in os.environ:
        if not (Path(os.environ[SHARED]) / "base").exists():
            make_reference(_new_base(Path(os.environ[SHARED])), Path(os.environ[SHARED], "reference"))
        return copy(Path(os.environ[SHARED]) / "base", base)
    return _new_base(place)


def _new_base(place: Path) -> Path:
    base = place / "base"
    base.mkdir()
    make_repository(base, TRIALS, EPOCHS)
    change_params(base, f"epochs: {EPOCHS}", "epochs: 1")
    change_params(base, "units: 20", f"units: {UNITS}")
    for name in STAGES[:3]:
        must(run(base, *stage(name)))
    for name in ("sequences.json", "table.npz", "trained.npz"):
        (base / "data/tutorial" / name).unlink()
    change_params(base, "epochs: 1\n", f"epochs: {EPOCHS}\n")
    return base


def copy(base: Path, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(base, folder, symlinks=True)
    return folder


def make_reference(base: Path, folder: Path) -> tuple[dict[str, str], float]:
    """What an undisturbed `dvc repro` leaves, and how many seconds it takes."""
    shared = Path(os.environ.get(SHARED, folder.parent)) / "reference"
    if shared != folder and shared.exists():
        copy(shared, folder)
    else:
        copy(base, folder)
        began = time.monotonic()
        must(run(folder, "dvc", "repro"))
        (folder / ".git/seconds").write_text(str(time.monotonic() - began))
    return outputs(folder), float((folder / ".git/seconds").read_text())


def outputs(folder: Path) -> dict[str, str]:
    """The results by the md5 that dvc.lock records, each of which must be that of the file."""
    recorded = {}
    for made in yaml.safe_load((folder / "dvc.lock").read_text())["stages"].values():
        for out in made["outs"]:
            recorded[out["path"]] = out["md5"]
            if md5(folder / out["path"]) != out["md5"]:
                raise Wrong(f"{out['path']} is not as dvc.lock records it")
    return recorded


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def left_over(folder: Path) -> list[str]:
    return [path.name for path in (folder / "data/tutorial").glob(".*") if path.name != ".gitignore"]


def check_whole(folder: Path, *allowed: dict[str, str]) -> None:
    """Each output that is there is one of those that it may be."""
    for name in {name for each in allowed for name in each}:
        path = folder / name
        if path.exists() and md5(path) not in {each.get(name) for each in allowed}:
            raise Wrong(f"{name} is half-written")


def check_runs(folder: Path) -> None:
    """MLflow has each run of the result once, whole."""
    code = "from tests import clones; clones.check_runs_here()"
    must(run(folder, sys.executable, "-c", code))


def check_runs_here() -> None:
    from memory_trials.studies import design
    from tests import publishers

    arm = design.pipeline_arm()
    publishers.check_once(f"sqlite:///{Path.cwd() / 'mlflow.db'}", arm.settings.tracking, [arm])


def mend(folder: Path) -> str:
    """What docs/reliability.md tells users to do where DVC says that a file of its own is not valid."""
    words = ""
    for name, reads in (("dvc.lock", yaml.safe_load), (".dvc/tmp/rwlock", json.loads)):
        path = folder / name
        try:
            whole = not path.exists() or isinstance(reads(path.read_text()), dict)
        except ValueError:
            whole = False
        except yaml.YAMLError:
            whole = False
        if not whole:
            path.unlink()
            words += f"{name} was cut\n"
    return words


def complete(folder: Path, reference: dict[str, str]) -> str:
    """`dvc repro` is what must mend everything: the right bytes, and each run once. What it said."""
    mended = mend(folder)
    words = mended + must(run(folder, "dvc", "repro"))
    if outputs(folder) != reference:
        raise Wrong(f"other bytes: {sorted(set(outputs(folder).items()) ^ set(reference.items()))}")
    check_runs(folder)
    return words


def outs_of(name: str) -> list[str]:
    described = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][name]
    return [path for out in described.get("outs", []) + described.get("metrics", []) for path in out]


def check_same(folder: Path, reference: dict[str, str], names: list[str] | None = None) -> None:
    for name in names or reference:
        if md5(folder / name) != reference[name]:
            raise Wrong(f"{name} has other bytes")


def prepared(reference_folder: Path, folder: Path, base: Path | None = None) -> Path:
    """A clone with results, and of .shards/ what base has."""
    copy(reference_folder, folder)
    if base:
        shutil.rmtree(folder / ".shards")
        shutil.copytree(base / ".shards", folder / ".shards")
    return folder
