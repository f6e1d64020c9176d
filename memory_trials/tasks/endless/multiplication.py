"""The multiplication problem of Hochreiter & Schmidhuber (1997), section 5.5: the product of two marked values."""

from __future__ import annotations

from memory_trials.stream_settings import StreamSettings
from memory_trials.tasks.endless.adding import marked
from memory_trials.tasks.endless.portions import drawn, longest, number
from memory_trials.tasks.interface import Criterion, Drawn, Purpose, Shape


def shape(stream: StreamSettings) -> Shape:
    return Shape(2, 1, True, True, False, longest(stream))


def criteria(stream: StreamSettings) -> dict[str, Criterion]:
    return {"success": Criterion("train", 2000, tolerance=0.04, wrong=number(stream.wrong))}


def guessing(stream: StreamSettings) -> None:
    return None


def chance(stream: StreamSettings) -> None:
    return None


def draw(stream: StreamSettings, seed: int, purpose: Purpose, first: int, count: int) -> Drawn:
    return drawn(stream, seed, purpose, first, count, marked, head=3, longest=longest(stream))
