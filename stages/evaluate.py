"""DVC stage evaluate: what each trial predicts -> verdicts, rates, tables, the picture; then the runs in MLflow."""

import sys

from memory_trials import artifacts, encoding, evaluation, figures, problems, report, results, statistics
from memory_trials.config import load_settings
from memory_trials.errors import UserError, exit_on_user_error
from stages import FOLDER


def main() -> None:
    settings = load_settings()
    confidence = settings.evaluation.confidence
    path = FOLDER / results.SEQUENCES
    problem = problems.from_json(artifacts.read_text(path), path)
    table = encoding.read_table(FOLDER / results.TABLE)
    made_with, trained = results.read_trained(FOLDER)
    if made_with["model"] != settings.model.model_dump():
        raise UserError(f"{FOLDER / results.TRAINED} holds another model than params.yaml describes: run dvc repro")
    activations = evaluation.activations(settings.model, trained.weights, table.judge_x, len(problem.alphabet))
    predicted = activations.argmax(axis=-1)
    learned, sequence_accuracy, step_accuracy = statistics.verdicts(predicted, table.judge_y, table.judge_scored)
    epochs_to_learn = statistics.first_learned(trained.checks, trained.learned)
    final_loss = trained.losses[:, -1]
    metrics = statistics.summary(learned, sequence_accuracy, step_accuracy, final_loss, epochs_to_learn, confidence)
    loss_curves = statistics.loss_curves(trained.losses)
    shares = statistics.share_learned(trained.learned, confidence)

    columns = (trained.seeds, learned.astype(int), sequence_accuracy, step_accuracy, final_loss, epochs_to_learn)
    header = ("seed", "learned", "sequence_accuracy", "step_accuracy", "final_loss", "first_learned_epoch")
    artifacts.write_csv(FOLDER / results.TRIALS, header, zip(*columns))
    results.write_predictions(FOLDER, problem, trained.seeds, predicted, activations.max(axis=-1))
    results.write_curves(FOLDER, loss_curves, trained.checks, shares, confidence)
    figure = figures.answer(
        report.answer(metrics, confidence), trained.losses, loss_curves, trained.checks, shares, confidence
    )
    artifacts.write_bytes(FOLDER / results.FIGURE, figure)
    artifacts.write_json(FOLDER / results.METRICS, metrics)
    print(report.report(FOLDER))
    if settings.tracking.enabled:
        from memory_trials import tracking

        try:
            tracking.publish(FOLDER, settings.tracking)
        except UserError as error:  # the result is what counts, and it is complete
            print(f"warning: {error}; the results are kept: publish them later with make track", file=sys.stderr)


if __name__ == "__main__":
    exit_on_user_error(main)
