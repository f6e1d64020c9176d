"""The weights by which cells compute a machine, and those by which linear cells solve tasks in their own ways.

Each function returns all weights of a model by name, those of the output layer too. Input vectors hold the present
symbol and the one before it. Units that are not needed have weights of zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from memory_trials.probe.machines import Machine, Unit
from memory_trials.stream_settings import Induction, SelectiveCopying, StreamSettings
from memory_trials.tasks.endless.portions import settings_of

STEEP = 20.0  # by which sums are multiplied, so that a sigmoid is 0 or 1 in float32
CLEAR = 20.0  # likewise of outputs
CELL = ("cell/kernel", "cell/recurrent_kernel", "cell/bias")
Weights = dict[str, np.ndarray]


class _Sums(NamedTuple):
    """Linear functions of input vectors and of states before, a column for each of the model's units."""

    kernel: np.ndarray
    recurrent: np.ndarray
    bias: np.ndarray


def _sums(units: list[Unit], inputs: int, columns: int, tall: float) -> _Sums:
    """Return the sums of these units, for states that are `tall` for 1 and minus that for 0; before the first step, at
    which there are no symbols one step ago, states are zero and stand for 0. Without `tall`: for states of 1 and 0."""
    kernel, recurrent, bias = np.zeros((inputs, columns)), np.zeros((columns, columns)), np.zeros(columns)
    half = inputs // 2  # of the input vector is the present symbol, the rest the one before
    for number, unit in enumerate(units):
        first = unit.bias if unit.first is None else unit.first
        for weights, begin in ((unit.x, 0), (unit.before, half)):
            for symbol, weight in weights.items():
                kernel[begin + symbol, number] += weight
        kernel[half:, number] += unit.bias - first
        bias[number] = first
        for other, weight in unit.units.items():
            recurrent[other, number] = weight
            if tall:
                kernel[half:, number] += weight / 2
                recurrent[other, number] /= 2 * tall
    return _Sums(kernel, recurrent, bias)


def _signs(sums: _Sums) -> list[np.ndarray]:
    """Sums of 1 and 0 -> steep ones, above and below 0."""
    return [2 * STEEP * sums.kernel, 2 * STEEP * sums.recurrent, STEEP * (2 * sums.bias - 1)]


def _outputs(machine: Machine, columns: int, tall: float) -> Weights:
    kernel, bias = np.zeros((columns, len(machine.outputs))), np.zeros(len(machine.outputs))
    for number, output in enumerate(machine.outputs):
        bias[number] = output.bias
        for unit, weight in output.units.items():
            if tall and not machine.units[unit].counts:
                kernel[unit, number], bias[number] = weight / (2 * tall), bias[number] + weight / 2
            else:
                kernel[unit, number] = weight / (tall or 1)
    return {"output/kernel": CLEAR * kernel, "output/bias": CLEAR * bias}


def no_gates(machine: Machine, inputs: int, columns: int) -> Weights:
    """simple_rnn with tanh: states are 1 and -1."""
    kernel, recurrent, bias = _signs(_sums(machine.units, inputs, columns, 1.0))
    bias[len(machine.units) :] = 0
    return dict(zip(CELL, (kernel, recurrent, bias))) | _outputs(machine, columns, 1.0)


def rectified(machine: Machine, inputs: int, columns: int) -> Weights:
    """simple_rnn with relu: states are 1 and 0, or a count."""
    sums = _sums(machine.units, inputs, columns, 0.0)
    return dict(zip(CELL, sums)) | _outputs(machine, columns, 0.0)


def _gated(machine: Machine, inputs: int, columns: int, tall: float) -> tuple[list, list]:
    """Return kernel, recurrent kernel and bias of what is written, and of the gate that lets it be, above 0 where it
    does. Units that the machine does not have never write."""
    used = len(machine.units)
    written = _signs(_sums(machine.units, inputs, columns, tall))
    always = Unit(bias=1.0)
    gates = _signs(_sums([unit.gate or always for unit in machine.units], inputs, columns, tall))
    written[2][used:], gates[2][used:] = 0, -STEEP
    for number, unit in enumerate(machine.units):
        if unit.counts:  # what is written is 1, 0 or -1 by the symbol alone
            written[1][:, number] = written[2][number] = 0
            written[0][inputs // 2 :, number] = 0
    return written, gates


def lstm(machine: Machine, inputs: int, columns: int) -> Weights:
    """A unit writes with an open input gate and a closed forget gate; it counts with both open. Its states are
    tanh(1) and -tanh(1)."""
    tall = float(np.tanh(1))
    written, gates = _gated(machine, inputs, columns, tall)
    forget = [-part for part in gates]
    for number, unit in enumerate(machine.units):
        if unit.counts:
            forget[2][number] = STEEP
    return _side_by_side(gates, forget, written, _open(written)) | _outputs(machine, columns, tall)


def slstm(machine: Machine, inputs: int, columns: int) -> Weights:
    """A unit writes with a large input gate and a closed forget gate. Its states are 1 and -1."""
    written, gates = _gated(machine, inputs, columns, 1.0)
    forget = [-part for part in gates]
    return _side_by_side(gates, forget, written, _open(written)) | _outputs(machine, columns, 1.0)


def _open(like: Sequence[np.ndarray]) -> list[np.ndarray]:
    kernel, recurrent, bias = like
    return [np.zeros_like(kernel), np.zeros_like(recurrent), np.full_like(bias, STEEP)]


def _side_by_side(*gates: Sequence[np.ndarray]) -> Weights:
    return {name: np.concatenate([gate[at] for gate in gates], axis=-1) for at, name in enumerate(CELL)}


def gru(machine: Machine, inputs: int, columns: int) -> Weights:
    """A unit writes with a closed update gate; the reset gate is always open. Its states are 1 and -1."""
    written, gates = _gated(machine, inputs, columns, 1.0)
    cell = _side_by_side([-part for part in gates], _open(written), written)  # z, r, h
    of_inputs = cell["cell/bias"]
    cell["cell/bias"] = np.stack([of_inputs, np.zeros_like(of_inputs)])  # the second one of the hidden state
    return cell | _outputs(machine, columns, 1.0)


FORMS: dict[str, Callable[[Machine, int, int], Weights]] = {
    "tanh": no_gates, "relu": rectified, "lstm": lstm, "gru": gru, "slstm": slstm,
}  # fmt: skip


def reflection(settings: StreamSettings, inputs: int, columns: int) -> Weights:
    """Return delta_net's weights for parity, with strengths up to 2: a 1 reflects the only number that is kept,
    s <- 1 - s, and a 0 leaves it (Grazzi et al. 2024, section 4)."""
    kernel = np.zeros((inputs, 3 * columns + 1))  # q, k, v, beta, with one head
    long = 1e4  # of keys before they are brought to norm 1, beside which EPSILON is nothing
    for symbol in (0, 1):
        kernel[symbol, 0] = kernel[symbol, columns] = long
        kernel[symbol, 2 * columns] = 0.5
        kernel[symbol, 3 * columns] = 2 * STEEP if symbol else -2 * STEEP
    output = np.zeros((columns, 2))
    output[0] = -CLEAR, CLEAR
    even = CLEAR / 2 / np.sqrt(columns)  # y is s / sqrt(columns)
    return {"cell/kernel": kernel, "output/kernel": output, "output/bias": np.array([even, -even])}


def _fading(tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """Return decays, and coefficients with which powers of them sum up to 1 for the power `tokens`, and to 0 for all
    others that are at least 1 and less than 2 `tokens`.

    If what is kept fades by each decay at each token and marker, and at nothing else, token j has faded
    tokens - j + i times at marker i. So there these sums are token i alone, however far apart tokens lie.
    """
    decays, powers = np.linspace(0.05, 0.99, 16), np.arange(1, 2 * tokens)
    coefficients, *_ = np.linalg.lstsq(decays ** powers[:, np.newaxis], powers == tokens, rcond=None)
    return decays, coefficients


def fading_units(settings: StreamSettings, inputs: int, columns: int) -> Weights:
    """Return min_gru's weights for selective copying: bits of tokens, each in units that fade by other decays."""
    copying = settings_of(settings, SelectiveCopying)
    symbols, marker, bits = copying.symbols, copying.symbols + 1, (copying.symbols - 1).bit_length()
    decays, coefficients = _fading(copying.tokens)
    kernel, output, bias = np.zeros((inputs, 2 * columns)), np.zeros((columns, symbols)), np.zeros(symbols)
    present = kernel[: inputs // 2]
    present[:, : 2 * columns] = -2 * STEEP  # so that nothing is written, and nothing fades
    for bit in range(bits):
        some = slice(bit * len(decays), (bit + 1) * len(decays))
        of_bit = [s for s in range(symbols) if s >> bit & 1]
        present[[*range(symbols), marker], some] = np.log((1 - decays) / decays)
        present[of_bit, columns + some.start : columns + some.stop] = 1 / (1 - decays) - 0.5
        signs = np.array([1.0 if s in of_bit else -1.0 for s in range(symbols)])
        output[some] = np.outer(coefficients, signs)
        bias -= signs / 2
    return {"cell/kernel": kernel, "output/kernel": CLEAR * output, "output/bias": CLEAR * bias}


def _selecting(inputs: int, columns: int, outputs: int, size: int) -> Weights:
    """Return weights of s6 that do nothing: a step of 0, whatever the input."""
    rank = -(-columns // 16)
    return {
        "cell/input_kernel": np.zeros((inputs, columns)),
        "cell/selection_kernel": np.zeros((columns, rank + 2 * size)),
        "cell/rate_kernel": np.zeros((rank, columns)),
        "cell/rate_bias": np.full(columns, -2 * STEEP),
        "cell/log_decay": np.zeros((columns, size)),
        "cell/skip": np.zeros(columns),
        "output/kernel": np.zeros((columns, outputs)),
        "output/bias": np.zeros(outputs),
    }


def fading_states(settings: StreamSettings, inputs: int, columns: int) -> Weights:
    """Return s6's weights for selective copying: a unit for each token, whose states fade by other decays."""
    copying = settings_of(settings, SelectiveCopying)
    symbols, marker = copying.symbols, copying.symbols + 1
    decays, coefficients = _fading(copying.tokens)
    weights = _selecting(inputs, columns, symbols, len(decays))
    for unit, symbol in enumerate((*range(symbols), marker)):
        weights["cell/input_kernel"][symbol, unit] = 1
        weights["cell/selection_kernel"][unit, 0] = 1  # a step of softplus(log(e - 1)) = 1
    rank = len(weights["cell/rate_kernel"])
    weights["cell/selection_kernel"][:symbols, rank : rank + len(decays)] = 1  # tokens are written
    weights["cell/selection_kernel"][symbols, rank + len(decays) :] = coefficients  # markers read
    weights["cell/rate_kernel"][0] = np.log(np.e - 1) + 2 * STEEP
    weights["cell/log_decay"][:] = np.log(-np.log(decays))
    weights["output/kernel"][:symbols] = CLEAR * np.eye(symbols)
    return weights


def latched_states(settings: StreamSettings, inputs: int, columns: int) -> Weights:
    """Return s6's weights for induction: what comes right after the special symbol is written, and nothing else."""
    symbols = settings_of(settings, Induction).symbols
    size, special, after = 16, symbols, symbols + 1  # units that tell the special symbol, now and one step ago
    weights = _selecting(inputs, columns, symbols, size)
    rank = len(weights["cell/rate_kernel"])
    weights["cell/input_kernel"][range(symbols), range(symbols)] = 1
    weights["cell/input_kernel"][symbols, special] = weights["cell/input_kernel"][inputs // 2 + symbols, after] = 1
    weights["cell/selection_kernel"][after, 0] = 1
    weights["cell/selection_kernel"][:symbols, rank] = 1  # any symbol is written, where the step is not 0
    weights["cell/selection_kernel"][special, rank + size] = 1  # the special symbol reads
    weights["cell/rate_kernel"][0] = 3 * STEEP
    weights["output/kernel"][:symbols] = np.eye(symbols)  # of what was written with a step of STEEP
    return weights
