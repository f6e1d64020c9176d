"""The Ray backend on the long-lag work: one worker and two, what a shard costs, and how far that can scale.

python -m benchmarks.cluster        (after `make ray`; make bench does not run it)

An LSTM of 20 units, full back-propagation through sequences of 100 steps, in shards of 25 trials. One and two workers
take turns in the same Ray (a shard that asks for both CPUs leaves room for one); medians of the rounds. What this
process computes is counted apart, since it is what all shards share: drawing weights, sending, receiving, joining. The
model of many workers is made of these figures; see docs/cluster.md for what it assumes.
"""

import json
import os
import time
from statistics import median

import numpy as np

from benchmarks.tutorial import note
from memory_trials import batches, shards, training
from memory_trials.config import (
    ComputeSettings,
    EncodingSettings,
    GeneratedSettings,
    ModelSettings,
    ProblemSettings,
    TrainingSettings,
)
from memory_trials.encoding import Table, make_table
from memory_trials.job import TrainingJob, make_program
from memory_trials.problems import make_problem

os.environ["RAY_worker_niceness"] = "0"  # Ray's workers give way to others, which threads do not
os.environ["RAY_idle_worker_killing_time_threshold_ms"] = "600000"  # starting one again is not what is measured
LAG, TRIALS, SHARD, EPOCHS, ROUNDS = 100, 200, 25, 300, 5
TINY = 400  # shards of one trial and one epoch
WORKERS = (1, 2, 10, 100, 1000)
WORKS = {"as measured": (100, 8, None), "longer": (100, 100, 20.0)}  # arms, shards of each, seconds of a shard
FIRST = 10.0  # seconds until Ray has started and its workers run


def settings_of(**changes) -> TrainingSettings:
    return TrainingSettings(**{"trials": TRIALS, "window": "sequence", "epochs": EPOCHS} | changes)


def timed(settings: TrainingSettings, compute: ComputeSettings, table: Table) -> tuple[float, float]:
    """Seconds that training takes, and seconds that this process computes meanwhile."""
    started, computed = time.perf_counter(), time.process_time()
    training.train(TrainingJob(ModelSettings(), settings, 50, table), compute)
    return time.perf_counter() - started, time.process_time() - computed


def bytes_of(table: Table) -> dict[str, int]:
    """Of a shard: sent, of a slice of it at the end, and of what comes back."""
    settings = settings_of()
    program = make_program(TrainingJob(ModelSettings(), settings, 50, table), "native", SHARD)
    weights = [np.zeros((SHARD, *shape), np.float32) for shape in program.shapes]
    part = batches.new_shard(program, weights, np.arange(SHARD))
    size = lambda part: sum(array.nbytes for array in part.values())
    sent, last = size(part), None
    for stretch in batches.stretches(program, part, np.arange(50, EPOCHS + 1, 50), 0.0):
        last, before = stretch, last
    return {"sent": sent, "slice": size(before.part or part), "returned": size(last.part)}


def model(arms: int, shards_each: int, shard: float, task: float, arm: float, a_slice: float) -> dict[str, dict]:
    """T(n) of a study: whoever is slower, n workers or the one process that feeds them.

    shard: seconds of a worker. task, arm, a_slice: seconds of this process for each shard, arm and slice.
    """
    count = arms * shards_each
    slices = count * int(shard / shards.SECONDS)
    feeding = arms * arm + count * task + slices * a_slice
    seconds = {n: FIRST + max(feeding, -(-count // n) * (shard + task)) for n in WORKERS}
    return {str(n): {"seconds": round(t, 1), "efficiency": round(count * shard / n / t, 3)} for n, t in seconds.items()}


def main() -> None:
    problem = make_problem(ProblemSettings(generate=GeneratedSettings(lag=LAG, middle="fixed"), scored="last"))
    table = make_table(problem, EncodingSettings(), settings_of(), False)
    ray = {"backend": "ray", "threads": 2, "shard": SHARD}
    peers = {
        "ray_1": ComputeSettings(**ray, cpus_per_shard=2),
        "ray_2": ComputeSettings(**ray),
        "threads_1": ComputeSettings(threads=1, shard=SHARD),
        "threads_2": ComputeSettings(threads=2, shard=SHARD),
    }
    for compute in peers.values():
        timed(settings_of(epochs=50), compute, table)  # starts Ray, its workers, and the tracing of the weights
    taken: dict[str, list[tuple[float, float]]] = {}
    for number in range(ROUNDS):
        for name, compute in peers.items():
            taken.setdefault(name, []).append(timed(settings_of(), compute, table))
        print(f"round {number + 1}: {json.dumps({name: round(t[-1][0], 2) for name, t in taken.items()})}", flush=True)
    seconds = {name: median(t for t, _ in pairs) for name, pairs in taken.items()}
    computed = {name: median(c for _, c in pairs) for name, pairs in taken.items()}
    tiny = ComputeSettings(**ray | {"shard": 1})
    empty = settings_of(trials=TINY, epochs=1)
    overhead = [timed(empty, tiny, table) for _ in range(ROUNDS)]
    count = TRIALS // SHARD
    shards.SECONDS = 0.0  # a slice after each call; the store keeps none of them, so this is receiving alone
    slices, real = [], shards.Shelf.keep_slice
    shards.Shelf.keep_slice = lambda shelf, part: (slices.append(1), real(shelf, part))
    with_slices = median(timed(settings_of(), peers["ray_2"], table)[1] for _ in range(3))
    shard, task = seconds["ray_1"] / count, median(c for _, c in overhead) / TINY
    arm = computed["ray_2"] - count * task
    a_slice = max(0.0, with_slices - computed["ray_2"]) / max(1, len(slices) / 3)
    shards.SECONDS = 20.0
    driver = {"arm": arm, "shard": task, "slice": a_slice}
    figures = {
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "efficiency_of_two": {
            "ray": round(seconds["ray_1"] / 2 / seconds["ray_2"], 3),
            "threads": round(seconds["threads_1"] / 2 / seconds["threads_2"], 3),
        },
        "ray_over_threads": round(seconds["ray_2"] / seconds["threads_2"], 3),
        "seconds_a_shard": round(shard, 4),
        "tiny_task_ms": round(1000 * median(t for t, _ in overhead) / TINY, 2),
        "driver_ms": {name: round(1000 * value, 2) for name, value in driver.items()},
        "bytes_a_shard": bytes_of(table),
        "workers_at_most": round(shard / task),
        "model": {
            name: model(arms, each, length or shard, task, arm, a_slice) for name, (arms, each, length) in WORKS.items()
        },
    }
    print(json.dumps(figures, indent=2))
    note("cluster", figures)


if __name__ == "__main__":
    main()
