"""DVC stage train: table.npz -> trained.npz, the weights, losses and verdicts of every trial."""

import shutil

from memory_trials import artifacts, encoding, shards, studies, training
from memory_trials.errors import exit_on_user_error
from memory_trials.progress import Progress
from memory_trials.trained import Trained, write_trained
from stages import chosen, keep_only


def main() -> None:
    study, arms = chosen()
    tables = [encoding.read_table(arm.table) for arm in arms]
    store = shards.Store(artifacts.repository() / shards.FOLDER, arms[0].settings.compute.cache_megabytes)
    if study is None:
        write_trained(arms[0].trained, trained(arms[0], tables[0], store), studies.made_with(arms[0].settings))
        return
    if study.search:
        from memory_trials import tuning

        tuning.search(study, arms[0], store)
        return
    folder = arms[0].trained.parent
    new = folder.with_name("trained.new")  # the earlier ones stay until all are there
    shutil.rmtree(new, ignore_errors=True)

    def train(numbered: tuple[int, studies.Arm, encoding.Table], progress: training.Progress | None = None) -> None:
        number, arm, table = numbered
        print(f"{arm.study}, arm {number} of {len(arms)}: {arm.name}", flush=True)
        result = trained(arm, table, store, progress)
        write_trained(new / arm.trained.name, result, studies.made_with(arm.settings))

    numbered = zip(range(1, len(arms) + 1), arms, tables)
    if (together := at_once(arms, tables)) == 1:
        for one in numbered:
            train(one)
    else:
        trainings = [arm.settings.training for arm in arms]
        trials = sum(each.trials for each in trainings)
        with Progress(trials, round(sum(each.trials * each.epochs for each in trainings) / trials)) as progress:
            training.side_by_side(train, numbered, together, progress)
    folder.mkdir(exist_ok=True)
    for path in new.iterdir():
        path.replace(folder / path.name)
    new.rmdir()
    keep_only(folder, {arm.trained.name for arm in arms})


def at_once(arms: list[studies.Arm], tables: list[encoding.Table]) -> int:
    """How many arms are in flight: on a cluster as many as have two shards for each of its slots, else one."""
    compute = arms[0].settings.compute
    if compute.backend == "threads":
        return 1
    workers = training.at_once(compute)
    counts = [
        training.shard_count(arm.settings.model, arm.settings.training, compute, table, workers)
        for arm, table in zip(arms, tables)
    ]
    return min(len(arms), -(-2 * workers * len(arms) // sum(counts)))


def trained(
    arm: studies.Arm, table: encoding.Table, store: shards.Store, progress: training.Progress | None = None
) -> Trained:
    """The arm's trials; without a `progress` that they share with others', they show their own."""
    settings = arm.settings
    what = settings.model, settings.training, settings.evaluation.every, settings.compute, table
    if progress is not None:
        return training.train(*what, progress, store)
    with Progress(settings.training.trials, settings.training.epochs) as own:
        return training.train(*what, own, store)


if __name__ == "__main__":
    exit_on_user_error(main)
