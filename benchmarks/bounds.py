"""What arithmetic alone would take of what beside_jax measures: how many times faster than JAX a program that rounds as
native.c does could be at most on this processor, without AVX-512 (bounds.c; make bench).

    python -m benchmarks.bounds     after `python -m benchmarks.beside_jax avx2`, whose times of JAX it takes

In the tutorial Adam's root and its division, for 276 vectors of 8 weights in each of 2,000 updates. At a lag of 100 the
fused multiply-adds of a step: 20 rows of 80 columns forward, back, and for the gradient, and 12 for each of 100
activations (some are plain products, as dear). All else is left out: loads, stores, waiting, the rest of Adam, the
output layer. At a lag of 1,000 gradients fade on their way back and are not followed, so there is no such number.
"""

import ctypes
import json
from pathlib import Path
from statistics import median

from benchmarks.tutorial import HERE, note, seconds
from memory_trials.engines import compiler
from memory_trials.models.backend import CORES

ROUNDS, TIMES = 15, 20_000
UPDATES = 2000
MULTIPLY_ADDS = 3 * 20 * 80 + 12 * 100


def main() -> None:
    compiler.TUNINGS = (["-march=x86-64-v3"],)  # before the library is built
    library = compiler.Library(Path(__file__).with_name("bounds.c")).load()
    library.multiply_adds.argtypes = [ctypes.c_int64, ctypes.c_float, ctypes.c_float]
    update = median(seconds(library.roots_and_divisions, TIMES) / TIMES for _ in range(ROUNDS))
    multiply_add = median(seconds(library.multiply_adds, 10 * TIMES, 0.5, 0.5) / (960 * TIMES) for _ in range(ROUNDS))
    least = {"tutorial": UPDATES * update / CORES, "100": 1e6 * MULTIPLY_ADDS * multiply_add / CORES}
    measured = json.loads((HERE / "results.json").read_text())["beside_jax_avx2"]
    figures = {}
    for name, bound in least.items():
        peers = measured[name]
        figures[name] = {"least": round(bound, 6), "at_most": round(peers["jax"] / bound, 1)}
        print(f"{name}: at least {bound:.4g}, measured {peers['ours']:.4g}; JAX {peers['jax'] / bound:.1f} times that")
    note("bounds", figures)


if __name__ == "__main__":
    main()
