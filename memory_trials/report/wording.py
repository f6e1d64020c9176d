"""The result in words: the answer, the tutorial's table for two trials, and where everything is.

memory-trials answer [FOLDER]
"""

import math
from pathlib import Path

import pandas as pd

from memory_trials.evaluation import results
from memory_trials.studies.answers import amount, bits, how_often_and_how_much, percent, required_margin


def table(predictions: pd.DataFrame, seed: int, margin: float) -> str:
    """Return the tutorial's X / y / yhat lines for one trial, each with the lead of the right output.

    Args:
        predictions: as in `results.TABLES`.
        seed: of the trial.
        margin: steps with a smaller lead are marked, as are wrong ones.
    """
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
    """Return the report of an arm in words. folder: where its files are."""
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
    """Return the first trial that learned and the first that did not, as words and a seed; none for a stream."""
    if outcome.of_stream:
        return []
    verdicts = outcome.verdicts()
    first = {learned: seed for seed, learned in reversed(verdicts.items())}
    return [
        (words, first[learned]) for learned, words in ((True, "learned"), (False, "did not learn")) if learned in first
    ]


LONG = 24  # arms; a longer table is folded
NOTHING = {"", "0", "not half", "not needed"}
HEAD = """# Results

Each study is a question and its arms: settings, each trained from many seeds. The answer follows by rule from the
table. `make study NAME=cells` reruns a study. [docs/results.md](docs/results.md) explains every number.
"""
COLUMNS = """
| column | meaning |
|---|---|
| learned | trials that in the end predict every scored step of every evaluation sequence right |
| rate | their share, with its Wilson interval |
| p | of the difference from the first arm, on the same seeds (exact McNemar test, adjusted by Holm) |
| memory | median over all trials of what their outputs know, in bits: 0 is a guess, negative is worse than one |
| lead 0.1 | share of trials whose right output is ahead of all wrong ones by at least 0.1 |
| epochs to learn | by which half of the trials had learned once (Kaplan-Meier median; ?: no upper end) |
| forgot | trials that had learned at some check, but not in the end |
| afresh, stateful | the same by the other way of evaluating: from a state of zero, or with training's resets |

A column in which no arm has anything is left out.
"""


def results_page(summaries: list[dict], pictures: Path) -> str:
    """Return RESULTS.md: each study's question, answer and arms, from its summary."""
    listed = [f"- [{summary['study']}](#{summary['study']}): {summary['question']}" for summary in summaries]
    lines = [HEAD, *listed, COLUMNS.rstrip()]
    for summary in summaries:
        name = summary["study"]
        head, *rows = study_table(summary)
        lines += [
            f"\n## {name}\n",
            f"**{summary['question']}** ({summary['source']})\n",
            f"{summary['answer']}\n",
            f"![{name}: the arms with their intervals]({(pictures / name).as_posix()}.png)\n",
        ]
        table = [
            f"| {' | '.join(head)} |",
            f"|---|{'---:|' * (len(head) - 1)}",
            *(f"| {' | '.join(row)} |" for row in rows),
        ]
        lines += table if len(rows) <= LONG else folded(f"All {len(rows)} arms", table)
        if luck := summary.get("luck"):
            lines += ["", *_luck_tables(luck, summary["arms"])]
    return "\n".join(lines) + "\n"


def folded(summary: str, lines: list[str]) -> list[str]:
    """Return lines of Markdown as a part that a reader unfolds by its summary."""
    return ["<details markdown><summary>" + summary + "</summary>", "", *lines, "", "</details>"]


def _luck_tables(luck: dict, arms: list[dict]) -> list[str]:
    lines = ["| median, in logits | signal | bias | learned | by chance |", "|---|---:|---:|---:|---:|"]
    for arm in arms:
        numbers = arm["metrics"]
        shown = [f"{numbers[f'{of}_median']:.2g}" for of in ("signal", "bias")]
        shown += [percent(numbers[of]) for of in ("success_rate", "chance_rate")]
        lines.append(f"| {arm['name']} | {' | '.join(shown)} |")
    seeds = [each["seeds"] for each in luck["pairs"][0]["demonstrations"]] if luck["pairs"] else []
    if seeds:
        named = " | ".join(f"{n} seed{'s' * (n > 1)}" for n in seeds)
        lines += ["", f"| ranked wrongly (or as equal) with | {named} |", f"|---|{'---:|' * len(seeds)}"]
    for pair in luck["pairs"]:
        shown = [f"{percent(each['wrong'])} ({percent(each['alike'])})" for each in pair["demonstrations"]]
        lines.append(f"| {pair['better']} before {pair['worse']} | {' | '.join(shown)} |")
    points = [f"{100 * each['width']:g} points" for each in luck["widths"]]
    needed = [f"{each['seeds']:,}" for each in luck["widths"]]
    return [
        *lines,
        "",
        f"| width of the first arm's interval | {' | '.join(points)} |",
        f"|---|{'---:|' * len(points)}",
        f"| seeds | {' | '.join(needed)} |",
    ]


def study_table(summary: dict) -> list[list[str]]:
    """Return a study's arms as a table of words, the head first, without columns that would hold nothing."""
    arms = summary["arms"]
    others = [way for way in ("afresh", "stateful") if any(f"{way}_successes" in arm["metrics"] for arm in arms)]
    head = ["arm", "learned", f"rate ({100 * summary['confidence']:g} % interval)", "p", "memory, bits", "lead 0.1"]
    rows = [[*head, "epochs to learn", "forgot", *others]]
    for arm in arms:
        numbers = arm["metrics"]
        low, high = (100 * numbers[f"success_rate_{end}"] for end in ("low", "high"))
        row = [arm["name"], f"{numbers['successes']} of {numbers['trials']}"]
        row += [f"{percent(numbers['success_rate'])} ({low:.0f} to {high:.0f} %)", _p(arm["p"])]
        led = numbers["successes_margin_0.1"]  # a stream's outputs need no lead
        row += [_memory(numbers), "" if led is None else percent(led / numbers["trials"])]
        row += [_to_learn(numbers), str(numbers["forgotten"])]
        rows.append(row + [_otherwise(numbers, way) for way in others])
    return without_empty_columns(rows)


def without_empty_columns(rows: list[list[str]]) -> list[list[str]]:
    """Return a table, the head first, without the columns in which no row has anything."""
    body = list(zip(*rows[1:]))
    kept = [place for place, cells in enumerate(body) if place == 0 or not set(cells) <= NOTHING]
    return [[row[place] for place in kept] for row in rows]


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
    return "" if value is None else "< 0.001" if value < 0.001 else f"{value:.2g}"
