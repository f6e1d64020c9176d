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
        "Look inside: make report. Ask the best trial: make predict SEQ=... Compare runs: make ui, or dvc exp show",
    ]
    return "\n".join(parts)


HEAD = """# Results

Each study is a question, its arms, and an answer that follows by rule from the numbers below it. This page is
written by `make studies`; `make study NAME=cells` reruns one. *Learned* means that every scored step of every asked
sequence is predicted right in the end. Rates are with their Wilson interval. p compares an arm with the first one on
the same seeds (exact McNemar test, adjusted by Holm for the number of arms); an answer says that arms differ where p
is below 1 minus the confidence. The epochs to learn are the Kaplan-Meier median over all trials, with its interval,
where half of them ever learned; *forgot* counts trials that had learned at some check, but not in the end.
"""


def results_page(summaries: list[dict], pictures: Path) -> str:
    """RESULTS.md: each study's question, answer and arms, from its summary."""
    parts = [HEAD, *(f"- [{summary['study']}](#{summary['study']}): {summary['question']}" for summary in summaries)]
    for summary in summaries:
        name = summary["study"]
        head, *rows = study_table(summary)
        parts += [
            f"\n## {name}\n",
            f"**{summary['question']}** ({summary['source']})\n",
            f"{summary['answer']}\n",
            f"![{name}: the arms with their intervals]({(pictures / name).as_posix()}.png)\n",
            f"| {' | '.join(head)} |",
            f"|---|{'---:|' * (len(head) - 1)}",
            *(f"| {' | '.join(row)} |" for row in rows),
        ]
    return "\n".join(parts) + "\n"


def study_table(summary: dict) -> list[list[str]]:
    """A study's arms as a table of words, the head first."""
    with_p = any(arm["p"] is not None for arm in summary["arms"])
    rows = [["arm", "learned", "rate", f"{100 * summary['confidence']:g} % interval"]]
    rows[0] += ["p"] * with_p + ["epochs to learn", "forgot"]
    for arm in summary["arms"]:
        numbers = arm["metrics"]
        low, high = (100 * numbers[f"success_rate_{end}"] for end in ("low", "high"))
        row = [arm["name"], f"{numbers['successes']} of {numbers['trials']}", f"{100 * numbers['success_rate']:.1f} %"]
        row += [f"{low:.1f} to {high:.1f} %", *[_p(arm["p"])] * with_p]
        rows.append([*row, _to_learn(numbers), str(numbers["forgotten"])])
    return rows


def _to_learn(numbers: dict) -> str:
    median, low, high = (numbers[f"median_epochs_to_learn{end}"] for end in ("", "_low", "_high"))
    return "not half" if median is None else f"{median:g} ({_epochs(low)} to {_epochs(high)})"


def _epochs(value: float | None) -> str:
    return "?" if value is None else f"{value:g}"


def _p(value: float | None) -> str:
    return "" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def main() -> None:
    artifacts.check_recorded()
    folders = [argument for argument in sys.argv[1:] if argument != "--answer"] or ["data/tutorial"]
    text = report(Path(folders[0])).strip()
    print(text.splitlines()[0] if "--answer" in sys.argv else text)


if __name__ == "__main__":
    exit_on_user_error(main)
