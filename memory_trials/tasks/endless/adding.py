"""The adding problem of Hochreiter & Schmidhuber (1997), section 5.4: the sum of two marked values."""

from __future__ import annotations

import numpy as np

from memory_trials.numerics.draws import below, unit
from memory_trials.stream_settings import StreamSettings
from memory_trials.tasks.endless.portions import Portion, Row, drawn, lengths_to, longest, number
from memory_trials.tasks.interface import Criterion, Drawn, Purpose, Shape


def shape(stream: StreamSettings) -> Shape:
    return Shape(2, 1, True, True, False, longest(stream))


def criteria(stream: StreamSettings) -> dict[str, Criterion]:
    return {
        "absolute": Criterion("train", 2000, tolerance=0.04, mean_error=0.01),
        "squared": Criterion("train", 2000, tolerance=0.04),
    }


def guessing(stream: StreamSettings) -> float:
    """1/2 is within 0.04 of 1/2 + s/4 where the sum s of two values is within 0.16 of 0, which has this probability."""
    return 0.16 - 0.16**2 / 4


def chance(stream: StreamSettings) -> float:
    return guessing(stream)  # one step is scored


def draw(stream: StreamSettings, seed: int, purpose: Purpose, first: int, count: int) -> Drawn:
    return drawn(stream, seed, purpose, first, count, marked, head=3, longest=longest(stream))


def marked(stream: StreamSettings, portion: Portion) -> Drawn:
    """Pairs of a value and a marker: 1 for the two that count, -1 for the first and the last, else 0. The first pair
    keeps its -1 where it is picked, and then counts as 0 in a sum and as 1 in a product."""
    lengths = lengths_to(stream, portion.head[:, 0])
    one = below(portion.head[:, 1], 10)
    other = below(portion.head[:, 2], number(stream.length) // 2 - 1)
    other += other >= one  # of those still unmarked
    row = Row(lengths, portion.steps)
    adding = stream.task == "adding"
    pairs = np.zeros((len(row.words), 2), np.float32)
    values, markers = pairs[:, 0], pairs[:, 1]
    values[:] = unit(row.words)
    if adding:
        values *= 2
        values -= 1
    markers[row.begins + one] = markers[row.begins + other] = 1
    markers[row.begins] = markers[row.ends] = -1
    counted = [
        np.where(place == 0, 0.0 if adding else 1.0, values[row.begins + place].astype(float)) for place in (one, other)
    ]
    target = 0.5 + (counted[0] + counted[1]) / 4 if adding else counted[0] * counted[1]
    return Drawn(lengths, pairs, target.astype(np.float32))
