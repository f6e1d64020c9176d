"""Random numbers of streams, against Python's whole numbers and fractions and against SciPy."""

import hashlib
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from memory_trials.numerics.draws import above, below, normal, quantile, unit, words

WORDS = np.array([0, 1, 511, 512, 2**31 - 1, 2**31, 2**32 - 512, 2**32 - 1], np.uint32)
SOME = words(0, "some", 0, 1, 200_000)[0]


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1), st.integers(1, 100_001))
def test_below_is_multiply_and_shift(numbers, bound):
    assert below(np.array(numbers, np.uint32), bound).tolist() == [n * bound // 2**32 for n in numbers]


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1))
def test_unit_is_the_middle_of_one_of_equal_parts(numbers):
    drawn = unit(np.array(numbers, np.uint32))
    assert [Fraction(float(u)) for u in drawn] == [(n // 512 + Fraction(1, 2)) / 2**23 for n in numbers]
    assert [Fraction(float(2 * u - 1)) for u in drawn] == [2 * Fraction(float(u)) - 1 for u in drawn]


def test_above_counts_bounds():
    assert above(WORDS, np.array([1, 512, 2**31], np.uint32)).tolist() == [3, 2, 2, 1, 1, 0, 0, 0]


def test_quantiles_are_scipys():
    p = np.concatenate([(np.arange(10_001) + 0.5) / 10_001, 2.0 ** -np.arange(2, 34), 1 - 2.0 ** -np.arange(2, 34)])
    assert quantile(p - 0.5) == pytest.approx(stats.norm.ppf(p), rel=1.5e-7, abs=1e-12)


def test_normal_numbers():
    p = (WORDS.astype(float) + 0.5) / 2**32
    assert normal(WORDS) == pytest.approx(stats.norm.ppf(p), rel=2.5e-7)
    assert (normal(SOME) == -normal(~SOME)).all()  # as far from one end as from the other
    assert stats.kstest(normal(SOME), "norm").pvalue > 1e-9
    # of n squares the sum has a chi-squared distribution
    assert abs(stats.norm.isf(stats.chi2.sf((normal(SOME).astype(float) ** 2).sum(), len(SOME)))) < 6


def philox(counter: int, key: list[int]) -> list[int]:
    """The four words of 64 bits at a counter, by ten rounds (Salmon et al. 2011), in Python's whole numbers."""
    whole = 2**64
    a, b, c, d = (counter >> 64 * n & whole - 1 for n in range(4))
    for n in range(10):
        first, second = a * 0xD2E7470EE14C6C93, c * 0xCA5A826395121157
        one, other = (key[0] + n * 0x9E3779B97F4A7C15) % whole, (key[1] + n * 0xBB67AE8584CAA73B) % whole
        a, b, c, d = second // whole ^ b ^ one, second % whole, first // whole ^ d ^ other, first % whole
    return [a, b, c, d]


def test_words_are_those_of_philox():
    key = [7, int.from_bytes(hashlib.blake2b(b"stream", digest_size=8).digest(), "little")]
    blocks = [philox(counter, key) for counter in range(5, 9)]  # two for each sequence; NumPy counts before it draws
    expected = [[word >> shift & 2**32 - 1 for word in block for shift in (0, 32)] for block in blocks]
    drawn = words(7, "stream", 2, 2, 13)
    assert drawn.tolist() == [(expected[0] + expected[1])[:13], (expected[2] + expected[3])[:13]]


def test_words_of_other_sequences_seeds_and_names_are_others():
    whole = words(7, "stream", 0, 10, 13)
    assert (words(7, "stream", 4, 3, 13) == whole[4:7]).all()
    others = [words(8, "stream", 0, 10, 13), words(7, "another", 0, 10, 13), words(7, "stream", 10, 10, 13)]
    assert not any(np.isin(whole, other).any() for other in others)
