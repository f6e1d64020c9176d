"""The tuning study: Optuna searches for the smallest model and the fewest updates that still learn reliably.

Both goals are known before training; what must be measured is whether a setting learns. So Optuna's TPE
(Bergstra et al. 2011; multi-objective: Ozaki et al. 2022) is told the goals, and the success rate as a constraint.
"""

import math
from dataclasses import replace

import numpy as np

from memory_trials import artifacts, encoding, problems, shards, statistics, studies, training
from memory_trials.config import Settings, validated
from memory_trials.trained import Trained, write_trained

ARMS = "arms.json"


def search(study: studies.Study, start: studies.Arm, store: shards.Store) -> None:
    """Search, then train the settings of the Pareto front anew on fresh seeds, since the best of many are lucky too.

    Leaves trained/*.npz and trained/arms.json, which lists the arms. Each proposal's sampler is seeded by its number,
    so that a search that was killed and begins again proposes the same, whose trials the store has kept.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    problem = problems.from_json(artifacts.read_text(start.sequences), start.sequences)
    space, level = study.search, study.answer.level
    proposed = optuna.create_study(directions=["minimize", "minimize"])
    for number in range(space.proposals):
        proposed.sampler = optuna.samplers.TPESampler(seed=number, n_startup_trials=space.proposals // 3)
        proposal = proposed.ask()
        changes = _proposed(proposal, space)
        settings = _settings(start, changes)
        table = encoding.make_table(problem, settings.encoding, settings.training, settings.evaluation.as_trained)
        rate, used, parameters = _measured(settings, table, space.look_after, level, store)
        updates = settings.training.epochs * table.updates
        proposal.set_constraint("unreliable", level - rate)  # at most 0 where it learns reliably
        proposal.set_user_attr("rate", rate)
        proposal.set_user_attr("changes", changes)
        proposal.set_user_attr("trials", used)
        proposed.tell(proposal, [math.log(parameters), math.log(updates)])  # half of either is worth the same
        place = f"{start.study}, proposal {number + 1} of {space.proposals}: {_label(changes)}"
        print(f"{place}: {parameters} parameters, {updates} updates, {100 * rate:.0f} % of {used}", flush=True)
    front = _front([trial for trial in proposed.trials if trial.user_attrs["rate"] >= level])
    folder = start.trained.parent
    chosen = {_label(trial.user_attrs["changes"]): trial.user_attrs["changes"] for trial in front}
    for label, changes in chosen.items():
        fresh = changes | {"training.first_seed": space.confirm_from_seed}
        arm = _arm(start, label, _settings(start, fresh), changes)
        table = studies.table_of(arm, problem)
        write_trained(arm.trained, _train(arm.settings, table, store), studies.made_with(arm.settings))
    artifacts.write_json(folder / ARMS, chosen)
    names = {arm.trained.name for arm in found(study, start)}
    for path in folder.iterdir():
        if path.name not in names | {ARMS}:
            path.unlink()


def found(study: studies.Study, start: studies.Arm) -> list[studies.Arm]:
    """The arms that a search has left."""
    path = start.trained.parent / ARMS
    fresh = {"training.first_seed": study.search.confirm_from_seed}
    return [
        _arm(start, label, _settings(start, changes | fresh), changes)
        for label, changes in artifacts.read_json(path).items()
    ]


def _arm(start: studies.Arm, label: str, settings: Settings, changes: dict) -> studies.Arm:
    """All arms of a search share the problem that it started from."""
    return replace(studies.make_arm(start.study, label, settings, changes), sequences=start.sequences)


def _settings(start: studies.Arm, changes: dict) -> Settings:
    place = studies.where(start)
    return validated(Settings, studies.changed(start.settings.model_dump(), changes, place), place)


def _proposed(proposal, space: studies.Search) -> dict:
    """Dotted keys -> values. Ranges are searched on a logarithmic scale: they are of sizes and rates."""
    return (
        {key: proposal.suggest_int(key, low, high, log=True) for key, (low, high) in space.integers.items()}
        | {
            key: float(f"{proposal.suggest_float(key, low, high, log=True):.2g}")
            for key, (low, high) in space.floats.items()
        }
        | {key: proposal.suggest_categorical(key, choices) for key, choices in space.choices.items()}
    )


def _label(changes: dict) -> str:
    return " ".join(f"{key.split('.')[-1]}={value}" for key, value in changes.items())


def _measured(
    settings: Settings, table: encoding.Table, look_after: int, level: float, store: shards.Store
) -> tuple[float, int, int]:
    """Success rate, over how many trials, and the parameters of the model. Measuring stops after `look_after` trials
    where the interval, which is then still wide, already lies below the level."""
    some = settings.model_copy(update={"training": settings.training.model_copy(update={"trials": look_after})})
    asked = settings.evaluation.margin
    first = _train(some, table, store)
    parameters = sum(array[0].size for array in first.weights.values())
    successes, trials = int(first.known(asked)[:, -1].sum()), look_after
    rest = settings.training.trials - look_after
    if rest > 0 and statistics.success_rate(successes, trials, settings.evaluation.confidence)[2] >= level:
        others = {"trials": rest, "first_seed": settings.training.first_seed + look_after}
        further = settings.model_copy(update={"training": settings.training.model_copy(update=others)})
        second = _train(further, table, store)
        successes, trials = successes + int(second.known(asked)[:, -1].sum()), settings.training.trials
    return successes / trials, trials, parameters


def _train(settings: Settings, table: encoding.Table, store: shards.Store) -> Trained:
    every = settings.evaluation.every
    return training.train(settings.model, settings.training, every, settings.compute, table, store=store)


def _front(trials: list) -> list:
    """Those that no other one beats in both goals; of equals the first."""
    values = np.array([trial.values for trial in trials]).reshape(-1, 2)
    beaten = [
        any(
            (other <= own).all() and ((other < own).any() or place < number)
            for place, other in enumerate(values)
            if place != number
        )
        for number, own in enumerate(values)
    ]
    return sorted((trial for trial, is_beaten in zip(trials, beaten) if not is_beaten), key=lambda trial: trial.values)
