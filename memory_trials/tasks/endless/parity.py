"""Parity of a string of random bits: at every step, whether the ones so far are odd.

A task of Minsky & Papert (1969), and for recurrent networks of Hochreiter & Schmidhuber (1997) and of Delétang et al.
(2023), "Neural networks and the Chomsky hierarchy", arXiv:2207.02098, who ask for the last step alone. Here every step
is scored.
"""

from __future__ import annotations

import numpy as np

from memory_trials.numerics.draws import below
from memory_trials.stream_settings import StreamSettings
from memory_trials.tasks.endless.portions import Portion, drawn, number
from memory_trials.tasks.interface import LEARNED, Criterion, Drawn, Purpose, Shape, Shown

SHOWN = Shown({}, inputs="01", outputs="01")


def shape(stream: StreamSettings) -> Shape:
    return Shape(2, 2, False, False, True, number(stream.length), predicts=False, equally_long=True)


def criteria(stream: StreamSettings) -> dict[str, Criterion]:
    return LEARNED


def guessing(stream: StreamSettings) -> float:
    """The best guess is the present bit, which is right to the end where a 1 comes at the last step at the earliest."""
    return 0.5 ** (number(stream.length) - 1)


def chance(stream: StreamSettings) -> float:
    """The same guess is right at the first step, and at half of the others."""
    length = number(stream.length)
    return (length + 1) / (2 * length)


def draw(stream: StreamSettings, seed: int, purpose: Purpose, first: int, count: int) -> Drawn:
    return drawn(stream, seed, purpose, first, count, _make, head=0, longest=number(stream.length))


def _make(stream: StreamSettings, portion: Portion) -> Drawn:
    bits = below(portion.steps, 2)
    odd = np.cumsum(bits, axis=1, dtype=np.int32) % 2
    lengths = np.full(len(bits), number(stream.length), np.int32)
    return Drawn(lengths, bits.reshape(-1), odd.reshape(-1))
