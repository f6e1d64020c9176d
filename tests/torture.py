"""Everything that can go wrong around the pipeline, made to go wrong: does it still end right, or in one sentence?

python -m tests.torture                       (make torture: all parts, about an hour on two busy cores)
python -m tests.torture kills disk --seed 7   (some parts: kills, training, disk, damage, malformed, together, rights, clocks)

Prints what was tried and how it ended as a Markdown table; exits with 1 where anything ended otherwise than it should.
What did not really happen (a kill that came after the end, an input that turned out to be valid) is not counted.
"""

import argparse
import collections
import contextlib
import hashlib
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import yaml

from tests import faults, kills
from tests.conftest import ROOT, change_params, make_repository
from tests.faults import Wrong

TRIALS, EPOCHS, UNITS = 40, 300, 80  # a second or two of training, so that kills meet each stage
STAGES = ("generate_data", "encode", "train", "evaluate")
WORKERS = 2
SHARED = "TORTURE_SHARED"  # a folder with a repository and its results, of which parts take copies
BUSY = ("Unable to acquire lock", "is busy, it is being blocked by")  # DVC's words for: somebody else is at work

Row = tuple[str, str, str]  # fault, how often tried, how it ended


class Skipped(Exception):
    """A part cannot be tried here; the message says why."""


# a clone of the repository, and what must be in it in the end


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
    code = "from tests import torture; torture.check_runs_here()"
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


# a. kills


def kill(process: subprocess.Popen) -> bool:
    """Kill a group of processes; whether it was still at work."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def killed(folder: Path, after: float, *command: str) -> bool:
    process = start(folder, *command)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(after)
        return False
    return kill(process)


def where(words: str) -> str:
    """In which stage DVC was when it was killed."""
    found = re.findall(r"Running stage '(\w+)'", words)
    return found[-1] if found else "before the first"


def kill_round(base: Path, folder: Path, takes: float, reference: dict[str, str], number: int, at_most: int) -> dict:
    """`dvc repro` killed up to five times, then completed."""
    chance = random.Random(number)
    copy(base, folder)
    places: collections.Counter[str] = collections.Counter()
    for _ in range(min(at_most, chance.randint(3, 5))):
        if not killed(folder, chance.uniform(0, takes), "dvc", "repro"):
            break
        places[where(said(folder))] += 1
        check_whole(folder, reference)
    words = complete(folder, reference) if places else ""
    result = {"places": places, "left": len(left_over(folder)), "mended": " was cut" in words}
    shutil.rmtree(folder)
    return result


def part_kills(place: Path, seed: int, count: int = 30, of_each_stage: int = 5) -> list[Row]:
    base = make_base(place)
    reference, takes = make_reference(base, place / "reference")
    places: collections.Counter[str] = collections.Counter()
    rounds = left = mended = number = 0
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WORKERS, mp_context=context) as pool:
        while sum(places.values()) < count:
            lacking = count - sum(places.values())
            several = []
            for worker in range(WORKERS if lacking > 5 else 1):
                number += 1
                arguments = (base, place / f"killed{worker}", 1.3 * takes, reference, seed * 1000 + number, lacking)
                several.append(pool.submit(kill_round, *arguments))
            for found in several:
                places += found.result()["places"]
                rounds += bool(found.result()["places"])
                left += found.result()["left"]
                mended += found.result()["mended"]
    spread = ", ".join(f"{name} {places[name]}" for name in ("before the first", *STAGES))
    rows = [(
        "`kill -9` of `dvc repro`, all its processes, at random moments",
        f"{sum(places.values())} ({spread})",
        f"{rounds} of {rounds} runs afterwards completed, with equal bytes "
            f"and each run in MLflow once; "
        f"{mended} times a file of DVC's had been cut; {left} temporary files left",
    )]  # fmt: skip
    rows.append(_kills_of_stages(place / "reference", random.Random(seed), of_each_stage))
    return rows


def _kills_of_stages(folder: Path, chance: random.Random, each: int) -> Row:
    """The stages run straight, over results that are there."""
    reference, counts = outputs(folder), collections.Counter()
    for name in STAGES:
        shutil.rmtree(folder / ".shards", ignore_errors=True)
        shutil.copytree(folder.parent / "base/.shards", folder / ".shards")
        began = time.monotonic()
        must(run(folder, *stage(name)))
        takes = time.monotonic() - began
        while counts[name] < each:
            if name == "train":
                shutil.rmtree(folder / ".shards")
                shutil.copytree(folder.parent / "base/.shards", folder / ".shards")
            counts[name] += killed(folder, chance.uniform(0, takes), *stage(name))
            check_whole(folder, reference)
        must(run(folder, *stage(name)))
    for path in reference:
        if md5(folder / path) != reference[path]:
            raise Wrong(f"{path} has other bytes")
    check_runs(folder)
    spread = ", ".join(f"{name} {counts[name]}" for name in STAGES)
    return (
        "`kill -9` of one stage, run without DVC over an earlier result",
        f"{sum(counts.values())} ({spread})",
        "all outputs whole after each kill, equal bytes after the next run, each run in MLflow once",
    )


def part_training(place: Path, seed: int, count: int = 5) -> list[Row]:
    random.seed(seed)
    rows = []
    for way in kills.WAYS:
        number, ended, wrong = kills.measured(way, count)
        if wrong:
            raise Wrong(f"{way}: {wrong} of {ended} ended with other bytes")
        rows.append((f"`kill -9` of training that writes checkpoints all the time: {way}", str(number),
                     f"{ended} of {ended} resumed with equal bytes"))  # fmt: skip
    return rows


# b. full disk


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
    if os.environ.get("TORTURE_MOUNTS") != "1":
        return _with_mounts("disk", seed)
    base = make_base(place)
    reference, _ = make_reference(base, place / "reference")
    fresh = copy(base, place / "full")
    rows, data = [], fresh / "data"
    full = collections.Counter()
    total = {"generate_data": 1, "encode": 2, "train": 2, "evaluate": 4}
    with small_disk(data, "40m"):
        for name in STAGES:
            made = [path for path in _outs(name) if path in reference]
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
    command = ["unshare", *options, sys.executable, "-m", "tests.torture", part, "--seed", str(seed)]
    done = run(ROOT, *command, more={"TORTURE_MOUNTS": "1"}, timeout=7200)
    rows = [tuple(cell.strip() for cell in line.strip("|\n").split(" | ")) for line in done.stdout.splitlines()
            if line.startswith("| ")][1:]  # fmt: skip
    if done.returncode:
        raise Wrong(done.stdout[-1500:] + done.stderr[-1500:])
    return rows


def _outs(name: str) -> list[str]:
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
            done = run(folder, *stage("evaluate"), more={"MLFLOW_TRACKING_URI": place})
            refused_by = ("warning: MLflow failed", "mlflow.db cannot be written: No space left on device")
            if not any(words in must(done) for words in refused_by) or "make track" not in done.stderr:
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


# c. damaged files


def part_damage(place: Path, seed: int, count: int = 400) -> list[Row]:
    rows = []
    (place / "files").mkdir()
    for name, (told, harmless) in faults.meet_damage(place / "files", count, random.Random(seed)).items():
        rows.append((f"{name} damaged: bits flipped, cut short, zeros, another version", str(told + harmless),
                     f"{told} noticed in one sentence, {harmless} harmless (the content read is equal)"))  # fmt: skip
    base = make_base(place)
    reference, _ = make_reference(base, place / "reference")
    rows.append(_damage_in_commands(place / "reference", random.Random(seed), reference))
    rows.append(_damaged_library(place / "reference", random.Random(seed), reference))
    return rows


def _damage_in_commands(folder: Path, chance: random.Random, reference: dict[str, str]) -> Row:
    command = lambda *words: (sys.executable, "-m", "memory_trials", *words)
    readers = {
        "sequences.json": [stage("encode"), stage("evaluate"), command("report")],
        "table.npz": [stage("train"), stage("evaluate")],
        "trained.npz": [stage("evaluate"), command("report"), command("track")],
        "memory.npz": [command("predict", "3 0 1 2"), command("track")],
        "metrics.json": [command("report"), command("track"), command("report"), command("check", "HEAD")],
        "trials.csv": [command("report"), command("track"), command("report")],
    }
    tried = 0
    for name, commands in readers.items():
        path = folder / "data/tutorial" / name
        whole = path.read_bytes()
        for number, command in enumerate(commands):
            half = len(whole) // 2
            damaged = whole[:half] if number % 2 else faults.flipped(whole, chance.randrange(half // 2, half), 2)
            path.unlink()
            path.write_bytes(damaged)
            done = run(folder, *command)
            if command == command("check", "HEAD"):
                if (
                    done.returncode != 1
                    or "Traceback" in done.stderr
                    or not re.search("modified|is damaged", done.stderr)
                ):
                    raise Wrong(f"check: {done.stdout[-500:]} {done.stderr[-500:]}")
            else:
                refused(done, name, "dvc.lock")
            tried += 1
        path.unlink()
        path.write_bytes(whole)
        check_same(folder, reference)
    complete(folder, reference)
    return "the same through stages and commands", str(tried), "each in one sentence, nothing overwritten"


def _damaged_library(folder: Path, chance: random.Random, reference: dict[str, str]) -> Row:
    tried = 0
    (path,) = (folder / "memory_trials/engines/__pycache__").glob("native-*.so")
    whole = path.read_bytes()
    for how, damaged in [*faults.damages(whole, 2, chance)][1:3]:
        path.unlink()
        path.write_bytes(damaged)
        shutil.rmtree(folder / ".shards")
        shutil.copytree(folder.parent / "base/.shards", folder / ".shards")
        must(run(folder, *stage("train")))
        check_same(folder, reference)
        if path.read_bytes() != whole:
            raise Wrong(f"{how}: the library was not compiled anew")
        tried += 1
    return "native.c's library damaged", str(tried), "compiled anew, equal bytes"


# d. malformed parameters and sequences


def part_malformed(place: Path, seed: int, count: int = 1000) -> list[Row]:
    rows, some = [], []
    for kind, words in (
        ("parameters", "params.yaml"),
        ("studies", "studies/params.yaml"),
        ("sequences", "a sequence file"),
    ):
        folder = place / kind
        folder.mkdir()
        number, texts = faults.meet_malformed(folder, kind, count if kind != "studies" else count // 4, seed)
        some += texts if kind == "parameters" else []
        rows.append(
            (f"{words} malformed", str(number), "each refused in one line that names the file, nothing overwritten")
        )
    folder = place / "real"
    shutil.copytree(place / "parameters", folder)
    tried = 0
    for text in some:
        (folder / "params.yaml").write_bytes(text)
        before = faults.snapshot(folder / "data")
        done = run(folder, *stage("generate_data"), more={"PYTHONPATH": str(ROOT)})
        if done.returncode == 0:  # what encode has refused
            continue
        refused(done, "params.yaml", "data/problems")
        if faults.snapshot(folder / "data") != before:
            raise Wrong("something was overwritten")
        tried += 1
    rows.append(("the same through `python -m stages.generate_data`", str(tried), "likewise"))
    return rows


# e. two at once


def part_together(place: Path, seed: int, count: int = 4) -> list[Row]:
    chance, base = random.Random(seed), make_base(place)
    reference, takes = make_reference(base, place / "reference")
    ended: collections.Counter[str] = collections.Counter()
    for _ in range(count):
        folder = copy(base, place / "both")
        first = start(folder, "dvc", "repro")
        time.sleep(chance.uniform(0, 0.7 * takes))
        if first.poll() is not None:
            continue
        second = run(folder, "dvc", "repro")
        if first.wait() and not any(words in said(folder) for words in BUSY):
            raise Wrong(said(folder)[-1500:])
        words = second.stdout + second.stderr
        if "Traceback" in words + said(folder):
            raise Wrong((words + said(folder))[-1500:])
        if second.returncode and not any(word in words for word in BUSY):
            raise Wrong(words[-1500:])
        ended["refused, since the other one was at work" if second.returncode else "waited, and ended too"] += 1
        complete(folder, reference)
    tell = lambda ended: "; ".join(f"{number} {how}" for how, number in ended.items())
    rows = [("two `dvc repro` in one clone", str(sum(ended.values())),
             f"of the second ones, {tell(ended)}; equal bytes, each run in MLflow once")]  # fmt: skip
    folder, tried = copy(place / "reference", place / "both"), 0
    for _ in range(count):
        for name in ("train", "evaluate"):
            if name == "train":
                shutil.rmtree(folder / ".shards")
                shutil.copytree(base / ".shards", folder / ".shards")
            first = start(folder, *stage(name))
            time.sleep(chance.uniform(0, 1))
            if first.poll() is None:
                must(run(folder, *stage(name)))
                tried += 1
            if first.wait() or "Traceback" in said(folder):
                raise Wrong(said(folder)[-1500:])
            check_same(folder, reference)
    check_runs(folder)
    rows.append(
        ("two of one stage at once, without DVC", str(tried), "both ended; equal bytes, each run in MLflow once")
    )
    rows.append(_two_compilers(copy(place / "reference", place / "both"), reference))
    return rows


def _two_compilers(folder: Path, reference: dict[str, str]) -> Row:
    for path in (folder / "memory_trials/engines/__pycache__").glob("*"):
        path.unlink()
    code = "from memory_trials.engines import native; native._library()"
    several = [subprocess.Popen([sys.executable, "-c", code], cwd=folder, env=environment()) for _ in range(4)]
    if any(process.wait() for process in several):
        raise Wrong("a process that compiles beside others failed")
    shutil.rmtree(folder / ".shards")
    shutil.copytree(folder.parent / "base/.shards", folder / ".shards")
    must(run(folder, *stage("train")))
    check_same(folder, reference)
    return "native.c compiled by several processes at once", "4", "all loaded it; equal bytes"


# f. folders that may not be written to


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
            told = must(run(folder, *stage(name), more=more | also, **user))
        if words not in told:
            raise Wrong(f"{fault}: {words!r} was not said: {told[-800:]}")
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
    goes_on("mlflow.db's folder read-only", [database], "evaluate", "warning: MLflow failed", "the result complete, with a warning",
            MLFLOW_TRACKING_URI=f"sqlite:///{database / 'mlflow.db'}")  # fmt: skip
    for name in ("train", "evaluate"):
        goes_on(f"HOME read-only ({name})", [home], name, "", "as if nothing were")
    goes_on("HOME not there", [], "evaluate", "", "as if nothing were", HOME=str(place / "nowhere"))
    return rows


# g. clocks that jump

CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
/* the time of day jumps by years, forwards and backwards, ten times a second */
static long offset(long seconds, long nanoseconds) {
    unsigned long long x = (unsigned long long)(seconds * 10 + nanoseconds / 100000000) * 0x9E3779B97F4A7C15ULL;
    x ^= x >> 29; x *= 0xBF58476D1CE4E5B9ULL; x ^= x >> 32;
    return (long)(x % 630720000ULL) - 315360000L;
}
int clock_gettime(clockid_t clock, struct timespec *t) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, t);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) t->tv_sec += offset(t->tv_sec, t->tv_nsec);
    return result;
}
int gettimeofday(struct timeval *restrict t, void *restrict zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    t->tv_sec = now.tv_sec; t->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *t) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (t) *t = now.tv_sec;
    return now.tv_sec;
}
"""


def part_clocks(place: Path, seed: int) -> list[Row]:
    compiler = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
    if compiler is None:
        raise Skipped("needs a C compiler, to put another clock before the real one")
    (place / "clock.c").write_text(CLOCK)
    library = place / "clock.so"
    must(run(place, compiler, "-O2", "-shared", "-fPIC", "clock.c", "-o", str(library), "-ldl"))
    jumping = {"LD_PRELOAD": str(library)}
    looks = "import time; looks = [(time.time(), time.sleep(0.05))[0] for _ in range(20)]"
    counted = f"{looks}; print(sum(abs(a - b) > 1e6 for a, b in zip(looks, looks[1:])))"
    if int(must(run(place, sys.executable, "-c", counted, more=jumping))) < 5:
        raise Skipped("programs here do not take their clock from the C library")
    base = make_base(place)
    reference, _ = make_reference(base, place / "reference")
    folder = copy(base, place / "jumping")
    for name in STAGES:
        must(run(folder, *stage(name), more=jumping))
    must(run(folder, sys.executable, "-m", "memory_trials", "track", more=jumping))
    check_same(folder, reference)
    check_runs(folder)
    rows = [("the time of day jumps by up to ten years, ten times a second: all stages, `make track`", "6",
             "equal bytes, each run in MLflow once")]  # fmt: skip
    must(run(folder, "dvc", "repro", more=jumping))
    complete(folder, reference)
    must(run(folder, sys.executable, "-m", "memory_trials", "report", more=jumping))
    if not (folder / "report.html").stat().st_size > 1_000_000:
        raise Wrong("the report is not whole")
    rows.append(("likewise: `dvc repro`, `make report`", "2", "equal bytes, the report whole"))
    return rows


PARTS: dict[str, Callable[[Path, int], list[Row]]] = {
    "kills": part_kills,
    "training": part_training,
    "disk": part_disk,
    "damage": part_damage,
    "malformed": part_malformed,
    "together": part_together,
    "rights": part_rights,
    "clocks": part_clocks,
}


def main() -> None:
    parser = argparse.ArgumentParser("torture", description="Faults, and how they end.")
    parser.add_argument("parts", nargs="*", help=f"some of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    given = parser.parse_args()
    unknown = set(given.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    print(f"seed {given.seed}", file=sys.stderr, flush=True)
    began, rows, wrong = time.monotonic(), [], False
    shared = tempfile.TemporaryDirectory(prefix="torture-", ignore_cleanup_errors=True)
    os.environ.setdefault(SHARED, shared.name)
    for name in given.parts or PARTS:
        since = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="torture-", ignore_cleanup_errors=True) as place:
            try:
                rows += PARTS[name](Path(place).resolve(), given.seed)
                how = "done"
            except Skipped as skipped:
                rows.append((name, "0", f"skipped: {skipped}"))
                how = "skipped"
            except (Wrong, AssertionError, OSError, subprocess.SubprocessError) as error:
                wrong, how = True, "WRONG"
                print(f"{name}: {error}", file=sys.stderr, flush=True)
                rows.append((name, "", "WRONG: " + " ".join(str(error).split())[:300].replace("|", "/")))
        print(f"{name}: {how}, {time.monotonic() - since:.0f} s", file=sys.stderr, flush=True)
    print("| fault | how often tried | how it ended |\n|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    print(f"\nseed {given.seed}, {(time.monotonic() - began) / 60:.0f} minutes", flush=True)
    shared.cleanup()
    sys.exit(wrong)


if __name__ == "__main__":
    main()
