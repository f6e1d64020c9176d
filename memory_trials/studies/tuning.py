"""The tuning study: Optuna searches for the smallest model and the fewest updates that still learn reliably.

Both goals are known before training; what must be measured is whether a setting learns. So Optuna's TPE
(Bergstra et al. 2011; multi-objective: Ozaki et al. 2022) gets the goals, and the success rate as a constraint.
"""

import math

from memory_trials import files
from memory_trials.evaluation import statistics
from memory_trials.settings import Settings
from memory_trials.studies import design
from memory_trials.studies.schema import Search, Study
from memory_trials.tasks import encoding, problems
from memory_trials.tasks.interface import Task
from memory_trials.training import cache, trainer
from memory_trials.training.job import TrainingJob
from memory_trials.training.trained import Trained, write_trained


def search(study: Study, start: design.Arm, store: cache.TrialCache) -> None:
    """Search, then train the settings of the Pareto front on fresh seeds, since the best of many are also lucky.

    Writes trained/*.npz and trained/arms.json, which lists the arms. Each proposal's sampler is seeded by its number,
    so that a search that was killed proposes the same settings again, whose trials are in the cache.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    problem = problems.read_problem(start.files.sequences)
    space, level = study.search, study.answer.level
    assert space is not None  # as `design.search_of` has found it
    proposed = optuna.create_study(directions=["minimize", "minimize"])
    for number in range(space.proposals):
        proposed.sampler = optuna.samplers.TPESampler(seed=number, n_startup_trials=space.proposals // 3)
        proposal = proposed.ask()
        changes = _proposed(proposal, space)
        settings = design.searched_settings(start, changes)
        table = encoding.make_table(problem, settings.encoding, settings.training, settings.evaluation.stateful)
        rate, used, parameters = _measured(settings, table, space.look_after, level, store)
        updates = settings.training.epochs * table.updates
        proposal.set_constraint("unreliable", level - rate)  # at most 0 where it learns reliably
        proposal.set_user_attr("rate", rate)
        proposal.set_user_attr("changes", changes)
        proposal.set_user_attr("trials", used)
        proposed.tell(proposal, [math.log(parameters), math.log(updates)])  # half of either is worth the same
        proposal_name = f"{start.study}, proposal {number + 1} of {space.proposals}: {_label(changes)}"
        print(f"{proposal_name}: {parameters} parameters, {updates} updates, {100 * rate:.0f} % of {used}", flush=True)
    # which no other one beats in both goals, among those that learn reliably; of equals the first
    front = {tuple(trial.values): trial for trial in reversed(proposed.best_trials)}
    folder = start.files.trained.parent
    chosen = {_label(front[goals].user_attrs["changes"]): front[goals].user_attrs["changes"] for goals in sorted(front)}
    for label, changes in chosen.items():
        arm = design.found_arm(study, start, label, changes)
        task = design.task_of(arm, problem)
        write_trained(arm.files.trained, _train(arm.settings, task, store), design.training_inputs(arm.settings))
    files.write_json(folder / design.ARMS, chosen)
    design.keep_only([folder / design.ARMS, *(arm.files.trained for arm in design.found_by_search(study, start))])


def _proposed(proposal, space: Search) -> dict:
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
    settings: Settings, table: encoding.UpdateTable, look_after: int, level: float, store: cache.TrialCache
) -> tuple[float, int, int]:
    """Success rate, over how many trials, and the parameters of the model. Measuring stops after `look_after` trials
    where the interval, which is then still wide, already lies below the level."""
    some = settings.model_copy(update={"training": settings.training.model_copy(update={"trials": look_after})})
    required_margin = settings.evaluation.margin
    first = _train(some, table, store)
    parameters = sum(array[0].size for array in first.weights.values())
    successes, trials = int(first.learned_by(required_margin)[:, -1].sum()), look_after
    rest = settings.training.trials - look_after
    if rest > 0 and statistics.success_rate(successes, trials, settings.evaluation.confidence)[2] >= level:
        others = {"trials": rest, "first_seed": settings.training.first_seed + look_after}
        further = settings.model_copy(update={"training": settings.training.model_copy(update=others)})
        second = _train(further, table, store)
        successes, trials = successes + int(second.learned_by(required_margin)[:, -1].sum()), settings.training.trials
    return successes / trials, trials, parameters


def _train(settings: Settings, task: Task, store: cache.TrialCache) -> Trained:
    job = TrainingJob(settings.model, settings.training, settings.evaluation.interval, task)
    return trainer.train(job, settings.compute, store=store)
