"""DVC stage evaluate: what each trial predicts -> verdicts, rates, tables, pictures; then the runs in MLflow."""

import os
import sys
from concurrent.futures import ProcessPoolExecutor

from memory_trials import (
    answers,
    artifacts,
    encoding,
    evaluation,
    figures,
    memory,
    problems,
    report,
    results,
    statistics,
    studies,
)
from memory_trials.errors import UserError, exit_on_user_error
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
            results_of = list(pool.map(evaluate, arms))
        keep_only(studies.FOLDER / arms[0].study / "arms", {arm.folder.name for arm in arms})
        metrics, learned = zip(*results_of)
        confidence = arms[0].settings.evaluation.confidence
        summary = answers.summarize(arms[0].study, study, arms, list(metrics), list(learned), confidence)
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


def evaluate(arm: studies.Arm) -> tuple[dict, dict[int, bool]]:
    """Write an arm's results; its metrics, and each seed's verdict."""
    settings, confidence = arm.settings, arm.settings.evaluation.confidence
    problem = problems.from_json(artifacts.read_text(arm.sequences), arm.sequences)
    table = encoding.read_table(arm.table) if arm.table.exists() else studies.table_of(arm, problem)
    made_with, trained = results.read_trained(arm.trained)
    if made_with["model"] != settings.model.model_dump():
        raise UserError(f"{arm.trained} holds another model than the parameters describe: run dvc repro")
    wanted = results.shown_steps(table).any(axis=0)
    predicted, activations = evaluation.predictions(settings.model, trained.weights, table, wanted)
    learned, sequence_accuracy, step_accuracy = statistics.verdicts(
        predicted, table.judge_y, table.judge_scored, table.judge_at[:, :, 0]
    )
    epochs_to_learn = statistics.first_learned(trained.checks, trained.learned)
    final_loss = trained.losses[:, -1]
    epochs = trained.losses.shape[1]
    metrics = statistics.summary(
        learned, sequence_accuracy, step_accuracy, final_loss, epochs_to_learn, epochs, confidence
    )
    metrics["parameters"] = sum(array[0].size for array in trained.weights.values())
    metrics["updates"] = epochs * table.updates
    if settings.evaluation.free_run:
        following = evaluation.free_run(settings.model, trained.weights, problem, settings.evaluation.free_run)
        metrics |= evaluation.recited(following, problem, settings.evaluation.free_run.prefix, learned)
        results.write_free_run(arm.folder, problem, trained.seeds, following, settings.evaluation.free_run.prefix)
    loss_curves = statistics.loss_curves(trained.losses)
    shares = statistics.share_learned(trained.learned, confidence)

    columns = (trained.seeds, learned.astype(int), sequence_accuracy, step_accuracy, final_loss, epochs_to_learn)
    header = ("seed", "learned", "sequence_accuracy", "step_accuracy", "final_loss", "first_learned_epoch")
    artifacts.write_csv(arm.folder / results.TRIALS, header, zip(*columns))
    results.write_predictions(arm.folder, problem, table, trained.seeds, predicted, activations)
    header = ("seed", "sequence", "step", "input", "target", "predicted")
    confusion = evaluation.confusion(problem, table, trained.seeds, predicted)
    artifacts.write_csv(arm.folder / evaluation.CONFUSION, header, confusion)
    time_to_learn, *_ = statistics.time_to_learn(epochs_to_learn, epochs, confidence)
    results.write_curves(arm.folder, loss_curves, trained.checks, shares, time_to_learn, confidence)
    artifacts.write_json(arm.folder / results.METRICS, metrics)
    charts = figures.of_arm(arm.folder, settings.model.cell, trained.losses)
    figure = figures.overview(charts, report.answer(metrics, confidence))
    figures.write(arm.folder / results.FIGURE, figure)
    if arm.study == studies.PIPELINE:
        figures.write(arm.folder / figures.SCALABLE, figure)
        memory.write(arm.folder, memory.best_memory(problem, made_with, trained, learned))
    return metrics, dict(zip(trained.seeds.tolist(), learned.tolist()))


if __name__ == "__main__":
    exit_on_user_error(main)
