"""Tasks whose results must have the same bits on every machine, and one digest of them all, which is in git.

`python -m tests.battery` renews the digest, where the arithmetic of native.c is meant to change.
"""

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from memory_trials.engines import native
from memory_trials.engines.compiler import FLAGS
from memory_trials.tasks.encoding import UpdateTable

SOURCE = Path(__file__).with_name("battery.c")
DIGEST = Path(__file__).with_name("battery.json")
INTEGERS = np.int64
FUNCTIONS = ("tanh_of", "output_tanh_of", "exp_of", "log_of", "log2_of", "log1p_of")
SHAPES = (  # units, symbols, inputs, features; batch, steps, updates: odd, less than a vector, more than a block
    (7, 3, 5, 1, 1, 1, 6), (20, 5, 5, 1, 1, 4, 3), (17, 9, 4, 2, 3, 2, 3), (1, 2, 3, 1, 2, 5, 2), (33, 17, 6, 3, 1, 3, 2),
    (5, 1, 2, 1, 1, 40, 1), (16, 4, 4, 1, 2, 35, 2),
)  # fmt: skip
GROUPS = 2  # sets of candidates in a task, as in battery.c
RESETS = ("never", "first", "anywhere")


@dataclass(frozen=True)
class Case:
    """What native.Program and its run take; weights: a list of [T, ...]."""

    name: str
    kinds: tuple[str, int, str, str, float]  # cell, units, output, optimizer, learning rate
    table: UpdateTable
    scale: float  # weights are multiples of scale / 128
    checks: tuple[int, ...]
    shuffled: bool = False
    wrong: float | None = None  # the first weight of the last trial
    trials: int = 2

    def program(self) -> native.Program:
        return native.Program(*self.kinds, self.table)

    def weights(self, shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
        draw = Draws(self.name)
        arrays = [draw.fractions((self.trials, *shape), self.scale) for shape in shapes]
        if self.wrong is not None:
            arrays[0][-1].flat[:] = np.float32(self.wrong)
        return arrays

    def order(self) -> np.ndarray | None:
        if not self.shuffled:
            return None
        shape = (self.trials, self.checks[-1], len(self.table.x))
        return Draws(self.name + "order").integers(0, 2**40, shape).argsort(axis=-1, kind="stable").astype(np.int32)


class Draws:
    """Integers and simple fractions that are the same on every machine: a counter-based generator's raw words."""

    def __init__(self, name: str):
        self._words = np.random.Philox(key=int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))

    def integers(self, first: int, end: int, shape: tuple[int, ...]) -> np.ndarray:
        words = self._words.random_raw(int(np.prod(shape))) >> np.uint64(8)
        return (words % np.uint64(end - first)).astype(np.int64).reshape(shape) + first

    def fractions(self, shape: tuple[int, ...], scale: float) -> np.ndarray:
        return (self.integers(-128, 129, shape) * scale / 128).astype(np.float32)

    def chances(self, in_256: int, shape: tuple[int, ...]) -> np.ndarray:
        return self.integers(0, 256, shape) < in_256


def make_table(
    name: str, symbols: int, inputs: int, features: int, batch: int, steps: int, updates: int, reset: str
) -> UpdateTable:
    draw = Draws(name)
    shape = (updates, steps, batch)
    resets = {
        "never": np.zeros(shape[:2], bool), "first": np.arange(steps) + np.zeros((updates, 1), int) == 0,
        "anywhere": draw.chances(256 // steps, shape[:2]),
    }  # fmt: skip
    step_mask = draw.chances(224, shape)
    table = UpdateTable(
        inputs=inputs, symbols=symbols, x=draw.integers(-1, inputs, (*shape, features)).astype(np.int32),
        y=draw.integers(0, symbols, shape).astype(np.int32), step_mask=step_mask, loss_mask=step_mask & draw.chances(160, shape),
        reset=resets[reset], detach=draw.chances(128 // steps, shape[:2]), block=np.arange(updates, dtype=np.int32),
        eval_x=draw.integers(-1, inputs, (3, 4, features)).astype(np.int32),
        eval_y=draw.integers(0, symbols, (3, 4)).astype(np.int32), eval_mask=draw.chances(40, (3, 4)),
        candidates=draw.integers(0, symbols, (GROUPS, 3)).astype(np.int32),
        eval_group=draw.integers(-1, GROUPS, (3, 4)).astype(np.int32), eval_position=np.zeros((3, 4, 2), np.int32),
        eval_frequency=draw.integers(1, 9, (3, 4)).astype(np.float32) / np.float32(4),
    )  # fmt: skip
    table.candidates[1, -1] = -1  # a smaller set
    table.eval_group[~table.eval_mask] = -1
    return table


def cases() -> Iterator[Case]:
    """Every cell, output, optimizer, way to reset, batch and window; and what goes wrong or fades."""
    rates = {"adam": 0.01, "rmsprop": 0.01, "sgd": 0.5}
    kinds = product(native.CELLS, native.OUTPUTS, native.OPTIMIZERS, RESETS, SHAPES)
    for number, (cell, output, optimizer, reset, (units, symbols, inputs, *sizes)) in enumerate(kinds):
        name = f"{cell} {units} {output} {symbols} {optimizer} reset {reset} {sizes}"
        table = make_table(name, symbols, inputs, *sizes, reset)
        of_model = (cell, units, output, optimizer, rates[optimizer])
        yield Case(name, of_model, table, (0.5, 4.0)[number % 2], (1, 4), shuffled=number % 3 == 0)
    for cell, output, optimizer in product(native.CELLS, native.OUTPUTS, native.OPTIMIZERS):
        name = f"{cell} {output} {optimizer} goes wrong"
        table = make_table(name, 5, 4, 1, 1, 3, 4, "first")
        for wrong in (np.nan, np.inf, 3e38):
            yield Case(f"{name} {wrong}", (cell, 6, output, optimizer, 0.01), table, 0.5, (1, 2), wrong=wrong)
        yield Case(f"{name} at once", (cell, 6, output, optimizer, 1e38), table, 0.5, (1, 3))
    for cell in native.CELLS:
        # gradients fade on their way back to the first step, the only one with a 2
        name = f"{cell} fades"
        table = make_table(name, 3, 3, 1, 1, 80, 1, "first")
        table.x[:] = np.where(np.arange(80)[:, np.newaxis, np.newaxis], table.x % 2, 2)
        table.loss_mask[:, :-1], table.detach[:], table.step_mask[:], table.loss_mask[:, -1] = False, False, True, True
        yield Case(name, (cell, 9, "sigmoid", "adam", 0.001), table, 0.25, (2,))
        # and slots in 1,500 updates
        name = f"{cell} fades slowly"
        table = make_table(name, 3, 3, 1, 1, 1, 2, "first")
        table.loss_mask[:] = table.step_mask[:] = True
        yield Case(name, (cell, 3, "softmax", "adam", 0.5), table, 4.0, (750,), trials=1)


def trained(case: Case) -> bytes:
    """What native.Program makes of a case."""
    program = case.program()
    state = program.start(case.weights(program.shapes))
    losses, found = program.run(state, np.array(case.checks), case.order())
    return b"".join(array.tobytes() for array in (*vars(state).values(), losses, *found.values()))


def written(case: Case) -> bytes:
    """A case as battery.c reads it."""
    program = case.program()
    task = bytes(program._task)[: 14 * 4]
    arrays = (getattr(case.table, name).astype(kind).tobytes() for name, kind in native._ARRAYS.items())
    order = case.order()
    numbers = np.array([case.trials, len(case.checks), order is not None, *case.checks], INTEGERS)
    parameters = program.start(case.weights(program.shapes)).parameters
    return b"".join((task, *arrays, numbers.tobytes(), parameters.tobytes(), b"" if order is None else order.tobytes()))


def floats(every: int) -> np.ndarray:
    """Every so many of all floats: of both signs, subnormal, infinite, NaN."""
    return np.arange(0, 2**32, every, dtype=np.uint32).view(np.float32)


def build(compiler: list[str], tuning: list[str], path: Path, source: Path = SOURCE) -> None:
    """battery.c, or another one, with the engine in it, with the flags that it is compiled with; later ones count."""
    flags = [flag for flag in FLAGS if flag not in ("-shared", "-fPIC")]
    command = [*compiler, *flags, *tuning, "-I", str(native.LIBRARY.source.parent), str(source), "-o", str(path), "-lm"]
    subprocess.run(command, check=True, capture_output=True, text=True)


def run(command: list[str], given: bytes) -> bytes:
    return subprocess.run(command, input=given, check=True, capture_output=True).stdout


def digest(results: bytes, functions: dict[str, bytes]) -> dict[str, str]:
    name = lambda content: hashlib.sha256(content).hexdigest()[:32]
    return {"trials": name(results)} | {function: name(content) for function, content in functions.items()}


def digest_of(command: list[str], given: bytes) -> dict[str, str]:
    """Of a program that `build` has made, `given` being all cases as written."""
    points = floats(99_991).tobytes()
    return digest(run(command, given), {function: run([*command, function], points) for function in FUNCTIONS})


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "battery")
        build(["cc"], [], path)
        found = digest_of([str(path)], b"".join(map(written, cases())))
    DIGEST.write_text(json.dumps(found, indent=2) + "\n")
    print(f"{DIGEST.name} is written")


if __name__ == "__main__":
    main()
