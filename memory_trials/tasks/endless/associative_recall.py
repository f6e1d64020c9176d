"""Multi-query associative recall (MQAR) of Arora et al. (2023), "Zoology", arXiv:2312.04927.

Pairs of a key and a value come first; then, at random places among blanks, each key comes once more, and the target is
its value. As in `multiquery_ar` of the repository HazyResearch/zoology, no key comes twice among the pairs, blanks are
one symbol, and nothing but the queries is scored. Unlike there, values are independent, so that two keys may share one,
and the places of queries are uniform over all later steps; zoology's values differ, and its queries come at every other
step, most of them soon after the pairs, by a power law.
"""

from __future__ import annotations

import numpy as np

from memory_trials.numerics.draws import below, distinct
from memory_trials.stream_settings import AssociativeRecall, StreamSettings
from memory_trials.tasks.endless.portions import Portion, drawn, settings_of
from memory_trials.tasks.interface import LEARNED, Criterion, Drawn, Purpose, Shape, Shown

SHOWN = Shown({"length": 24}, inputs="ABCDEFGHIJKLMNOPabcdefghijklmnop·", outputs="abcdefghijklmnop")


def shape(stream: StreamSettings) -> Shape:
    """Keys are the first inputs, values follow them, the blank is the last one; outputs are the values."""
    recall = settings_of(stream, AssociativeRecall)
    return Shape(
        2 * recall.symbols + 1, recall.symbols, False, False, True, recall.length, stream.masked, equally_long=True
    )


def criteria(stream: StreamSettings) -> dict[str, Criterion]:
    return LEARNED


def guessing(stream: StreamSettings) -> float:
    recall = settings_of(stream, AssociativeRecall)
    return recall.symbols**-recall.pairs


def chance(stream: StreamSettings) -> float:
    return 1 / settings_of(stream, AssociativeRecall).symbols


def draw(stream: StreamSettings, seed: int, purpose: Purpose, first: int, count: int) -> Drawn:
    head = 3 * settings_of(stream, AssociativeRecall).pairs
    longest = shape(stream).longest
    return drawn(stream, seed, purpose, first, count, _make, head=head, longest=longest, stepwise=False)


def _make(stream: StreamSettings, portion: Portion) -> Drawn:
    recall = settings_of(stream, AssociativeRecall)
    pairs, symbols, length, count = recall.pairs, recall.symbols, recall.length, len(portion.numbers)
    keys = distinct(portion.head[:, :pairs], symbols)
    values = below(portion.head[:, pairs : 2 * pairs], symbols)
    places = 2 * pairs + distinct(portion.head[:, 2 * pairs :], length - 2 * pairs)  # of each pair's query
    x, y = np.full((count, length), 2 * symbols, np.int32), np.zeros((count, length), np.int32)
    x[:, 0 : 2 * pairs : 2] = keys
    x[:, 1 : 2 * pairs : 2] = symbols + values
    mask = np.zeros((count, length), bool)
    np.put_along_axis(x, places, keys, axis=1)
    np.put_along_axis(y, places, values, axis=1)
    np.put_along_axis(mask, places, True, axis=1)
    return Drawn(np.full(count, length, np.int32), x.reshape(-1), y.reshape(-1), mask=mask.reshape(-1))
