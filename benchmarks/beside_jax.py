"""This project beside JAX: seconds per trial of the tutorial, and microseconds per trial, step and sequence of lags of
100 and 1,000, 100 trials each; medians of rounds in which the two take turns (make bench).

    python -m benchmarks.beside_jax
    python -m benchmarks.beside_jax avx2     as without AVX-512: native.c built for AVX2, and XLA told not to go beyond
"""

import json
import sys
from statistics import median

from benchmarks import long_lag, tutorial
from benchmarks.tutorial import jax, note, peer, seconds
from memory_trials.engines import compiler

TRIALS, ROUNDS = 100, 7
AVX2 = "--xla_cpu_max_isa=AVX2"


def main() -> None:
    avx2 = sys.argv[1:] == ["avx2"]
    if avx2:
        compiler.TUNINGS = (["-march=x86-64-v3"],)  # before the library is built, under a name of its own
    ours = {"tutorial": peer(tutorial.job(TRIALS), "native", long_lag.SHARD)}
    scripts = {"tutorial": ("jax_tutorial.py", TRIALS)}
    shares = {"tutorial": 1 / TRIALS}
    for lag in long_lag.LAGS:
        ours[str(lag)] = peer(long_lag.job(lag), "native", long_lag.SHARD)
        scripts[str(lag)] = ("jax_long_lag.py", lag, long_lag.TRIALS, long_lag.EPOCHS)
        shares[str(lag)] = 1e6 / (long_lag.TRIALS * 2 * (lag + 1) * long_lag.EPOCHS)
    figures = {}
    for name, arguments in ours.items():
        measured: dict[str, list[float]] = {"jax": [], "ours": []}
        for _ in range(ROUNDS):
            script, *numbers = scripts[name]
            measured["jax"].append(jax(script, *numbers, flags=AVX2 if avx2 else ""))
            measured["ours"].append(median(seconds(*arguments) * shares[name] for _ in range(3)))
        figures[name] = {who: round(median(values), 6) for who, values in measured.items()}
        ratio = figures[name]["jax"] / figures[name]["ours"]
        print(f"{name}: {json.dumps(figures[name])}; {ratio:.1f} times faster than JAX", flush=True)
    note("beside_jax_avx2" if avx2 else "beside_jax", figures)


if __name__ == "__main__":
    main()
