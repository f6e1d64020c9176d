"""Full disks, and folders that may not be written to: two of the groups of tests/fault_battery.py."""

import collections
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests import faults
from tests.clones import (
    STAGES,
    Row,
    Skipped,
    check_runs,
    check_same,
    check_whole,
    copy,
    left_over,
    make_base,
    make_reference,
    mend,
    must,
    outputs,
    outs_of,
    prepared,
    refused,
    run,
    stage,
)
from tests.conftest import ROOT
from tests.faults import Wrong


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A disk of its own for a folder, with what was in it."""
    content = folder.with_name(f"{folder.name}.content")
    if folder.exists():
        shutil.copytree(folder, content, symlinks=True)
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], check=True)
    try:
        if content.exists():
            shutil.copytree(content, folder, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(content)
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path, leave: int) -> Path:
    """Use up a disk but for so many bytes."""
    path = folder / "filler"
    free = os.statvfs(folder)
    with open(path, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(4096, free.f_bavail * free.f_frsize - leave))
    return path


def part_disk(place: Path, seed: int) -> list[Row]:
    if os.environ.get("FAULTS_MOUNTS") != "1":
        return _with_mounts("disk", seed)
    base = make_base(place)
    reference, _ = make_reference(base, place / "reference")
    fresh = copy(base, place / "full")
    rows, data = [], fresh / "data"
    full = collections.Counter()
    total = {"generate_data": 1, "encode": 2, "train": 2, "evaluate": 4}
    with small_disk(data, "40m"):
        for name in STAGES:
            made = [path for path in outs_of(name) if path in reference]
            size = sum((place / "reference" / path).stat().st_size for path in made)
            for before in ("nothing", "an earlier result"):
                for share in [k / total[name] for k in range(total[name])]:
                    for path in made:
                        with contextlib.suppress(FileNotFoundError):
                            (fresh / path).unlink()
                        if before != "nothing":
                            shutil.copy(place / "reference" / path, fresh / path)
                    filler = fill(data, int(share * size) // 4096 * 4096)
                    done = run(fresh, *stage(name))
                    if done.returncode == 0 and before != "nothing":  # each file that is replaced makes room again
                        check_same(fresh, reference, made)
                    else:
                        refused(done, "No space left on device")
                        full[name] += 1
                    check_whole(fresh, reference)
                    if left_over(fresh):
                        raise Wrong(f"left over: {left_over(fresh)}")
                    if before != "nothing" and not all((fresh / path).exists() for path in made):
                        raise Wrong(f"{name} took an earlier result away")
                    filler.unlink()
            must(run(fresh, *stage(name)))
            check_same(fresh, reference, made)
    spread = ", ".join(f"{name} {full[name]}" for name in STAGES)
    rows.append((
        "disk full while a stage writes to data/", f"{sum(full.values())} ({spread})",
        "each ended in one sentence, every output whole, the earlier or absent; with room again, equal bytes",
    ))  # fmt: skip
    rows.append(_full_shards(base, place / "shards", reference))
    rows.append(_full_store(place / "reference", place / "small", reference))
    rows.append(_full_clone(base, place / "whole", reference))
    rows.append(_full_library(place / "reference", place / "caches", reference))
    return rows


def _with_mounts(part: str, seed: int) -> list[Row]:
    """The part in a namespace of its own, in which anybody may mount and which ends with it."""
    options = ["-m"] if os.getuid() == 0 else ["-rm"]
    allowed = shutil.which("unshare") and subprocess.run(
        ["unshare", *options, "sh", "-c", "mount -t tmpfs none /mnt"], capture_output=True
    )
    if not allowed or allowed.returncode:
        raise Skipped("needs root, or user namespaces (unshare -rm), to mount a small disk")
    command = ["unshare", *options, sys.executable, "-m", "tests.fault_battery", part, "--seed", str(seed)]
    done = run(ROOT, *command, more={"FAULTS_MOUNTS": "1"}, timeout=7200)
    rows = [tuple(cell.strip() for cell in line.strip("|\n").split(" | ")) for line in done.stdout.splitlines()
            if line.startswith("| ")][1:]  # fmt: skip
    if done.returncode:
        raise Wrong(done.stdout[-1500:] + done.stderr[-1500:])
    return rows


def _full_shards(base: Path, folder: Path, reference: dict[str, str]) -> Row:
    prepared(base.parent / "reference", folder, base)
    tried = 0
    with small_disk(folder / ".shards", "20m"):
        for leave in (0, 65536, 1_000_000):
            for path in (folder / ".shards").glob("*"):
                path.unlink()
            shutil.copytree(base / ".shards", folder / ".shards", dirs_exist_ok=True)
            filler = fill(folder / ".shards", leave)
            (folder / "data/tutorial/trained.npz").unlink()
            words = must(run(folder, *stage("train")))
            if "note: what is trained from here on is not kept" not in words:
                raise Wrong(f"no note: {words[-500:]}")
            check_same(folder, reference)
            filler.unlink()
            tried += 1
    return "disk of .shards/ full", str(tried), "training went on, with a note, to equal bytes"


def _full_store(reference_folder: Path, folder: Path, reference: dict[str, str]) -> Row:
    prepared(reference_folder, folder)
    disk = folder / "database"
    tried = 0
    with small_disk(disk, "30m"):
        for leave in (0, 500_000, 1_100_000):
            for path in disk.glob("*"):
                path.unlink()
            filler = fill(disk, leave)
            place = f"sqlite:///{disk / 'mlflow.db'}"
            done = run(folder, *stage("publish"), more={"MLFLOW_TRACKING_URI": place})
            refused_by = ("warning: MLflow failed", "mlflow.db cannot be written: No space left on device")
            if not any(words in must(done) for words in refused_by) or "memory-trials track" not in done.stderr:
                raise Wrong(f"no warning: {done.stderr[-500:]}")
            check_same(folder, reference)
            filler.unlink()
            must(run(folder, sys.executable, "-m", "memory_trials", "track", more={"MLFLOW_TRACKING_URI": place}))
            tried += 1
    return (
        "disk of mlflow.db full",
        str(tried),
        "the result complete, with a warning; with room again, `make track` publishes",
    )


def _full_clone(base: Path, folder: Path, reference: dict[str, str]) -> Row:
    folder.mkdir()
    tried = 0
    for leave in (50_000, 2_000_000, 6_000_000, 9_000_000):
        with small_disk(folder, "120m"):
            shutil.copytree(base, folder / "clone", symlinks=True)
            clone = folder / "clone"
            filler = fill(folder, leave)
            done = run(clone, "dvc", "repro")
            words = done.stdout + done.stderr
            if "Traceback" in words:
                raise Wrong(words[-1500:])
            if done.returncode or "warning: MLflow" in words:
                tried += 1
            check_whole(clone, reference)
            filler.unlink()
            mend(clone)
            must(run(clone, "dvc", "repro"))
            if outputs(clone) != reference:
                raise Wrong("other bytes after a full disk")
            must(run(clone, sys.executable, "-m", "memory_trials", "track"))
            check_runs(clone)
    return "disk of the whole clone full during `dvc repro`", str(tried), "no traceback; with room again, equal bytes"


def _full_library(reference_folder: Path, folder: Path, reference: dict[str, str]) -> Row:
    prepared(reference_folder, folder)
    cache = folder / "memory_trials/engines/__pycache__"
    shutil.rmtree(folder / ".shards")
    with small_disk(cache, "64k"):
        for path in cache.glob("*"):
            path.unlink()
        filler = fill(cache, 0)
        must(run(folder, *stage("train")))
        check_same(folder, reference)
        filler.unlink()
    return "disk full where native.c's library is kept", "1", "compiled elsewhere, equal bytes"


@contextlib.contextmanager
def read_only(*paths: Path) -> Iterator[None]:
    modes = [(path, path.stat().st_mode) for path in paths]
    for path, mode in modes:
        path.chmod(mode & ~0o222)
    try:
        yield
    finally:
        for path, mode in modes:
            path.chmod(mode)


def part_rights(place: Path, seed: int) -> list[Row]:
    if not faults.rights_bind(place):
        raise Skipped("root cannot be bound by the rights of files here, and no other user is at hand")
    user = {"preexec_fn": faults.bound_by_rights}
    base = make_base(place)
    reference, _ = make_reference(base, place / "reference")
    folder = prepared(place / "reference", place / "mine", base)
    home = place / "home"
    home.mkdir()
    more = {"HOME": str(home)}
    tutorial, rows = folder / "data/tutorial", []

    def sentences(fault: str, locked: list[Path], commands: dict[str, str], *names: str) -> None:
        """Each command is refused in one sentence, and nothing changes."""
        with read_only(*locked):
            for name in commands:
                refused(run(folder, *stage(name), more=more, **user), "cannot be written", *names)
                check_same(folder, reference)
        rows.append((fault, str(len(commands)), "each stage ended in one sentence, nothing lost"))

    def goes_on(fault: str, locked: list[Path], name: str, words: str, how: str, **also: str) -> None:
        shutil.rmtree(folder / ".shards")
        shutil.copytree(base / ".shards", folder / ".shards")
        with read_only(*locked):
            printed = must(run(folder, *stage(name), more=more | also, **user))
        if words not in printed:
            raise Wrong(f"{fault}: {words!r} was not said: {printed[-800:]}")
        check_same(folder, reference)
        rows.append((fault, "1", how))

    sentences("data/tutorial/ read-only", [tutorial], dict.fromkeys(STAGES))
    aside = folder / "aside"
    tutorial.rename(aside)
    with read_only(folder / "data"):
        refused(run(folder, *stage("generate_data"), more=more, **user), "cannot be written")
    aside.rename(tutorial)
    rows.append(("data/ read-only, data/tutorial/ not there yet", "1", "one sentence, nothing lost"))
    goes_on(".shards/ read-only", [folder / ".shards"], "train", "note: what is trained from here on is not kept",
            "training went on, with a note, to equal bytes")  # fmt: skip
    for path in (folder / "memory_trials/engines/__pycache__").glob("*"):
        path.unlink()
    goes_on("the folder of native.c's library read-only", [folder / "memory_trials/engines/__pycache__"], "train", "",
            "compiled elsewhere, equal bytes")  # fmt: skip
    database = folder / "database"
    database.mkdir()
    goes_on("mlflow.db's folder read-only", [database], "publish", "warning: MLflow failed", "the result complete, with a warning",
            MLFLOW_TRACKING_URI=f"sqlite:///{database / 'mlflow.db'}")  # fmt: skip
    for name in ("train", "evaluate", "publish"):
        goes_on(f"HOME read-only ({name})", [home], name, "", "as if nothing were")
    goes_on("HOME not there", [], "evaluate", "", "as if nothing were", HOME=str(place / "nowhere"))
    return rows
