"""The embedded Reber grammar: its strings, what may follow where, and the two sets of strings that a trial has.

A string of Reber's grammar (Reber 1967) between T and T or between P and P, the whole between B and E; where two
symbols may follow, each does with probability 1/2 (Hochreiter & Schmidhuber 1997, section 5.1). What must be remembered
is which of the two it was, T or P.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from memory_trials.numerics.draws import below, words

if TYPE_CHECKING:
    from jaxtyping import Int32, UInt8, UInt32

SYMBOLS = "BTPSXVE"
SET_SIZE = 256  # strings that are trained on, and as many others
REBER: dict[
    Hashable, list[tuple[str, Hashable]]
] = {  # what may follow in a state, and where that leads: the last is always the way out
    "begin": [("B", 1)],
    1: [("T", 2), ("P", 3)],
    2: [("S", 2), ("X", 4)],
    3: [("T", 3), ("V", 5)],
    4: [("X", 3), ("S", "end")],
    5: [("P", 4), ("V", "end")],
    "end": [("E", "after")],
}
EMBEDDED: dict[Hashable, list[tuple[str, Hashable]]] = {
    "start": [("B", "branch")],
    "branch": [(key, (key, "begin")) for key in "TP"],
    "last": [("E", "done")],
}
EMBEDDED |= {
    (key, state): [(symbol, (key, following)) for symbol, following in choices]
    for key in "TP"
    for state, choices in REBER.items()
}
EMBEDDED |= {(key, "after"): [(key, "last")] for key in "TP"}
STATES = {state: number for number, state in enumerate([*EMBEDDED, "done"])}
NOTHING = 255  # after a string's end

# [2 state + the bit that chooses]
SYMBOL = np.array([SYMBOLS.index(c[bit][0]) for c in EMBEDDED.values() for bit in (0, -1)] + [NOTHING] * 2, np.uint8)
NEXT = np.array([STATES[c[bit][1]] for c in EMBEDDED.values() for bit in (0, -1)] + [STATES["done"]] * 2)
POSSIBLE = np.array([sum(1 << SYMBOLS.index(s) for s, _ in c) for c in EMBEDDED.values()] + [0], np.uint32)

PORTION = 2048  # strings that are made together
BITS = 128  # that choose, one a symbol; a longer string, one in 10^16, takes the way out from there
WORDS = BITS // 32
LONGEST = BITS + 4  # steps: the symbols that are still to come in a loop's worst state, V V E T E, without the last one


class Strings(NamedTuple):
    """N strings as steps, one string after another, S steps in all: what is seen, what follows, what may follow.

    After the last symbol nothing follows, so a string has a step less than it has symbols.
    """

    lengths: Int32[np.ndarray, " N"]
    x: Int32[np.ndarray, " S"]
    y: Int32[np.ndarray, " S"]
    possible: UInt32[np.ndarray, " S"]


class _String(NamedTuple):
    """Its symbols, and the bits of those that may follow each."""

    symbols: UInt8[np.ndarray, " l"]
    possible: UInt32[np.ndarray, " l"]


@functools.lru_cache(256)  # 20 ms and 200 kB each; more trials are hardly trained at once
def sets(seed: int, different: bool = False) -> tuple[Strings, frozenset[bytes]]:
    """A trial's 2 * SET_SIZE strings: those that it is trained on, and then the others; their symbols.

    The first set are random strings as they come, the short ones again and again; the second one those after them that
    are not in the first. different: no string comes twice, which makes strings half as long again; they are the
    first different ones of the stream, dealt alternately, so that both sets are alike.
    """
    stream = _stream(seed)
    if different:
        found: dict[bytes, _String] = {}
        while len(found) < 2 * SET_SIZE:
            string = next(stream)
            found.setdefault(string.symbols.tobytes(), string)
        strings = list(found.values())
        strings = strings[::2] + strings[1::2]
    else:
        strings = list(itertools.islice(stream, SET_SIZE))
        known = {string.symbols.tobytes() for string in strings}
        others = (string for string in stream if string.symbols.tobytes() not in known)
        strings += itertools.islice(others, SET_SIZE)
    return _joined(strings), frozenset(string.symbols.tobytes() for string in strings)


def _stream(seed: int) -> Iterator[_String]:
    """Random strings without end."""
    for first in itertools.count(step=PORTION):
        yield from _walks(words(seed, "reber sets", first, PORTION, WORDS))


def training(seed: int, first: int, count: int, different: bool = False) -> Strings:
    """Strings `first` to `first + count` of what a trial is trained on: picked at random from its training set."""
    return _picked(sets(seed, different)[0], below(words(seed, "reber train", first, count, 1)[:, 0], SET_SIZE))


def unseen(seed: int, first: int, count: int, different: bool = False) -> Strings:
    """Random strings that are in neither set: of each, the first that is not, of a random stream of its own."""
    known = sets(seed, different)[1]
    found: dict[int, _String] = {}
    waiting, attempt = list(range(count)), 0
    while waiting:
        bits = words(seed, f"reber test {attempt}", first, count, WORDS)[waiting]
        found |= {n: s for n, s in zip(waiting, _walks(bits)) if s.symbols.tobytes() not in known}
        waiting, attempt = [number for number in waiting if number not in found], attempt + 1
    return _joined([found[number] for number in range(count)])


def _walks(bits: UInt32[np.ndarray, "M 4"]) -> Iterator[_String]:
    """All strings at once, a symbol at a time, one after another as they were asked for."""
    state = np.zeros(len(bits), int)
    symbols, possible = [], []
    while (state != STATES["done"]).any():
        word, shift = divmod(len(symbols), 32)
        bit = (bits[:, word] >> np.uint32(shift)) & 1 if len(symbols) < BITS else 1
        choice = 2 * state + bit
        state = NEXT[choice]
        symbols.append(SYMBOL[choice])
        possible.append(POSSIBLE[state])
    lengths = (np.stack(symbols) != NOTHING).sum(axis=0)
    for row, following, length in zip(np.stack(symbols, axis=1), np.stack(possible, axis=1), lengths):
        yield _String(row[:length], following[:length])


def _joined(strings: list[_String]) -> Strings:
    return Strings(
        lengths=np.array([len(string.symbols) - 1 for string in strings], np.int32),
        x=np.concatenate([string.symbols[:-1] for string in strings]).astype(np.int32),
        y=np.concatenate([string.symbols[1:] for string in strings]).astype(np.int32),
        possible=np.concatenate([string.possible[:-1] for string in strings]),
    )


def _picked(strings: Strings, which: Int32[np.ndarray, " N"]) -> Strings:
    lengths = strings.lengths[which]
    before = np.cumsum(strings.lengths)[which] - lengths
    steps = np.repeat(before - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())
    return Strings(lengths, strings.x[steps], strings.y[steps], strings.possible[steps])
