"""Everything that can go wrong around the pipeline, made to go wrong: does it still end right, or in one sentence?

python -m tests.fault_battery                       (make faults: all parts, about an hour on two busy cores)
python -m tests.fault_battery kills disk --seed 7   (some parts: kills, training, disk, damage, malformed, together, rights, clocks)

Prints what was tried and how it ended as a Markdown table; exits with 1 where anything ended otherwise than it should.
What did not really happen (a kill that came after the end, an input that turned out to be valid) is not counted.
"""

import argparse
import collections
import contextlib
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
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests import faults, kills
from tests.clones import (
    COMMANDS,
    SHARED,
    STAGES,
    Row,
    Skipped,
    check_runs,
    check_same,
    check_whole,
    complete,
    copy,
    environment,
    left_over,
    make_base,
    make_reference,
    md5,
    must,
    outputs,
    refused,
    run,
    said,
    stage,
    start,
)
from tests.conftest import ROOT
from tests.faults import Wrong
from tests.unwritable import part_disk, part_rights

WORKERS = 2
BUSY = ("Unable to acquire lock", "is busy, it is being blocked by")  # DVC's words for: somebody else is at work


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
    for name in COMMANDS:
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
    spread = ", ".join(f"{name} {counts[name]}" for name in COMMANDS)
    return (
        "`kill -9` of one stage's command, run without DVC over an earlier result",
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


# c. damaged files


def part_damage(place: Path, seed: int, count: int = 400) -> list[Row]:
    rows = []
    (place / "files").mkdir()
    for name, (noticed, harmless) in faults.meet_damage(place / "files", count, random.Random(seed)).items():
        rows.append((f"{name} damaged: bits flipped, cut short, zeros, another version", str(noticed + harmless),
                     f"{noticed} noticed in one sentence, {harmless} harmless (the content read is equal)"))  # fmt: skip
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
        for number, words in enumerate(commands):
            half = len(whole) // 2
            damaged = whole[:half] if number % 2 else faults.flipped(whole, chance.randrange(half // 2, half), 2)
            path.unlink()
            path.write_bytes(damaged)
            done = run(folder, *words)
            if words == command("check", "HEAD"):
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
        ("studies", "experiments/studies.yaml"),
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
        for name in ("train", "evaluate", "publish"):
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
        (
            "two of one stage's command at once, without DVC",
            str(tried),
            "both ended; equal bytes, each run in MLflow once",
        )
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
    for name in COMMANDS:
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
    parser = argparse.ArgumentParser("faults", description="Faults, and how they end.")
    parser.add_argument("parts", nargs="*", help=f"some of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    given = parser.parse_args()
    unknown = set(given.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    print(f"seed {given.seed}", file=sys.stderr, flush=True)
    began, rows, wrong = time.monotonic(), [], False
    shared = tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True)
    os.environ.setdefault(SHARED, shared.name)
    for name in given.parts or PARTS:
        since = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as place:
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
