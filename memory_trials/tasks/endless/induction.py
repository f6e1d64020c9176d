"""Induction heads, after Olsson et al. (2022), arXiv:2209.11895, as Gu & Dao (2023), "Mamba", arXiv:2312.00752, section
4.1.2, ask for it.

Random symbols, among which a special symbol stands once, followed by one of them; the special symbol comes again at the
last step, and the target there is the symbol that followed it. Nothing else is scored. All places are equally likely.
"""

from __future__ import annotations

import numpy as np

from memory_trials.numerics.draws import below
from memory_trials.stream_settings import Induction, StreamSettings
from memory_trials.tasks.endless.portions import Portion, drawn, settings_of
from memory_trials.tasks.interface import LEARNED, Criterion, Drawn, Purpose, Shape, Shown

SHOWN = Shown({"length": 24}, inputs="abcdefghijklmnop*", outputs="abcdefghijklmnop")


def shape(stream: StreamSettings) -> Shape:
    """The special symbol is the last input; outputs are the others."""
    induction = settings_of(stream, Induction)
    return Shape(
        induction.symbols + 1, induction.symbols, False, False, True, induction.length, stream.masked, equally_long=True
    )


def criteria(stream: StreamSettings) -> dict[str, Criterion]:
    return LEARNED


def guessing(stream: StreamSettings) -> float:
    return 1 / settings_of(stream, Induction).symbols


def chance(stream: StreamSettings) -> float:
    return guessing(stream)  # one step is scored


def draw(stream: StreamSettings, seed: int, purpose: Purpose, first: int, count: int) -> Drawn:
    length = settings_of(stream, Induction).length
    return drawn(stream, seed, purpose, first, count, _make, head=1, longest=length)


def _make(stream: StreamSettings, portion: Portion) -> Drawn:
    induction, rows = settings_of(stream, Induction), np.arange(len(portion.numbers))
    length, special = induction.length, induction.symbols
    x = below(portion.steps, induction.symbols)
    place = below(portion.head[:, 0], length - 2)
    y, mask = np.zeros_like(x), np.zeros(x.shape, bool)
    y[:, -1], mask[:, -1] = x[rows, place + 1], True
    x[rows, place] = x[:, -1] = special
    return Drawn(np.full(len(rows), length, np.int32), x.reshape(-1), y.reshape(-1), mask=mask.reshape(-1))
