"""Bits that are the same on every machine, recorded: of initial weights, of what a model computes from its weights, and
of streams of sequences.

python -m tests.bits                                                        (prints the digests on this machine)
NPY_DISABLE_CPU_FEATURES="X86_V4 ..." python -m tests.bits x86-64-v3        (and how many of them NumPy still uses)
"""

import hashlib
import sys
from collections.abc import Iterator

import numpy as np

from memory_trials.models import forward, initializers
from memory_trials.models.initializers import draw, initial_weights
from memory_trials.settings import ChronoSettings, ModelSettings
from memory_trials.stream_settings import stream_settings
from memory_trials.tasks.streams import Stream

DIGESTS = {
    "draws": "f91cc58e87d3c2457f9da42d2d3102a38107b9e91538d3631741d2f345f51359",
    "outputs": "a0848a012c199b1ad7c2c89a8d76ab70619b672d01f6392e3d32091f797775c2",
    "streams": "515f3c57919e61a3a8423ea11bd2def987d3391d7f4cb3616a6ad8846b6f28e3",
}
# what NumPy does without where a processor has vectors of 256 bits at most, or of 128; on one of another kind, nothing
LEFT_OUT = {
    "x86-64-v3": "AVX512_SPR AVX512_ICL X86_V4",
    "x86-64-v2": "AVX512_SPR AVX512_ICL X86_V4 X86_V3",
}


def draws() -> Iterator[np.ndarray]:
    """Of every kind, of some sizes, and of whole models."""
    seeds = np.array([1, 2, 3, 10**9, 123456789])
    for name in sorted(set(initializers.NAMES.values())):
        for shape in [(5, 80), (20, 80), (20, 20), (33, 7), (1, 1), (100, 100)]:
            yield draw(name, shape, seeds)
    chrono = ChronoSettings(chrono=1000)
    for model in (
        ModelSettings(forget_bias=chrono),
        ModelSettings(cell="gru", units=33),
        ModelSettings(cell="simple_rnn"),
    ):
        yield from initial_weights(model, 5, 5, np.arange(100))


def outputs() -> Iterator[np.ndarray]:
    """Of every cell, over 300 steps, with weights so large that some run into chaos: a last bit would not stay one."""
    for place, cell in enumerate(("lstm", "gru", "simple_rnn", "mlp")):
        for output, scale in (("sigmoid", 1), ("softmax", 5)):
            model = ModelSettings(cell=cell, units=10 + place, output=output)
            weights = [np.float32(scale) * w for w in initial_weights(model, 5, 5, np.arange(20))]
            x = np.array([[int(n) % 7 - 1 for n in initializers.integers(k, 300)] for k in range(3)])[..., np.newaxis]
            names = ["kernel", *["recurrent_kernel"] * (cell != "mlp"), "bias"]
            names = [*(f"cell/{name}" for name in names), "output/kernel", "output/bias"]
            yield from (
                np.ascontiguousarray(o) for _, o in forward.outputs(model, dict(zip(names, weights)), x.clip(-1, 4))
            )


def streams() -> Iterator[np.ndarray]:
    """Of every task, and for every purpose."""
    for stream in (
        {"task": "reber"},
        {"task": "reber", "different": True},
        {"task": "keys"},
        {"task": "keys", "middle": "random"},
        {"task": "distractors"},
        {"task": "two_sequence"},
        {"task": "two_sequence", "noisy_signal": True, "signal": 1, "length": 1000},
        {"task": "two_sequence", "noisy_targets": True},
        {"task": "adding", "length": 500},
        {"task": "multiplication"},
        {"task": "temporal_order"},
        {"task": "temporal_order", "signal": 3},
    ):
        for purpose in ("train", "check", "test"):
            drawn = Stream(stream_settings(**stream)).draw(np.array([0, 1, 2**32 - 1]), purpose, 3 * 512, 512)
            yield from (part for part in (drawn.lengths, drawn.x, drawn.y, drawn.possible) if part is not None)


def digests() -> dict[str, str]:
    return {
        of.__name__: hashlib.sha256(b"".join(a.astype(a.dtype.newbyteorder("<")).tobytes() for a in of())).hexdigest()
        for of in (draws, outputs, streams)
    }


if __name__ == "__main__":
    from numpy._core._multiarray_umath import __cpu_features__ as features

    left_out = LEFT_OUT[sys.argv[1]].split() if len(sys.argv) > 1 else []
    print(*digests().values(), sum(features.get(name, False) for name in left_out))
