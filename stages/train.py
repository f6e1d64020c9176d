"""DVC stage train: table.npz -> trained.npz, the weights, losses and verdicts of every trial."""

import os
import shutil
from contextlib import nullcontext
from pathlib import Path

from memory_trials import files
from memory_trials.errors import exit_on_user_error
from memory_trials.progress import Progress as ProgressBar
from memory_trials.studies import design
from memory_trials.tasks import making
from memory_trials.tracking import tracker
from memory_trials.training import cache, trainer
from memory_trials.training.job import TrainingJob, shard_count
from memory_trials.training.shards import Progress
from memory_trials.training.trained import write_trained
from stages import arms_from_argv


def main() -> None:
    arms = arms_from_argv()
    tracker.warn_if_unreachable(arms[0].settings.tracking)
    compute = arms[0].settings.compute
    store = cache.TrialCache(files.repository() / cache.FOLDER, compute.cache_megabytes)
    if search := design.search_of(arms[0]):
        from memory_trials.studies import tuning

        tuning.search(search, arms[0], store)
        return
    for cell in sorted({arm.settings.model.cell for arm in arms if "." in arm.settings.model.cell}):
        if note := unwatched(cell):
            print(note, flush=True)
    jobs = [training_job(arm) for arm in arms]
    if len(arms) == 1:  # whose one file takes the earlier one's place by itself
        train_arm(arms[0], jobs[0], store, arms[0].files.trained.parent)
    else:
        train_arms(arms, jobs, store)
    design.keep_only([arm.files.trained for arm in arms])


def unwatched(cell: str) -> str:
    """A note on the files that a cell of the user's needs and that the stage does not depend on, if there are any."""
    here = Path.cwd()
    beside = [path for path in cache.imported_by(cell) if not path.resolve().is_relative_to(here / "my_cells")]
    if not beside:
        return ""
    names = ", ".join(os.path.relpath(path) for path in beside[:3]) + ", ..." * (len(beside) > 3)
    return f"note: {cell} needs {names}, which DVC does not watch: after a change there, run dvc repro --force"


def training_job(arm: design.Arm) -> TrainingJob:
    settings = arm.settings
    task = making.read_task(settings, arm.files.table)
    return TrainingJob(settings.model, settings.training, settings.evaluation.interval, task)


def train_arm(
    arm: design.Arm, job: TrainingJob, store: cache.TrialCache, folder: Path, progress: Progress | None = None
) -> None:
    """Train an arm's trials and write them to the folder; without a `progress` that several share, they show their
    own."""
    with ProgressBar(job.training.trials, job.training.epochs) if progress is None else nullcontext(progress) as told:
        trained = trainer.train(job, arm.settings.compute, told, store)
    write_trained(folder / arm.files.trained.name, trained, design.training_inputs(arm.settings))


def train_arms(arms: list[design.Arm], jobs: list[TrainingJob], store: cache.TrialCache) -> None:
    """All arms of a study; the earlier ones stay until all are there."""
    folder = arms[0].files.trained.parent
    new = folder.with_name("trained.new")
    shutil.rmtree(new, ignore_errors=True)

    def train(number: int, progress: Progress | None = None) -> None:
        print(f"{arms[number].study}, arm {number + 1} of {len(arms)}: {arms[number].name}", flush=True)
        train_arm(arms[number], jobs[number], store, new, progress)

    if (together := arms_in_flight(arms, jobs)) == 1:
        for number in range(len(arms)):
            train(number)
    else:
        trials = sum(job.training.trials for job in jobs)
        with ProgressBar(
            trials, round(sum(job.training.trials * job.training.epochs for job in jobs) / trials)
        ) as progress:
            trainer.side_by_side(train, range(len(arms)), together, progress)
    folder.mkdir(exist_ok=True)
    for path in new.iterdir():
        path.replace(folder / path.name)
    new.rmdir()


def arms_in_flight(arms: list[design.Arm], jobs: list[TrainingJob]) -> int:
    """How many arms are in flight: on a cluster as many as have two shards for each of its slots, else one."""
    compute = arms[0].settings.compute
    if compute.backend == "threads":
        return 1
    workers = trainer.max_parallel_shards(compute)
    shards_in_all = sum(shard_count(job, compute, workers) for job in jobs)
    return min(len(arms), -(-2 * workers * len(arms) // shards_in_all))


if __name__ == "__main__":
    exit_on_user_error(main)
