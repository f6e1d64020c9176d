"""Faults for tests/test_faults.py and tests/fault_battery.py: damaged files, malformed input, clocks that jump; and how a
command that meets one must end."""

import contextlib
import ctypes
import hashlib
import io
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from memory_trials import files
from memory_trials.errors import UserError, exit_on_user_error
from memory_trials.serving import predictor
from memory_trials.settings import Settings
from memory_trials.tasks import encoding, problems
from memory_trials.training import cache
from memory_trials.training.trained import read_trained
from tests import untrained

LONGEST = 400  # characters of a sentence
YEARS = 10 * 365 * 86400.0


class Wrong(AssertionError):
    """Something ended otherwise than it should."""


def bound_by_rights() -> None:
    """Before a program is run by root: without its capabilities to pass over the rights of files (Linux's
    PR_CAPBSET_DROP of CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH), it is bound by them as anybody."""
    if os.getuid() == 0:
        library = ctypes.CDLL(None)
        for capability in (1, 2):
            library.prctl(24, capability, 0, 0, 0)


def rights_bind(folder: Path) -> bool:
    """Whether that works here."""
    locked = folder / "locked"
    locked.mkdir()
    locked.chmod(0o555)
    code = ["-c", "open('locked/file', 'w')"]
    done = subprocess.run([sys.executable, *code], cwd=folder, capture_output=True, preexec_fn=bound_by_rights)
    return done.returncode == 1 and b"PermissionError" in done.stderr


def check_sentence(said: str, *names: str) -> str:
    """The one line that a command that ends with a mistake says; names: one of them must be in it."""
    lines = said.splitlines()
    if len(lines) != 1 or not said.startswith("error: ") or len(said) > LONGEST or not lines[0].isprintable():
        raise Wrong(f"not one sentence: {said[-2000:]!r}")
    if names and not any(name in said for name in names):
        raise Wrong(f"names none of {names}: {said!r}")
    return lines[0]


def message_of(command: Callable[[], None], *names: str) -> str | None:
    """Run a stage's or a command's main as it is run, in this process; its sentence, None where it did its work."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            exit_on_user_error(command)
        except SystemExit as end:
            if end.code != 1:
                raise Wrong(f"it ended with {end.code}") from None
        else:
            return None
    return check_sentence(said.getvalue(), *names)


def snapshot(folder: Path) -> dict[str, str]:
    """Every file below a folder, by its content."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# damaged files


def flipped(content: bytes, place: int, bit: int) -> bytes:
    return content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :]


def damages(content: bytes, count: int, chance: random.Random) -> Iterator[tuple[str, bytes]]:
    """So many contents with a changed bit, so many cut short, and some with a stretch of zeros, or more at the end."""
    for _ in range(count):
        yield "a bit flipped", flipped(content, chance.randrange(len(content)), chance.randrange(8))
    for _ in range(count):
        yield "cut short", content[: chance.randrange(len(content))]
    for _ in range(count // 4):
        first = chance.randrange(len(content))
        length = min(chance.choice((1, 64, 512, 4096)), len(content) - first)
        changed = content[:first] + bytes(length) + content[first + length :]
        if changed != content:
            yield "a stretch of zeros", changed
    yield "more at the end", content + b"\0"


def _arrays(named: dict) -> dict:
    plain = {name: np.asarray(value) for name, value in named.items()}
    return {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in plain.items()}


def _read_trained(path: Path):
    training_inputs, trained = read_trained(path)
    parts = dict(vars(trained))
    return training_inputs, _arrays(parts.pop("weights")), _arrays(parts.pop("met_criterion_at")), _arrays(parts)


def _read_memory(path: Path):
    parts = dict(vars(predictor.read(path)))
    return _arrays(parts.pop("weights")), parts


READERS: dict[str, Callable] = {  # of the files that stages and commands read: what is in them, in comparable form
    "sequences.json": lambda path: problems.read_problem(path),
    "table.npz": lambda path: _arrays(vars(encoding.read_table(path))),
    "trained.npz": _read_trained,
    "memory.npz": _read_memory,
}
RECORDED = ("metrics.json", "trials.csv", "predictions.csv", "learned.csv", "time_to_learn.csv", "loss.csv",
            "confusion.csv", "model.keras", "answer.svg")  # fmt: skip


def write_lock(folder: Path) -> None:
    """A dvc.lock that records what is in data/tutorial/."""
    outs = [
        {"path": path.relative_to(folder).as_posix(), "md5": hashlib.md5(path.read_bytes()).hexdigest()}
        for path in sorted((folder / "data/tutorial").iterdir())
    ]
    files.write_text(folder / "dvc.lock", yaml.safe_dump({"stages": {"evaluate": {"outs": outs}}}))


@contextlib.contextmanager
def here(folder: Path) -> Iterator[Path]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield folder
    finally:
        os.chdir(before)


def meet_damage(folder: Path, count: int, chance: random.Random) -> dict[str, list[int]]:
    """Damage each kind of file in so many ways; how often that was refused in one sentence, and how often it was
    harmless, since what is read is the same. Anything else is `Wrong`. Makes its files in the folder, where there are none."""
    ended: dict[str, list[int]] = {}
    with here(folder):
        if not Path("data").exists():
            untrained.write_here()
        write_lock(folder)
        tutorial = folder / "data/tutorial"
        for name, read in READERS.items():
            path = tutorial / name
            others = [
                path.read_bytes().replace(b'"version": 4', b'"version": 5'),  # in the text
                path.read_bytes().replace(_wide("memory-trials"), _wide("memory_trials")),  # in the arrays
            ]
            _damage_one(path, read, count, chance, others, ended.setdefault(name, [0, 0]))
        for name in RECORDED:
            _damage_one(tutorial / name, lambda _: files.check_recorded(), count // 4, chance, [],
                        ended.setdefault("text and pictures", [0, 0]), harmless=False)  # fmt: skip
        store = cache.TrialCache(folder / ".shards", 100)
        for kind in (cache.TRIALS, cache.CHECKPOINT):
            batch = {"seeds": np.arange(9), "done": np.full(9, 4), "losses": np.arange(18.0).reshape(9, 2),
                    "learned": np.zeros((9, 1), bool), "state/parameters": np.ones((9, 30), np.float32)}  # fmt: skip
            store.write(kind, "key", batch)
            path = store.path(kind, "key", batch["seeds"])

            def read_shard(path: Path, kind: str = kind):
                found = list(store.read(kind, "key"))
                if not found:
                    raise UserError(f"{path} is damaged")
                return _arrays(found[0][1])

            with contextlib.redirect_stdout(io.StringIO()):  # its notes
                _damage_one(path, read_shard, count, chance, [], ended.setdefault("files in .shards/", [0, 0]))
    return ended


def _wide(text: str) -> bytes:
    """As NumPy keeps it."""
    return text.encode("utf-32-le")


def _damage_one(path, read, count, chance, others, ended, harmless: bool = True) -> None:
    content = path.read_bytes()
    expected = read(path)
    cases = [*damages(content, count, chance), *(("another version", other) for other in others if other != content)]
    for how, damaged in cases:
        path.write_bytes(damaged)
        try:
            found = read(path)
        except UserError as error:
            check_sentence(f"error: {error}", path.name, "dvc.lock")
            ended[0] += 1
        else:
            if not harmless or found != expected:
                raise Wrong(f"{path.name}, {how}: taken for another content")
            ended[1] += 1
    path.write_bytes(content)


# malformed parameters and sequences

_scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
    | st.sampled_from([10**30, -(10**30), 2**63, 1e308, "x" * 5000, "\0", "\u202e", "\ufeff", "null", "1e999", "\u0663", "\uff41"])
)  # fmt: skip
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner)
)
_sections = {name: list(field.annotation.model_fields) for name, field in Settings.model_fields.items()}
_knobs = [
    (section, key) for section, keys in _sections.items() for key in keys if (section, key) != ("compute", "threads")
]
GOOD = {"problem": {"sequences": [[3, 0, 1, 2, 3], [4, 0, 1, 2, 4]]}}


def _dumped(content) -> bytes:
    return yaml.safe_dump(content, allow_unicode=True).encode("utf-8", "surrogatepass")


@st.composite
def _one_knob_wrong(draw) -> bytes:
    section, key = draw(st.sampled_from(_knobs))
    key = draw(st.just(key) | st.text(max_size=300))
    return _dumped(GOOD | {section: GOOD.get(section, {}) | {key: draw(_values)}})


@st.composite
def _whole_sections(draw) -> bytes:
    names = st.sampled_from(list(_sections)) | st.text(max_size=9)
    return _dumped(draw(st.dictionaries(names, _values, max_size=4) | _values))


_snippets = st.sampled_from([
    b"\0", b"\t", b"\x1b[31m", b"\x85", b"\xff", b"\xc3", b"\xed\xa0\x80", "\u2028".encode(), "\ufeff".encode(), b"&a ", b"*a ",
    b"!!python/object:os.system ", b"!!binary ", b"!!set ", b"!x ", b"<<: ", b"? ", b"- ", b": ", b"|", b">", b"%YAML 9.9\n", b"---\n",
    b"...\n", b"'", b'"', b"[", b"{", b"}", b"]", b"@", b"`", b"=", b"~", b"2020-13-45", b"1:99:99", b"0b", b"0x", b"9" * 5000,
    b"[" * 1000, b"{a: " * 1000, b"- " * 1000, b"problem: 1\nproblem: 2\n", b"\n  trials: 1\n  trials: 2\n", b"\r", b"#",
])  # fmt: skip


@st.composite
def _patched(draw) -> bytes:
    """The text of params.yaml with something put into it, or taken out."""
    text = files.read_bytes(Path(__file__).parent.parent / "params.yaml")
    lines = [line for line in text.splitlines(keepends=True) if line.strip() and not line.strip().startswith(b"#")]
    text = b"".join(lines)
    for _ in range(draw(st.integers(1, 3))):
        first = draw(st.integers(0, len(text)))
        text = text[:first] + draw(_snippets | st.just(b"")) + text[first + draw(st.integers(0, 30)) :]
    return text


@st.composite
def _bombs(draw) -> bytes:
    """A few lines of aliases that unfold to gigabytes, or that hold themselves."""
    width, depth = draw(st.integers(5, 20)), draw(st.integers(8, 30))
    lines = ["a0: &a0 [x, y]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, depth)]
    where = draw(
        st.sampled_from(["model: {cell_options: {a: *LAST}}", "problem: {sequences: *LAST}", "training: *LAST"])
    )
    itself = draw(st.sampled_from(["problem: &p {sequences: [*p]}", "model: &m {cell_options: *m}"]))
    return draw(st.sampled_from(["\n".join([*lines, where.replace("LAST", f"a{depth - 1}")]), itself])).encode()


PARAMETERS = _one_knob_wrong() | _whole_sections() | _patched() | _bombs() | st.binary(max_size=80) | st.builds(
    lambda text, how: text.encode(how, "surrogatepass"), st.text(max_size=40), st.sampled_from(["utf-16", "utf-32", "utf-8"])
)  # fmt: skip

BLOCK = {"question": "q", "source": "s", "grid": {"model.units": [2, 3]}}


@st.composite
def _studies(draw) -> bytes:
    """experiments/studies.yaml with one study, which is called mine."""
    key = st.sampled_from(["question", "set", "grid", "arms", "search", "answer", "source"]) | st.text(max_size=9)
    dotted = st.sampled_from(["model.units", "training.epochs, model.units", "problem.file", "model", "", ".", "x.y.z"])
    grids = st.dictionaries(dotted | st.text(max_size=5), _values, max_size=3)
    arms = st.lists(st.fixed_dictionaries({}, optional={"name": _values, "set": grids, "grid": grids}), max_size=3)
    search = st.fixed_dictionaries(
        {"proposals": st.integers(-1, 3)}, optional={"integers": grids, "floats": grids, "choices": grids}
    )
    block = BLOCK | {draw(key): draw(_values | grids | arms | search)}
    defaults = draw(st.just(GOOD) | st.just(GOOD) | _values)
    return _dumped({"defaults": defaults, "studies": {draw(st.just("mine") | _scalars): block}} | draw(
        st.just({}) | st.just({}) | st.dictionaries(_scalars.filter(lambda key: key == key), _values, max_size=2)
    ))  # fmt: skip


STUDIES = _studies() | _studies() | st.binary(max_size=60)

_cells = st.text(max_size=6) | st.integers().map(str) | st.sampled_from(
    ["", '"', '"a', "\0", "\u2028", "\ufeff", "nan", "inf", "1e400", "9" * 5000, "x" * 140_000, "\x1b[2J", "\r"]
)  # fmt: skip
_csv = st.lists(st.lists(_cells, max_size=4).map(",".join), max_size=4).map("\n".join)
_json_values = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
)
_json = st.lists(_json_values.map(json.dumps) | st.lists(_scalars, max_size=4).map(json.dumps) | st.sampled_from(
    ["[" * 50_000, "[" * 900 + "]" * 900, '["\\ud800", 1]', "[1e999, 1]", "[" + "9" * 5000 + "]", '["a\u2028b"]', "[1,,2]", "\0"]
), max_size=4).map("\n".join)  # fmt: skip
_encodings = st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-16", "latin-1"])
SEQUENCE_FILES = st.tuples(
    st.sampled_from(["mine.csv", "mine.jsonl"]),
    st.builds(lambda text, how: text.encode(how, "replace"), _csv | _json, _encodings) | st.binary(max_size=50),
) | st.tuples(
    st.text(max_size=9) | st.sampled_from(["a\0.csv", "../x.csv", "a\n.csv", 300 * "a" + ".csv"]), st.just(b"1,2\n")
)


def meet_malformed(folder: Path, kind: str, wanted: int, number: int, examples: int = 200) -> tuple[int, list[bytes]]:
    """Give the first stages malformed files of a kind, until they have refused so many different ones; how many they
    refused, and the params.yaml of the first few. What turns out to be valid does not count. Seeded by the number."""
    from stages import encode, generate_data

    refused: set[bytes] = set()
    some: list[bytes] = []
    with here(folder):
        for name in ("data/problems", "data/tutorial", "experiments/data/studies/mine"):
            Path(name).mkdir(parents=True, exist_ok=True)
        for name in ("sequences.json", "table.npz", "trained.npz", "metrics.json"):
            Path("data/tutorial", name).write_text("an earlier result")

        def attempt(parameters: bytes, names: tuple[str, ...], study: tuple[str, ...] = (), also: bytes = b"") -> None:
            before, arguments = snapshot(folder / "data"), sys.argv
            sys.argv = ["stage", *study]
            try:
                said = message_of(generate_data.main, *names)
                if said is None:  # the sequences are valid; the table may not be
                    made = Path("data/tutorial/sequences.json")
                    before = before | {
                        "tutorial/sequences.json": snapshot(folder / "data").get("tutorial/sequences.json")
                    }
                    said = message_of(encode.main, *names) if not study and made.stat().st_size < 10_000 else None
            except Wrong as wrong:
                raise Wrong(f"{kind}: {parameters[:500]!r} {also[:300]!r}: {wrong}") from None
            finally:
                sys.argv = arguments
            if said is None:
                return
            if snapshot(folder / "data") != before:
                raise Wrong(f"{kind}: {parameters[:300]!r}: something was overwritten")
            refused.add(parameters + also)
            if len(some) < 40:
                some.append(parameters)

        def parameters(content: bytes) -> None:
            Path("params.yaml").write_bytes(content)
            attempt(content, ("params.yaml", "data/problems"))

        def sequences(case: tuple[str, bytes]) -> None:
            name, content = case
            with contextlib.suppress(OSError, ValueError):  # some names cannot be
                Path("data/problems", Path(name).name).write_bytes(content)
            given = _dumped({"problem": {"file": name}})
            Path("params.yaml").write_bytes(given)
            attempt(given, ("params.yaml", "data/problems"), also=content)
            with contextlib.suppress(OSError, ValueError):
                Path("data/problems", Path(name).name).unlink()

        def studies(content: bytes) -> None:
            Path("experiments/studies.yaml").write_bytes(content)
            attempt(content, ("experiments/studies.yaml", "data/problems"), ("mine",))

        meet, strategy = {
            "parameters": (parameters, PARAMETERS),
            "sequences": (sequences, SEQUENCE_FILES),
            "studies": (studies, STUDIES),
        }[kind]
        patient = settings(max_examples=examples, database=None, deadline=None, suppress_health_check=list(HealthCheck),
                           phases=[Phase.generate])  # fmt: skip
        while len(refused) < wanted:
            seed(number)(patient(given(strategy)(meet)))()
            number += 1
    return len(refused), some


# clocks


@contextlib.contextmanager
def jumping_clocks(chance: random.Random) -> Iterator[None]:
    """Each look at a clock of `time` is years before or after the last one."""
    real = {name: getattr(time, name) for name in ("time", "monotonic", "time_ns", "monotonic_ns")}
    for name, clock in real.items():
        factor = 1_000_000_000 if name.endswith("_ns") else 1
        jump = lambda clock=clock, factor=factor: clock() + factor * int(chance.uniform(-YEARS, YEARS))
        setattr(time, name, jump)
    try:
        yield
    finally:
        for name, clock in real.items():
            setattr(time, name, clock)
