"""The order of two or three symbols, of Hochreiter & Schmidhuber (1997), section 5.6 (6a, 6b)."""

from __future__ import annotations

import numpy as np

from memory_trials.numerics.draws import below
from memory_trials.stream_settings import StreamSettings
from memory_trials.tasks.endless.portions import Portion, Row, drawn, lengths_to, longest, number
from memory_trials.tasks.interface import Criterion, Drawn, Purpose, Shape

ORDERED = "EBabcdXY"
POSITIONS = {2: [(10, 20), (50, 60)], 3: [(10, 20), (33, 43), (66, 76)]}  # of hundred


def shape(stream: StreamSettings) -> Shape:
    return Shape(len(ORDERED), 2 ** number(stream.signal), False, False, False, longest(stream))


def criteria(stream: StreamSettings) -> dict[str, Criterion]:
    return {
        "absolute": Criterion("train", 2000, tolerance=0.3, mean_error=0.1),
        "squared": Criterion("train", 2000, tolerance=0.3),
    }


def guessing(stream: StreamSettings) -> float:
    return 0.5 ** number(stream.signal)  # one of as many classes


def chance(stream: StreamSettings) -> float:
    return guessing(stream)  # one step is scored


def draw(stream: StreamSettings, seed: int, purpose: Purpose, first: int, count: int) -> Drawn:
    return drawn(stream, seed, purpose, first, count, _make, head=7, longest=longest(stream))


def _make(stream: StreamSettings, portion: Portion) -> Drawn:
    """E, then a, b, c, d at random, but X or Y at two or three places, then B. The class is the number that X (0) and
    Y (1) make in base 2, the first one's digit the highest. Positions count from 1, which is E."""
    start, x = (ORDERED.index(symbol) for symbol in "aX")
    lengths = lengths_to(stream, portion.head[:, 0])
    row = Row(lengths, portion.steps)
    symbols = below(row.words, 4)
    symbols += start
    symbols[row.begins], symbols[row.ends] = ORDERED.index("E"), ORDERED.index("B")
    label = np.zeros(len(portion.numbers), np.int32)
    for n, (lowest, highest) in enumerate(POSITIONS[number(stream.signal)]):
        lowest, highest = (bound * number(stream.length) // 100 for bound in (lowest, highest))
        position = lowest + below(portion.head[:, 1 + 2 * n], highest - lowest + 1)
        digit = below(portion.head[:, 2 + 2 * n], 2)
        symbols[row.begins + position - 1] = x + digit
        label = 2 * label + digit
    return Drawn(lengths, symbols, label)
