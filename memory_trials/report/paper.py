"""PAPER.md and its picture: every row of the paper beside what was measured, by rule from the numbers."""

import math

import altair as alt

from memory_trials.report.style import inline, titled
from memory_trials.studies import references
from memory_trials.studies.schema import Experiments, Reference, SeparateArm

HEAD = """# The paper, measured anew

Hochreiter & Schmidhuber (1997), "Long Short-Term Memory", *Neural Computation* 9(8), is what the tutorial simplifies.
This page sets every row of its six experiments that is measured here beside the paper's figure. `make paper` makes it
from [experiments/paper.yaml](experiments/paper.yaml), and `make paper ROW=...` one row. [docs/paper.md](docs/paper.md)
describes the tasks, the cell, and every choice that the paper leaves open.

*Learned:* the trials that met the paper's criterion, with a 95 % Wilson interval; the others had as many sequences as
the last column says. *After:* training sequences until then; the mean over those that learned, as the paper has it,
with a 95 % t interval. Where fewer than 90 % learned, the others count with all their sequences, so the mean is *at
least* what it says. The median, by Kaplan and Meier, counts all trials, too. *Wrong:* of 2,560 fresh sequences, the
mean over those that learned.

*Agrees:* **yes** where the two counts of successes could have one rate (Fisher's exact test, p at least 0.05) and the
paper's mean lies where 95 % of the means of as many trials as the paper's would, given ours (bootstrap); **success**
or **after** names the one that does not fit; the number is our mean divided by the paper's. **Share alone**: the counts
agree, and our mean is a lower bound that is not above the paper's. There is no verdict where our trials had fewer than
twice the paper's mean. Where the paper's nets learned nothing, a percentage says how many of its sequences ours had.
The paper gives no spread, so this is the strictest comparison that its numbers allow. Another reading is compared with
the numbers of the paper's row that it is one of; with several tries, one may agree by luck.
"""
KINDS = {"published": "", "reading": " (another reading)", "rival": " (rival)", "guess": " (guessing)", "own": ""}
NOT_RUN = "not run yet"
SHARE = "share alone"
TOO_FEW = "too few sequences to tell"
ENOUGH = 2  # times the paper's mean: with fewer sequences, a trial that has not learned says little about the paper


def measured(summaries: dict[str, dict]) -> dict[str, dict]:
    """What was measured of each arm, from its summary."""
    return {name: summary["arms"][0] for name, summary in summaries.items()}


def page(experiments: Experiments, found: dict[str, dict]) -> str:
    """PAPER.md. found: what was `measured` of the arms that were run, by name."""
    rows, agreed = experiments.arms, verdicts(experiments.arms, found)
    lines = [HEAD, _summary(rows, agreed), "![The paper's means and ours](experiments/pictures/paper.png)", ""]
    for study, (head, *body) in tables(experiments, found, agreed).items():
        lines += [f"## {experiments.studies[study].title}", ""]
        lines += [f"| {' | '.join(line)} |" for line in (head, ["---", *["---:"] * 7, "---", "---:"], *body)]
        lines += [*_readings(_of(study, rows), found), *_notes(_of(study, rows)), ""]
    return "\n".join(lines).rstrip() + "\n"


def verdicts(rows: dict[str, SeparateArm], found: dict[str, dict]) -> dict[str, str]:
    """Of the rows that the paper has, of their other readings, and that were run: yes, or what does not agree."""
    said = {name: rows[str(row.of)].reference if row.kind == "reading" else row.reference for name, row in rows.items()}
    return {name: agreement(reference, found[name]) for name, reference in said.items() if reference and name in found}


def agreement(said: Reference, found: dict) -> str:
    """yes, or what does not agree."""
    if said.after is not None and found["metrics"]["epochs_budget"] < ENOUGH * said.after:
        return TOO_FEW
    compared = references.agreement(said, found)
    apart = [word for word in ("success", "after") if compared[word] is False]
    verdict = " and ".join(apart) if apart else SHARE if compared["at_least"] else "yes"
    if said.gave_up and found["metrics"]["epochs_budget"] < said.gave_up:
        verdict += f" (at {100 * found['metrics']['epochs_budget'] / said.gave_up:.2g} %)"
    if compared["ratio"] is None:
        return verdict
    return verdict + f" ({'at least ' if compared['at_least'] else ''}{compared['ratio']:.2g} x)"


def _summary(rows: dict[str, SeparateArm], verdicts: dict[str, str]) -> str:
    word = {name: verdict.split(" (")[0] for name, verdict in verdicts.items()}
    published = {name: row.reference for name, row in rows.items() if row.reference}
    words = [word[name] for name, reference in published.items() if name in word and reference.successful]
    nobody = {
        name: verdicts[name] for name, reference in published.items() if name in word and not reference.successful
    }
    otherwise = {
        row.of
        for name, row in rows.items()
        if row.kind == "reading" and word.get(name) == "yes" and word.get(str(row.of), "yes") != "yes"
    }
    only_share, few = words.count("after") + words.count(SHARE), words.count(TOO_FEW)
    text = (
        f"**Of the {len(words) - few} rows in which the paper learned something, {words.count('yes')} agree with it**"
    )
    if only_share:
        text += (
            f"; in {only_share} more the share that learned agrees, and the time to learn does not, or cannot be told"
        )
    text += "."
    if otherwise:
        text += (
            f" Of those that do not, {len(otherwise)} agree where what the paper leaves open is read in another way."
        )
    if few:
        text += f" {few} had too few sequences to tell."
    if nobody:
        same = [verdict for verdict in nobody.values() if verdict.startswith("yes")]
        text += f" Of the {len(nobody)} in which it learned nothing, nothing is learned in {len(same)} here, either"
        if sooner := sum("%" in verdict for verdict in same):
            text += f"; {sooner} of these were given up sooner than the paper's"
        text += "."
    if missing := len(published) - len(words) - len(nobody):
        text += f" {missing} of its rows are {NOT_RUN}."
    return text + "\n"


def tables(experiments: Experiments, found: dict[str, dict], verdicts: dict[str, str]) -> dict[str, list[list[str]]]:
    """Each study's arms as a table of words by its name, the head first."""
    of_studies = {study: _of(study, experiments.arms) for study in experiments.studies}
    return {study: _table(rows, found, verdicts) for study, rows in of_studies.items() if rows}


def _of(study: str, rows: dict[str, SeparateArm]) -> dict[str, SeparateArm]:
    """A study's arms: those with a reference first, then what is compared with them."""
    of_it = [(name, row) for name, row in rows.items() if row.study == study]
    return dict(sorted(of_it, key=lambda named: list(KINDS).index(named[1].kind)))


def _table(rows: dict[str, SeparateArm], found: dict[str, dict], verdicts: dict[str, str]) -> list[list[str]]:
    head = ["", "paper: learned", "after", "wrong", "measured: learned", "after (mean)", "median", "wrong", "agrees",
            "sequences at most"]  # fmt: skip
    cells = [head]
    for name, row in rows.items():
        said, got = row.reference, found.get(name)
        line = [row.label + KINDS[row.kind]]
        line += ["", "", ""] if said is None else [
            f"{said.successful:g} % of {said.trials}", _exact(said.after), _few(said.wrong)
        ]  # fmt: skip
        line += _measured(got) if got else [NOT_RUN, "", "", ""]
        line += [verdicts.get(name, ""), _number(got["metrics"]["epochs_budget"]) if got else ""]
        cells.append(line)
    return cells


def _measured(got: dict) -> list[str]:
    numbers = got["metrics"]
    low, high = (100 * numbers[f"success_rate_{end}"] for end in ("low", "high"))
    learned = f"{numbers['successes']} of {numbers['trials']} ({low:.0f} to {high:.0f} %)"
    mean, *ends = _mean(numbers)
    after = _number(mean) + (f" ({_number(max(0, ends[0]))} to {_number(ends[1])})" if ends[0] is not None else "")
    if _is_lower_bound(numbers):
        after = f"at least {after}"
    median = numbers["median_epochs_to_learn"]
    return [learned, after, _number(median) if median is not None else "not half", _few(numbers["test_wrong"])]


def _is_lower_bound(numbers: dict) -> bool:
    """Whether the mean counts trials that have not learned with all their sequences: where some learned, but few."""
    return 0 < numbers["successes"] < references.MOST * numbers["trials"]


def _mean(numbers: dict) -> list[float | None]:
    """The mean of the sequences until trials learned, and the ends of its interval where it has one."""
    if _is_lower_bound(numbers):
        return [numbers["restricted_mean_epochs_to_learn"], None, None]
    return [numbers.get(f"mean_epochs_to_learn{end}") for end in ("", "_low", "_high")]


def _few(wrong: float | None) -> str:
    return "" if wrong is None else f"{wrong:.0f}" if wrong >= 10 else f"{wrong:.2g}"


def _readings(rows: dict[str, SeparateArm], found: dict[str, dict]) -> list[str]:
    """What further criteria say: other readings of when a trial has learned, by the same runs."""
    lines = []
    for name, row in rows.items():
        criteria = list(found[name]["until"]) if name in found else []
        for criterion in criteria[1:]:
            numbers = found[name]["metrics"]
            mean = numbers[f"{criterion}_mean_epochs_to_learn"]
            after = f", after {_number(mean)} in the mean" if mean is not None else ""
            reference = row.reference and row.reference.first_after
            said = f"; the paper: {_exact(reference)}" if reference else ""
            lines.append(
                f"- {row.label}, by *{criterion.replace('_', ' ')}*: {numbers[f'{criterion}_successes']} of "
                f"{numbers['trials']}{after}{said}"
            )
    return ["", *lines] if lines else []


def _notes(rows: dict[str, SeparateArm]) -> list[str]:
    lines = [f"- {row.label}: {row.note}" for row in rows.values() if row.note]
    return ["", *lines] if lines else []


def _exact(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _number(value: float | None) -> str:
    """A whole number with its thousands apart, of three digits that count."""
    if value is None:
        return ""
    digits = 3 - len(str(int(abs(value)))) if value else 0
    return f"{round(value, min(0, digits)):,.0f}"


def named(row: SeparateArm) -> str:
    """The name of an arm in the picture, with the number of its experiment."""
    return f"{row.study.removeprefix('paper_')}: {row.label}"


def picture(experiments: Experiments, found: dict[str, dict]) -> alt.LayerChart:
    """One line a row of the paper that says after how many sequences: its mean, ours with the interval, and those of
    other readings."""
    rows, shown, otherwise = experiments.arms, [], []
    for name, row in rows.items():
        numbers = found[name]["metrics"] if name in found else {}
        mean, *ends = _mean(numbers) if numbers else [None] * 3
        shape = "at least" if numbers and _is_lower_bound(numbers) else "mean"
        if row.kind == "reading" and mean is not None:
            otherwise.append({"row": named(rows[str(row.of)]), "mean": mean, "reading": row.label, "shape": shape})
        if row.reference is None or row.reference.after is None or not numbers:
            continue
        low, high = (mean if end is None else end for end in ends)
        shown.append({
            "row": named(row), "paper": row.reference.after, "mean": mean,
            "low": low and mean and max(mean / 10, low), "high": high,  # a logarithm has no place for 0
            "shape": shape, "learned": f"{numbers['successes']} of {numbers['trials']}",
        })  # fmt: skip
    order = [each["row"] for each in shown]
    base = alt.Chart(inline(shown)).encode(
        y=alt.Y("row:N", sort=order, title=None, scale=alt.Scale(paddingInner=0.3)),
        tooltip=[*map(alt.Tooltip, ("row:N", "paper:Q", "mean:Q", "learned:N"))],
    )
    scale = alt.Scale(type="log", nice=False, domain=_domain(shown + otherwise))
    x = alt.X("mean:Q", title="training sequences until learned", scale=scale, axis=alt.Axis(format="~s"))
    shapes = alt.Shape(
        "shape:N", scale=alt.Scale(domain=["mean", "at least"], range=["circle", "triangle-right"]), legend=None
    )
    bars = base.mark_rule(color="#0b5394", strokeWidth=2).encode(x=alt.X("low:Q", scale=scale), x2=alt.X2("high:Q"))
    ours = base.mark_point(color="#0b5394", filled=True, size=70, opacity=1).encode(x=x, shape=shapes)
    theirs = base.mark_point(color="#b45f06", shape="diamond", size=90, strokeWidth=2).encode(
        x=alt.X("paper:Q", scale=scale)
    )
    text = base.mark_text(align="left", dx=8).encode(x=alt.value("width"), text=alt.Text("learned:N"))
    readings = (
        alt.Chart(inline(otherwise))
        .mark_point(color="#0b5394", size=30, strokeWidth=1)
        .encode(x=x, y=alt.Y("row:N", sort=order), shape=shapes, tooltip=[*map(alt.Tooltip, ("reading:N", "mean:Q"))])
    )
    finding = "After how many sequences trials learn: the paper, and measured anew"
    subtitle = [
        "diamond: the paper's mean; point: ours, with its interval; triangle: at least that; right: how many learned",
        "small: other readings of what the paper leaves open",
    ]
    return titled(alt.layer(bars, readings, ours, theirs, text), finding, subtitle, 560, 22 * max(1, len(shown)))


def _domain(shown: list[dict]) -> list[float]:
    values = [row[key] for row in shown for key in ("paper", "mean", "low", "high") if row.get(key)] or [1, 10]
    return [10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)))]
