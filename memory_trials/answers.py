"""What a study's numbers say: a summary, and one sentence that follows from it by rule. Nothing is typed by hand."""

from typing import Any

import numpy as np

from memory_trials import statistics
from memory_trials.studies import Arm, Axis, Study

VERSION = 1


def summarize(
    name: str, study: Study, arms: list[Arm], metrics: list[dict], learned: list[dict[int, bool]], confidence: float
) -> dict[str, Any]:
    """The content of a study's summary: question, answer, and for each arm its changes, metrics and comparison.

    learned: for each arm, seed -> verdict. Arms are compared with the first one on the seeds that both have.
    """
    rows = [
        {"name": arm.name, "changes": arm.changes, "metrics": numbers, "p": None} for arm, numbers in zip(arms, metrics)
    ]
    if study.answer.rule == "compare":
        shared = [seed for seed in learned[0] if all(seed in other for other in learned)]
        verdicts = [np.array([other[seed] for seed in shared]) for other in learned]
        for row, value in zip(rows[1:], statistics.compare(verdicts[0], verdicts[1:])):
            row["p"] = value
    return {
        "version": VERSION,
        "study": name,
        "question": study.question,
        "source": study.source,
        "confidence": confidence,
        "rule": study.answer.model_dump(),
        "answer": SENTENCES[study.answer.rule](rows, study.answer, confidence),
        "arms": rows,
    }


def percent(rate: float) -> str:
    return f"{100 * rate:.0f} %"


def _rate(row: dict) -> str:
    numbers = row["metrics"]
    return (
        f"{percent(numbers['success_rate'])} ({100 * numbers['success_rate_low']:.0f} to "
        f"{percent(numbers['success_rate_high'])})"
    )


def _named(row: dict) -> str:
    return f"{row['name']} {percent(row['metrics']['success_rate'])}"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def compared(rows: list[dict], axis: Axis, confidence: float) -> str:
    """Which arms learn more often than the first, which less often, and which are not shown to differ."""
    first, others = rows[0], rows[1:]
    rate = first["metrics"]["success_rate"]
    differs = lambda row: row["p"] is not None and row["p"] < 1 - confidence
    kinds = {
        "more often": [r for r in others if differs(r) and r["metrics"]["success_rate"] > rate],
        "less often": [r for r in others if differs(r) and r["metrics"]["success_rate"] < rate],
        "not shown to differ": [r for r in others if not differs(r)],
    }
    parts = [f"{words}: {_listed([_named(row) for row in found])}" for words, found in kinds.items() if found]
    return "; ".join([f"{first['name']} learns in {_rate(first)}", *parts]) + "."


def _reliable(row: dict, axis: Axis) -> bool:
    return row["metrics"]["success_rate"] >= axis.level


def groups(rows: list[dict], key: str) -> dict[str, list[dict]]:
    """Arms that differ in the key alone, by the name they share; ascending along the key."""
    found: dict[str, list[dict]] = {}
    for row in rows:
        label = f"{key.split('.')[-1]}={row['changes'].get(key)}"
        found.setdefault(" ".join(row["name"].replace(label, "").split()), []).append(row)
    return {label: sorted(group, key=lambda row: row["changes"].get(key)) for label, group in found.items()}


def along(rows: list[dict], axis: Axis, confidence: float) -> str:
    """For which values of the key, in each group of arms, at least `level` of the trials learn."""
    name = axis.key.split(".")[-1]
    parts = []
    for label, group in groups(rows, axis.key).items():
        values = [row["changes"][axis.key] for row in group]
        good = [_reliable(row, axis) for row in group]
        best = max(group, key=lambda row: row["metrics"]["success_rate"])
        if all(good):
            words = f"at every {name} from {values[0]} to {values[-1]}"
        elif not any(good):
            words = f"at no {name} (most at {best['changes'][axis.key]}: {_rate(best)})"
        elif good == sorted(good):
            below = group[good.index(True) - 1]
            words = f"from {name} {values[good.index(True)]} on (at {below['changes'][axis.key]}: {_rate(below)})"
        elif good == sorted(good, reverse=True):
            above = group[good.index(False)]
            words = f"up to {name} {values[good.index(False) - 1]} (at {above['changes'][axis.key]}: {_rate(above)})"
        else:
            words = f"at {name} {_listed([str(value) for value, is_good in zip(values, good) if is_good])} only"
        parts.append(f"{label}: {words}" if label else words)
    return f"At least {percent(axis.level)} of trials learn " + "; ".join(parts) + "."


def reach(rows: list[dict], axis: Axis, confidence: float) -> str:
    """For each value of `per` (and `rows`), the largest value of the key that at least `level` of trials learn."""
    name = axis.key.split(".")[-1]
    by: dict[tuple, list[dict]] = {}
    for row in rows:
        by.setdefault(tuple(row["changes"].get(key) for key in (axis.rows, axis.per) if key), []).append(row)
    parts: dict[Any, list[str]] = {}
    for (*outer, value), group in by.items():
        values = [row["changes"][axis.key] for row in group if _reliable(row, axis)]
        best = max(group, key=lambda row: (row["metrics"]["success_rate"], row["changes"][axis.key]))
        words = f"{value} {name} {max(values)}" if values else f"{value} none (at most {_rate(best)})"
        if values:
            at = [row for row in group if _reliable(row, axis) and row["changes"][axis.key] == max(values)]
            words += f" ({_recipe(max(at, key=lambda row: row['metrics']['success_rate']), axis)})"
        parts.setdefault(outer[0] if outer else None, []).append(words)
    told = [f"{outer}: {', '.join(words)}" if outer else ", ".join(words) for outer, words in parts.items()]
    return f"The longest that at least {percent(axis.level)} of trials learn, {'; '.join(told)}."


def _recipe(row: dict, axis: Axis) -> str:
    """An arm's name without what the sentence has said already, and its rate."""
    return f"{shortened(row['name'], row, [axis.key, axis.per, axis.rows])}, {_rate(row)}"


def shortened(name: str, row: dict, keys: list[str | None]) -> str:
    """A name without the values of these keys, which the sentence or the panel around it says already."""
    said = {f"{key.split('.')[-1]}={row['changes'].get(key)}" for key in keys if key}
    return " ".join(word for word in name.split() if word not in said).rstrip(",")


def front(rows: list[dict], axis: Axis, confidence: float) -> str:
    """The ends of the Pareto front of model size against updates, among arms that learn reliably on fresh seeds."""
    reliable = [row for row in rows if _reliable(row, axis)]
    if not reliable:
        return f"No setting that was found learns in at least {percent(axis.level)} of trials on fresh seeds."
    smallest = min(reliable, key=lambda row: (row["metrics"]["parameters"], row["metrics"]["updates"]))
    fewest = min(reliable, key=lambda row: (row["metrics"]["updates"], row["metrics"]["parameters"]))
    size = lambda row: f"{row['metrics']['parameters']} parameters and {row['metrics']['updates']} updates"
    shown = lambda row: f"{size(row)}, {row['name']}: {_rate(row)}"
    text = f"The smallest model that learns in at least {percent(axis.level)} of fresh trials has {shown(smallest)}"
    return text + ("." if smallest is fewest else f"; the fewest updates are {shown(fewest)}.")


def free_run(rows: list[dict], axis: Axis, confidence: float) -> str:
    """What happens when each prediction is fed back, for trials that learned and for those that did not."""
    parts = []
    for row in rows:
        numbers = row["metrics"]
        learned, unlearned = numbers["successes"], numbers["trials"] - numbers["successes"]
        said = {key.partition("/")[2]: count for key, count in numbers.items() if key.startswith("free_run_next/")}
        commonest = sorted(said.items(), key=lambda item: -item[1])[:3]
        after = _listed(
            [f"{symbol} ({percent(count / sum(said.values()))})" for symbol, count in commonest] or ["nothing"]
        )
        parts.append(
            f"{row['name']}: {numbers['free_run_learned_right']} of the {learned} trials that learned and "
            f"{numbers['free_run_unlearned_right']} of the {unlearned} others recite every sequence, "
            f"and after the last symbol the former say {after}"
        )
    return "; ".join(parts) + "."


SENTENCES = {"compare": compared, "along": along, "reach": reach, "front": front, "free_run": free_run}
