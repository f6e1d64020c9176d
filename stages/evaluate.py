"""DVC stage evaluate: what each trial predicts -> verdicts, rates, tables, pictures."""

import os
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from memory_trials import files
from memory_trials.errors import UserError, exit_on_user_error
from memory_trials.evaluation import results, streaming
from memory_trials.integrity import digests
from memory_trials.progress import counted
from memory_trials.report import figures, study_figures, style, wording
from memory_trials.serving import predictor
from memory_trials.studies import answers, design, paper, rows
from memory_trials.tasks import encoding, problems
from memory_trials.training.trained import read_trained
from stages import arms_from_argv


def main() -> None:
    arms = arms_from_argv()
    if row := rows.row_of(arms[0]):
        print(leave_row(row, arms[0]))
        return
    arms = design.found_arms(arms)
    told = compare(arms) if arms[0].compared else report(arms[0])
    files.write_json(design.digests_of(arms[0].study), {arm.name: digest(arm) for arm in arms})
    print(told)


def report(arm: design.Arm) -> str:
    """What is left of an arm that is told by itself; its report."""
    outcome = evaluate(arm)
    keep_best_trial(arm, outcome)
    return wording.report(outcome, arm.files.folder)


def compare(arms: list[design.Arm]) -> str:
    """What is left of a study's arms, evaluated side by side; its question and answer."""
    import scipy.stats  # noqa: F401  once, before the processes are forked that need it

    study = arms[0].study
    block = design.load_studies()[1][study]
    with ProcessPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
        outcomes = list(counted(pool.map(evaluate, arms), len(arms), "arms evaluated"))
        design.keep_only([arm.files.folder for arm in arms])
        summary = answers.summarize(study, block, arms, outcomes)
        pool.submit(draw_study, summary).result()  # where what draws is warm
    files.write_json(design.SUMMARIES / f"{study}.json", summary)
    return f"{block.question}\n{summary['answer']}"


def leave_row(row: str, arm: design.Arm) -> str:
    """All outputs of the stage for a row of the paper; what came out."""
    outcome = evaluate(arm)
    content = paper.measured(row, outcome, read_trained(arm.files.trained)[1])
    files.write_text(paper.MEASURED / f"{row}.json", paper.text_of(content))
    files.write_json(paper.DIGESTS / f"{row}.json", {"": digest(arm)})
    return answers.how_often_and_how_much(outcome.metrics)


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
    if arm.settings.problem.stream:
        return streaming.outcome(arm.settings, trained), trained.losses
    problem = problems.read_problem(arm.files.sequences)
    table = encoding.read_table(arm.files.table) if arm.files.table.exists() else design.table_of(arm, problem)
    return results.outcome(arm.settings, problem, table, trained), trained.losses


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
    if arm.settings.problem.stream:
        predictor.write_none(arm.files.folder)
        return
    problem, (_, trained) = problems.read_problem(arm.files.sequences), read_trained(arm.files.trained)
    learned = outcome.trials["learned"].to_numpy() == 1
    predictor.write(arm.files.folder, predictor.best_predictor(problem, arm.settings, trained, learned))


if __name__ == "__main__":
    exit_on_user_error(main)
