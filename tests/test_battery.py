"""The arithmetic of native.c and streaming.c: the same bits by every compiler, for every processor; and its functions,
which are their own."""

import ctypes
import json
import platform
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from memory_trials.engines import compiler
from tests import battery, streaming_battery

pytestmark = pytest.mark.skipif(compiler.compiler() is None, reason="no C compiler")

X86 = {"x86-64-v2": {"sse4_2"}, "x86-64-v3": {"avx2", "fma", "bmi2"}, "x86-64-v4": {"avx512bw", "avx512dq", "avx512vl"}}
ARM = "aarch64-linux-gnu-gcc"
# x86-64-v2 has no fused multiply-add, v4 has vectors of 16
BUILDS = [
    (command, f"-march={name}", level) for command in ("gcc", "clang") for name in X86 for level in ("-O2", "-O3")
]
BUILDS += [(ARM, "-static", level) for level in ("-O2", "-O3")]
# and however many lanes a vector has
STREAMING_BUILDS = [*BUILDS, *(("gcc", "-march=x86-64-v3", f"-DLANES={lanes}") for lanes in (4, 16, 32))]


def missing(command: str, tuning: str) -> str | None:
    """Why this cannot be built or run here."""
    if shutil.which(command) is None:
        return f"no {command} on this machine"
    if command == ARM:
        return None if shutil.which("qemu-aarch64") else "no qemu-aarch64 on this machine (Debian: qemu-user)"
    name = tuning.removeprefix("-march=")
    if platform.machine() != "x86_64" or not X86[name] <= set(compiler.processor().split()):
        return f"this processor does not run what is built for {name}"
    return None


def built_from(source, builds, folder):
    """Programs by how they are built, two compilers at a time."""
    paths = {of: folder / str(number) for number, of in enumerate(builds) if missing(*of[:2]) is None}
    with ThreadPoolExecutor(2) as pool:
        for _ in pool.map(lambda item: battery.build([item[0][0]], list(item[0][1:]), item[1], source), paths.items()):
            pass
    return paths


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return built_from(battery.SOURCE, BUILDS, tmp_path_factory.mktemp("builds"))


@pytest.fixture(scope="module")
def built_streaming(tmp_path_factory):
    return built_from(streaming_battery.SOURCE, STREAMING_BUILDS, tmp_path_factory.mktemp("streaming"))


@pytest.fixture(scope="module")
def given() -> bytes:
    return b"".join(map(battery.written, battery.cases()))


@pytest.fixture(scope="module")
def known() -> dict[str, str]:
    return json.loads(battery.DIGEST.read_text())


@pytest.mark.parametrize("of", BUILDS, ids=" ".join)
def test_every_compiler_makes_the_same_bits_for_every_processor(of, built, given, known):
    if reason := missing(*of[:2]):
        pytest.skip(reason)
    emulated = ["qemu-aarch64"] if of[0] == ARM else []
    assert battery.digest_of([*emulated, str(built[of])], given) == known


@pytest.fixture(scope="module")
def streams() -> bytes:
    return b"".join(map(streaming_battery.written, streaming_battery.cases()))


@pytest.mark.parametrize("of", STREAMING_BUILDS, ids=" ".join)
def test_so_it_is_with_streams(of, built_streaming, streams):
    if reason := missing(*of[:2]):
        pytest.skip(reason)
    emulated = ["qemu-aarch64"] if of[0] == ARM else []
    found = battery.run([*emulated, str(built_streaming[of])], streams)
    assert streaming_battery.digest(found) == json.loads(streaming_battery.DIGEST.read_text())["trials"]


def test_the_library_of_streams_makes_these_bits_too():
    results = [streaming_battery.trained(case) for case in streaming_battery.cases()]
    known = json.loads(streaming_battery.DIGEST.read_text())["trials"]
    assert streaming_battery.digest(b"".join(results)) == known
    nan = np.float32(np.nan).tobytes()
    assert len(set(results)) == len(results) > 40 and sum(nan in result for result in results) > 10


def test_the_library_makes_these_bits_too(known):
    """As it is compiled here for use, through ctypes."""
    results = b"".join(map(battery.trained, battery.cases()))
    assert battery.digest(results, {})["trials"] == known["trials"]


def test_how_the_caller_rounds_does_not_matter():
    """Nor whether numbers are flushed to zero, as they are when battery.c begins."""
    library = ctypes.CDLL(None)
    before, upward = library.fegetround(), {"x86_64": 0x800, "aarch64": 0x400000}.get(platform.machine())
    if upward is None:
        pytest.skip("how this processor rounds upward is not known here")
    cases = list(battery.cases())[:40]
    expected = [battery.trained(case) for case in cases]
    programs = [case.program() for case in cases]
    states = [program.start(case.weights(program.shapes)) for case, program in zip(cases, programs)]
    orders = [case.order() for case in cases]
    library.fesetround(upward)
    try:
        results = [p.run(s, np.array(c.checks), o) for p, s, c, o in zip(programs, states, cases, orders)]
        after = library.fegetround()
    finally:
        library.fesetround(before)
    assert after == upward  # and it is left as it was
    found = [b"".join(a.tobytes() for a in (*vars(s).values(), losses, *said.values()))
             for s, (losses, said) in zip(states, results)]  # fmt: skip
    assert found == expected


def test_the_battery_is_of_use(given):
    """It comes to NaN, to saturation and to fading, and what it draws needs no function of a library."""
    results = [battery.trained(case) for case in battery.cases()]
    assert len(set(results)) == len(results) > 200
    names = [case.name for case in battery.cases()]
    assert len(set(names)) == len(names)
    nan = np.float32(np.nan).tobytes()
    assert sum(nan in result for result in results) > 30
    assert battery.Draws("a").integers(0, 1000, (4,)).tolist() == battery.Draws("a").integers(0, 1000, (4,)).tolist()


def results_of(program, function: str, x: np.ndarray) -> np.ndarray:
    return np.frombuffer(battery.run([str(program), function], x.tobytes()), np.float32)


def in_ulp(found: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """How many units in the last place of the exact result, rounded to single precision, are between them."""
    return np.abs(found - exact) / np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)


RANGES = {  # function: from, to, by the book, units in the last place at most
    "tanh_of": (-np.inf, np.inf, np.tanh, 6),
    "exp_of": (-87.0, 0.0, np.exp, 2),
    "log_of": (2.0**-126, 3.4e38, np.log, 3),
    "log2_of": (2.0**-126, 3.4e38, np.log2, 3),
    "log1p_of": (0.0, 1.0, np.log1p, 3),
}


@pytest.fixture(scope="module")
def program(built):
    if not built:
        pytest.skip("nothing can be built here")
    return next(iter(built.values()))


@pytest.mark.parametrize("function", RANGES)
def test_functions_are_those_of_the_book(function, program):
    first, last, by_the_book, bound = RANGES[function]
    x = battery.floats(2003)  # two million
    x = np.concatenate(
        [x[(x >= first) & (x <= last)], np.float32([first, last, 1.0, 0.9999999, 1.0000001][: 2 if first < -1 else 5])]
    )
    x = x[(x >= first) & (x <= last)]
    exact = by_the_book(x.astype(np.float64))
    assert len(x) > 20_000 and in_ulp(results_of(program, function, x), exact).max() <= bound


def test_functions_at_their_ends(program):
    of = lambda function, *x: results_of(program, function, np.float32(x)).tolist()
    assert of("tanh_of", 0.0, np.inf, -np.inf, 1e-45) == [0.0, 1.0, -1.0, np.float32(1e-45)]
    assert of("exp_of", 0.0, -np.inf) == [1.0, of("exp_of", -87.0)[0]]
    assert of("log_of", 1.0) == of("log2_of", 1.0) == of("log1p_of", 0.0) == [0.0]
    assert of("log2_of", *(2.0**n for n in range(-126, 128))) == list(range(-126, 128))
    for function in battery.FUNCTIONS:
        assert np.isnan(of(function, np.nan))[0]


def test_no_tanh_is_beyond_one(program):
    x = np.arange(*np.float32([7, 9]).view(np.uint32), dtype=np.uint32).view(np.float32)
    found = results_of(program, "tanh_of", x)
    assert found.max() == 1.0 and (found[x >= np.float32(8.06)] == 1.0).all()


def test_outputs_are_asked_as_steeply_as_by_numpy(program):
    x = battery.floats(2003)
    x = x[np.isfinite(x)]
    exact = np.tanh(x.astype(np.float64))
    wrong = np.abs(results_of(program, "output_tanh_of", x) - exact)
    assert wrong.max() <= 2.0**-23 and wrong[np.abs(x) > 4].max() <= 2.0**-24
    assert (results_of(program, "output_tanh_of", x[x > 9.02]) == 1.0).all()


def test_fast_math_is_refused(tmp_path):
    with pytest.raises(subprocess.CalledProcessError) as caught:
        battery.build(compiler.compiler(), ["-ffast-math"], tmp_path / "fast")
    assert "fast-math would give other bits" in caught.value.stderr
