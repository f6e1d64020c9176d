"""What tasks are drawn by whose sequence n takes the n-th words of a stream: portions, and sequences laid in a row."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from memory_trials.numerics.draws import below, words
from memory_trials.stream_settings import StreamSettings
from memory_trials.tasks.interface import Drawn, Purpose

if TYPE_CHECKING:
    from jaxtyping import Int, Int32, UInt32

SomeSettings = TypeVar("SomeSettings", bound=StreamSettings)
CHUNK = 64_000  # words that are worked on at a time: they, and what is made of them, stay near a core


class Portion(NamedTuple):
    """N sequences to be made: their numbers in the stream, and words for each: H that decide about the sequence, and
    one for each of its L steps, of which the longest has as many; L is 0 where the head is enough."""

    purpose: Purpose
    numbers: Int[np.ndarray, " N"]
    head: UInt32[np.ndarray, "N H"]
    steps: UInt32[np.ndarray, "N L"]


def drawn(
    stream: StreamSettings,
    seed: int,
    purpose: Purpose,
    first: int,
    count: int,
    make: Callable[[StreamSettings, Portion], Drawn],
    head: int,
    longest: int,
    stepwise: bool = True,
) -> Drawn:
    """Return sequences `first` to `first + count` of a trial's stream.

    Args:
        stream: the task's settings. All but `wrong`, which changes nothing that is drawn, name the stream.
        seed: of the trial.
        purpose: names one of the trial's streams.
        first, count: numbers of sequences.
        make: makes the sequences of a portion.
        head: words that decide about a sequence as a whole.
        longest: steps of the longest sequence.
        stepwise: whether each step takes a word; else the words of the head are all there are.
    """
    settings = stream.model_dump(exclude_none=True, exclude={"wrong"})
    name = json.dumps(settings | {"purpose": purpose}, sort_keys=True)
    each = head + (longest if stepwise else 0)
    size = max(1, CHUNK // (head + longest))
    parts = []
    for start in range(first, first + count, size):
        numbers = np.arange(start, min(start + size, first + count))
        of_each = words(seed, name, start, len(numbers), each)
        parts.append(make(stream, Portion(purpose, numbers, of_each[:, :head], of_each[:, head:])))
    joined: list[Any] = [None if arrays[0] is None else np.concatenate(arrays) for arrays in zip(*parts)]
    return Drawn(*joined)


class Row:
    """Sequences laid one after another: where each begins and has its last step, and the words of their steps."""

    def __init__(self, lengths: Int32[np.ndarray, " N"], steps: UInt32[np.ndarray, "N L"]):
        after = np.cumsum(lengths, dtype=np.int64)
        self.begins, self.ends = after - lengths, after - 1
        self.words = steps[np.arange(steps.shape[1]) < lengths[:, np.newaxis]]


def lengths_to(stream: StreamSettings, words: UInt32[np.ndarray, " N"]) -> Int32[np.ndarray, " N"]:
    """Uniform from T to T + T/10, rounded down."""
    length = number(stream.length)
    return length + below(words, length // 10 + 1)


def longest(stream: StreamSettings) -> int:
    """Return the largest of these lengths."""
    length = number(stream.length)
    return length + length // 10


def settings_of(stream: StreamSettings, task: type[SomeSettings]) -> SomeSettings:
    """Return the same settings as those of a task, which has some of its own."""
    assert isinstance(stream, task)
    return stream


def number(value: int | None) -> int:
    """Return a setting that the task takes; settings give it a default where it is not given."""
    assert value is not None
    return value
