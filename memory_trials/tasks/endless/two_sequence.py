"""The two-sequence problem of Hochreiter & Schmidhuber (1997), section 5.3, after Bengio et al. (1994)."""

from __future__ import annotations

import math

import numpy as np

from memory_trials.numerics.draws import below, normal
from memory_trials.stream_settings import StreamSettings
from memory_trials.tasks.endless.portions import Portion, Row, drawn, lengths_to, longest, number
from memory_trials.tasks.interface import Criterion, Drawn, Purpose, Shape

NOISE = math.sqrt(0.2)  # the deviation of a variance of 0.2
TARGET_NOISE = 0.32  # the deviation of 3c's targets


def shape(stream: StreamSettings) -> Shape:
    return Shape(1, 1, True, True, False, longest(stream))


def criteria(stream: StreamSettings) -> dict[str, Criterion]:
    if stream.noisy_targets:
        wrong = 5 if stream.noisy_signal else 0
        return {"success": Criterion("check", 256, tolerance=0.1, wrong=wrong, mean_error=0.015)}
    wrong, mean_error = (5, 0.04) if stream.noisy_signal else (0, 0.01)
    return {
        "ST2": Criterion("check", 256, tolerance=0.2, wrong=wrong, mean_error=mean_error),
        "ST1": Criterion("check", 256, tolerance=0.2, wrong=wrong),
    }


def guessing(stream: StreamSettings) -> float:
    return 0.5  # one of two classes


def chance(stream: StreamSettings) -> float:
    return guessing(stream)  # one step is scored


def draw(stream: StreamSettings, seed: int, purpose: Purpose, first: int, count: int) -> Drawn:
    return drawn(stream, seed, purpose, first, count, _make, head=3, longest=longest(stream))


def _make(stream: StreamSettings, portion: Portion) -> Drawn:
    """The signal is +1 (class 1) or -1 (class 2); it is told from the noise by its place alone."""
    lengths = lengths_to(stream, portion.head[:, 0])
    second = below(portion.head[:, 1], 2)
    row = Row(lengths, portion.steps)
    line = normal(row.words)
    line *= np.float32(NOISE)
    signal = row.begins[:, np.newaxis] + np.arange(number(stream.signal))
    value = (1 - 2 * second).astype(np.float32)[:, np.newaxis]
    line[signal] = line[signal] + value if stream.noisy_signal else value
    if not stream.noisy_targets:
        return Drawn(lengths, line[:, np.newaxis], (1 - second).astype(np.float32))
    target = 0.2 + 0.6 * second
    if portion.purpose == "train":
        target = target + TARGET_NOISE * normal(portion.head[:, 2])
    return Drawn(lengths, line[:, np.newaxis], target.astype(np.float32))
