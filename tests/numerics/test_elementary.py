"""log, sin and cos against the decimal module and the C library."""

import math
from decimal import Decimal, getcontext
from fractions import Fraction

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from memory_trials.numerics import elementary


@given(st.floats(1e-300, 1e300))
@example(1.0)
@example(1e-7)
@example(math.sqrt(2))
@example(1 - 2**-53)
@example(1 + 2**-52)
def test_log_is_right(x):
    getcontext().prec = 40
    exact = Decimal(x).ln()
    error = abs(Decimal(float(elementary.log(np.array([x]))[0])) - exact)
    assert error <= 2 * Decimal(math.ulp(float(exact)))


@given(st.floats(0, 2 * math.pi))
@example(math.pi)
@example(float(np.float32(math.pi)))
@example(float(np.float32(math.pi / 2)))
@example(2 * math.pi)
def test_sin_and_cos_are_right_within_two_units_in_the_last_place(x):
    for ours, exact in zip(elementary.sin_cos(np.array([x])), (math.sin(x), math.cos(x))):
        assert abs(float(ours[0]) - exact) <= 2 * math.ulp(exact) + 2**-84  # four times what two doubles leave of pi/2


@given(st.floats(-1000, 1000))
@example(0.0)
@example(1e-300)
@example(-708.5)
def test_sigmoid_and_tanh_are_right(x):
    getcontext().prec = 60
    power = (-Decimal(x)).exp()
    sigmoid, tanh = 1 / (1 + power), (1 - power * power) / (1 + power * power)
    error = abs(Decimal(float(elementary.sigmoid(np.array([x]))[0])) - sigmoid)
    assert error <= 4 * Decimal(math.ulp(float(sigmoid))) + Decimal("1e-304")  # exp(-700), from where on it stays
    assert abs(Decimal(float(elementary.tanh(np.array([x]))[0])) - tanh) <= Decimal("3e-16")


@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=9))
def test_softmax_sums_to_one_and_does_not_overflow(z):
    shares = elementary.softmax(np.array([z]))[0]
    powers = [math.exp(max(number - max(z), -700)) for number in z]
    assert np.allclose(shares, np.array(powers) / math.fsum(powers), rtol=1e-14, atol=0)


sizes = st.integers(1, 70)


@given(st.integers(0, 2**32 - 1), sizes, sizes, st.floats(-30, 30))
def test_a_product_is_right_and_the_same_in_any_order(seed, rows, columns, magnitude):
    random = np.random.default_rng(seed)
    matrix = (random.normal(size=(2, rows, columns)) * 2**magnitude).astype(np.float32)
    x = random.uniform(-1, 1, size=(2, 3, rows))
    ours = elementary.product(x, elementary.sliced(matrix))
    exact = sum(Fraction(a) * Fraction(float(b)) for a, b in zip(x[1, 2], matrix[1, :, -1]))
    assert abs(Fraction(ours[1, 2, -1]) - exact) <= rows * 2.0**-44 * np.abs(matrix[1]).max()
    order = random.permutation(rows)
    assert np.array_equal(elementary.product(x[..., order], elementary.sliced(matrix[:, order])), ours)


def test_all_that_a_product_adds_up_are_integers_that_a_double_holds():
    for rows in (1, 2, 3, 20, 64, 65, 4096):
        largest = elementary.sliced(np.ones((rows, 1)) * (1 - 2**-53))
        added = 2 * rows * 2**largest.bits * max(np.abs(largest.high).max(), np.abs(largest.low_high).max())
        assert added <= 2**53 and largest.bits >= 19


@given(st.integers(1, 40))
def test_total(size):
    numbers = np.arange(2 * size).reshape(2, size) ** 2.0
    assert np.array_equal(elementary.total(numbers)[:, 0], [sum(row) for row in numbers.tolist()])


def test_they_work_element_by_element():
    x = np.linspace(0.1, 6, 12).reshape(3, 4).astype(np.float32)
    parts = [lambda x: elementary.sin_cos(x)[0], lambda x: elementary.sin_cos(x)[1]]
    for function in (elementary.log, elementary.sigmoid, elementary.tanh, *parts):
        whole = function(x)
        assert whole.shape == x.shape and whole.dtype == np.float64
        assert all(function(x[i : i + 1, j])[0] == whole[i, j] for i, j in np.ndindex(x.shape))


def test_many_numbers_are_worked_on_in_blocks():
    x = np.linspace(-9, 9, 3 * elementary.BLOCK + 5)
    assert np.array_equal(elementary.tanh(x), np.concatenate([elementary.tanh(x[:5000]), elementary.tanh(x[5000:])]))


def test_softmax_is_that_of_each_row():
    x = np.linspace(-3, 40, 24, dtype=np.float32).reshape(2, 3, 4)
    powers = np.exp(x.astype(np.float64) - x.max(axis=-1, keepdims=True))
    assert np.abs(elementary.softmax(x) - powers / powers.sum(axis=-1, keepdims=True)).max() < 1e-6
