"""The memory cell of 1997, from the paper's equations: one trial, one step at a time, in double precision.

Appendix A.1 of Hochreiter & Schmidhuber (1997). Every unit of the layer (input gates, output gates, cells) has a row of
weights over its sources; the traces are one dictionary of arrays; nothing is shared with the engine but the order
of the weights.
"""

import numpy as np

from memory_trials.settings import ModelSettings
from memory_trials.tasks.interface import Shape


def memory_cell(cells, **options):
    return ModelSettings(cell="memory_cell", units=cells, cell_options=options)


def distractors(p):
    return memory_cell(2, weights=0.2), Shape(p + 4, 2, False, False, False, 60), 6 * p + 64


GATED = {"output_gate_bias": "random", "cell_bias": True, "output_bias": True}
REBER, LINE = Shape(7, 7, False, False, True, 30), Shape(1, 1, True, True, False, 110)
PAIRS = Shape(2, 1, True, True, False, 110)
# of the paper's table of conditions: model, shape of its task, number of weights
ARCHITECTURES = {
    "1 4x1": (memory_cell(4, weights=0.2, output_gate_bias=[-1.0, -2.0, -3.0, -4.0], input_gate_bias="random"), REBER, 264),
    "1 3x2": (memory_cell(6, block_size=2, weights=0.2, output_gate_bias=[-1.0, -2.0, -3.0], input_gate_bias="random"), REBER, 276),
    "2a": (memory_cell(1, connected="B", output_gate=False, squashing="plain", weights=0.2), Shape(101, 101, False, False, True, 101), 10504),
    **{f"2c {p}": distractors(p) for p in (50, 100, 200, 500, 1000)},
    "3": (memory_cell(3, input_gate_bias=[-1.0, -3.0, -5.0], output_gate_bias=[-2.0, -4.0, -6.0], cell_bias=True), LINE, 102),
    "4": (memory_cell(4, block_size=2, input_gate_bias=[-3.0, -6.0], **GATED), PAIRS, 93),
    "5": (memory_cell(4, block_size=2, input_gate_bias="random", **GATED), PAIRS, 93),
    "6a": (memory_cell(4, block_size=2, input_gate_bias=[-2.0, -4.0], **GATED), Shape(8, 4, False, False, False, 110), 156),
    "6b": (memory_cell(6, block_size=2, input_gate_bias=[-2.0, -4.0, -6.0], **GATED), Shape(8, 8, False, False, False, 110), 308),
}  # fmt: skip


def logistic(x):
    return 1 / (1 + np.exp(-x))


class MemoryCell:
    """options: cells.memory_cell.Options. weights: by name, as models/weights.py names them, of one trial."""

    def __init__(self, options, cells, inputs, outputs, weights, rate=0.0, by_sequence=False, loss=None, linear=False):
        self.options, self.cells, self.inputs, self.outputs = options, cells, inputs, outputs
        self.rate, self.by_sequence, self.loss, self.linear = rate, by_sequence, loss, linear
        self.w = {name: np.array(array, np.float64) for name, array in weights.items()}
        self.blocks, self.size = cells // options.block_size, options.block_size
        self.gates = self.blocks * (1 + options.output_gate)
        self.units = self.gates + cells
        self.seen = slice({"F": 0, "C": self.gates, "B": self.units}[options.connected], None)  # of the units before
        self.block_of = np.arange(cells) // self.size
        has = [options.input_gate_bias is not None] * self.blocks
        has += [options.output_gate_bias is not None] * (self.gates - self.blocks) + [options.cell_bias] * cells
        self.biased = np.flatnonzero(has)
        self.frozen = None  # recorded outputs of the step before, where they are constants

    def nets(self, x, before):
        nets = x @ self.w["cell/kernel"]
        if "cell/recurrent_kernel" in self.w:
            nets = nets + before[self.seen] @ self.w["cell/recurrent_kernel"]
        if len(self.biased):
            nets = nets.copy()
            nets[self.biased] += self.w["cell/bias"]
        return nets

    def squashed(self, nets):
        """y_in, y_out (or 1), g and its derivative."""
        y_in = logistic(nets[: self.blocks])
        y_out = logistic(nets[self.blocks : self.gates]) if self.options.output_gate else np.ones(self.blocks)
        sigma = logistic(nets[self.gates :])
        if self.options.squashing == "plain":
            return y_in, y_out, sigma, sigma * (1 - sigma)
        reach = {"equations": 2, "caption": 1}[self.options.squashing]  # of g: [-2, 2] or [-1, 1]
        return y_in, y_out, reach * (2 * sigma - 1), reach * 2 * sigma * (1 - sigma)

    def h(self, s):
        if self.options.squashing == "plain":
            return s, np.ones_like(s)
        sigma, reach = logistic(s), {"equations": 1, "caption": 2}[self.options.squashing]
        return reach * (2 * sigma - 1), reach * 2 * sigma * (1 - sigma)

    def read_out(self, x, y_cells):
        nets = y_cells @ self.w["output/kernel"]
        if "output/input_kernel" in self.w:
            nets = nets + x @ self.w["output/input_kernel"]
        if "output/bias" in self.w:
            nets = nets + self.w["output/bias"]
        return nets if self.linear else logistic(nets)

    def run(self, xs, targets, train=True):
        """xs: [steps, inputs]. targets: for each step a vector, or None where it is not scored. Returns the outputs at
        scored steps; learns, unless told otherwise."""
        before, s = np.zeros(self.units), np.zeros(self.cells)
        trace = {name: np.zeros((2, size, self.cells)) for name, size in
                 (("cell/kernel", self.inputs), ("cell/recurrent_kernel", len(before[self.seen])), ("cell/bias", 1))}  # fmt: skip
        self.gradient = {name: np.zeros_like(array) for name, array in self.w.items()}
        said, self.before = [], []
        for step, (x, target) in enumerate(zip(xs, targets)):
            if self.frozen is not None:
                before = self.frozen[step]
            self.before.append(before)
            y_in, y_out, g, slope = self.squashed(self.nets(x, before))
            block = self.block_of
            s = s + y_in[block] * g
            for name, source in (
                ("cell/kernel", x),
                ("cell/recurrent_kernel", before[self.seen]),
                ("cell/bias", np.ones(1)),
            ):
                trace[name][0] += np.outer(source, slope * y_in[block])
                trace[name][1] += np.outer(source, g * (y_in * (1 - y_in))[block])
            h, h_slope = self.h(s)
            y_cells = y_out[block] * h
            new = np.concatenate([y_in, y_out[: self.gates - self.blocks], y_cells])
            if target is not None:
                y = self.read_out(x, y_cells)
                said.append(y)
                if train:
                    slope_of_output = 1 if self.linear or self.loss == "cross_entropy" else y * (1 - y)
                    self.backward(x, before, y_cells, y_out, h, h_slope, trace, (y - target) * slope_of_output)
                    if not self.by_sequence:
                        self.descend()
            before = new
        if train and self.by_sequence:
            self.descend()
        return np.array(said)

    def backward(self, x, before, y_cells, y_out, h, h_slope, trace, delta):
        by_cells = self.w["output/kernel"] @ delta
        error = y_out[self.block_of] * h_slope * by_cells
        by_block = lambda values: np.array([values[..., self.block_of == b].sum(-1) for b in range(self.blocks)]).T
        gate_error = y_out * (1 - y_out) * by_block(h * by_cells)
        for name, source in (
            ("cell/kernel", x),
            ("cell/recurrent_kernel", before[self.seen]),
            ("cell/bias", np.ones(1)),
        ):
            if name not in self.w:
                continue
            into_gates = by_block(trace[name][1] * error)
            parts = [into_gates, np.outer(source, gate_error)] if self.options.output_gate else [into_gates]
            whole = np.concatenate([*parts, trace[name][0] * error], axis=1)
            self.gradient[name] += whole[0, self.biased] if name == "cell/bias" else whole
        self.gradient["output/kernel"] += np.outer(y_cells, delta)
        if "output/input_kernel" in self.w:
            self.gradient["output/input_kernel"] += np.outer(x, delta)
        if "output/bias" in self.w:
            self.gradient["output/bias"] += delta

    def descend(self):
        for name, gradient in self.gradient.items():
            self.w[name] -= self.rate * gradient
            gradient[...] = 0
