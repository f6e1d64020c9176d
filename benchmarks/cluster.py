"""The Ray backend on the long-lag work: one worker and two, what a shard costs, and how far that can scale.

python -m benchmarks.cluster        (after `make ray`; make bench does not run it)

An LSTM of 20 units, full back-propagation through sequences of 100 steps, in shards of 25 trials. One and two workers
take turns in the same Ray (a shard that takes both CPUs leaves room for one); medians of the rounds. What this
process computes is counted apart, since it is what all shards share: drawing weights, sending, receiving, joining. The
model of many workers is made of these figures; see docs/cluster.md for what it assumes.
"""

import json
import os
import time
from statistics import median

import numpy as np

from benchmarks.tutorial import note
from memory_trials.settings import (
    ComputeSettings,
    EncodingSettings,
    GeneratedSettings,
    ModelSettings,
    ProblemSettings,
    TrainingSettings,
)
from memory_trials.tasks.encoding import UpdateTable, make_table
from memory_trials.tasks.problems import make_problem
from memory_trials.training import cache, shards, trainer
from memory_trials.training.job import TrainingJob, make_program

os.environ["RAY_worker_niceness"] = "0"  # Ray's workers give way to others, which threads do not
os.environ["RAY_idle_worker_killing_time_threshold_ms"] = "600000"  # starting one again is not what is measured
LAG, TRIALS, SHARD, EPOCHS, ROUNDS = 100, 200, 25, 300, 5
TINY = 400  # shards of one trial and one epoch
WORKERS = (1, 2, 10, 100, 1000)
WORKS = {"as measured": (100, 8, None), "longer": (100, 100, 20.0)}  # arms, shards of each, seconds of a shard
FIRST = 10.0  # seconds until Ray has started and its workers run


def settings_of(**changes) -> TrainingSettings:
    return TrainingSettings(**{"trials": TRIALS, "window": "sequence", "epochs": EPOCHS} | changes)


def timed(settings: TrainingSettings, compute: ComputeSettings, table: UpdateTable) -> tuple[float, float]:
    """Seconds that training takes, and seconds that this process computes meanwhile."""
    started, computed = time.perf_counter(), time.process_time()
    trainer.train(TrainingJob(ModelSettings(), settings, 50, table), compute)
    return time.perf_counter() - started, time.process_time() - computed


def bytes_of(table: UpdateTable) -> dict[str, int]:
    """Of a shard: sent, of a checkpoint of it at the end, and of what comes back."""
    settings = settings_of()
    job = TrainingJob(ModelSettings(), settings, 50, table)
    program = make_program(job, "native", SHARD)
    weights = [np.zeros((SHARD, *shape), np.float32) for shape in program.shapes]
    batch = shards.new_shard(job, program, weights, np.arange(SHARD))
    size = lambda batch: sum(array.nbytes for array in batch.values())
    sent, last = size(batch), None
    for chunk in shards.chunks(shards.resumed(job, program, batch), 0.0):
        last, before = chunk, last
    return {"sent": sent, "checkpoint": size(before.batch or batch), "returned": size(last.batch)}


def model(arms: int, shards_each: int, a_shard: float, task: float, arm: float, a_checkpoint: float) -> dict[str, dict]:
    """T(n) of a study: whoever is slower, n workers or the one process that feeds them.

    a_shard: seconds of a worker. task, arm, a_checkpoint: seconds of this process for each shard, arm and checkpoint.
    """
    count = arms * shards_each
    checkpoints = count * int(a_shard / cache.SECONDS)
    feeding = arms * arm + count * task + checkpoints * a_checkpoint
    seconds = {n: FIRST + max(feeding, -(-count // n) * (a_shard + task)) for n in WORKERS}
    return {
        str(n): {"seconds": round(t, 1), "efficiency": round(count * a_shard / n / t, 3)} for n, t in seconds.items()
    }


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
    cache.SECONDS = 0.0  # a checkpoint after each call; the store keeps none of them, so this is receiving alone
    checkpoints, real = [], cache.Entry.keep_checkpoint
    cache.Entry.keep_checkpoint = lambda entry, batch: (checkpoints.append(1), real(entry, batch))
    with_checkpoints = median(timed(settings_of(), peers["ray_2"], table)[1] for _ in range(3))
    a_shard, task = seconds["ray_1"] / count, median(c for _, c in overhead) / TINY
    arm = computed["ray_2"] - count * task
    a_checkpoint = max(0.0, with_checkpoints - computed["ray_2"]) / max(1, len(checkpoints) / 3)
    cache.SECONDS = 20.0
    driver = {"arm": arm, "shard": task, "checkpoint": a_checkpoint}
    figures = {
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "efficiency_of_two": {
            "ray": round(seconds["ray_1"] / 2 / seconds["ray_2"], 3),
            "threads": round(seconds["threads_1"] / 2 / seconds["threads_2"], 3),
        },
        "ray_over_threads": round(seconds["ray_2"] / seconds["threads_2"], 3),
        "seconds_a_shard": round(a_shard, 4),
        "tiny_task_ms": round(1000 * median(t for t, _ in overhead) / TINY, 2),
        "driver_ms": {name: round(1000 * value, 2) for name, value in driver.items()},
        "bytes_a_shard": bytes_of(table),
        "workers_at_most": round(a_shard / task),
        "model": {
            name: model(arms, each, length or a_shard, task, arm, a_checkpoint)
            for name, (arms, each, length) in WORKS.items()
        },
    }
    print(json.dumps(figures, indent=2))
    note("cluster", figures)


if __name__ == "__main__":
    main()
