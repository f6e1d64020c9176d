"""Very long time lags among distractors, of Hochreiter & Schmidhuber (1997), section 5.2 (2c)."""

from __future__ import annotations

import numpy as np

from memory_trials.numerics.draws import above, below
from memory_trials.stream_settings import StreamSettings
from memory_trials.tasks.endless.portions import Portion, Row, drawn, number
from memory_trials.tasks.interface import Criterion, Drawn, Purpose, Shape

# 2^32 0.9^k: a word is below with the probability that at least k further distractors follow; from the last, which is 1
FURTHER = np.array([2**32 * 9**k // 10**k for k in range(210, 0, -1)], np.uint32)


def shape(stream: StreamSettings) -> Shape:
    return Shape(number(stream.symbols) + 4, 2, False, False, False, number(stream.length) + len(FURTHER) + 3)


def criteria(stream: StreamSettings) -> dict[str, Criterion]:
    return {"success": Criterion("check", 10_000, tolerance=0.2)}


def guessing(stream: StreamSettings) -> float:
    return 0.5  # x or y


def chance(stream: StreamSettings) -> float:
    return guessing(stream)  # one step is scored


def draw(stream: StreamSettings, seed: int, purpose: Purpose, first: int, count: int) -> Drawn:
    return drawn(stream, seed, purpose, first, count, _make, head=2, longest=shape(stream).longest)


def _make(stream: StreamSettings, portion: Portion) -> Drawn:
    """b, then x or y, then distractors, then e, after which x (0) or y (1) is asked for. a1 has the index 0, after ap
    come b, e, x, y."""
    p = number(stream.symbols)
    b, e, x = p, p + 1, p + 2
    lengths = number(stream.length) + 3 + above(portion.head[:, 0], FURTHER)
    key = below(portion.head[:, 1], 2)
    row = Row(lengths, portion.steps)
    symbols = below(row.words, p)
    symbols[row.begins] = b
    symbols[row.begins + 1] = x + key
    symbols[row.ends] = e
    return Drawn(lengths, symbols, key)
