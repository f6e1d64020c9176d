"""DVC stage evaluate: what each trial predicts -> verdicts, rates, tables, pictures; then the runs in MLflow."""

import os
import sys
from concurrent.futures import ProcessPoolExecutor

from memory_trials import (
    answers,
    artifacts,
    encoding,
    figures,
    memory,
    problems,
    report,
    results,
    studies,
)
from memory_trials.errors import UserError, exit_on_user_error
from memory_trials.trained import read_trained
from stages import chosen, keep_only


def main() -> None:
    study, arms = chosen()
    if study is None:
        evaluate(arms[0])
        print(report.report(arms[0].folder))
    else:
        if study.search:
            from memory_trials import tuning

            arms = tuning.found(study, arms[0])
        with ProcessPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
            outcomes = list(pool.map(evaluate, arms))
        keep_only(studies.FOLDER / arms[0].study / "arms", {arm.folder.name for arm in arms})
        summary = answers.summarize(arms[0].study, study, arms, outcomes)
        figures.write(studies.PICTURES / f"{arms[0].study}.png", figures.study(summary))
        artifacts.write_json(studies.SUMMARIES / f"{arms[0].study}.json", summary)
        print(f"{study.question}\n{summary['answer']}")
    tracking_settings = arms[0].settings.tracking
    if tracking_settings.enabled:
        from memory_trials import registry, tracker, tracking

        try:
            tracking.publish(arms, tracking_settings)
            if study is None:
                registry.register(arms[0], tracking_settings)
        except UserError as error:  # the result is what counts, and it is complete
            print(f"warning: {error}; {tracker.LATER}", file=sys.stderr)


def evaluate(arm: studies.Arm) -> results.Outcome:
    """Work out an arm's results and write them: tables, metrics, picture; of the pipeline also the best trial."""
    settings = arm.settings
    problem = problems.from_json(artifacts.read_text(arm.sequences), arm.sequences)
    table = encoding.read_table(arm.table) if arm.table.exists() else studies.table_of(arm, problem)
    made_with, trained = read_trained(arm.trained)
    if made_with["model"] != settings.model.model_dump():
        raise UserError(f"{arm.trained} holds another model than the parameters describe: run dvc repro")
    outcome = results.outcome(settings, problem, table, trained)
    results.write(arm.folder, outcome)
    figure = figures.overview(
        figures.of_arm(outcome, settings.model.cell, trained.losses), answers.how_often_and_how_much(outcome.metrics)
    )
    figures.write(arm.folder / results.FIGURE, figure)
    if arm.study == studies.PIPELINE:
        figures.write(arm.folder / figures.SCALABLE, figure)
        learned = outcome.trials["learned"].to_numpy() == 1
        memory.write(arm.folder, memory.best_memory(problem, made_with, trained, learned))
    return outcome


if __name__ == "__main__":
    exit_on_user_error(main)
