"""Selective copying of Gu & Dao (2023), "Mamba", arXiv:2312.00752, section 4.1.1, after Jing et al. (2019).

Tokens lie at random places among blanks; tokens and blanks are `length` steps. As many markers as tokens follow, at
which the tokens are repeated in their order. The paper has 16 tokens in 4,096 steps, from a vocabulary of 16 symbols.
Nothing but the markers is scored.
"""

from __future__ import annotations

import numpy as np

from memory_trials.numerics.draws import below, distinct
from memory_trials.stream_settings import SelectiveCopying, StreamSettings
from memory_trials.tasks.endless.portions import Portion, drawn, settings_of
from memory_trials.tasks.interface import LEARNED, Criterion, Drawn, Purpose, Shape, Shown

SHOWN = Shown({"length": 20}, inputs="abcdefgh·?", outputs="abcdefgh")


def shape(stream: StreamSettings) -> Shape:
    """After the symbols, the inputs are the blank and the marker; outputs are the symbols."""
    copying = settings_of(stream, SelectiveCopying)
    steps = copying.length + copying.tokens
    return Shape(copying.symbols + 2, copying.symbols, False, False, True, steps, stream.masked, equally_long=True)


def criteria(stream: StreamSettings) -> dict[str, Criterion]:
    return LEARNED


def guessing(stream: StreamSettings) -> float:
    copying = settings_of(stream, SelectiveCopying)
    return copying.symbols**-copying.tokens


def chance(stream: StreamSettings) -> float:
    return 1 / settings_of(stream, SelectiveCopying).symbols


def draw(stream: StreamSettings, seed: int, purpose: Purpose, first: int, count: int) -> Drawn:
    head = 2 * settings_of(stream, SelectiveCopying).tokens
    longest = shape(stream).longest
    return drawn(stream, seed, purpose, first, count, _make, head=head, longest=longest, stepwise=False)


def _make(stream: StreamSettings, portion: Portion) -> Drawn:
    copying, count = settings_of(stream, SelectiveCopying), len(portion.numbers)
    length, k, steps = copying.length, copying.tokens, copying.length + copying.tokens
    tokens = below(portion.head[:, :k], copying.symbols)
    places = np.sort(distinct(portion.head[:, k:], length), axis=1)
    x, y = np.full((count, steps), copying.symbols, np.int32), np.zeros((count, steps), np.int32)
    np.put_along_axis(x, places, tokens, axis=1)
    x[:, length:] = copying.symbols + 1
    y[:, length:] = tokens
    mask = np.tile(np.arange(steps) >= length, count)
    return Drawn(np.full(count, steps, np.int32), x.reshape(-1), y.reshape(-1), mask=mask)
