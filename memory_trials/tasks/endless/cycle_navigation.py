"""Cycle navigation of Delétang et al. (2023), "Neural networks and the Chomsky hierarchy", arXiv:2207.02098.

Each move on a cycle of five places is one back, none, or one forward; the target is where that leads. The paper scores
the last step alone; here every step is scored.
"""

from __future__ import annotations

import itertools

import numpy as np

from memory_trials.numerics.draws import below
from memory_trials.stream_settings import StreamSettings
from memory_trials.tasks.endless.portions import Portion, drawn, number
from memory_trials.tasks.interface import LEARNED, Criterion, Drawn, Purpose, Shape, Shown

PLACES = 5
MOVES = (-1, 0, 1)  # in the order of the inputs

SHOWN = Shown({}, inputs="-0+", outputs="01234")


def shape(stream: StreamSettings) -> Shape:
    return Shape(len(MOVES), PLACES, False, False, True, number(stream.length), equally_long=True)


def criteria(stream: StreamSettings) -> dict[str, Criterion]:
    return LEARNED


def guessing(stream: StreamSettings) -> float:
    """Of all ways to answer each move with a place, the one that is right to the end most often."""
    best = 0.0
    for answers in itertools.product(range(PLACES), repeat=len(MOVES)):
        right = np.zeros((PLACES, PLACES))  # [from, to]: the probability of moves that are answered right
        for place, (move, answer) in itertools.product(range(PLACES), zip(MOVES, answers)):
            if (place + move) % PLACES == answer:
                right[place, answer] += 1 / len(MOVES)
        best = max(best, float(np.linalg.matrix_power(right, number(stream.length))[0].sum()))
    return best


def chance(stream: StreamSettings) -> float:
    """The best guess is as if it went from place 0, which is the likeliest one to be on before any step.

    That is so at step t with the probability (1 + 2 a^t + 2 b^t) / 5, by the eigenvalues of a random move.
    """
    length = number(stream.length)
    eigenvalues = (1 + 2 * np.cos(2 * np.pi * np.arange(PLACES) / PLACES)) / 3
    return float((eigenvalues[:, np.newaxis] ** np.arange(length)).sum() / (PLACES * length))


def draw(stream: StreamSettings, seed: int, purpose: Purpose, first: int, count: int) -> Drawn:
    return drawn(stream, seed, purpose, first, count, _make, head=0, longest=number(stream.length))


def _make(stream: StreamSettings, portion: Portion) -> Drawn:
    moves = below(portion.steps, len(MOVES))
    places = np.cumsum(moves + MOVES[0], axis=1, dtype=np.int32) % PLACES
    lengths = np.full(len(moves), number(stream.length), np.int32)
    return Drawn(lengths, moves.reshape(-1), places.reshape(-1))
