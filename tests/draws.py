"""The bits of initial weights, recorded: the same on every machine.

python -m tests.draws                                                       (prints the digest on this one)
NPY_DISABLE_CPU_FEATURES="X86_V4 ..." python -m tests.draws x86-64-v3       (and how many of them NumPy takes yet)
"""

import hashlib
import sys

import numpy as np

from memory_trials import initializers
from memory_trials.config import ChronoSettings, ModelSettings
from memory_trials.initializers import draw, initial_weights

DIGEST = "f91cc58e87d3c2457f9da42d2d3102a38107b9e91538d3631741d2f345f51359"
# what NumPy leaves out where a processor has vectors of 256 bits at most, or of 128; on one of another kind, nothing
LEFT_OUT = {
    "x86-64-v3": "AVX512_SPR AVX512_ICL X86_V4",
    "x86-64-v2": "AVX512_SPR AVX512_ICL X86_V4 X86_V3",
}


def digest() -> str:
    """Of draws of every kind, of some sizes, and of whole models."""
    seeds = np.array([1, 2, 3, 10**9, 123456789])
    drawn = [
        draw(name, shape, seeds)
        for name in sorted(set(initializers.NAMES.values()))
        for shape in [(5, 80), (20, 80), (20, 20), (33, 7), (1, 1), (100, 100)]
    ]
    chrono = ChronoSettings(chrono=1000)
    models = [ModelSettings(forget_bias=chrono), ModelSettings(cell="gru", units=33), ModelSettings(cell="simple_rnn")]
    for model in models:
        drawn += initial_weights(model, 5, 5, np.arange(100))
    return hashlib.sha256(b"".join(array.astype("<f4").tobytes() for array in drawn)).hexdigest()


if __name__ == "__main__":
    from numpy._core._multiarray_umath import __cpu_features__ as features

    left_out = LEFT_OUT[sys.argv[1]].split() if len(sys.argv) > 1 else []
    print(digest(), sum(features.get(name, False) for name in left_out))
