"""What numbers say, how often and how much: sentences, and a study's summary, that follow by rule. Nothing is typed by
hand."""

import contextlib
import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from memory_trials import files
from memory_trials.errors import UserError, brief
from memory_trials.evaluation import statistics
from memory_trials.studies.design import SUMMARIES, Arm, word
from memory_trials.studies.schema import AnswerRule, Study

if TYPE_CHECKING:  # pandas takes half a second to import
    from memory_trials.evaluation.results import Outcome

VERSION = 2
DEMONSTRATIONS = (1, 3, 10)  # seeds of each setting that a demonstration may show
WIDTHS = (0.4, 0.2, 0.1, 0.05)  # of an interval
NAMED = 3  # so many arms of a kind an answer names


def summarize(
    name: str,
    study: Study,
    arms: list[Arm],
    outcomes: "list[Outcome]",
    until: Sequence[Mapping[str, np.ndarray]] = (),
) -> dict[str, Any]:
    """Return the content of a study's summary: question, answer, and each arm's changes, metrics and comparison.

    Arms are compared with the first one on the seeds that both have. If all arms are the same trials after more and
    more epochs, over_epochs holds the curves of the longest one. If the rule is luck, luck says how often few seeds
    mislead. If it is reference, until says of each arm after how many sequences each trial met each criterion (0:
    never).
    """
    confidence = arms[0].settings.evaluation.confidence
    rows: list[dict[str, Any]] = [
        {"name": arm.name, "changes": arm.changes, "together": arm.together, "metrics": outcome.metrics, "p": None}
        for arm, outcome in zip(arms, outcomes)
    ]
    for row, times in zip(rows, until):
        row["until"] = {criterion: of_trials.tolist() for criterion, of_trials in times.items()}
    summary: dict[str, Any] = {
        "version": VERSION,
        "study": name,
        "question": study.question,
        "source": study.source,
        "confidence": confidence,
        "rule": study.answer.model_dump(),
        "answer": "",
        "arms": rows,
    }
    if study.answer.rule == "compare":
        learned = [outcome.verdicts() for outcome in outcomes]
        shared = [seed for seed in learned[0] if all(seed in other for other in learned)]
        verdicts = [np.array([other[seed] for seed in shared]) for other in learned]
        for row, value in zip(rows[1:], statistics.compare(verdicts[0], verdicts[1:])):
            row["p"] = value if value == 0 else float(f"{value:.6g}")
    summary["answer"] = SENTENCES[study.answer.rule](rows, study.answer, confidence)
    if _are_prefixes(arms):
        longest = max(range(len(arms)), key=lambda number: arms[number].settings.training.epochs)
        summary["over_epochs"] = _over_epochs(outcomes[longest])
        summary["answer"] += " " + _same_trials(rows[longest], arms[longest].settings.training.epochs)
    if study.answer.rule == "luck":
        summary["luck"] = _luck(rows, confidence)
    return summary


def read_summary(path: Path) -> dict[str, Any]:
    """Read a study's summary.

    Raises:
        UserError: An earlier version of the code wrote it.
    """
    summary = files.read_json(path)
    if summary.get("version") != VERSION:
        raise UserError(
            f"{path} is of version {brief(summary.get('version'))}, this code reads version {VERSION}: "
            f"run memory-trials study {path.stem}"
        )
    return summary


def summaries(folder: Path, units: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the summaries of these studies, or separate arms, of those that have been run.

    Args:
        folder: An `Arm.results`.
        units: The names.
    """
    paths = {unit: folder / SUMMARIES / f"{unit}.json" for unit in units}
    return {unit: read_summary(path) for unit, path in paths.items() if path.exists()}


def summary_text(summary: dict[str, Any]) -> str:
    """Return the text of a summary's file, in which the times of a criterion share a line."""
    lines = lambda times: re.sub(r"\s+", " ", times[0]).replace("[ ", "[").replace(" ]", "]")
    head, until, rest = files.json_text(summary).partition('"until": {')
    return head + until + re.sub(r"\[[\d\s,]*\]", lines, rest)


def _are_prefixes(arms: list[Arm]) -> bool:
    """Whether the arms differ in how many epochs they take and in nothing else: then the same trials are seen
    after more and more of one training."""
    without = [
        arm.settings.model_copy(update={"training": arm.settings.training.model_copy(update={"epochs": 1})})
        for arm in arms
    ]
    return len(arms) > 1 and all(settings == without[0] for settings in without)


def _over_epochs(outcome: "Outcome") -> list[dict[str, float]]:
    """At each check the share that are right in every step, with its interval, and the memory's quantiles."""
    memory = outcome.remembered.add_prefix("memory_").rename(columns={"memory_epoch": "epoch"})
    return outcome.learned.merge(memory, on="epoch").to_dict("records")


def _same_trials(longest: dict, epochs: int) -> str:
    changes = longest["metrics"]["verdict_changes"]
    return (
        "These are the same trials after more and more epochs: each shorter arm is the beginning of the longer ones. "
        f"In {epochs:,} epochs a trial's verdict changes {changes:.1f} times in the mean, because its lead crosses "
        "zero again and again."
    )


def percent(rate: float) -> str:
    """Return a rate in percent, without decimals unless it would be shown as 0 % or 100 % and is neither."""
    text = f"{100 * rate:.0f}"
    if text in ("0", "100") and 1e-6 < rate < 1 - 1e-6:
        text = f"{min(max(100 * rate, 0.1), 99.9):.1f}"
    return f"{text} %"


def bits(memory: float | None, whole: float | None) -> str:
    """Return how much is remembered, such as 0.01 of 1 bit; an empty text if no step needs memory."""
    return "" if memory is None else f"{amount(memory)} of {whole:.2g} bit"


def amount(memory: float) -> str:
    """Return a number of bits with two decimals; below a hundredth its first digit, down to a thousandth."""
    text = f"{memory:.2f}" if abs(round(memory, 3)) >= 0.01 else f"{memory:.3f}"
    return "0" if float(text) == 0 else text


def how_often_and_how_much(numbers: dict) -> str:
    """Return an arm's answer: how many trials learned, and how much all trials, and those that learned, remember."""
    learned, trials, whole = numbers["successes"], numbers["trials"], numbers["memory_whole"]
    rate, low, high = (percent(numbers[key]) for key in ("success_rate", "success_rate_low", "success_rate_high"))
    interval = f"{100 * numbers['confidence']:g} % interval {low} to {high}"
    required = f" by a lead of at least {margin:g}" if (margin := required_margin(numbers)) else ""
    text = f"{learned} of {trials} trials learned{required}: {rate} ({interval})"
    if whole is None:
        return text
    text += f"; the median memory of all trials is {bits(numbers['memory_median'], whole)}"
    if not learned:
        return text
    lead = f"{numbers['margin_learned_median']:.2g}"
    if learned == trials:
        return f"{text}, their median lead {lead}"
    of_learned = amount(numbers["memory_learned_median"])
    return f"{text}; of those that learned it is {of_learned}, and their median lead {lead}"


def required_margin(numbers: dict) -> float:
    """Return the lead that every right output needed for a trial to have learned; 0 if none was required."""
    return numbers.get("margin_required") or 0.0


def _rate(row: dict) -> str:
    numbers = row["metrics"]
    remembered = bits(numbers["memory_median"], numbers["memory_whole"])
    return (
        f"{percent(numbers['success_rate'])} ({100 * numbers['success_rate_low']:.0f} to "
        f"{100 * numbers['success_rate_high']:.0f} %{f'; {remembered}' if remembered else ''})"
    )


def _named(row: dict) -> str:
    remembered = bits(row["metrics"]["memory_median"], row["metrics"]["memory_whole"])
    rate = percent(row["metrics"]["success_rate"])
    return f"{_quoted(row['name'])} {rate}{f' ({remembered})' if remembered else ''}"


def _quoted(name: str) -> str:
    """A name, in quotation marks where it would run into the sentence around it."""
    return f'"{name}"' if re.search(r"[\s,]", name) else name


def _listed(sentences: list[str]) -> str:
    return sentences[0] if len(sentences) == 1 else f"{', '.join(sentences[:-1])} and {sentences[-1]}"


def compared(rows: list[dict], rule: AnswerRule, confidence: float) -> str:
    """Which arms learn more often than the first, which less often, and which are not shown to differ. Of more than
    `NAMED` arms of a kind, only how many there are and how far they reach: the table has all."""
    sentences = [f"{_quoted(rows[0]['name'])} learns in {_rate(rows[0])}"]
    for words, arms in kinds(rows, confidence).items():
        ascending = sorted(arms, key=lambda row: row["metrics"]["success_rate"])
        if len(arms) <= NAMED:
            told = _listed([_named(row) for row in arms])
        elif words == "not shown to differ":
            ends = [percent(row["metrics"]["success_rate"]) for row in (ascending[0], ascending[-1])]
            told = f"{len(arms)} arms, {' to '.join(dict.fromkeys(ends))}"
        else:
            best, next_to_it = ascending[:-3:-1] if words == "more often" else ascending[:2]
            rate = best["metrics"]["success_rate"]
            alike = next_to_it["metrics"]["success_rate"] == rate  # then no arm is the best one
            told = f"{len(arms)} arms, {'up' if words == 'more often' else 'down'} to "
            told += percent(rate) if alike else _named(best)
        sentences.append(f"{words.capitalize()}: {told}")
    return ". ".join(sentences) + "."


def kinds(rows: list[dict], confidence: float) -> dict[str, list[dict]]:
    """Return the arms after the first, grouped by how the test compares them with it."""
    first, others = rows[0], rows[1:]
    rate = first["metrics"]["success_rate"]
    differs = lambda row: row["p"] is not None and row["p"] < 1 - confidence
    found = {
        "more often": [r for r in others if differs(r) and r["metrics"]["success_rate"] > rate],
        "less often": [r for r in others if differs(r) and r["metrics"]["success_rate"] < rate],
        "not shown to differ": [r for r in others if not differs(r)],
    }
    return {words: arms for words, arms in found.items() if arms}


def _reliable(row: dict, rule: AnswerRule) -> bool:
    return row["metrics"]["success_rate"] >= rule.level


def ranks(rows: list[dict], key: str) -> dict[str, int]:
    """Return, for each arm's name, the index of its value of the key among all values, ascending.

    Values that cannot be compared, such as 1 and sequence, are in the study's order.
    """
    values = {row["name"]: json.dumps(row["changes"][key]) for row in rows}
    distinct = list(dict.fromkeys(values.values()))
    with contextlib.suppress(TypeError):
        distinct = sorted(distinct, key=json.loads)
    return {name: distinct.index(value) for name, value in values.items()}


def groups(rows: list[dict], key: str) -> dict[str, list[dict]]:
    """Return arms that differ only in the key, and in what the grid sets together with it, by their common name.

    They ascend along the key.
    """
    rank = ranks(rows, key)
    found: dict[str, list[dict]] = {}
    for row in rows:
        as_one = next((keys for keys in row["together"] if key in keys), [key])
        others = {other: value for other, value in row["changes"].items() if other not in as_one}
        found.setdefault(json.dumps([as_one, others], sort_keys=True), []).append(row)
    ascending = [sorted(group, key=lambda row: rank[row["name"]]) for group in found.values()]
    labels = [_shared_name(group, key) for group in ascending]
    return {label if labels.count(label) == 1 else group[0]["name"]: group for label, group in zip(labels, ascending)}


def _shared_name(group: list[dict], key: str) -> str:
    names = [shortened(row["name"], row, [key]).split() for row in group]
    return " ".join(word for word in names[0] if all(word in name for name in names))


def along(rows: list[dict], rule: AnswerRule, confidence: float) -> str:
    """Say for which values of the key, in each group of arms, at least `level` of the trials learn."""
    assert rule.key is not None  # `AnswerRule` asks for it
    name = rule.key.split(".")[-1]
    sentences: dict[str, list[str]] = {}
    for label, group in groups(rows, rule.key).items():
        values = [word(row["changes"][rule.key]) for row in group]
        good = [_reliable(row, rule) for row in group]
        best = max(range(len(group)), key=lambda index: group[index]["metrics"]["success_rate"])
        if all(good):
            words = f"at every {name} from {values[0]} to {values[-1]}"
        elif not any(good):
            words = f"at no {name} (most at {values[best]}: {_short(group[best])})"
        elif good == sorted(good):
            first = good.index(True)
            words = f"from {name} {values[first]} on (at {values[first - 1]}: {_short(group[first - 1])})"
        elif good == sorted(good, reverse=True):
            above = good.index(False)
            words = f"up to {name} {values[above - 1]} (at {values[above]}: {_short(group[above])})"
        else:
            words = f"at {name} {_listed([value for value, is_good in zip(values, good) if is_good])} only"
        sentences.setdefault(words, []).append(label)
    told = [
        f"with {_listed([*map(_quoted, labels)])} {words}" if any(labels) else words
        for words, labels in sentences.items()
    ]
    return f"At least {percent(rule.level)} of trials learn " + "; ".join(told) + "."


def reach(rows: list[dict], rule: AnswerRule, confidence: float) -> str:
    """Say, for each value of `per` (and `rows`), the largest value of the key at which at least `level` of trials
    learn."""
    assert rule.key is not None  # `AnswerRule` asks for it
    name, rank = rule.key.split(".")[-1], ranks(rows, rule.key)
    by: dict[tuple, list[dict]] = {}
    for row in rows:
        by.setdefault(tuple(word(row["changes"][key]) for key in (rule.rows, rule.per) if key), []).append(row)
    sentences: dict[Any, list[str]] = {}
    for (*outer, value), group in by.items():
        rate = lambda row: (row["metrics"]["success_rate"], rank[row["name"]])
        farthest = max((rank[row["name"]] for row in group if _reliable(row, rule)), default=None)
        if farthest is None:
            words = f"{value} none (at most {_short(max(group, key=rate))})"
        else:
            best = max((row for row in group if rank[row["name"]] == farthest), key=rate)
            words = f"{value} {word(best['changes'][rule.key])} ({_recipe(best, rule)})"
        sentences.setdefault(outer[0] if outer else None, []).append(words)
    asked = f"The largest {name} that at least {percent(rule.level)} of trials learn"
    if rule.rows is None:
        return f"{asked}: {'; '.join(sentences[None])}."
    of = rule.rows.split(".")[-1].capitalize()
    return f"{asked}. " + " ".join(f"{of} {outer}: {'; '.join(words)}." for outer, words in sentences.items())


def _recipe(row: dict, rule: AnswerRule) -> str:
    """An arm's name without what the sentence has said already, and its rate."""
    return ": ".join(filter(None, [shortened(row["name"], row, [rule.key, rule.per, rule.rows]), _short(row)]))


def _short(row: dict) -> str:
    """An arm's rate with its interval, for use within parentheses."""
    numbers = row["metrics"]
    low, high = (f"{100 * numbers[f'success_rate_{end}']:.0f}" for end in ("low", "high"))
    return f"{percent(numbers['success_rate'])}, {low} to {high} %"


def shortened(name: str, row: dict, keys: list[str | None]) -> str:
    """Return a name without the values of these keys, which are in the sentence or the panel around it."""
    said = {f"{key.split('.')[-1]}={word(row['changes'][key])}" for key in keys if key}
    return " ".join(word for word in name.split() if word not in said).rstrip(",")


def front(rows: list[dict], rule: AnswerRule, confidence: float) -> str:
    """Say which arms are the ends of the Pareto front of model size against updates, among those that learn
    reliably."""
    reliable = [row for row in rows if _reliable(row, rule)]
    if not reliable:
        return f"No setting that was found learns in at least {percent(rule.level)} of trials on fresh seeds."
    smallest = min(reliable, key=lambda row: (row["metrics"]["parameters"], row["metrics"]["updates"]))
    fewest = min(reliable, key=lambda row: (row["metrics"]["updates"], row["metrics"]["parameters"]))
    size = lambda row: f"{row['metrics']['parameters']} parameters and {row['metrics']['updates']} updates"
    shown = lambda row: f"{size(row)} ({row['name']}: {_short(row)})"
    text = f"The smallest model that learns in at least {percent(rule.level)} of fresh trials has {shown(smallest)}"
    return text + ("." if smallest is fewest else f"; the fewest updates are {shown(fewest)}.")


def free_run(rows: list[dict], rule: AnswerRule, confidence: float) -> str:
    """Say what happens when each prediction is fed back, for trials that learned and for those that did not."""
    sentences: dict[str, list[str]] = {}
    for row in rows:
        numbers = row["metrics"]
        learned, unlearned = numbers["successes"], numbers["trials"] - numbers["successes"]
        said = {key.partition("/")[2]: count for key, count in numbers.items() if key.startswith("free_run_next/")}
        commonest = sorted(said.items(), key=lambda item: -item[1])[:3]
        after = _listed(
            [f"{symbol} ({percent(count / sum(said.values()))})" for symbol, count in commonest] or ["nothing"]
        )
        words = (
            f"{numbers['free_run_learned_right']} of the {learned} trials that learned and "
            f"{numbers['free_run_unlearned_right']} of the {unlearned} others recite every sequence; "
            f"after the last symbol the former predict {after}"
        )
        sentences.setdefault(words, []).append(row["name"])
    return " ".join(f"{_listed([*map(_quoted, names)])}: {words}." for words, names in sentences.items())


def luck(rows: list[dict], rule: AnswerRule, confidence: float) -> str:
    """Say how much of each arm's rate is chance, how often a few seeds rank two arms wrongly, and how many are
    enough."""
    by_chance = [f"{_named(row)}, and {percent(row['metrics']['chance_rate'])}" for row in rows]
    text = "How many learn, and how many would if the signal of each trial met the bias of another one: "
    text += f"{'; '.join(by_chance)}."
    chances = _luck(rows, confidence)
    fails = lambda each: each["wrong"] + each["alike"]
    if chances["pairs"]:
        hardest = max(chances["pairs"], key=lambda pair: fails(pair["demonstrations"][-1]))
        shown = hardest["demonstrations"]
        seeds, failing = _listed([str(each["seeds"]) for each in shown]), _listed([percent(fails(e)) for e in shown])
        text += (
            f" With {seeds} seeds of each, a demonstration fails to show {hardest['better']} ahead of "
            f"{hardest['worse']} in {failing} of cases."
        )
    width, seeds = (chances["widths"][-2][key] for key in ("width", "seeds"))
    return f"{text} An interval {100 * width:g} points wide takes {seeds:,} seeds of {rows[0]['name']}."


def beside_references(rows: list[dict], rule: AnswerRule, confidence: float) -> str:
    """Say how often each arm learns; PAPER.md has what was published about it."""
    shown = [how_often_and_how_much(row["metrics"]) for row in rows]
    return shown[0] if len(rows) == 1 else "; ".join(f"{row['name']}: {text}" for row, text in zip(rows, shown))


def _luck(rows: list[dict], confidence: float) -> dict[str, list[dict]]:
    """pairs: of any two arms, how often so many seeds of each rank them wrongly or alike; widths: how many seeds the
    first arm's interval needs to be so wide. The measured rates stand for the true ones."""
    pairs = []
    for two in itertools.combinations(rows, 2):
        worse, better = sorted(two, key=lambda row: row["metrics"]["success_rate"])
        high, low = (row["metrics"]["success_rate"] for row in (better, worse))
        shown = [(seeds, *statistics.wrongly_ranked(high, low, seeds)) for seeds in DEMONSTRATIONS]
        named = [dict(zip(("seeds", "wrong", "alike"), (n, round(w, 6), round(a, 6)))) for n, w, a in shown]
        pairs.append({"better": better["name"], "worse": worse["name"], "demonstrations": named})
    rate = rows[0]["metrics"]["success_rate"]
    widths = [{"width": width, "seeds": statistics.seeds_for_width(rate, width, confidence)} for width in WIDTHS]
    return {"pairs": pairs, "widths": widths}


SENTENCES = {
    "compare": compared,
    "along": along,
    "reach": reach,
    "front": front,
    "free_run": free_run,
    "luck": luck,
    "reference": beside_references,
}
