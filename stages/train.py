"""DVC stage train: table.npz -> trained.npz, the weights, losses and verdicts of every trial."""

import shutil

from memory_trials import artifacts, encoding, results, shards, studies, training
from memory_trials.errors import exit_on_user_error
from memory_trials.progress import Progress
from stages import chosen, keep_only


def main() -> None:
    study, arms = chosen()
    tables = [encoding.read_table(arm.table) for arm in arms]
    store = shards.Store(artifacts.repository() / shards.FOLDER, arms[0].settings.compute.cache_megabytes)
    if study is None:
        results.write_trained(arms[0].trained, trained(arms[0], tables[0], store), studies.made_with(arms[0].settings))
        return
    if study.search:
        from memory_trials import tuning

        tuning.search(study, arms[0], store)
        return
    folder = arms[0].trained.parent
    new = folder.with_name("trained.new")  # the earlier ones stay until all are there
    shutil.rmtree(new, ignore_errors=True)
    for number, (arm, table) in enumerate(zip(arms, tables), 1):
        print(f"{arm.study}, arm {number} of {len(arms)}: {arm.name}", flush=True)
        results.write_trained(new / arm.trained.name, trained(arm, table, store), studies.made_with(arm.settings))
    folder.mkdir(exist_ok=True)
    for path in new.iterdir():
        path.replace(folder / path.name)
    new.rmdir()
    keep_only(folder, {arm.trained.name for arm in arms})


def trained(arm: studies.Arm, table: encoding.Table, store: shards.Store) -> results.Trained:
    settings = arm.settings
    with Progress(settings.training.trials, settings.training.epochs) as progress:
        return training.train(
            settings.model, settings.training, settings.evaluation.every, settings.compute, table, progress, store
        )


if __name__ == "__main__":
    exit_on_user_error(main)
