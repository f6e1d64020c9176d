"""The page of a probe in Markdown: its pictures, what it shows, and all numbers in tables."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from memory_trials.report.probe import (
    TIE,
    Square,
    Summary,
    best,
    farthest,
    of_all,
    of_each_task,
    of_task,
    ordered,
    recall,
    say_bits,
    say_count,
    say_percent,
    say_rate,
    say_score,
    sentences,
    span,
    square,
    undecided,
)

TITLE = "How often do cells learn to remember, what, and for how long?"  # of the page of all recorded cells
ABOUT = """One layer of each cell, all of about the same size, on tasks that ask for memory. `memory-trials probe`
sets a cell of your own beside these; [docs/probe.md](docs/probe.md) explains tasks, budget and numbers."""
NONE = "—"


def page(summary: Summary, title: str, pictures: dict[str, str], about: str = "") -> str:
    """Write the page in Markdown.

    Args:
        summary: what was found.
        title: of the page.
        pictures: the files, as seen from the page, that `probe_figures.pictures` were drawn to, by name.
        about: what stands below the title.
    """
    far, tables = summary["lengths"][-1], _tables(summary)
    whose = f"{summary['first']}'s" if summary["first"] else "that of the best cell"
    lines = [f"# {title}", "", *([about, ""] if about else [])]
    lines += _shown(pictures, "learned", "How often each cell learns each task")
    lines += [*(f"- {sentence}" for sentence in sentences(summary)), ""]
    lines += [] if summary["first"] else ["## What each task shows", "", *map("- {}".format, of_each_task(summary)), ""]
    lines += [f"## How far does it hold what it has learned, up to {far} times the length?", ""]
    lines += _shown(pictures, "holds", "The share of all trials that have learned and still answer right, over lengths")
    lines += ["## How does the score fall with length?", ""]
    lines += _shown(pictures, "scores", "The mean score over lengths")
    if memory := tables.pop("memory", None):
        lines += ["## How many bits do its outputs remember?", "", _about_bits(summary), "", *_markdown(memory), ""]
    if "recall" in pictures:
        lines += ["## What does recall cost?", ""]
        lines += _shown(pictures, "recall", "The mean score on tasks of recall against size")
    if "time" in pictures:
        lines += _shown(pictures, "time", "The mean score on tasks of recall against the time of training")
    lines += _by_state(summary.get("by_state"), pictures)
    lines += _claims(summary)
    lines += _longer(summary) + _by_hand(summary)
    lines += ["## All numbers", "", f"In brackets the 95 % interval. {TIE}: it is not decided whether the rate is "
              f"higher or lower than {whose}. Score 0: as good as the best guess from the present symbol; 1: always "
              "right.", ""]  # fmt: skip
    for name, table in tables.items():
        lines += [f"<details markdown><summary>{name}</summary>", "", *_markdown(table), "", "</details>", ""]
    return "\n".join(lines).rstrip() + "\n"


def _by_state(summary: Summary | None, pictures: dict[str, str]) -> list[str]:
    """What the same cells do with as many units as give them states of one size."""
    if not summary:
        return []
    states, weights = (span(square[key] for square in summary["squares"]) for key in ("state", "parameters"))
    sizes = f"The same cells with {states} numbers in their state, and {weights} weights."
    lines = ["## And with states of one size?", "", sizes, ""]
    lines += _shown(pictures, "by_state_learned", "How often each cell learns each task, with states of one size")
    found = [of_all(summary), *best(summary), *farthest(summary), *recall(summary)]
    lines += [*map("- {}".format, found), ""]
    if "by_state_recall" in pictures:
        lines += _shown(pictures, "by_state_recall", "The mean score on tasks of recall against the number of weights")
    return lines


def _shown(pictures: dict[str, str], name: str, what: str) -> list[str]:
    return [f"![{what}]({pictures[name]})", ""]


def _about_bits(summary: Summary) -> str:
    without = [task for task in summary["tasks"] if not any(row["memory"] for row in of_task(summary, task))]
    return (
        "Bits that a trial's outputs tell of the target at a scored step beyond the best guess from the present "
        "symbol, where it was trained: mean over all trials, in brackets its 95 % interval; beside each task, all "
        "there is to remember. A negative number is worse than that guess."
        + f" {NONE}: the targets are numbers, or it is not worked out."
        * bool(without)
    )


def _longer(summary: Summary) -> list[str]:
    """What came of trials that were trained for longer, as `probe.longer.summarize` has it."""
    rows = summary.get("longer") or []
    if not rows:
        return []
    times, count = rows[0]["times"], rows[0]["trials"]
    found = {(row["cell"], row["task"]): row for row in rows}
    cells = [cell for cell in ordered(summary) if any(row["cell"] == cell for row in rows)]
    tasks = [task for task in summary["tasks"] if any(row["task"] == task for row in rows)]
    table = [["cell", *tasks]]
    for cell in cells:
        table.append([cell, *(_of_longer(found.get((cell, task))) for task in tasks)])
    short = sum(row["short_of_time"] for row in rows)
    never = sum(not row["late"] for row in rows)
    about = (
        f"Where a cell rarely learned a task, its first {count} trials were trained for up to {times} times as many "
        f"updates, at the same learning rate: how many of the {count} learned sooner → and how many in all. In "
        f"{short} of {say_count(len(rows), 'square')} more learn, in bold: there the cell was short of time. In "
        f"{never} none learns even so, which is no proof that the cell cannot: of {count} trials none may learn "
        f"although up to {say_percent(rows[0]['unseen'])} would."
    )
    return ["## Is a cell that fails short of time?", "", about, "", *_markdown(table), ""]


def _of_longer(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    return f"**{row['soon']} → {row['late']}**" if row["short_of_time"] else f"{row['soon']} → {row['late']}"


def _by_hand(summary: Summary) -> list[str]:
    """What models answer whose weights are set by hand, as `probe.by_hand.recorded` has it."""
    rows = summary.get("by_hand") or []
    if not rows:
        return []
    far, count, lengths = summary["lengths"][-1], rows[0]["sequences"], ", ".join(map(str, summary["lengths"]))
    head = f"of {count} sequences right, at {lengths} times the length"
    table = [["task", "cell", "how", head, "trials that learn", f"and hold it at {far} times"]]
    of_both = {(row["task"], row["cell"]): row for row in rows}
    for task, cell in itertools.product(summary["tasks"], ordered(summary)):
        row, trained = of_both.get((task, cell)), square(summary, cell, task)
        if row and trained:
            right = ", ".join(str(row["right"][times]) for times in summary["lengths"])
            shares = [say_percent(share["rate"]) for share in (trained["learned"], trained["holds"][far])]
            table.append([task, cell, row["how"], right, *shares])
    able = sum(row["holds"] == far for row in rows)
    about = (
        "Where few trials learn a task, or hold it, and a solution is easy to write down, weights were set by hand in "
        f"the same models, which were asked as trials are. {able} of {len(rows)} solve the task at {far} times the "
        "length: there the cell could, but training does not find such weights."
    )
    return ["## Could it, with other weights?", "", about, "", *_markdown(table), ""]


Table = list[list[str]]  # the head first


def tables(summary: Summary) -> dict[str, Table]:
    """Return what a page shows of a probe in rows, by title."""
    named = _tables(summary)
    if memory := named.pop("memory", None):
        named["Memory, in bits a scored step, beyond the best guess from the present symbol"] = memory
    return named


def _tables(summary: Summary) -> dict[str, Table]:
    far = summary["lengths"][-1]
    found = {
        "How often a trial learns (%)": _by_task(
            summary,
            lambda row: f"{say_rate(row['learned'])}{f' {TIE}' * undecided(summary, row['cell'], row['task'])}",
        ),
        f"How often it learns, and still answers right at {far} times the length (%)": _by_task(
            summary, lambda row: say_rate(row["holds"][far])
        ),
    }
    if any(row["memory"] for row in summary["squares"]):
        found["memory"] = _by_task(summary, _memory, lambda task: _whole(summary, task))
    squares = [row for cell in ordered(summary) for row in summary["squares"] if row["cell"] == cell]
    found[f"Size, learning rate and score: {say_count(len(squares), 'square')}"] = [
        ["cell", "task", "units", "weights", "state", "rate", "sequences until learned",
         *(f"score at {times}" for times in summary["lengths"])],
        *(_row(row) for row in squares),
    ]  # fmt: skip
    return found


def _row(row: Square) -> list[str]:
    until = row["sequences_until_learned"]
    sizes = [f"{row[key]:,}" for key in ("units", "parameters", "state")]
    return [
        row["cell"], row["task"], *sizes, f"{row['learning_rate']:g}", NONE if until is None else f"{until:,.0f}",
        *map(say_score, row["scores"].values()),
    ]  # fmt: skip


def _by_task(summary: Summary, say: Callable[[Square], str], head: Callable[[str], str] = str) -> Table:
    rows = [["cell", *map(head, summary["tasks"])]]
    for cell in ordered(summary):
        found = [square(summary, cell, task) for task in summary["tasks"]]
        rows.append([cell, *("" if row is None else say(row) for row in found)])
    return rows


def _memory(row: Square) -> str:
    if not (found := row["memory"]):
        return NONE
    return f"{say_score(found['mean'], -10)} ({say_score(found['low'], -10)} to {say_score(found['high'], -10)})"


def _whole(summary: Summary, task: str) -> str:
    whole = next((row["memory"]["whole"] for row in of_task(summary, task) if row["memory"]), None)
    return task if whole is None else f"{task}, of {say_bits(whole)}"


def _markdown(table: Table) -> list[str]:
    head, *body = table
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *body)]


def _claims(summary: Summary) -> list[str]:
    if not summary["expected"]:
        return []
    agree = sum(row["agrees"] for row in summary["expected"])
    able = {
        (row["cell"], row["task"], times)
        for row in summary.get("by_hand") or []
        for times in summary["lengths"]
        if times <= row["holds"]
    }
    lines = [
        "## What was published", "",
        f"{agree} of {say_count(len(summary['expected']), 'statement')} {'agrees' if agree == 1 else 'agree'} with "
        "these trials. That a cell can is shown by one trial; that it cannot, by none, which a small budget does not "
        "tell from a cell that learns slowly. By hand: no trial does, but weights that were set by hand do.", "",
        "| task | cell | publication | trials that do | |", "|---|---|---|---:|---|",
    ]  # fmt: skip
    for row in summary["expected"]:
        can = "can" if row["can"] else "cannot"
        where = f" and hold it at {row['times']} times the length" if row["times"] > 1 else ""
        verdict = "agrees" if row["agrees"] else "**does not agree**" if not row["can"] else "not shown"
        if verdict == "not shown" and (row["cell"], row["task"], row["times"]) in able:
            verdict = "it can, by hand"
        lines.append(
            f"| {row['task']} | {row['cell']} | {can} learn it{where} ({row['source']}) | {row['holding']} of "
            f"{row['trials']} | {verdict} |"
        )
    return [*lines, ""]
