"""The copying memory problem of Arjovsky, Shah & Bengio (2016), arXiv:1511.06464, section 4.1, after Hochreiter &
Schmidhuber (1997).

k tokens come first, then T - 1 blanks and a cue, and then k blanks, at which the tokens are repeated in order: T + 2k
steps, with T the setting `length`. The paper, with k = 10, scores every step, with a blank as the target before the
answers, and compares losses with k ln(symbols) / (T + 2k), that of guessing. Here the k answers alone are scored, so
that a model is not rewarded for blanks.
"""

from __future__ import annotations

import numpy as np

from memory_trials.numerics.draws import below
from memory_trials.stream_settings import CopyingMemory, StreamSettings
from memory_trials.tasks.endless.portions import Portion, drawn, settings_of
from memory_trials.tasks.interface import LEARNED, Criterion, Drawn, Purpose, Shape, Shown

SHOWN = Shown({"length": 14}, inputs="abcdefgh·!", outputs="abcdefgh")


def shape(stream: StreamSettings) -> Shape:
    """After the symbols, the inputs are the blank and the cue; outputs are the symbols."""
    copying = settings_of(stream, CopyingMemory)
    steps = copying.length + 2 * copying.tokens
    return Shape(copying.symbols + 2, copying.symbols, False, False, True, steps, stream.masked, equally_long=True)


def criteria(stream: StreamSettings) -> dict[str, Criterion]:
    return LEARNED


def guessing(stream: StreamSettings) -> float:
    copying = settings_of(stream, CopyingMemory)
    return copying.symbols**-copying.tokens


def chance(stream: StreamSettings) -> float:
    return 1 / settings_of(stream, CopyingMemory).symbols


def draw(stream: StreamSettings, seed: int, purpose: Purpose, first: int, count: int) -> Drawn:
    head = settings_of(stream, CopyingMemory).tokens
    longest = shape(stream).longest
    return drawn(stream, seed, purpose, first, count, _make, head=head, longest=longest, stepwise=False)


def _make(stream: StreamSettings, portion: Portion) -> Drawn:
    copying, count = settings_of(stream, CopyingMemory), len(portion.numbers)
    k, steps = copying.tokens, copying.length + 2 * copying.tokens
    tokens = below(portion.head, copying.symbols)
    x, y = np.full((count, steps), copying.symbols, np.int32), np.zeros((count, steps), np.int32)
    x[:, :k] = tokens
    x[:, steps - k - 1] = copying.symbols + 1
    y[:, steps - k :] = tokens
    mask = np.tile(np.arange(steps) >= steps - k, count)
    return Drawn(np.full(count, steps, np.int32), x.reshape(-1), y.reshape(-1), mask=mask)
