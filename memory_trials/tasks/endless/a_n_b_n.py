"""The language a^n b^n of Gers & Schmidhuber (2001), "LSTM recurrent networks learn simple context-free and
context-sensitive languages", IEEE Transactions on Neural Networks 12(6).

A start symbol S, n times a, n times b, and an end symbol T, which is only predicted. As in the paper, every step is
scored, and right is the set of all symbols that may follow: a after S, a or b after a, b after a b that is not the
last, T after the last. Unlike there, n is drawn anew for each sequence, uniformly from 1 to `length`, and the target
that is learned from is the one symbol that does follow, as in the embedded Reber grammar.
"""

from __future__ import annotations

import numpy as np

from memory_trials.numerics.draws import below
from memory_trials.stream_settings import StreamSettings
from memory_trials.tasks.endless.portions import Portion, drawn, number
from memory_trials.tasks.interface import LEARNED, Criterion, Drawn, Purpose, Shape, Shown

S, A, B = range(3)  # inputs
NEXT_A, NEXT_B, T = range(3)  # outputs

SHOWN = Shown({"length": 8}, inputs="Sab", outputs="abT")


def shape(stream: StreamSettings) -> Shape:
    return Shape(3, 3, False, False, True, 2 * number(stream.length) + 1, predicts=False)


def criteria(stream: StreamSettings) -> dict[str, Criterion]:
    return LEARNED


def guessing(stream: StreamSettings) -> float:
    """After b the best guess is T, which is right to the end where n is 1."""
    return 1 / number(stream.length)


def chance(stream: StreamSettings) -> float:
    """After S and a the present symbol is enough. After b, of which n is (length + 1) / 2 in the mean, b is right but
    at the last one, and T there alone; of these the better."""
    mean = (number(stream.length) + 1) / 2
    return (1 + mean + max(mean - 1, 1)) / (1 + 2 * mean)


def draw(stream: StreamSettings, seed: int, purpose: Purpose, first: int, count: int) -> Drawn:
    longest = shape(stream).longest
    return drawn(stream, seed, purpose, first, count, _make, head=1, longest=longest, stepwise=False)


def _make(stream: StreamSettings, portion: Portion) -> Drawn:
    n = 1 + below(portion.head[:, 0], number(stream.length))
    lengths = 2 * n + 1
    ends = np.cumsum(lengths, dtype=np.int64)
    place = np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)  # from 0, which is S
    n = np.repeat(n, lengths)
    x = np.where(place == 0, S, np.where(place <= n, A, B)).astype(np.int32)
    y = np.where(place < n, NEXT_A, np.where(place < 2 * n, NEXT_B, T)).astype(np.int32)
    possible = (1 << y) | np.where(x == A, 1 << NEXT_A | 1 << NEXT_B, 0)
    return Drawn(lengths, x, y, possible=possible.astype(np.uint32))
