"""DVC stage train: table.npz -> trained.npz, the weights, losses and verdicts of every trial."""

from memory_trials import artifacts, encoding, results, resume, studies
from memory_trials.errors import exit_on_user_error
from memory_trials.progress import Progress
from stages import chosen, keep_only


def main() -> None:
    study, arms = chosen()
    tables = [encoding.read_table(arm.table) for arm in arms]
    if study is None:
        results.write_trained(arms[0].trained, trained(arms[0], tables[0]), studies.made_with(arms[0].settings))
        return
    if study.search:
        from memory_trials import tuning

        tuning.search(study, arms[0])
        return
    kept = {}
    for number, (arm, table) in enumerate(zip(arms, tables), 1):
        made_with = studies.made_with(arm.settings)
        path = kept[arm] = resume.kept(arm.study, made_with, artifacts.read_bytes(arm.table))
        print(
            f"{arm.study}, arm {number} of {len(arms)}: {arm.name}" + (" (kept)" if path.exists() else ""), flush=True
        )
        if not path.exists():
            results.write_trained(path, trained(arm, table), made_with)
    for arm, path in kept.items():
        artifacts.write_bytes(arm.trained, artifacts.read_bytes(path))  # arms asked differently may be trained alike
    keep_only(arms[0].trained.parent, {arm.trained.name for arm in arms})
    resume.forget(arms[0].study)


def trained(arm: studies.Arm, table: encoding.Table) -> results.Trained:
    from memory_trials import training  # TensorFlow takes seconds to import: mistakes are told before

    settings = arm.settings
    with Progress(settings.training.trials, settings.training.epochs) as progress:
        return training.train(
            settings.model, settings.training, settings.evaluation.every, settings.compute, table, progress
        )


if __name__ == "__main__":
    exit_on_user_error(main)
