"""The result in words: the answer, the tutorial's table for two trials, and where everything is.

python -m memory_trials.report [data/tutorial] [--answer: the first line only]
"""

import sys
from pathlib import Path

from memory_trials import artifacts, results
from memory_trials.errors import exit_on_user_error


def answer(metrics: dict, confidence: float) -> str:
    """One sentence that follows from metrics.json."""
    rate, low, high = (
        f"{100 * metrics[key]:.1f} %" for key in ("success_rate", "success_rate_low", "success_rate_high")
    )
    return (
        f"memory learned in {metrics['successes']} of {metrics['trials']} trials: {rate} "
        f"({100 * confidence:g} % interval {low} to {high})"
    )


def table(predictions: list[dict[str, str]], seed: str) -> str:
    """The tutorial's X / y / yhat lines for one trial, its wrong steps marked."""
    rows = [row for row in predictions if row["seed"] == seed]
    widths = {key: max(len(row[key]) for row in rows) for key in ("input", "target", "predicted")}
    lines = []
    for number, row in enumerate(rows):
        if number == 0 or row["sequence"] != rows[number - 1]["sequence"]:
            lines.append(f"  Sequence {row['sequence']}")
        mark = "" if row["right"] == "1" else "   <- wrong" if row["scored"] == "1" else "   (not scored)"
        lines.append(
            f"    X={row['input']:<{widths['input']}}  y={row['target']:<{widths['target']}}  "
            f"yhat={row['predicted']:<{widths['predicted']}}{mark}"
        )
    return "\n".join(lines)


def report(folder: Path) -> str:
    """The whole report, from the artifacts in an arm's folder."""
    metrics = artifacts.read_json(folder / results.METRICS)
    trials = artifacts.read_csv(folder / results.TRIALS)
    predictions = artifacts.read_csv(folder / results.PREDICTIONS)
    confidence = float(artifacts.read_csv(folder / results.LEARNED)[0]["confidence"])
    parts = ["", answer(metrics, confidence), ""]
    for learned, words in (("1", "learned"), ("0", "did not learn")):
        seeds = [row["seed"] for row in trials if row["learned"] == learned]
        if seeds:
            parts += [f"A trial that {words} (seed {seeds[0]}):", table(predictions, seeds[0]), ""]
    parts += [
        f"Every trial: {folder / results.TRIALS}; every prediction: {folder / results.PREDICTIONS}; "
        f"picture: {folder / results.FIGURE}",
        "Compare runs: make ui, then open the page it names; or dvc exp show, dvc plots show",
    ]
    return "\n".join(parts)


def main() -> None:
    folders = [argument for argument in sys.argv[1:] if argument != "--answer"] or ["data/tutorial"]
    text = report(Path(folders[0])).strip()
    print(text.splitlines()[0] if "--answer" in sys.argv else text)


if __name__ == "__main__":
    exit_on_user_error(main)
