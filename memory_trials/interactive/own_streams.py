"""An endless task of a person's own: a function that makes one example, given a random number generator.

Example n of a stream follows from the function, the trial's seed, the stream's purpose and n alone, as in
`tasks.streams`: each has a generator of its own, so portions and the other trials do not matter.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar

import numpy as np

from memory_trials.engines import own
from memory_trials.errors import UserError, brief
from memory_trials.settings import ProblemSettings
from memory_trials.stream_settings import StreamSettings
from memory_trials.tasks.interface import Criterion, Drawn, Purpose, Rule, Shape
from memory_trials.tasks.streams import Stream

Task = Callable[[np.random.Generator], Any]

PURPOSES = {"train": 0, "check": 1, "test": 2}
LOOKED_AT = 500  # examples from which alphabets and the longest one are found
LONGEST = 4  # times the longest of these


class OwnSettings(StreamSettings):
    """What takes the place of a stream's settings. check, wrong: of so many sequences so many may be wrong."""

    masked: ClassVar[bool] = True
    task: str
    check: int
    wrong: int


@dataclass(frozen=True)
class OwnRule:
    """What `tasks.interface.Rule` asks of an endless task. name: what it is called. alphabet: input symbols; none
    where inputs are vectors of `inputs` numbers. targets: symbols to be predicted. longest: steps at most."""

    task: Task
    name: str
    alphabet: tuple[Any, ...]
    inputs: int
    targets: tuple[Any, ...]
    longest: int

    @property
    def __name__(self) -> str:
        return self.name

    def shape(self, stream: StreamSettings) -> Shape:
        real = not self.alphabet
        return Shape(self.inputs, len(self.targets), real, False, True, self.longest, masked=True, predicts=False)

    def criteria(self, stream: StreamSettings) -> dict[str, Criterion]:
        assert isinstance(stream, OwnSettings)
        return {"learned": Criterion("check", stream.check, tolerance=1.0, wrong=stream.wrong, judged="most_active")}

    def guessing(self, stream: StreamSettings) -> None:
        return None

    def chance(self, stream: StreamSettings) -> None:
        return None

    def draw(self, stream: StreamSettings, seed: int, purpose: Purpose, first: int, count: int) -> Drawn:
        made = [self._example(seed, purpose, number) for number in range(first, first + count)]
        lengths = np.array([len(y) for _, y, _ in made], np.int32)
        x, y, mask = (np.concatenate([each[part] for each in made]) for part in range(3))
        return Drawn(lengths, x, y, mask=mask)

    def _example(self, seed: int, purpose: Purpose, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        where = f"the task {self.name}, example {number} of the seed {seed}"
        x, y, mask = made(self.task, where, seed, PURPOSES[purpose], number)
        if len(y) > self.longest:
            raise UserError(
                f"{where} has {len(y)} steps, more than {LONGEST} times as many as the longest of its first "
                f"{LOOKED_AT}: make its lengths less different"
            )
        if not self.alphabet and x.shape != (len(y), self.inputs):
            raise UserError(f"{where} has inputs of {x.shape[1:]} numbers, and others of ({self.inputs},)")
        found = x if not self.alphabet else _indices(x, self.alphabet, where)
        places = np.zeros(len(y), np.int32)  # what is not scored may be anything
        places[mask] = _indices(y[mask], self.targets, where)
        return found, places, mask


@dataclass(frozen=True)
class OwnStream(Stream):
    """The stream of such a rule."""

    own: OwnRule | None = None

    @property
    def rule(self) -> Rule:
        assert self.own is not None
        return self.own

    def identity(self) -> tuple[dict, dict[str, Any]]:
        settings, arrays = super().identity()
        assert self.own is not None
        return settings | {"code": hashlib.sha256(own.by_value(self.own.task)).hexdigest()}, arrays


def own_stream(task: Task, check: int = 100, wrong: int = 1) -> tuple[ProblemSettings, OwnStream]:
    """Return a function as an endless task, and what takes the place of its settings.

    Args:
        task: (rng) -> (inputs, targets) or (inputs, targets, mask), one example at each call. inputs: symbols (whole
            numbers or text), or real numbers, one or a vector for each step. targets: symbols. mask: scored steps.
        check, wrong: a trial has learned when of `check` fresh examples at most `wrong` are wrong.

    Raises:
        UserError: an example cannot be used, or depends on something other than the generator.
    """
    name = getattr(task, "__name__", "task")
    for key, value, least in (("check", check, 1), ("wrong", wrong, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 100_000:
            raise UserError(f"{key} is {brief(value)}: allowed are whole numbers from {least} to 100000")
    if wrong >= check:
        raise UserError(f"wrong is {wrong}: it must be less than check, which is {check}")
    looked_at = [made(task, f"the task {name}, example {n}", 0, len(PURPOSES), n) for n in range(LOOKED_AT)]
    again = [made(task, f"the task {name}, example {n}", 0, len(PURPOSES), n) for n in range(LOOKED_AT)]
    # All are drawn again: one example of few symbols is often the same by chance.
    if not all(map(np.array_equal, chain(*looked_at), chain(*again))):
        raise UserError(f"the task {name} makes another example from the same generator: draw all from its argument")
    real = {x.dtype.kind == "f" for x, _, _ in looked_at}
    if len(real) > 1:
        raise UserError(f"the task {name} makes inputs of symbols and of real numbers: they must be of one kind")
    alphabet = () if real.pop() else _symbols([x for x, _, _ in looked_at])
    targets = _symbols([y[mask] for _, y, mask in looked_at])
    if len(targets) < 2:
        raise UserError(f"the task {name} has the one target {brief(targets[0])}: there is nothing to predict")
    inputs = len(alphabet) or looked_at[0][0].shape[1]
    rule = OwnRule(task, name, alphabet, inputs, targets, LONGEST * max(len(y) for _, y, _ in looked_at))
    settings = OwnSettings(task=name, check=check, wrong=wrong)
    return ProblemSettings.model_construct(stream=settings), OwnStream(settings, own=rule)


def made(task: Task, where: str, *seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return an example: inputs [L] of symbols or [L, I] float32, targets [L] of symbols, mask [L]."""
    example = task(np.random.default_rng(seed))
    if not isinstance(example, tuple | list) or len(example) not in (2, 3):
        raise UserError(
            f"{where} is {brief(example)}: an endless task returns one example, (inputs, targets) or (inputs, targets, "
            "mask)"
        )
    x, y, *mask = (np.asarray(part) for part in example)
    scored = mask[0].astype(bool) if mask else np.ones(y.shape, bool)
    if x.dtype.kind == "f":
        x = x.astype(np.float32).reshape(len(x) if x.ndim else 0, -1)
        if not np.isfinite(x).all():
            raise UserError(f"{where} has inputs that are not finite numbers")
    for part, its in (("inputs", x), ("targets", y)):
        if its.dtype.kind not in ("iU" if part == "targets" else "iUf") or its.ndim != 1 + (its.dtype.kind == "f"):
            kinds = "symbols (whole numbers or text)" + (" or real numbers" if part == "inputs" else "")
            raise UserError(f"{where} has {part} that are {brief(its.tolist())}: they must be {kinds}, for each step")
    if not len(x) == len(y) == len(scored) or not len(y) or scored.ndim != 1:
        raise UserError(
            f"{where} has {len(x)} inputs, {len(y)} targets and a mask of {scored.size}: they must be equal"
        )
    if not scored.any():
        raise UserError(f"{where} has a mask that scores no step")
    return x, y, scored


def _symbols(arrays: list[np.ndarray]) -> tuple[Any, ...]:
    found = {symbol for array in arrays for symbol in array.tolist()}
    return tuple(sorted(found, key=lambda symbol: (isinstance(symbol, str), symbol)))


def _indices(symbols: np.ndarray, alphabet: tuple[Any, ...], where: str) -> np.ndarray:
    places = _places(alphabet)
    try:
        return np.array([places[symbol] for symbol in symbols.tolist()], np.int32)
    except KeyError as error:
        raise UserError(
            f"{where} has the symbol {brief(error.args[0])}, which none of the first {LOOKED_AT} examples has: make "
            "rare symbols more frequent"
        ) from None


@functools.lru_cache(maxsize=64)
def _places(alphabet: tuple[Any, ...]) -> dict[Any, int]:
    return {symbol: index for index, symbol in enumerate(alphabet)}
