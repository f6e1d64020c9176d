"""Flip-flop language modelling of Liu et al. (2023), "Exposing attention glitches with flip-flop language modeling",
arXiv:2306.00946, definition 1 and section 3.

Every other symbol is an instruction, and a bit follows each. The first instruction is to write, the last to read; those
between are drawn independently. After write and ignore the bit is random, after read it is the one that was written
last. The bit that follows each read is scored; it is the target at the instruction. `length` counts instructions and
bits; the last bit, which the paper only predicts, is a step of its own here, and nothing is scored at it.
"""

from __future__ import annotations

import numpy as np

from memory_trials.numerics.draws import below
from memory_trials.stream_settings import FlipFlop, StreamSettings
from memory_trials.tasks.endless.portions import Portion, drawn, settings_of
from memory_trials.tasks.interface import LEARNED, Criterion, Drawn, Purpose, Shape, Shown

SYMBOLS = "01wir"
WRITE, IGNORE, READ = map(SYMBOLS.index, "wir")

SHOWN = Shown({"length": 24, "ignore": 0.4}, inputs=SYMBOLS, outputs="01")


def shape(stream: StreamSettings) -> Shape:
    """Inputs are `SYMBOLS`, outputs the two bits."""
    return Shape(
        len(SYMBOLS), 2, False, False, True, settings_of(stream, FlipFlop).length, stream.masked, equally_long=True
    )


def criteria(stream: StreamSettings) -> dict[str, Criterion]:
    return LEARNED


def guessing(stream: StreamSettings) -> float:
    """Of the bits that are read at least once, which are independent, each must be the one that is always guessed.

    Two numbers are carried from instruction to instruction: the probability that all was right so far, and the present
    bit has not been read, or has.
    """
    flip_flop = settings_of(stream, FlipFlop)
    other = (1 - flip_flop.ignore) / 2  # of writing, and of reading
    instruction = np.array([[flip_flop.ignore + other, other], [other / 2, flip_flop.ignore + other]])
    unread, read = np.linalg.matrix_power(instruction, flip_flop.length // 2 - 2)[:, 0]
    return float(unread / 2 + read)


def chance(stream: StreamSettings) -> float:
    return 0.5


def draw(stream: StreamSettings, seed: int, purpose: Purpose, first: int, count: int) -> Drawn:
    length = settings_of(stream, FlipFlop).length
    return drawn(stream, seed, purpose, first, count, _make, head=0, longest=length)


def _make(stream: StreamSettings, portion: Portion) -> Drawn:
    flip_flop, count = settings_of(stream, FlipFlop), len(portion.numbers)
    ignored = int(flip_flop.ignore * 2**32)  # words below this
    written = ignored + (2**32 - ignored) // 2
    words, bits = portion.steps[:, 0::2].astype(np.int64), below(portion.steps[:, 1::2], 2)
    instructions = np.where(words < ignored, IGNORE, np.where(words < written, WRITE, READ)).astype(np.int32)
    instructions[:, 0], instructions[:, -1] = WRITE, READ
    pairs = np.arange(instructions.shape[1])
    last = np.maximum.accumulate(np.where(instructions == WRITE, pairs, 0), axis=1)  # the place of the last write
    reads = instructions == READ
    bits = np.where(reads, np.take_along_axis(bits, last, axis=1), bits)
    x, y, mask = (np.zeros((count, flip_flop.length), kind) for kind in (np.int32, np.int32, bool))
    x[:, 0::2], x[:, 1::2] = instructions, bits
    y[:, 0::2], mask[:, 0::2] = np.where(reads, bits, 0), reads
    lengths = np.full(count, flip_flop.length, np.int32)
    return Drawn(lengths, x.reshape(-1), y.reshape(-1), mask=mask.reshape(-1))
