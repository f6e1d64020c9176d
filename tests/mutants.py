"""Do the tests notice when the library changes? Mutation testing by mutmut (make mutants)

    python -m tests.mutants [--folder FOLDER] [AREA ...]

mutmut changes the library in one place at a time (a plus to a minus, an argument to None) and runs the tests of that
area. Here an area is a package, or a module, and its own tests. Of an area with more than `MOST` such mutants a sample
is drawn, by `SEED`. A mutant that no test can notice is named, with the reason, in tests/equivalent_mutants.yaml.
Exits with 1 where fewer than `SHARE` of an area's others are noticed.

No areas: training/cluster.py, whose tests take three Ray nodes and minutes; commands/, which is mostly options, and whose
tests start processes or are those of what it calls; and packages whose tests take TensorFlow, a browser or a server.

Not mutated: text, since the wording of messages is not what tests hold; code outside functions, and decorated
functions, which mutmut leaves alone. Left out as equivalent: `False` to `None` in a call, `astype(None)` for
float64, the type in a `cast`, and the text of a ValueError, which the library catches itself.
"""

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parent.parent
EQUIVALENT = Path("tests/equivalent_mutants.yaml")
FOUND = Path("mutants/found.json")  # what a run leaves in the copy
SHARE = 0.9  # of the mutants that could be noticed
MOST, SEED = 400, 0  # mutants that are tried of an area, and what draws them
NOTICED = ("killed", "timeout", "segfault", "suspicious")  # suspicious: another exit code than pytest's


class Area(NamedTuple):
    """What is mutated: paths, as patterns. What should notice: pytest's arguments."""

    code: list[str]
    tests: list[str]


AREAS = {
    "evaluation": Area(["memory_trials/evaluation/*.py"], ["tests/evaluation"]),
    "integrity": Area(["memory_trials/integrity/*.py"], ["tests/integrity"]),
    "tasks": Area(["memory_trials/tasks/*.py", "memory_trials/tasks/endless/*.py"], ["tests/tasks", "tests/people/test_people_files.py"]),
    # not the cluster, which takes Ray; nor tests that start processes or TensorFlow, which take long
    "training": Area(
        ["memory_trials/training/[!c]*.py", "memory_trials/training/cache.py"],
        [f"tests/training/test_{name}.py" for name in ("cache", "job", "shards", "stream_training", "table_shards", "trained")]
        + ["-k", "not xla and not killed and not processes"],
    ),
    "numerics": Area(["memory_trials/numerics/*.py"], ["tests/numerics"]),
    "progress": Area(["memory_trials/progress.py"], ["tests/test_progress.py"]),
    "files": Area(["memory_trials/files.py"], ["tests/test_files.py"]),
    "settings": Area(
        [f"memory_trials/{name}.py" for name in ("settings", "stream_settings", "sections", "parameter_files")],
        ["tests/test_settings.py"],
    ),
    "dependencies": Area(["memory_trials/meaning.py", "memory_trials/studies/dependencies.py"],
        ["tests/test_meaning.py", "tests/studies/test_dependencies.py"],
    ),
}  # fmt: skip


class Mutant(NamedTuple):
    """Return its place, its code and the mutated code; lines of one statement are joined."""

    function: str
    was: str
    becomes: str


def try_area(area: Area) -> list[tuple[Mutant, bool]]:
    """The mutants of an area, and whether they are noticed; in the current folder, which holds a copy of the project."""
    from mutmut import __main__ as mutmut  # which looks for its configuration in the current folder
    from mutmut.configuration import config
    from mutmut.mutation import mutators
    from mutmut.mutation.diff_apply import get_diff_for_mutant
    from mutmut.stats import status_by_exit_code
    from mutmut.workers import isolation

    mutators.mutation_operators[:] = [  # type: ignore[index]
        operator for operator in mutators.mutation_operators if operator[1] is not mutators.operator_string
    ]
    config().only_mutate, config().pytest_add_cli_args_test_selection = area.code, area.tests
    # a limit in processor time is enough for a loop without end; the machine may have others to serve
    register_timeout = isolation.register_timeout
    isolation.register_timeout = lambda pid, seconds: register_timeout(pid, 20 * seconds)
    mutmut.create_mutants = sampled(mutmut.create_mutants)
    mutmut._run((), max_children=len(os.sched_getaffinity(0)))
    return [
        (described(name, get_diff_for_mutant(name, path=data.path)), status_by_exit_code[code] in NOTICED)
        for data in files_of(mutmut)
        for name, code in data.exit_code_by_key.items()
    ]


def sampled(create_mutants: Any) -> Any:
    """mutmut's function, of whose mutants a sample is left; what an earlier run did not notice is tried again."""

    def create(max_children: int) -> Any:
        from mutmut import __main__ as mutmut
        from mutmut.stats import status_by_exit_code

        stats = create_mutants(max_children)
        files = files_of(mutmut)
        names = sorted(name for data in files for name in data.exit_code_by_key)
        sample = set(random.Random(SEED).sample(names, min(MOST, len(names))))
        for data in files:
            data.exit_code_by_key = {
                name: code if status_by_exit_code[code] == "killed" else None
                for name, code in data.exit_code_by_key.items()
                if name in sample
            }
            data.save()
        print(f"{len(sample)} of {len(names)} mutants are tried", file=sys.__stderr__, flush=True)
        return stats

    return create


def files_of(mutmut: Any) -> list[Any]:
    return list(mutmut.collect_source_file_mutation_data(mutant_names=())[1].values())


def described(name: str, diff: str) -> Mutant:
    lines = diff.splitlines()[2:]
    sides = (" ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    function = name.partition("__mutmut_")[0].replace(".x_", ".").replace(".xǁ", ".").replace("ǁ", ".")
    return Mutant(function, *sides)


def is_equivalent_by_rule(mutant: Mutant) -> bool:
    was, becomes = mutant.was, mutant.becomes
    places = [place for place in range(len(was)) if was.startswith("=False", place)]
    false_to_none = any(becomes == f"{was[:place]}=None{was[place + len('=False') :]}" for place in places)
    if was.replace(".astype(np.float64)", ".astype(None)") == becomes:  # NumPy's default
        return True
    if re.sub(r'\bcast\("?[A-Za-z]+"?, ', "cast(None, ", was) == becomes:  # which returns what it is given
        return True
    return false_to_none or (was.startswith("raise ValueError(") and becomes == "raise ValueError(None)")


def copy(folder: Path) -> None:
    """This working tree, since mutmut writes beside what it reads."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for library in (ROOT / "memory_trials/engines/__pycache__").glob("*.so"):  # what `make setup` has compiled
        (folder / library.relative_to(ROOT)).parent.mkdir(exist_ok=True)
        shutil.copy2(library, folder / library.relative_to(ROOT))
    (folder / "mutants/mutmut-stats.json").unlink(missing_ok=True)  # which tests reach what: they may be others now


def equivalent() -> dict[Mutant, str]:
    """Mutants that change nothing that anybody could see, and why."""
    listed = yaml.safe_load((ROOT / EQUIVALENT).read_text(encoding="utf-8")) or []
    return {Mutant(each["function"], each["was"], each["becomes"]): each["why"] for each in listed}


def report(area: str, mutants: list[tuple[Mutant, bool]], known: dict[Mutant, str]) -> tuple[int, int, str]:
    """How many mutants were noticed, of how many that could be, and what is said of it."""
    missed = [m for m, noticed in mutants if not (noticed or m in known or is_equivalent_by_rule(m))]
    noticed = sum(noticed for _, noticed in mutants)
    total = noticed + len(missed)
    lines = [
        f"{area}: {noticed} of {total} are noticed ({noticed / max(1, total):.1%}), {len(mutants) - total} equivalent"
    ]
    lines += [f"  {mutant.function}\n    - {mutant.was}\n    + {mutant.becomes}" for mutant in missed]
    return noticed, total, "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("areas", nargs="*", metavar="AREA", help=f"one of {', '.join(AREAS)}; all, where none is named")
    parser.add_argument("--folder", type=Path, help="keep what is found here; a further run tries what was not noticed")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # this process tries one area
    given = parser.parse_args()
    if given.here:
        FOUND.write_text(json.dumps(try_area(AREAS[given.areas[0]])))
        return
    known, counts = equivalent(), {}
    with tempfile.TemporaryDirectory() as temporary:
        for area in given.areas or AREAS:
            folder = (given.folder or Path(temporary)).resolve() / area
            copy(folder)
            # in a process of its own, which imports the copy and nothing of this folder
            command = ["nice", "-n", "15", sys.executable, folder / "tests/mutants.py", "--here", area]
            subprocess.run(command, cwd=folder, check=True, stdout=sys.stderr)
            mutants = [(Mutant(*mutant), noticed) for mutant, noticed in json.loads((folder / FOUND).read_text())]
            noticed, total, said = report(area, mutants, known)
            print(said, flush=True)
            counts[area] = noticed, total
    noticed, total = map(sum, zip(*counts.values()))
    print(f"{noticed} of {total} mutants are noticed ({noticed / max(1, total):.1%})")
    if poor := [area for area, (noticed, total) in counts.items() if noticed < SHARE * total]:
        sys.exit(f"error: fewer than {SHARE:.0%} of the mutants of {', '.join(poor)} are noticed")


if __name__ == "__main__":
    main()
