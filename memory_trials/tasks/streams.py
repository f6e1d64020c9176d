"""The tasks of Hochreiter & Schmidhuber (1997), "Long Short-Term Memory": endless streams of random sequences.

Each trial has three streams of its own: to train on, to check its success on, and to test it on. Sequence n of a
stream follows from the task, the trial's seed, the stream's purpose and n alone, not from the portions it is drawn in.
What the paper leaves open, and what is chosen here, stands in docs/paper.md.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from memory_trials.numerics.draws import above, below, normal, unit, words
from memory_trials.stream_settings import StreamSettings
from memory_trials.tasks import grammar
from memory_trials.tasks.interface import Criterion, Drawn, Purpose, Sequences, Shape

if TYPE_CHECKING:
    from jaxtyping import Int, Int32, Int64, UInt32

CHUNK = 64_000  # words that are worked on at a time: they, and what is made of them, stay near a core

NOISE = math.sqrt(0.2)  # the deviation of a variance of 0.2
TARGET_NOISE = 0.32  # the deviation of 3c's targets
# 2^32 0.9^k: a word is below with the probability that at least k further distractors follow; from the last, which is 1
FURTHER = np.array([2**32 * 9**k // 10**k for k in range(210, 0, -1)], np.uint32)


def shape(stream: StreamSettings) -> Shape:
    length = stream.length or 0  # reber has none
    longest = length + length // 10
    match stream.task:
        case "reber":
            symbols = len(grammar.SYMBOLS)
            return Shape(symbols, symbols, False, False, True, grammar.LONGEST)
        case "keys":
            return Shape(length + 1, length + 1, False, False, True, length)
        case "distractors":
            return Shape(_number(stream.symbols) + 4, 2, False, False, False, length + len(FURTHER) + 3)
        case "two_sequence":
            return Shape(1, 1, True, True, False, longest)
        case "adding" | "multiplication":
            return Shape(2, 1, True, True, False, longest)
        case "temporal_order":
            return Shape(len(ORDERED), 2 ** _number(stream.signal), False, False, False, longest)
    raise ValueError(f"there is no task {stream.task}")


def criteria(stream: StreamSettings) -> dict[str, Criterion]:
    """By name; the first one decides, and of the others it is recorded when they were met first."""
    match stream.task:
        case "reber":
            both = 2 * grammar.SET_SIZE
            return {"success": Criterion("check", both, tolerance=1.0, judged="most_active")}
        case "keys" if stream.middle == "counting":
            return {"success": Criterion("check", 2, tolerance=0.25)}
        case "keys":
            return {"success": Criterion("check", 10_000, tolerance=0.25, last_step_only=True)}
        case "distractors":
            return {"success": Criterion("check", 10_000, tolerance=0.2)}
        case "two_sequence" if stream.noisy_targets:
            wrong = 5 if stream.noisy_signal else 0
            return {"success": Criterion("check", 256, tolerance=0.1, wrong=wrong, mean_error=0.015)}
        case "two_sequence":
            wrong, mean_error = (5, 0.04) if stream.noisy_signal else (0, 0.01)
            return {
                "ST2": Criterion("check", 256, tolerance=0.2, wrong=wrong, mean_error=mean_error),
                "ST1": Criterion("check", 256, tolerance=0.2, wrong=wrong),
            }
        case "adding":
            return {
                "absolute": Criterion("train", 2000, tolerance=0.04, mean_error=0.01),
                "squared": Criterion("train", 2000, tolerance=0.04),
            }
        case "multiplication":
            return {"success": Criterion("train", 2000, tolerance=0.04, wrong=_number(stream.wrong))}
        case "temporal_order":
            return {
                "absolute": Criterion("train", 2000, tolerance=0.3, mean_error=0.1),
                "squared": Criterion("train", 2000, tolerance=0.3),
            }
    raise ValueError(f"there is no task {stream.task}")


def draw(stream: StreamSettings, seeds: Int64[np.ndarray, " T"], purpose: Purpose, block: int, count: int) -> Sequences:
    """Sequences block * count to (block + 1) * count of each trial's stream of this purpose.

    A trial's are the same whatever others are drawn with them, on every machine. `ValueError` where reber's check is
    asked for another number than its two sets hold (of which every block holds all).
    """
    trials = [_of_trial(stream, int(seed), purpose, block * count, count) for seed in seeds]
    arrays = {}
    for name in Drawn._fields:
        parts = [getattr(drawn, name) for drawn in trials]
        if parts[0] is None:
            continue
        longest = max(len(part) for part in parts)
        arrays[name] = np.zeros((len(parts), longest, *parts[0].shape[1:]), parts[0].dtype)
        for row, part in zip(arrays[name], parts):
            row[: len(part)] = part
    return Sequences(**arrays)


def _of_trial(stream: StreamSettings, seed: int, purpose: Purpose, first: int, count: int) -> Drawn:
    if stream.task == "reber":
        return _reber(seed, purpose, first, count, bool(stream.different))
    told = stream.model_dump(exclude_none=True, exclude={"wrong"})  # what is right does not change what is drawn
    name = json.dumps(told | {"purpose": purpose}, sort_keys=True)
    task, head = TASKS[stream.task]
    each = head + shape(stream).longest
    size = max(1, CHUNK // each)
    parts = []
    for start in range(first, first + count, size):
        numbers = np.arange(start, min(start + size, first + count))
        drawn = words(seed, name, start, len(numbers), each)
        parts.append(task(stream, _Portion(purpose, numbers, drawn[:, :head], drawn[:, head:])))
    return parts[0] if len(parts) == 1 else _joined(parts)


def _joined(parts: list[Drawn]) -> Drawn:
    lengths, x, y = (np.concatenate(arrays) for arrays in zip(*(part[:3] for part in parts)))
    return Drawn(lengths, x, y)


def _reber(seed: int, purpose: Purpose, first: int, count: int, different: bool) -> Drawn:
    if purpose == "train":
        return Drawn(*grammar.training(seed, first, count, different))
    if purpose == "test":
        return Drawn(*grammar.unseen(seed, first, count, different))
    if count != 2 * grammar.SET_SIZE:
        raise ValueError(f"both sets hold {2 * grammar.SET_SIZE} strings, not {count}")
    return Drawn(*grammar.sets(seed, different)[0])


class _Portion(NamedTuple):
    """N sequences to be made: their numbers in the stream, and words for each: H that decide about the sequence, and
    one for each of its L steps, of which the longest has as many."""

    purpose: Purpose
    numbers: Int[np.ndarray, " N"]
    head: UInt32[np.ndarray, "N H"]
    steps: UInt32[np.ndarray, "N L"]


def _keys(stream: StreamSettings, portion: _Portion) -> Drawn:
    """(key, a1 ... a(p-1), key), or as many random ones of them between; a1 has the index 0, the keys x and y have
    p - 1 and p. The last symbol is only predicted. To check counting, its two sequences take turns."""
    p = _number(stream.length)
    symbols = np.empty((len(portion.numbers), p + 1), np.int32)
    counting = stream.middle == "counting"
    bit = portion.numbers % 2 if counting and portion.purpose == "check" else below(portion.head[:, 0], 2)
    symbols[:, 0] = symbols[:, -1] = p - 1 + bit
    symbols[:, 1:-1] = np.arange(p - 1) if counting else below(portion.steps[:, 1:], p - 1)
    lengths = np.full(len(portion.numbers), p, np.int32)
    return Drawn(lengths, symbols[:, :-1].reshape(-1), symbols[:, 1:].reshape(-1))


def _distractors(stream: StreamSettings, portion: _Portion) -> Drawn:
    """b, then x or y, then distractors, then e, after which x (0) or y (1) is asked for. a1 has the index 0, after ap
    come b, e, x, y."""
    p = _number(stream.symbols)
    b, e, x = p, p + 1, p + 2
    lengths = _number(stream.length) + 3 + above(portion.head[:, 0], FURTHER)
    key = below(portion.head[:, 1], 2)
    row = _Row(lengths, portion.steps)
    symbols = below(row.words, p)
    symbols[row.begins] = b
    symbols[row.begins + 1] = x + key
    symbols[row.ends] = e
    return Drawn(lengths, symbols, key)


def _two_sequence(stream: StreamSettings, portion: _Portion) -> Drawn:
    """The signal is +1 (class 1) or -1 (class 2); it is told from the noise by its place alone."""
    lengths = _lengths(stream, portion.head[:, 0])
    second = below(portion.head[:, 1], 2)
    row = _Row(lengths, portion.steps)
    line = normal(row.words)
    line *= np.float32(NOISE)
    signal = row.begins[:, np.newaxis] + np.arange(_number(stream.signal))
    value = (1 - 2 * second).astype(np.float32)[:, np.newaxis]
    line[signal] = line[signal] + value if stream.noisy_signal else value
    if not stream.noisy_targets:
        return Drawn(lengths, line[:, np.newaxis], (1 - second).astype(np.float32))
    target = 0.2 + 0.6 * second
    if portion.purpose == "train":
        target = target + TARGET_NOISE * normal(portion.head[:, 2])
    return Drawn(lengths, line[:, np.newaxis], target.astype(np.float32))


def _marked(stream: StreamSettings, portion: _Portion) -> Drawn:
    """Pairs of a value and a marker: 1 for the two that count, -1 for the first and the last, else 0. The first pair
    keeps its -1 where it is picked, and then counts as 0 in a sum and as 1 in a product."""
    lengths = _lengths(stream, portion.head[:, 0])
    one = below(portion.head[:, 1], 10)
    other = below(portion.head[:, 2], _number(stream.length) // 2 - 1)
    other += other >= one  # of those still unmarked
    row = _Row(lengths, portion.steps)
    adding = stream.task == "adding"
    pairs = np.zeros((len(row.words), 2), np.float32)
    values, markers = pairs[:, 0], pairs[:, 1]
    values[:] = unit(row.words)
    if adding:
        values *= 2
        values -= 1
    markers[row.begins + one] = markers[row.begins + other] = 1
    markers[row.begins] = markers[row.ends] = -1
    counted = [
        np.where(place == 0, 0.0 if adding else 1.0, values[row.begins + place].astype(float)) for place in (one, other)
    ]
    target = 0.5 + (counted[0] + counted[1]) / 4 if adding else counted[0] * counted[1]
    return Drawn(lengths, pairs, target.astype(np.float32))


ORDERED = "EBabcdXY"
POSITIONS = {2: [(10, 20), (50, 60)], 3: [(10, 20), (33, 43), (66, 76)]}  # of hundred


def _temporal_order(stream: StreamSettings, portion: _Portion) -> Drawn:
    """E, then a, b, c, d at random, but X or Y at two or three places, then B. The class is the number that X (0) and
    Y (1) make in base 2, the first one's digit the highest. Positions count from 1, which is E."""
    start, x = (ORDERED.index(symbol) for symbol in "aX")
    lengths = _lengths(stream, portion.head[:, 0])
    row = _Row(lengths, portion.steps)
    symbols = below(row.words, 4)
    symbols += start
    symbols[row.begins], symbols[row.ends] = ORDERED.index("E"), ORDERED.index("B")
    label = np.zeros(len(portion.numbers), np.int32)
    for n, (lowest, highest) in enumerate(POSITIONS[_number(stream.signal)]):
        lowest, highest = (bound * _number(stream.length) // 100 for bound in (lowest, highest))
        position = lowest + below(portion.head[:, 1 + 2 * n], highest - lowest + 1)
        digit = below(portion.head[:, 2 + 2 * n], 2)
        symbols[row.begins + position - 1] = x + digit
        label = 2 * label + digit
    return Drawn(lengths, symbols, label)


class _Row:
    """Sequences laid one after another: where each begins and has its last step, and the words of their steps."""

    def __init__(self, lengths: Int32[np.ndarray, " N"], steps: UInt32[np.ndarray, "N L"]):
        after = np.cumsum(lengths, dtype=np.int64)
        self.begins, self.ends = after - lengths, after - 1
        self.words = steps[np.arange(steps.shape[1]) < lengths[:, np.newaxis]]


def _lengths(stream: StreamSettings, words: UInt32[np.ndarray, " N"]) -> Int32[np.ndarray, " N"]:
    """Uniform from T to T + T/10, rounded down."""
    length = _number(stream.length)
    return length + below(words, length // 10 + 1)


# what makes a task's sequences, and how many words decide about a sequence
TASKS: dict[str, tuple[Callable[..., Drawn], int]] = {
    "keys": (_keys, 1),
    "distractors": (_distractors, 2),
    "two_sequence": (_two_sequence, 3),
    "adding": (_marked, 3),
    "multiplication": (_marked, 3),
    "temporal_order": (_temporal_order, 7),
}


def _number(value: int | None) -> int:
    """A setting that the task takes: settings give it a default where it is not given."""
    assert value is not None
    return value
