"""Functions, sums and products in double precision, with the same bits on every machine.

NumPy's own take other instructions, another order, or the C library's code on another processor, and their last bits
differ. Here are only operations that IEEE 754 rounds correctly (+ - * /) and those on integers, element by element, in
an order that is written out. The functions are wrong by some units in the last place at most, so a result that is
rounded to float32 is the right one but for about one in a hundred million. What is NaN stays NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from math import factorial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Float64

# pi/2 and log(2) as sums of two doubles; a product of the first, which ends in zeros, with a small integer is exact
HALF_PI = (float.fromhex("0x1.921fb544p+0"), float.fromhex("0x1.0b4611a626331p-34"))
LOG_2 = (float.fromhex("0x1.62e42fefa38p-1"), float.fromhex("0x1.ef35793c7673p-45"))
SQRT_2 = float.fromhex("0x1.6a09e667f3bcdp+0")
LARGEST = 700.0  # of which exp is taken
BLOCK = 8000  # numbers
TO_INTEGER = 1.5 * 2**52  # added to a number, it leaves no digits after the point: the sum's low bits are an integer

# Taylor's, from the highest power down, as far as they count where they are used
ATANH = [1 / (2 * n + 1) for n in range(11, 0, -1)]  # of x^2 to 0.0295; without the first term, as the next one
# r coth(r/2) by r^2 to (log(2)/2)^2: the polynomial of least error in fdlibm's exp (Sun Microsystems 1993)
COTH = [4.13813679705723846039e-08, -1.65339022054652515390e-06, 6.61375632143793436117e-05]
COTH += [-2.77777777770155933842e-03, 1.66666666666666019037e-01, 2.0]
SIN = [(-1) ** n / factorial(2 * n + 1) for n in range(8, 0, -1)]  # of x^2 to (pi/4)^2
COS = [(-1) ** n / factorial(2 * n) for n in range(9, 0, -1)]


def log(x: Float[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """Return the natural logarithm of positive, normal numbers, in double precision.

    x = 2^e m with m between sqrt(1/2) and sqrt(2); log m = 2 atanh((m - 1) / (m + 1)).
    """
    bits = np.asarray(x, np.float64).view(np.int64)
    exponent = ((bits >> 52) - 1023).astype(np.float64)
    m = ((bits & 0xFFFFFFFFFFFFF) | 0x3FF0000000000000).view(np.float64)
    large = m > SQRT_2
    exponent = exponent + large
    m = np.where(large, 0.5 * m, m)
    s = (m - 1) / (m + 1)
    rest = 2 * s * (s * s) * polynomial(ATANH, s * s)
    return exponent * LOG_2[0] + (2 * s + (rest + exponent * LOG_2[1]))


def sin_cos(x: Float[np.ndarray, "*shape"]) -> tuple[Float64[np.ndarray, "*shape"], Float64[np.ndarray, "*shape"]]:
    """Return sine and cosine of numbers from 0 to 2 pi, in double precision, from the remainder of a multiple of
    pi/2."""
    x = np.asarray(x, np.float64)
    quarter = np.rint(x * (2 / np.pi))
    r = (x - quarter * HALF_PI[0]) - quarter * HALF_PI[1]
    square = r * r
    sin = r + r * square * polynomial(SIN, square)
    cos = 1 + square * polynomial(COS, square)
    quadrant = quarter.astype(np.int64) & 3
    odd = (quadrant & 1).astype(bool)
    sign = 1.0 - (quadrant & 2)
    return np.where(odd, cos, sin) * sign, np.where(odd, -sin, cos) * sign


def sigmoid(x: Float[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """Return 1 / (1 + exp(-x))."""
    return _in_blocks(_sigmoid, x)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    above, below = _exp_as_ratio(-x)
    above += below
    below /= above
    return below


def tanh(x: Float[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """Return (1 - exp(-2x)) / (1 + exp(-2x)), right to 3e-16."""
    return _in_blocks(_tanh, x)


def _tanh(x: np.ndarray) -> np.ndarray:
    above, below = _exp_as_ratio(-2 * x)
    difference = below - above
    above += below
    difference /= above
    return difference


def softmax(x: Float[np.ndarray, "*shape n"]) -> Float64[np.ndarray, "*shape n"]:
    """Return the softmax over the last axis."""
    powers = _in_blocks(lambda x: np.divide(*_exp_as_ratio(x)), x - x.max(axis=-1, keepdims=True))
    return powers / total(powers)


def total(x: Float64[np.ndarray, "*shape n"]) -> Float64[np.ndarray, "*shape 1"]:
    """Return the sum over the last axis: the second half is added to the first until one number is left."""
    size = x.shape[-1]
    while size > 1:
        half = size // 2
        added = x[..., :half] + x[..., half : 2 * half]
        if size % 2:
            added[..., :1] += x[..., -1:]
        x, size = added, half
    return x


class Sliced(NamedTuple):
    """A matrix as `product` takes it: scale 4^-bits (2^bits high + low), where high and low are integers of so many
    bits. low_high: low, and high below it."""

    high: Float64[np.ndarray, "*shape n m"]
    low_high: Float64[np.ndarray, "*shape 2*n m"]
    scale: Float64[np.ndarray, "*shape 1 1"]
    bits: int


def sliced(matrix: Float[np.ndarray, "*shape n m"]) -> Sliced:
    """Of matrices of float32 or doubles, each by itself."""
    bits = (52 - (2 * matrix.shape[-2] - 1).bit_length()) // 2
    largest = np.maximum(matrix.max(axis=(-2, -1), keepdims=True), -matrix.min(axis=(-2, -1), keepdims=True))
    scale = np.ldexp(1.0, np.frexp(np.where(np.isfinite(largest), largest, 1))[1])
    high, low = _slices(matrix * (1 / scale), bits)
    return Sliced(high, np.concatenate([low, high], axis=-2), scale, bits)


def product(x: Float64[np.ndarray, "*shape k n"], matrix: Sliced) -> Float64[np.ndarray, "*shape k m"]:
    """Return x @ matrix for x between -1 and 1, right to some 2^-46 of the matrix's largest number.

    BLAS adds in an order of its own, which is why its last bits differ. Where it multiplies and adds integers, and all
    sums are below 2^53, nothing is rounded, so no order makes a difference (Ozaki et al. 2012, "Error-free
    transformations of matrix multiplication").
    """
    high, low = _slices(x, matrix.bits)
    result = np.concatenate([high, low], axis=-1) @ matrix.low_high
    result *= 2.0**-matrix.bits
    result += high @ matrix.high
    result *= matrix.scale * 4.0**-matrix.bits
    return result


def _slices(x: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """The first bits of x, as integers up to 2^bits, and those after them."""
    low = x * 2.0**bits
    high = np.rint(low)
    low -= high
    low *= 2.0**bits
    return high, np.rint(low, out=low)


def _in_blocks(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
    """What a function of single numbers makes of all: of so many at a time that what it needs stays in the cache."""
    if x.size <= BLOCK:
        return function(x)
    result = np.empty(x.shape)
    flat, whole = np.ravel(x), result.ravel()
    for first in range(0, x.size, BLOCK):
        whole[first : first + BLOCK] = function(flat[first : first + BLOCK])
    return result


def _exp_as_ratio(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two numbers whose ratio is exp(x); beyond -700 and 700 as there.

    x = n log(2) + r, with r between -log(2)/2 and log(2)/2, and exp(r) = (s + r) / (s - r), where s = r coth(r/2).
    """
    r = np.minimum(np.maximum(x, -LARGEST, dtype=np.float64), LARGEST)
    n = r * (1 / (LOG_2[0] + LOG_2[1]))
    n += TO_INTEGER
    power = ((n.view(np.int64) + 1023) << 52).view(np.float64)
    n -= TO_INTEGER
    r -= n * LOG_2[0]
    n *= LOG_2[1]
    r -= n
    s = polynomial(COTH, r * r)
    above = s + r
    above *= power
    s -= r
    return above, s


def polynomial(coefficients: list[float], x: np.ndarray) -> np.ndarray:
    """Evaluate a polynomial by Horner's rule, the highest power first."""
    result = coefficients[0] * x
    for coefficient in coefficients[1:-1]:
        result += coefficient
        result *= x
    result += coefficients[-1]
    return result
