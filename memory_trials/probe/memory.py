"""Memory in bits: how much more outputs say about the target than the best guess from the present symbol does.

That guess gives each target the share of the scored steps at which it follows the symbol. Its mean of -log2 is the
entropy H of the target given the symbol, so a trial whose outputs give the target a mean log2 of b has a memory of
H + b bits a scored step. At most that is H less the entropy that remains given all symbols so far.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from memory_trials.stream_settings import StreamSettings
from memory_trials.tasks.endless import cycle_navigation
from memory_trials.tasks.endless.portions import number


class Bits(NamedTuple):
    """Bits a scored step. guess: the target's entropy given the present symbol; whole: all there is to remember."""

    guess: float
    whole: float


def of(stream: StreamSettings) -> Bits | None:
    """Return how many bits a task's targets have; None for a task whose targets are numbers, or of which it is not
    worked out here."""
    return OF_TASK[stream.task](stream) if stream.task in OF_TASK else None


def _one_of(symbols: int | None) -> Bits:
    """Targets that are uniform whatever the present symbol is, and follow from the past."""
    return Bits(math.log2(number(symbols)), math.log2(number(symbols)))


def _parity(stream: StreamSettings) -> Bits:
    """The present bit is right at the first step, and at half of the others."""
    length = number(stream.length)
    bits = _entropy((length + 1) / (2 * length), (length - 1) / (2 * length))
    return Bits(bits, bits)


def _cycle_navigation(stream: StreamSettings) -> Bits:
    """A target is a place and a move away, the place where t moves have led, in the mean over all t below the length.

    The eigenvalues of a random move are (1 + 2 cos(2 pi j / places)) / moves.
    """
    places, length = cycle_navigation.PLACES, number(stream.length)
    angles = 2 * np.pi * np.arange(places) / places
    powers = ((1 + 2 * np.cos(angles)) / len(cycle_navigation.MOVES))[:, np.newaxis] ** np.arange(length)
    bits = _entropy(*(np.cos(np.outer(np.arange(places), angles)) @ powers.mean(axis=1) / places))
    return Bits(bits, bits)


def _a_n_b_n(stream: StreamSettings) -> Bits:
    """After a, and likewise after b, one of n targets is another than the others; n has the mean (length + 1) / 2.
    After S nothing is open. The past does not tell n before its a have ended: log2(length) bits a sequence, which no
    memory can know."""
    length = number(stream.length)
    mean = (length + 1) / 2
    steps = 2 * mean + 1
    guess = 2 * mean * _entropy(1 / mean, 1 - 1 / mean) / steps
    return Bits(guess, guess - math.log2(length) / steps)


def _entropy(*shares: float) -> float:
    return float(-sum(share * math.log2(share) for share in shares if share > 0))


OF_TASK: dict[str, Callable[[StreamSettings], Bits]] = {
    "associative_recall": lambda stream: _one_of(stream.symbols),
    "selective_copying": lambda stream: _one_of(stream.symbols),
    "copying_memory": lambda stream: _one_of(stream.symbols),
    "induction": lambda stream: _one_of(stream.symbols),
    "flip_flop": lambda stream: _one_of(2),
    "parity": _parity,
    "cycle_navigation": _cycle_navigation,
    "a_n_b_n": _a_n_b_n,
}
