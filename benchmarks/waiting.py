"""Seconds that a user waits for each command, and processor seconds with them, in fresh clones of what git has here.

    python -m benchmarks.waiting             (make bench)
    python -m benchmarks.waiting setup studies tests

Medians of three rounds, of what takes long one. DVC's own commands are run in turns with the same commands in a project
of four stages that only echo: machines differ by three times, so what counts is the ratio to that floor.

`repro` and `study` begin from nothing: no artifact, no cache, no trial that was kept, no MLflow database; native.c is
compiled and MLflow's empty tables are there, as `make setup` leaves them. `setup` begins with an empty cache of uv's,
too. The present folder is left as it is.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.tutorial import note

ROOT = Path(__file__).parents[1]
ROUNDS = 3
MEMORY_TRIALS = (sys.executable, "-m", "memory_trials")


def clone(folder: Path) -> Path:
    """The commit that is checked out, without anything that was made of it."""
    subprocess.run(["git", "clone", "--quiet", "--local", str(ROOT), str(folder)], check=True)
    run(folder, sys.executable, "-m", "memory_trials.engines.native")
    run(folder, sys.executable, "-m", "memory_trials.tracking.store")
    return folder


def run(folder: Path, *command: str, **environment: str) -> tuple[float, float]:
    """Wall and processor seconds of a command, which must succeed."""
    paths = {"PYTHONPATH": str(folder), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}  # few have it
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=inherited | paths | environment, capture_output=True, text=True)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def pipeline(place: Path) -> dict[str, tuple[float, float]]:
    folder = clone(place / "pipeline")
    return {
        "repro": run(folder, *MEMORY_TRIALS, "repro"),
        "repro again": run(folder, *MEMORY_TRIALS, "repro"),
        "report": run(folder, *MEMORY_TRIALS, "report"),
        "predict": run(folder, *MEMORY_TRIALS, "predict", "3", "0", "1", "2"),
    }


FLOOR = """stages:
  a: {cmd: echo a > a, outs: [a]}
  b: {cmd: echo b > b, deps: [a], outs: [b]}
  c: {cmd: echo c > c, deps: [b], params: [x], outs: [c]}
  d: {cmd: "echo {} > d.json", deps: [c], metrics: [d.json: {cache: false}]}
"""
COMMANDS = ("repro", "status", "exp show", "params diff", "metrics show", "plots show", "dag")  # of DVC


def dvc(place: Path) -> dict[str, tuple[float, float]]:
    """DVC's commands at the root of a clone with all results of the tutorial, each beside the floor."""
    folder, floor = clone(place / "dvc"), place / "floor"
    run(folder, *MEMORY_TRIALS, "repro")
    floor.mkdir()
    (floor / "dvc.yaml").write_text(FLOOR)
    (floor / "params.yaml").write_text("x: 1\n")
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"], ["dvc", "repro", "-q"]):
        run(floor, *command)
    for project in (folder, floor):
        run(project, "git", "add", "-A")
        run(project, "git", "-c", "user.name=b", "-c", "user.email=b@b", "commit", "-qm", "results", "--allow-empty")
    waits: dict[str, tuple[float, float]] = {}
    for command in COMMANDS:
        for name, project in (("floor", floor), ("here", folder)):
            waits[f"dvc {command}, {name}"] = run(project, "dvc", *command.split())
    return waits


def study(place: Path) -> dict[str, tuple[float, float]]:
    folder = clone(place / "study")
    return {
        "study cells": run(folder, *MEMORY_TRIALS, "study", "cells"),
        "study cells again": run(folder, *MEMORY_TRIALS, "study", "cells"),
    }


def setup(place: Path) -> dict[str, tuple[float, float]]:
    folder = clone(place / "setup")
    if (folder / ".venv").exists():
        sys.exit(".venv is in git, so nothing would be set up")
    return {"setup": run(folder, "make", "setup", PYTHONPATH="", UV_CACHE_DIR=str(place / "uv"))}


def studies(place: Path) -> dict[str, tuple[float, float]]:
    return {"studies": run(clone(place / "studies"), *MEMORY_TRIALS, "studies")}


def tests(place: Path) -> dict[str, tuple[float, float]]:
    folder = clone(place / "tests")
    return {"tests": run(folder, sys.executable, *"-m pytest -n 2 --dist loadfile --no-loadscope-reorder".split())}


OFTEN: tuple[Callable, ...] = (pipeline, dvc, study)
ONCE: tuple[Callable, ...] = (setup, studies, tests)


def main() -> None:
    wanted = sys.argv[1:]
    if unknown := set(wanted) - {part.__name__ for part in OFTEN + ONCE}:
        sys.exit(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(p.__name__ for p in OFTEN + ONCE)}")
    measured: dict[str, list[tuple[float, float]]] = {}
    parts = [part for part in OFTEN + ONCE if part.__name__ in wanted] if wanted else OFTEN
    for round_ in range(ROUNDS):
        for part in parts:
            if round_ == 0 or part in OFTEN:
                with tempfile.TemporaryDirectory() as place:
                    for name, seconds in part(Path(place)).items():
                        measured.setdefault(name, []).append(seconds)
                        print(f"{name}: {seconds[0]:.2f} s, of processors {seconds[1]:.2f} s", flush=True)
    figures = {
        name: {kind: round(median(values), 2) for kind, values in zip(("wall", "processor"), zip(*rounds))}
        for name, rounds in measured.items()
    }
    for command in COMMANDS if "dvc repro, here" in figures else ():
        ratio = figures[f"dvc {command}, here"]["wall"] / figures[f"dvc {command}, floor"]["wall"]
        print(f"dvc {command}: {ratio:.2f} times the floor")
    known = json.loads((ROOT / "benchmarks/results.json").read_text()).get("waiting", {})
    note("waiting", known | figures)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
