"""DVC stage evaluate: what each trial predicts -> verdicts, rates, tables, pictures."""

from concurrent.futures import ProcessPoolExecutor

import numpy as np

from memory_trials import files, machine
from memory_trials.errors import UserError, exit_on_user_error
from memory_trials.evaluation import results
from memory_trials.integrity import digests
from memory_trials.progress import counted
from memory_trials.report import figures, study_figures, style, wording
from memory_trials.serving import predictor
from memory_trials.studies import answers, design
from memory_trials.tasks import making, problems
from memory_trials.training.trained import read_trained
from stages import arms_from_argv


def main() -> None:
    arms = design.found_arms(arms_from_argv())
    printed = compare(arms) if arms[0].compared else report(arms[0])
    files.write_json(design.digests_of(arms[0]), {arm.name: digest(arm) for arm in arms})
    print(printed)


def report(arm: design.Arm) -> str:
    """Write all outputs of params.yaml's arm; return its report."""
    outcome = evaluate(arm)
    keep_best_trial(arm, outcome)
    return wording.report(outcome, arm.files.folder)


def compare(arms: list[design.Arm]) -> str:
    """Evaluate a study's arms side by side, and write all outputs; return its question and answer. Of an arm that is
    trained by itself, return its own answer."""
    import scipy.stats  # noqa: F401  once, before the processes are forked that need it

    study = design.study_of(arms[0])
    assert study is not None  # `compared` says so
    path = arms[0].results / design.SUMMARIES / f"{arms[0].unit}.json"
    if study.separate:
        outcomes, until = (
            [evaluate(arm) for arm in arms],
            [read_trained(arm.files.trained)[1].met_criterion_at for arm in arms],
        )
        summary = answers.summarize(arms[0].study, study, arms, outcomes, until)
        files.write_text(path, answers.summary_text(summary))
        return summary["answer"]
    with ProcessPoolExecutor(max_workers=machine.cores()) as pool:
        outcomes = list(counted(pool.map(evaluate, arms), len(arms), "arms evaluated"))
        design.keep_only([arm.files.folder for arm in arms])
        summary = answers.summarize(arms[0].study, study, arms, outcomes)
        pool.submit(draw_study, summary).result()  # where what draws is warm
    files.write_json(path, summary)
    return f"{study.question}\n{summary['answer']}"


def evaluate(arm: design.Arm) -> results.Outcome:
    """Work out an arm's outcome, write it, and draw it."""
    outcome, losses = compute(arm)
    results.write(arm.files.folder, outcome)
    draw(arm, outcome, losses)
    return outcome


def compute(arm: design.Arm) -> tuple[results.Outcome, np.ndarray]:
    """What is known of an arm, from its artifacts; and its losses [T, E], which are drawn one by one."""
    training_inputs, trained = read_trained(arm.files.trained)
    if training_inputs["model"] != arm.settings.model.model_dump():
        raise UserError(f"{arm.files.trained} holds another model than the parameters describe: run dvc repro")
    of, path = arm.settings.problem, arm.files.table
    made = making.read(of, arm.files.sequences)
    task = making.read_task(arm.settings, path) if path.exists() else design.task_of(arm, made)  # a search leaves none
    return results.outcome(arm.settings, made, task, trained), trained.losses


def draw(arm: design.Arm, outcome: results.Outcome, losses: np.ndarray) -> None:
    """The arm's charts as one picture; the pipeline's also as SVG."""
    charts = figures.of_arm(outcome, arm.settings.model.cell, losses)
    figure = figures.overview(charts, answers.how_often_and_how_much(outcome.metrics))
    names = [results.FIGURE] if arm.compared else [results.FIGURE, results.SCALABLE]
    style.write(figure, *(arm.files.folder / name for name in names))


def draw_study(summary: dict) -> None:
    """A study's charts as one picture."""
    style.write(study_figures.study(summary), design.PICTURES / f"{summary['study']}.png")


def digest(arm: design.Arm) -> dict:
    """What git keeps of the arm's trials, so that anyone can verify them."""
    return digests.recorded(arm.settings.model, arm.changes, read_trained(arm.files.trained)[1])


def keep_best_trial(arm: design.Arm, outcome: results.Outcome) -> None:
    """memory.npz and model.keras."""
    if outcome.of_stream:
        predictor.write_none(arm.files.folder)
        return
    problem, (_, trained) = problems.read_problem(arm.files.sequences), read_trained(arm.files.trained)
    learned = outcome.trials["learned"].to_numpy() == 1
    predictor.write(arm.files.folder, predictor.best_predictor(problem, arm.settings, trained, learned))


if __name__ == "__main__":
    exit_on_user_error(main)
