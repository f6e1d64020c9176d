"""A probe in words: which cell learns which task, how long it holds that, and which orders are decided.

Every sentence follows from numbers by rule.
"""

from __future__ import annotations

from typing import Any

Summary = dict[str, Any]  # as `probe.findings.summarize` returns it
TIE = "≈"  # behind a rate: it is not decided that it differs from the first cell's, or the best one's


def ordered(summary: Summary) -> list[str]:
    """Return the cells: the one that was asked for, then the others from the best mean score down."""
    cells = sorted(summary["cells"], key=lambda row: -row["score"])
    names = [row["cell"] for row in cells]
    first = summary["first"]
    return [first, *(name for name in names if name != first)] if first else names


def square(summary: Summary, cell: str, task: str) -> dict[str, Any] | None:
    """Return what was found of a cell on a task; None where it was not tried."""
    found = (row for row in summary["squares"] if (row["cell"], row["task"]) == (cell, task))
    return next(found, None)


def leader(summary: Summary, task: str) -> str:
    """Return the cell with which the others are compared on a task: the first one, or that with the highest rate."""
    rows = [row for row in summary["squares"] if row["task"] == task]
    return summary["first"] or max(rows, key=lambda row: (row["learned"]["rate"], row["scores"][1]))["cell"]


def undecided(summary: Summary, cell: str, task: str) -> bool:
    """Return whether it is open which of this cell and the leader, if that is another, learns the task more often."""
    pair = {cell, leader(summary, task)}
    found = (row for row in summary["compared"] if row["task"] == task and set(row["cells"]) == pair)
    return any(not row["decided"] for row in found)


def sentences(summary: Summary) -> list[str]:
    """Say what the probe shows."""
    found = [_one(summary), *_about(summary, summary["first"])] if summary["first"] else [_all(summary)]
    decided = sum(row["decided"] for row in summary["compared"])
    if summary["compared"]:
        found.append(
            f"{decided} of {_count(len(summary['compared']), 'comparison')} of two cells on a task "
            f"{'is' if decided == 1 else 'are'} decided (exact McNemar tests on the same seeds, adjusted for their "
            "number by Holm, 5 % level)."
        )
    return found + _few_seeds(summary["misleading"])


def _all(summary: Summary) -> str:
    squares = summary["squares"]
    always = sum(row["learned"]["rate"] == 1 for row in squares)
    never = sum(row["learned"]["rate"] == 0 for row in squares)
    far = summary["lengths"][-1]
    holds = sum(row["holds"][far]["rate"] >= 0.5 for row in squares)
    return (
        f"{_count(len(summary['cells']), 'cell')} on {_count(len(summary['tasks']), 'task')}, {squares[0]['trials']} "
        f"trials each. In {always} of {len(squares)} squares every trial learns, in {never} none does; in {holds} at "
        f"least half of the trials still answer right at {far} times the length."
    )


def _one(summary: Summary) -> str:
    mine = [row for row in summary["squares"] if row["cell"] == summary["first"]]
    others = len(summary["cells"]) - 1
    beside = f", beside {_count(others, 'recorded cell')}" if others else ""
    return (
        f"{summary['first']}: {_count(len(mine), 'task')}, {mine[0]['trials']} trials each{beside}. It learns "
        f"{_percent(sum(row['learned']['rate'] for row in mine) / len(mine))} of its trials, in the mean over tasks."
    )


def _about(summary: Summary, cell: str) -> list[str]:
    far, found = summary["lengths"][-1], []
    for task in summary["tasks"]:
        row = square(summary, cell, task)
        if row is None:
            continue
        compared = [pair for pair in summary["compared"] if pair["task"] == task and cell in pair["cells"]]
        sign = lambda pair: pair["difference"] if pair["cells"][0] == cell else -pair["difference"]
        better = [_other(pair, cell) for pair in compared if pair["decided"] and sign(pair) > 0]
        worse = [_other(pair, cell) for pair in compared if pair["decided"] and sign(pair) < 0]
        said = [f"{task}: {_rate(row['learned'])} learn, {_rate(row['holds'][far])} hold it at {far} times the length"]
        said += [f"more often than {', '.join(better)}"] if better else []
        said += [f"less often than {', '.join(worse)}"] if worse else []
        found.append("; ".join(said) + ".")
    return found


def _other(pair: dict[str, Any], cell: str) -> str:
    return next(name for name in pair["cells"] if name != cell)


def _few_seeds(misleading: dict[str, Any] | None) -> list[str]:
    if not misleading:
        return []
    rows = misleading["seeds"]
    means = ", ".join(f"{_percent(row['wrong'])} with {row['seeds']:g}" for row in rows)
    best = ", ".join(f"{_percent(row['wrong_by_best'])} with {row['seeds']:g}" for row in rows[1:])
    return [
        f"How often the mean score of so few seeds orders two cells otherwise than all seeds do: {means} (over "
        f"{misleading['pairs']:,} pairs of cells on one task). How often the best of so many seeds does: {best}."
    ]


def text(summary: Summary) -> str:
    """Say what a probe shows, for a terminal."""
    return "\n".join(sentences(summary))


def page(summary: Summary, title: str, picture: str) -> str:
    """Write the page in Markdown.

    Args:
        summary: what was found.
        title: of the page.
        picture: the file beside the page that `probe_figures.picture` was drawn to.
    """
    far = summary["lengths"][-1]
    lines = [f"# {title}", "", *(f"- {sentence}" for sentence in sentences(summary)), ""]
    lines += [f"![Which cell learns which task]({picture})", "", "## How often a trial learns (%)", ""]
    lines += _table(summary, lambda row, tied: f"{_rate(row['learned'])}{f' {TIE}' * tied}", marks=True)
    whose = f"{summary['first']}'s" if summary["first"] else "that of the best cell"
    lines += ["", f"In brackets the 95 % interval. {TIE}: it is not decided that the rate differs from {whose}."]
    lines += ["", f"## How often it learns, and still answers right at {far} times the length (%)", ""]
    lines += _table(summary, lambda row, tied: _rate(row["holds"][far]))
    lines += ["", "## Mean score where it was trained, and at each longer length", ""]
    lines += ["0: as good as the best guess from the present symbol; 1: always right.", ""]
    lines += _table(summary, lambda row, tied: " · ".join(map(_score, row["scores"].values())))
    lines += ["", *_claims(summary), "## Sizes and learning rates", ""]
    lines += _table(
        summary, lambda row, tied: f"{row['units']} units, {row['parameters']:,} weights, state {row['state']:,}, "
        f"rate {row['learning_rate']:g}"
    )  # fmt: skip
    return "\n".join(lines) + "\n"


def _claims(summary: Summary) -> list[str]:
    if not summary["expected"]:
        return []
    agree = sum(row["agrees"] for row in summary["expected"])
    lines = [
        "## What was published", "",
        f"{agree} of {len(summary['expected'])} statements agree with these trials. That a cell can is shown by one "
        "trial; that it cannot, by none, which a small budget does not tell from a cell that learns slowly.", "",
        "| task | cell | publication | trials that do | |", "|---|---|---|---:|---|",
    ]  # fmt: skip
    for row in summary["expected"]:
        can = "can" if row["can"] else "cannot"
        where = f" and hold it at {row['times']} times the length" if row["times"] > 1 else ""
        verdict = "agrees" if row["agrees"] else "**does not agree**" if not row["can"] else "not shown"
        lines.append(
            f"| {row['task']} | {row['cell']} | {can} learn it{where} ({row['source']}) | {row['holding']} of "
            f"{row['trials']} | {verdict} |"
        )
    return [*lines, ""]


def _table(summary: Summary, say: Any, marks: bool = False) -> list[str]:
    tasks = list(summary["tasks"])
    lines = [f"| cell | {' | '.join(tasks)} |", f"|---|{'---|' * len(tasks)}"]
    for cell in ordered(summary):
        cells = []
        for task in tasks:
            row = square(summary, cell, task)
            tied = marks and row is not None and undecided(summary, cell, task)
            cells.append("" if row is None else say(row, tied))
        lines.append(f"| {cell} | {' | '.join(cells)} |")
    return lines


def _rate(share: dict[str, float]) -> str:
    return f"{100 * share['rate']:.0f} ({100 * share['low']:.0f}-{100 * share['high']:.0f})"


def _score(score: float) -> str:
    return f"{round(score, 2) + 0:.2f}" if score >= -1 else "below -1"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
