"""Initial weights without TensorFlow: the draws of Keras's initializers for the built-in cells, many trials at once.

Trial s starts from the weights that Keras draws after `keras.utils.set_random_seed(s)`. What a seed changes are the
integers that initializers receive when layers are constructed; each is a seed of TensorFlow's stateless generator:
Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), Box-Muller for normal numbers, and
for an orthogonal matrix the QR decomposition of a normal one (Saxe et al. 2014). Computed in NumPy they take
milliseconds, where importing TensorFlow takes seconds. Uniform numbers are Keras's to the bit, normal ones but for
roundings in float32.

The bits are the same on every machine. So there are only operations here that IEEE 754 rounds correctly (+ - * / sqrt)
and those on integers, element by element, in an order that is written out; what NumPy sums, multiplies as matrices, or
takes the logarithm of, would come in another order, or from other instructions, on another processor.
"""

from __future__ import annotations

import random
from math import prod, sqrt
from typing import TYPE_CHECKING

import numpy as np

from memory_trials.cells import registry
from memory_trials.numerics.elementary import log, sin_cos, total
from memory_trials.settings import ModelSettings

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Float64, Int, UInt32, UInt64

    from memory_trials.settings import ChronoSettings

# Keras's initializers with their default arguments: the distribution, and its width. A uniform one ends at +-width, a
# normal one has it as its standard deviation; it is a number, or follows from a scale and the size of the kernel.
SIZES = {"in": lambda fan_in, fan_out: fan_in, "avg": lambda fan_in, fan_out: (fan_in + fan_out) / 2}
DISTRIBUTIONS: dict[str, tuple[str, float | tuple[float, str]]] = {
    "random_uniform": ("uniform", 0.05),
    "random_normal": ("normal", 0.05),
    "truncated_normal": ("truncated", 0.05),
    "glorot_uniform": ("uniform", (1.0, "avg")),
    "glorot_normal": ("truncated", (1.0, "avg")),
    "he_uniform": ("uniform", (2.0, "in")),
    "he_normal": ("truncated", (2.0, "in")),
    "lecun_uniform": ("uniform", (1.0, "in")),
    "lecun_normal": ("truncated", (1.0, "in")),
}
RANDOM = {"orthogonal", *DISTRIBUTIONS}
MATRICES = {"orthogonal", "identity"}  # have two dimensions
NAMES = {name: name for name in ("zeros", "ones", "identity", *sorted(RANDOM))}
NAMES |= {name.title().replace("_", ""): name for name in NAMES}  # Keras names them by their classes, too
NAMES |= {"zero": "zeros", "one": "ones", "normal": "random_normal", "uniform": "random_uniform"}

MULTIPLIERS, WEYL = (0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85)  # Philox's
SCRAMBLE = (0x3EC8F720, 0x02461E29)  # TensorFlow's key for making a key and a counter of a seed
RESERVED = 256  # blocks of four words that TensorFlow sets aside for four truncated normal numbers
TRUNCATED_DEVIATION = 0.87962566103423978  # of a normal distribution that is cut at 2
CACHED = 32_000  # numbers that are worked on at a time: they, and what is made of them, stay in a core's cache


def supports(settings: ModelSettings) -> bool:
    """Return whether these draws are the model's: its cell is one of Keras's that the registry knows, with no arguments
    but those its module names, and initializers by their names."""
    cell, options = registry.find(settings.cell), settings.cell_options
    if cell is None or cell.keras is None or not set(options) <= cell.keras.arguments:
        return False
    names = [value for option, value in options.items() if option.endswith("_initializer")]
    return (
        all(isinstance(name, str) and name in NAMES for name in names)
        and (cell.bias_rows > 0 or NAMES[options.get("bias_initializer", "zeros")] not in MATRICES)
        and isinstance(options.get("unit_forget_bias", True), bool)
        and isinstance(options.get("seed"), int | None)
    )


def initial_weights(
    settings: ModelSettings, inputs: int, symbols: int, seeds: Int[np.ndarray, " T"]
) -> list[Float32[np.ndarray, "T ..."]]:
    """Return the weights that T seeds give a model that is supported, in the order of its cell's `shapes`."""
    cell, units, options = registry.all_cells()[settings.cell], settings.units, settings.cell_options
    assert cell.keras is not None
    defaults = {"kernel": "glorot_uniform", "recurrent": "orthogonal", "bias": "zeros"}
    names = {variable: NAMES[options.get(f"{variable}_initializer", default)] for variable, default in defaults.items()}
    names["output"] = "glorot_uniform"

    is_random = {variable: name in RANDOM for variable, name in names.items()} | {"cell": options.get("seed") is None}
    receive = [variable for variable in cell.keras.constructed if is_random[variable]]
    received = dict(zip(receive, np.array([integers(int(seed), len(receive)) for seed in seeds]).T))
    drawn = lambda variable, shape: draw(names[variable], shape, received.get(variable, seeds))

    shapes = cell.shapes(units, inputs, symbols)
    weights = [drawn("kernel", shapes["cell/kernel"])]
    if cell.recurrent:
        weights.append(drawn("recurrent", shapes["cell/recurrent_kernel"]))
    if "unit_forget_bias" in cell.keras.arguments and options.get("unit_forget_bias", True):
        forget = draw("ones", (units,), seeds)  # the second of the blocks
        rest = ((cell.gates - 2) * units,)
        weights.append(np.concatenate([drawn("bias", (units,)), forget, drawn("bias", rest)], axis=1))
    else:
        weights.append(drawn("bias", shapes["cell/bias"]))
    weights += [drawn("output", shapes["output/kernel"]), draw("zeros", shapes["output/bias"], seeds)]
    set_forget_bias(settings, weights, seeds)
    return weights


def set_forget_bias(
    settings: ModelSettings, weights: list[Float[np.ndarray, "T ..."]], seeds: Int[np.ndarray, " T"]
) -> None:
    """Set what each unit's forgetting begins with, in place: Keras's own (None), a number, or drawn so that units keep
    for 1 to T steps.

    Chrono initialisation (Tallec & Ollivier 2018, section 3): forget bias log(u), u uniform in [1, T-1], and the
    input bias, where there is one, its negative. The bias is weights[2].
    """
    value: float | ChronoSettings | Float64[np.ndarray, "T units"] | None = settings.forget_bias
    if value is None:
        return
    chrono, write = getattr(value, "chrono", None), registry.all_cells()[settings.cell].set_forget_bias
    assert write is not None
    if chrono:
        uniform = np.stack([np.random.default_rng(int(seed)).random(settings.units) for seed in seeds])
        value = log(1 + (chrono - 2) * uniform)
    write(weights[2], settings.units, value, bool(chrono))


def integers(seed: int, count: int) -> list[int]:
    """Return the seeds of initializers in their order after set_random_seed(seed); see
    keras.random.make_default_seed."""
    generator = random.Random(seed)
    return [generator.randint(1, 10**9) for _ in range(count)]


def draw(initializer: str, shape: tuple[int, ...], seeds: Int[np.ndarray, " T"]) -> Float32[np.ndarray, "T ..."]:
    """Return [T, *shape], drawn by one of `NAMES` from each of T seeds, which are integers of 31 bits."""
    name = NAMES[initializer]
    if name in ("zeros", "ones"):
        return np.full((len(seeds), *shape), name == "ones", np.float32)
    if name == "identity":
        return np.tile(np.eye(*shape, dtype=np.float32), (len(seeds), 1, 1))
    drawn = np.empty((len(seeds), *shape), np.float32)
    together = max(1, CACHED // prod(shape))
    for first in range(0, len(seeds), together):
        some = slice(first, first + together)
        drawn[some] = _orthogonal(shape, seeds[some]) if name == "orthogonal" else _spread(name, shape, seeds[some])
    return drawn


def _spread(name: str, shape: tuple[int, ...], seeds: Int[np.ndarray, " T"]) -> Float32[np.ndarray, "T ..."]:
    """[T, *shape] of one of `DISTRIBUTIONS`."""
    width: float | np.float32 | tuple[float, str]
    distribution, width = DISTRIBUTIONS[name]
    if isinstance(width, tuple):
        scale, which = width
        fans = shape if len(shape) == 2 else shape * 2
        variance = scale / SIZES[which](*fans)
        width = sqrt(3 * variance) if distribution == "uniform" else sqrt(variance) / TRUNCATED_DEVIATION
    width, size = np.float32(width), prod(shape)
    if distribution == "uniform":
        drawn = uniform(width, size, seeds)
    else:
        drawn = (_normal if distribution == "normal" else _truncated)(seeds, size) * width
    return drawn.reshape(-1, *shape)


def uniform(
    width: float | np.float32, size: int, seeds: Int[np.ndarray, " T"], number: int = 0
) -> Float32[np.ndarray, "T {size}"]:
    """Return numbers within +-width from each of T seeds: draw `number` of the seed's stream of such draws."""
    width = np.float32(width)
    return _uniform(_words(seeds, size, number)) * (width + width) - width


def _orthogonal(shape: tuple[int, ...], seeds: Int[np.ndarray, " T"]) -> Float64[np.ndarray, "T ..."]:
    """[T, *shape]: as a matrix whose columns are those of the last axis, it has orthonormal rows or, where there are
    fewer columns than rows, columns: the Q of a normal matrix, where the diagonal of R is positive."""
    rows, columns = prod(shape[:-1]), shape[-1]
    long, short = max(rows, columns), min(rows, columns)
    vectors = _orthonormal(_normal(seeds, long * short).reshape(-1, long, short).swapaxes(1, 2))
    return (vectors if rows < columns else vectors.swapaxes(1, 2)).reshape(-1, *shape)


def _orthonormal(vectors: Float[np.ndarray, "T n m"]) -> Float64[np.ndarray, "T n m"]:
    """n vectors of m numbers each, by the modified Gram-Schmidt process in double precision.

    It loses the vectors' condition number of a double's 16 digits; random matrices leave enough for float32's 7.
    """
    vectors = vectors.astype(np.float64, order="C")
    room = np.empty_like(vectors)
    for k in range(vectors.shape[1]):
        unit, others, products = vectors[:, k : k + 1], vectors[:, k + 1 :], room[:, k + 1 :]
        unit /= np.sqrt(total(unit * unit))
        np.multiply(unit, others, out=products)
        np.multiply(unit, total(products), out=products)
        others -= products
    return vectors


def _normal(seeds: Int[np.ndarray, " T"], count: int) -> Float32[np.ndarray, "T {count}"]:
    """Of mean 0 and variance 1."""
    return _box_muller(_words(seeds, count + count % 2))[:, :count]


def _truncated(seeds: Int[np.ndarray, " T"], count: int) -> Float32[np.ndarray, "T {count}"]:
    """Normal numbers, those between -2 and 2. Every four have a range of words of their own."""
    groups = -(-count // 4)
    first = np.arange(groups, dtype=np.uint64) * np.uint64(RESERVED)
    key, high = _streams(seeds)
    drawn = np.empty((len(seeds), groups, 4), np.float32)
    found = np.zeros((len(seeds), groups), np.int64)
    trial, group = (index.ravel() for index in np.indices(found.shape))
    block = np.uint64(0)
    while len(trial):  # a twentieth is outside, so some groups need a second block, or a third
        words = _philox((first[group] + block, high[0][trial], high[1][trial]), (key[0][trial], key[1][trial]))
        for number in _box_muller(words).T:
            inside = (np.abs(number) < 2) & (found[trial, group] < 4)
            some = trial[inside], group[inside]
            drawn[*some, found[some]] = number[inside]
            found[some] += 1
        wanting = found[trial, group] < 4
        trial, group, block = trial[wanting], group[wanting], block + np.uint64(1)
    return drawn.reshape(len(seeds), -1)[:, :count]


def _box_muller(words: UInt32[np.ndarray, "*shape n"]) -> Float32[np.ndarray, "*shape n"]:
    """Normal numbers, as TensorFlow's BoxMullerFloat: of each pair the sine first."""
    uniform = _uniform(words)
    first, second = np.maximum(uniform[..., 0::2], np.float32(1e-7)), uniform[..., 1::2]
    radius = np.sqrt(np.float32(-2) * log(first).astype(np.float32))
    normal = np.empty_like(uniform)
    angle = (2 * np.pi * second.astype(np.float64)).astype(np.float32)
    for index, number in enumerate(sin_cos(angle)):
        normal[..., index::2] = number.astype(np.float32) * radius
    return normal


def _uniform(words: UInt32[np.ndarray, " ..."]) -> Float32[np.ndarray, " ..."]:
    """In [0, 1): a word's low 23 bits are the mantissa of a number in [1, 2), minus 1."""
    return ((words & np.uint32(0x7FFFFF)) | np.uint32(0x3F800000)).view(np.float32) - np.float32(1)


def _words(seeds: Int[np.ndarray, " T"], count: int, number: int = 0) -> UInt32[np.ndarray, "T {count}"]:
    """The beginning of the stream that belongs to each seed; or, after it, portion `number` of as many blocks."""
    key, high = _streams(seeds[:, np.newaxis])
    blocks = -(-count // 4)
    words = _philox((np.arange(number * blocks, (number + 1) * blocks, dtype=np.uint64), *high), key)
    return words.reshape(len(seeds), -1)[:, :count]


def _streams(seeds: Int[np.ndarray, " ..."]) -> tuple[tuple[UInt64[np.ndarray, " ..."], ...], ...]:
    """The key and the upper half of the counter of TensorFlow's stateless generator with the seed (s, 0), each two
    words (in uint64): what Philox makes of the counter (s, 0, 0, 0) and a key of TensorFlow's."""
    zero = np.uint64(0)
    words = _philox((seeds.astype(np.uint64), zero, zero), (np.uint64(SCRAMBLE[0]), np.uint64(SCRAMBLE[1])))
    words = words.astype(np.uint64)
    return (words[..., 0], words[..., 1]), (words[..., 2], words[..., 3])


def _philox(
    counter: tuple[UInt64[np.ndarray, " ..."] | np.uint64, ...], key: tuple[UInt64[np.ndarray, " ..."] | np.uint64, ...]
) -> UInt32[np.ndarray, "... 4"]:
    """The block of four words at a counter, by ten rounds of Philox 4x32.

    counter: the lower half, and the two words of the upper half; key: two words. All broadcast.
    """
    word, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    a, b, c, d = np.broadcast_arrays(counter[0] & word, counter[0] >> half, *counter[1:], key[0])[:4]
    for number in range(10):
        keys = [(k + np.uint64(number * weyl)) & word for k, weyl in zip(key, WEYL)]
        first, second = a * np.uint64(MULTIPLIERS[0]), c * np.uint64(MULTIPLIERS[1])
        a, b, c, d = (second >> half) ^ b ^ keys[0], second & word, (first >> half) ^ d ^ keys[1], first & word
    return np.stack([a, b, c, d], axis=-1).astype(np.uint32)
