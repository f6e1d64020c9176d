"""log, sin and cos in double precision, with the same bits on every machine.

NumPy's own take other instructions on another processor, or the C library's code, and their last bits differ. Here are
only operations that IEEE 754 rounds correctly (+ - * /) and those on integers, element by element, in an order that is
written out. Errors are some units in the last place of a double, so a result rounded to float32 is the right one
but for about one in a hundred million.
"""

from math import factorial

import numpy as np

# pi/2 and log(2) as sums of two doubles; a product of the first, which ends in zeros, with a small integer is exact
HALF_PI = (float.fromhex("0x1.921fb544p+0"), float.fromhex("0x1.0b4611a626331p-34"))
LOG_2 = (float.fromhex("0x1.62e42fefa38p-1"), float.fromhex("0x1.ef35793c7673p-45"))
SQRT_2 = float.fromhex("0x1.6a09e667f3bcdp+0")

# Taylor's, from the highest power down, as far as they count where they are used
ATANH = [1 / (2 * n + 1) for n in range(11, 0, -1)]  # of x^2 to 0.0295; without the first term, as the next one
SIN = [(-1) ** n / factorial(2 * n + 1) for n in range(8, 0, -1)]  # of x^2 to (pi/4)^2
COS = [(-1) ** n / factorial(2 * n) for n in range(9, 0, -1)]


def log(x: np.ndarray) -> np.ndarray:
    """Natural logarithm of positive, normal numbers, in double precision.

    x = 2^e m with m between sqrt(1/2) and sqrt(2); log m = 2 atanh((m - 1) / (m + 1)).
    """
    bits = np.asarray(x, np.float64).view(np.int64)
    exponent = ((bits >> 52) - 1023).astype(np.float64)
    m = ((bits & 0xFFFFFFFFFFFFF) | 0x3FF0000000000000).view(np.float64)
    large = m > SQRT_2
    exponent = exponent + large
    m = np.where(large, 0.5 * m, m)
    s = (m - 1) / (m + 1)
    rest = 2 * s * (s * s) * _polynomial(ATANH, s * s)
    return exponent * LOG_2[0] + (2 * s + (rest + exponent * LOG_2[1]))


def sin_cos(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sine and cosine of numbers from 0 to 2 pi, in double precision: of what a multiple of pi/2 leaves."""
    x = np.asarray(x, np.float64)
    quarter = np.rint(x * (2 / np.pi))
    r = (x - quarter * HALF_PI[0]) - quarter * HALF_PI[1]
    square = r * r
    sin = r + r * square * _polynomial(SIN, square)
    cos = 1 + square * _polynomial(COS, square)
    quadrant = quarter.astype(np.int64) & 3
    odd = (quadrant & 1).astype(bool)
    sign = 1.0 - (quadrant & 2)
    return np.where(odd, cos, sin) * sign, np.where(odd, -sin, cos) * sign


def _polynomial(coefficients: list[float], x: np.ndarray) -> np.ndarray:
    """By Horner's rule, the highest power first."""
    total = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total *= x
        total += coefficient
    return total
