"""Random numbers of endless streams, with the same bits on every machine and in whatever portions they are drawn.

Sequence n of a stream has words of its own: as many as each sequence of the stream may need, at the n-th place behind
a key that is made of the trial's seed and the stream's name. The words are NumPy's Philox 4x64-10 (Salmon et al. 2011,
"Parallel random numbers: as easy as 1, 2, 3"), whose raw integers NumPy promises not to change (NEP 19). What is made
of them takes integers and + - * / sqrt, element by element in an order that is written out: never NumPy's own
distributions, which may change, nor its logarithm, whose last bit depends on the processor.
"""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING

import numpy as np

from memory_trials.numerics.elementary import polynomial

if TYPE_CHECKING:
    from jaxtyping import Float32, Float64, Int32, UInt32

COUNTED = 8  # words of 32 bits that Philox's counter counts as one
BLOCK = 8000  # numbers whose quantiles are taken at a time, so that what it needs stays in a core's cache

# Wichura (1988), "Algorithm AS 241: the percentage points of the normal distribution", PPND7: right to 1 part in 10^7
# where the lower tail is larger than exp(-25), which 32 bits never go below. From the highest power down.
CENTRAL = (
    [5.9109374720e1, 1.5929113202e2, 5.0434271938e1, 3.3871327179],
    [6.7187563600e1, 7.8757757664e1, 1.7895169469e1, 1.0],
)
TAIL = ([1.7023821103e-1, 1.3067284816, 2.7568153900, 1.4234372777], [1.2021132975e-1, 7.3700164250e-1, 1.0])
SPLIT = 0.425  # how far from 1/2 the central part goes
LOG_2 = float.fromhex("0x1.62e42fefa39efp-1")
SQRT_2 = float.fromhex("0x1.6a09e667f3bcdp+0")
ATANH = [2 / 11, 2 / 9, 2 / 7, 2 / 5, 2 / 3, 2.0]  # of s^2 up to 0.0295: right to 4e-10 of the logarithm below


def words(seed: int, name: str, first: int, count: int, each: int) -> UInt32[np.ndarray, "{count} {each}"]:
    """Return the words of `count` sequences from number `first` on, of the stream of this name and seed."""
    blocks = -(-each // COUNTED)
    key = np.array([seed, _key(name)], np.uint64)
    generator = np.random.Philox(key=key, counter=np.array([first * blocks, 0, 0, 0], np.uint64))
    raw = generator.random_raw(count * blocks * COUNTED // 2)
    return raw.astype("<u8", copy=False).view("<u4").reshape(count, blocks * COUNTED)[:, :each]


@functools.lru_cache(1024)
def _key(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


def below(words: UInt32[np.ndarray, "*shape"], bound: int) -> Int32[np.ndarray, "*shape"]:
    """Return integers from 0 to bound - 1, by Lemire's multiply and shift.

    The probability of each is off by less than 2^-32, which is bound / 2^32 of itself.
    """
    return (np.multiply(words, np.uint64(bound), dtype=np.uint64) >> np.uint64(32)).astype(np.int32)


def distinct(words: UInt32[np.ndarray, "N k"], bound: int) -> Int32[np.ndarray, "N k"]:
    """Return in each row k different integers from 0 to bound - 1, in random order: Fisher and Yates's first k."""
    count, k = words.shape
    rows = np.arange(count)
    found = np.tile(np.arange(bound, dtype=np.int32), (count, 1))
    for place in range(k):
        other = place + below(words[:, place], bound - place)
        found[:, place], found[rows, other] = found[rows, other], found[:, place].copy()
    return found[:, :k]


def unit(words: UInt32[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape"]:
    """Return numbers uniform in (0, 1): the middles of 2^23 equal parts. Exact in single precision, and so is 2 u -
    1."""
    result = (words >> np.uint32(9)).view(np.int32).astype(np.float32)
    result *= np.float32(2**-23)
    result += np.float32(2**-24)
    return result


def normal(words: UInt32[np.ndarray, " n"]) -> Float32[np.ndarray, " n"]:
    """Return numbers of mean 0 and variance 1: the normal quantiles at the middles of 2^32 equal parts."""
    result = np.empty(len(words), np.float32)
    for first in range(0, len(words), BLOCK):
        result[first : first + BLOCK] = quantile(words[first : first + BLOCK] * 2.0**-32 + (2.0**-33 - 0.5))
    return result


def quantile(q: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Return the normal distribution's quantile at 1/2 + q, for |q| of at most 1/2 - 2^-33."""
    result = _ratio(CENTRAL, SPLIT * SPLIT - q * q)
    result *= q
    distance = np.abs(q)
    tails = np.flatnonzero(distance > SPLIT)
    upper = _ratio(TAIL, np.sqrt(-_log(0.5 - distance[tails])) - 1.6)
    result[tails] = np.copysign(upper, q[tails])
    return result


def _log(x: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Natural logarithm of positive, normal numbers: of 2^e m, with m from sqrt(1/2) to sqrt(2), it is
    e log(2) + 2 atanh((m - 1) / (m + 1))."""
    m, exponent = np.frexp(x)  # m from 1/2 to 1; exact
    small = m < SQRT_2 / 2
    m = np.where(small, 2 * m, m)
    s = (m - 1) / (m + 1)
    return (exponent - small) * LOG_2 + s * polynomial(ATANH, s * s)


def _ratio(of: tuple[list[float], list[float]], x: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    above = polynomial(of[0], x)
    above /= polynomial(of[1], x)
    return above


def above(words: UInt32[np.ndarray, "*shape"], bounds: UInt32[np.ndarray, " k"]) -> Int32[np.ndarray, "*shape"]:
    """Return how many of the ascending bounds are above each word: at least k with probability bounds[-k] / 2^32."""
    return (len(bounds) - np.searchsorted(bounds, words, side="right")).astype(np.int32)
