"""log, sin and cos against the decimal module and the C library."""

import math
from decimal import Decimal, getcontext

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from memory_trials import elementary


@given(st.floats(1e-300, 1e300))
@example(1.0)
@example(1e-7)
@example(math.sqrt(2))
@example(1 - 2**-53)
@example(1 + 2**-52)
def test_log_is_right_within_two_units_in_the_last_place(x):
    getcontext().prec = 40
    exact = Decimal(x).ln()
    error = abs(Decimal(float(elementary.log(np.array(x)))) - exact)
    assert error <= 2 * Decimal(math.ulp(float(exact)))


@given(st.floats(0, 2 * math.pi))
@example(math.pi)
@example(float(np.float32(math.pi)))
@example(float(np.float32(math.pi / 2)))
@example(2 * math.pi)
def test_sin_and_cos_are_right_within_two_units_in_the_last_place(x):
    for ours, exact in zip(elementary.sin_cos(np.array(x)), (math.sin(x), math.cos(x))):
        assert abs(float(ours) - exact) <= 2 * math.ulp(exact) + 2**-84  # four times what two doubles leave of pi/2


def test_they_work_element_by_element():
    x = np.linspace(0.1, 6, 12).reshape(3, 4).astype(np.float32)
    for function in (elementary.log, lambda x: elementary.sin_cos(x)[0], lambda x: elementary.sin_cos(x)[1]):
        whole = function(x)
        assert whole.shape == x.shape and whole.dtype == np.float64
        assert all(function(x[i, j]) == whole[i, j] for i, j in np.ndindex(x.shape))
