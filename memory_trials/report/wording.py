"""The result in words: the answer, the tutorial's table for two trials, and where everything is.

python -m memory_trials answer [data/tutorial] [--answer: the first line only]
"""

import math
from pathlib import Path

import pandas as pd

from memory_trials.evaluation import results
from memory_trials.studies.answers import amount, bits, how_often_and_how_much, percent, required_margin


def table(predictions: pd.DataFrame, seed: int, margin: float) -> str:
    """The tutorial's X / y / yhat lines for one trial, each with the lead of the right output. Steps that are wrong, or
    lead by less than the required margin, are marked. predictions: as in `results.TABLES`."""
    rows = predictions[predictions["seed"] == seed].to_dict("records")
    widths = {key: max(len(row[key]) for row in rows) for key in ("input", "target", "predicted")}
    lines = []
    for number, row in enumerate(rows):
        if number == 0 or row["sequence"] != rows[number - 1]["sequence"]:
            lines.append(f"  Sequence {row['sequence']}")
        lines.append(
            f"    X={row['input']:<{widths['input']}}  y={row['target']:<{widths['target']}}  "
            f"yhat={row['predicted']:<{widths['predicted']}}  lead {row['lead']:<8.2g} {_mark(row, margin)}".rstrip()
        )
    return "\n".join(lines)


def _mark(row: dict, margin: float) -> str:
    if not row["scored"]:
        return "(not scored)"
    if not row["right"] or math.isnan(row["lead"]):  # an output of no value says nothing
        return "<- wrong"
    return f"<- right, but by less than the required {margin:g}" if row["lead"] < margin else ""


def report(outcome: results.Outcome, folder: Path) -> str:
    """The whole report of an arm whose files are in this folder."""
    lines = ["", how_often_and_how_much(outcome.metrics), ""]
    if outcome.of_stream:
        numbers = outcome.metrics
        if numbers["mean_epochs_to_learn"] is not None:
            lines.append(
                f"They took {numbers['mean_epochs_to_learn']:,.0f} sequences in the mean; "
                f"of {numbers['test_sequences']:,} fresh ones {numbers['test_wrong']:.2g} are wrong."
            )
        return "\n".join([*lines, f"Every trial: {folder / 'trials.csv'}; picture: {folder / results.FIGURE}"])
    for words, seed in examples(outcome):
        rows = table(outcome.predictions, seed, required_margin(outcome.metrics))
        lines += [f"A trial that {words} (seed {seed}):", rows, ""]
    lines += [
        f"Every trial: {folder / 'trials.csv'}; every prediction: {folder / 'predictions.csv'}; "
        f"picture: {folder / results.FIGURE}",
        "Look inside: memory-trials report. Predict: memory-trials predict. Compare: memory-trials ui, or dvc exp show",
    ]
    return "\n".join(lines)


def examples(outcome: results.Outcome) -> list[tuple[str, int]]:
    """The seeds of the first trial that learned and of the first that did not, as far as there are such; none of a
    stream."""
    if outcome.of_stream:
        return []
    verdicts = outcome.verdicts()
    first = {learned: seed for seed, learned in reversed(verdicts.items())}
    return [
        (words, first[learned]) for learned, words in ((True, "learned"), (False, "did not learn")) if learned in first
    ]


HEAD = """# Results

Each study is a question, its arms (settings, each trained from many seeds), and an answer that follows by rule from the
table below it. `make study NAME=cells` reruns one. [docs/results.md](docs/results.md) explains all words.

**How often.** A trial has *learned* when in the end it predicts every scored step of every evaluation sequence right.
Rates are with their Wilson interval. p compares an arm with the first one on the same seeds (exact McNemar test,
adjusted by Holm for the number of arms); an answer calls arms different where p is below 1 minus the confidence.
*Epochs to learn* is the Kaplan-Meier median; *forgot* counts trials that had learned at some check, but not in the end.

**How much.** A trial can be right by a hair, so *memory* tells how much it remembers. Where the same input is followed
by several symbols, the outputs of these candidates, divided by their sum, are read as probabilities. Memory is the
logarithm (base 2) of the right one's, relative to how often it follows that input: 0 bits is the best guess without
memory, 1 bit is all there is to remember of two equally frequent sequences, and negative is worse than that guess. It
is the median over all trials, with its interval. *Lead 0.1* is the share of trials with every right output ahead of all
wrong ones by at least 0.1. *Afresh* and *stateful*: how many learned by the other way of evaluating, where there are
two: from a state of zero, or with training's resets and batches.
"""


def results_page(summaries: list[dict], pictures: Path) -> str:
    """RESULTS.md: each study's question, answer and arms, from its summary."""
    lines = [HEAD, *(f"- [{summary['study']}](#{summary['study']}): {summary['question']}" for summary in summaries)]
    for summary in summaries:
        name = summary["study"]
        head, *rows = study_table(summary)
        lines += [
            f"\n## {name}\n",
            f"**{summary['question']}** ({summary['source']})\n",
            f"{summary['answer']}\n",
            f"![{name}: the arms with their intervals]({(pictures / name).as_posix()}.png)\n",
            f"| {' | '.join(head)} |",
            f"|---|{'---:|' * (len(head) - 1)}",
            *(f"| {' | '.join(row)} |" for row in rows),
        ]
        if luck := summary.get("luck"):
            lines += ["", *_luck_tables(luck)]
    return "\n".join(lines) + "\n"


def _luck_tables(luck: dict) -> list[str]:
    seeds = [each["seeds"] for each in luck["pairs"][0]["demonstrations"]] if luck["pairs"] else []
    lines = [
        f"| ranked wrongly (or alike) with | {' | '.join(f'{n} seeds' for n in seeds)} |",
        f"|---|{'---:|' * len(seeds)}",
    ]
    for pair in luck["pairs"]:
        shown = [f"{percent(each['wrong'])} ({percent(each['alike'])})" for each in pair["demonstrations"]]
        lines.append(f"| {pair['better']} before {pair['worse']} | {' | '.join(shown)} |")
    points = [f"{100 * each['width']:g} points" for each in luck["widths"]]
    needed = [f"{each['seeds']:,}" for each in luck["widths"]]
    return [
        *(lines if seeds else []),
        "",
        f"| width of the first arm's interval | {' | '.join(points)} |",
        f"|---|{'---:|' * len(points)}",
        f"| seeds | {' | '.join(needed)} |",
    ]


def study_table(summary: dict) -> list[list[str]]:
    """A study's arms as a table of words, the head first."""
    with_p = any(arm["p"] is not None for arm in summary["arms"])
    rows = [["arm", "learned", "rate", f"{100 * summary['confidence']:g} % interval"]]
    others = [
        way for way in ("afresh", "stateful") if any(f"{way}_successes" in arm["metrics"] for arm in summary["arms"])
    ]
    rows[0] += ["p"] * with_p + ["memory, bits", "lead 0.1", "epochs to learn", "forgot"]
    rows[0] += [way.replace("_", " ") for way in others]
    for arm in summary["arms"]:
        numbers = arm["metrics"]
        low, high = (100 * numbers[f"success_rate_{end}"] for end in ("low", "high"))
        row = [arm["name"], f"{numbers['successes']} of {numbers['trials']}", f"{100 * numbers['success_rate']:.1f} %"]
        row += [f"{low:.1f} to {high:.1f} %", *[_p(arm["p"])] * with_p]
        led = numbers["successes_margin_0.1"]  # a stream's outputs need no lead
        row += [_memory(numbers), "" if led is None else percent(led / numbers["trials"])]
        row += [_to_learn(numbers), str(numbers["forgotten"])]
        rows.append(row + [_otherwise(numbers, way) for way in others])
    return rows


def _memory(numbers: dict) -> str:
    if numbers["memory_median"] is None:
        return "not needed"
    median, *ends = (numbers[f"memory_median{end}"] for end in ("", "_low", "_high"))
    low, high = ("?" if end is None else amount(end) for end in ends)
    return f"{bits(median, numbers['memory_whole']).removesuffix(' bit')} ({low} to {high})"


def _otherwise(numbers: dict, way: str) -> str:
    if f"{way}_successes" not in numbers:
        return ""
    remembered = bits(numbers[f"{way}_memory_median"], numbers["memory_whole"])
    return f"{numbers[f'{way}_successes']} of {numbers['trials']}{f', {remembered}' if remembered else ''}"


def _to_learn(numbers: dict) -> str:
    median, low, high = (numbers[f"median_epochs_to_learn{end}"] for end in ("", "_low", "_high"))
    return "not half" if median is None else f"{median:g} ({_epochs(low)} to {_epochs(high)})"


def _epochs(value: float | None) -> str:
    return "?" if value is None else f"{value:g}"


def _p(value: float | None) -> str:
    return "" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"
