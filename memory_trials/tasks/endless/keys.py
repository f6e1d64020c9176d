"""Long time lags of Hochreiter & Schmidhuber (1997), section 5.2 (2a, 2b): the last symbol is the first one again."""

from __future__ import annotations

import numpy as np

from memory_trials.numerics.draws import below
from memory_trials.stream_settings import StreamSettings
from memory_trials.tasks.endless.portions import Portion, drawn, number
from memory_trials.tasks.interface import Criterion, Drawn, Purpose, Shape


def shape(stream: StreamSettings) -> Shape:
    length = number(stream.length)
    return Shape(length + 1, length + 1, False, False, True, length, equally_long=True)


def criteria(stream: StreamSettings) -> dict[str, Criterion]:
    if stream.middle == "counting":
        return {"success": Criterion("check", 2, tolerance=0.25)}
    return {"success": Criterion("check", 10_000, tolerance=0.25, last_step_only=True)}


def guessing(stream: StreamSettings) -> float:
    return 0.5  # one of two keys


def chance(stream: StreamSettings) -> float:
    """All steps but the last follow from the present symbol where they count; of random ones the last alone is
    judged."""
    return 1 - 0.5 / number(stream.length) if stream.middle == "counting" else 0.5


def draw(stream: StreamSettings, seed: int, purpose: Purpose, first: int, count: int) -> Drawn:
    return drawn(stream, seed, purpose, first, count, _make, head=1, longest=shape(stream).longest)


def _make(stream: StreamSettings, portion: Portion) -> Drawn:
    """(key, a1 ... a(p-1), key), or as many random ones of them between; a1 has the index 0, the keys x and y have
    p - 1 and p. The last symbol is only predicted. To check counting, its two sequences take turns."""
    p = number(stream.length)
    symbols = np.empty((len(portion.numbers), p + 1), np.int32)
    counting = stream.middle == "counting"
    bit = portion.numbers % 2 if counting and portion.purpose == "check" else below(portion.head[:, 0], 2)
    symbols[:, 0] = symbols[:, -1] = p - 1 + bit
    symbols[:, 1:-1] = np.arange(p - 1) if counting else below(portion.steps[:, 1:], p - 1)
    lengths = np.full(len(portion.numbers), p, np.int32)
    return Drawn(lengths, symbols[:, :-1].reshape(-1), symbols[:, 1:].reshape(-1))
