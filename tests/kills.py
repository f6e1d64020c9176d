"""Training that is killed at random moments: does it end with the same bytes as training that is left alone?

python -m tests.kills 50        (so many kills of each way of training; prints how it ended)
"""

import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from memory_trials.settings import ComputeSettings, EncodingSettings, ModelSettings, ProblemSettings, TrainingSettings
from memory_trials.tasks.encoding import make_table
from memory_trials.tasks.problems import make_problem
from memory_trials.training import cache, trainer
from memory_trials.training.job import TrainingJob
from memory_trials.training.trained import Trained, write_trained

OWN = {"cell": "my_cells.leaky.LeakyCell", "units": 8}
WAYS = {  # of training, each for a second or two: model, training
    "native": ({}, {"epochs": 3000}),
    "shuffled": ({"units": 8}, {"epochs": 2500, "shuffle": True}),
    "never reset": ({"cell": "gru"}, {"epochs": 4000, "reset": "never"}),
    "xla": (OWN, {"epochs": 3000, "optimizer": "rmsprop"}),
}


def train(way: str, store: cache.TrialCache = trainer.NO_CACHE, **changes) -> Trained:
    model, settings = WAYS[way]
    settings = TrainingSettings(**{"trials": 24} | settings | changes)
    problem = make_problem(ProblemSettings(sequences=[[3, 0, 1, 2, 3], [4, 0, 1, 2, 4]]))
    table = make_table(problem, EncodingSettings(), settings, False)
    compute = ComputeSettings(threads=2, shard=8)
    return trainer.train(TrainingJob(ModelSettings(**model), settings, 700, table), compute, store=store)


def as_bytes(trained: Trained, folder: Path) -> bytes:
    write_trained(folder / "trained.npz", trained, {})
    return (folder / "trained.npz").read_bytes()


def emptied(folder: Path) -> cache.TrialCache:
    for path in folder.glob("*"):
        path.unlink()
    return cache.TrialCache(folder, 1000)


def started(way: str, folder: Path) -> subprocess.Popen:
    """A process that trains, and writes a checkpoint whenever it can."""
    command = [sys.executable, "-m", "tests.kills", way, str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def killed(way: str, folder: Path, seconds: float, after_a_checkpoint: bool = False) -> bool:
    """Train until SIGKILL comes after so many seconds, of the start or of the first checkpoint; whether it came in time."""
    process = started(way, folder)
    while after_a_checkpoint and process.poll() is None and not list(folder.glob("*.checkpoint.npz")):
        time.sleep(0.01)
    try:
        said, _ = process.communicate(timeout=seconds)
        assert process.returncode == 0, said
        return False
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True


def measured(way: str, count: int) -> tuple[int, int, int]:
    """Kills, at least so many; how many times training was completed after some; how many of these with other bytes."""
    with tempfile.TemporaryDirectory() as place, contextlib.redirect_stdout(open(os.devnull, "w")):
        expected, folder, kills, ended, wrong = as_bytes(train(way), Path(place)), Path(place, ".shards"), 0, 0, 0
        emptied(folder)
        began = time.monotonic()
        started(way, folder).communicate()
        takes = time.monotonic() - began
        chance = random.Random(way)
        while kills < count:
            store = emptied(folder)
            for _ in range(chance.randint(1, 5)):
                kills += killed(way, folder, chance.uniform(0, takes))
            ended += 1
            wrong += as_bytes(train(way, store), Path(place)) != expected
    return kills, ended, wrong


def main() -> None:
    if len(sys.argv) > 2:
        cache.SECONDS, trainer.first_call = 0.0, lambda *_: 1  # there are checkpoints from the first epoch on
        train(sys.argv[1], cache.TrialCache(Path(sys.argv[2]), 1000))
        print("without TensorFlow" if "tensorflow" not in sys.modules else "with TensorFlow")
        return
    for way in WAYS:
        kills, _, wrong = measured(way, int(sys.argv[1]))
        print(f"{way}: {kills} kills, {wrong} runs ended with other bytes", flush=True)


if __name__ == "__main__":
    main()
