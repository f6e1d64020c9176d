"""How many bits targets have, beside what is counted on drawn sequences."""

import itertools
import math
from collections import Counter, defaultdict

import numpy as np
import pytest

from memory_trials.probe import memory
from memory_trials.stream_settings import stream_settings
from memory_trials.tasks.streams import Stream


def left(counts) -> float:
    """The entropy of targets given what they are counted by, in bits, over all that was counted."""
    whole = sum(each for of_key in counts.values() for each in of_key.values())
    return sum(
        -each / whole * math.log2(each / sum(of_key.values())) for of_key in counts.values() for each in of_key.values()
    )


def counted(count: int, **settings) -> tuple[float, float]:
    """The entropy of the target at scored steps given the present symbol, and given all of the sequence so far."""
    drawn = Stream(stream_settings(**settings)).draw(np.array([0]), "test", 0, count)
    ends = np.cumsum(drawn.lengths[0])
    mask = np.ones_like(drawn.x[0], bool) if drawn.mask is None else drawn.mask[0]
    present: dict = defaultdict(Counter)
    past: dict = defaultdict(Counter)
    for first, last in zip(ends - drawn.lengths[0], ends):
        x = drawn.x[0, first:last].tolist()
        for step, target in enumerate(drawn.y[0, first:last].tolist()):
            if mask[first + step]:
                present[x[step]][target] += 1
                past[tuple(x[: step + 1])][target] += 1
    return left(present), left(past)


@pytest.mark.parametrize(
    "settings",
    [
        {"task": "associative_recall", "length": 8, "pairs": 2, "symbols": 4},
        {"task": "parity", "length": 3},
        {"task": "cycle_navigation", "length": 4},
        {"task": "selective_copying", "length": 5, "tokens": 2, "symbols": 3},
        {"task": "copying_memory", "length": 4, "tokens": 2, "symbols": 3},
        {"task": "induction", "length": 5, "symbols": 3},
        {"task": "flip_flop", "length": 8, "ignore": 0.5},
        {"task": "a_n_b_n", "length": 5},
    ],
    ids=lambda settings: settings["task"],
)
def test_bits_are_those_of_drawn_sequences(settings):
    found = memory.of(stream_settings(**settings))
    present, past = counted(20_000, **settings)
    assert found.guess == pytest.approx(present, abs=0.01)
    assert found.whole == pytest.approx(present - past, abs=0.01)


def test_bits_by_hand():
    parity = memory.of(stream_settings(task="parity", length=2))  # the present bit is right at 3 of 4 steps
    assert parity.guess == parity.whole == pytest.approx(-(3 * math.log2(3 / 4) + math.log2(1 / 4)) / 4)
    paths = Counter(
        (sum(moves[:step]) % 5) for moves in itertools.product((-1, 0, 1), repeat=3) for step in range(len(moves))
    )
    cycle = memory.of(stream_settings(task="cycle_navigation", length=3))
    assert cycle.whole == pytest.approx(left({0: paths}))
    assert memory.of(stream_settings(task="adding", length=20)) is None
