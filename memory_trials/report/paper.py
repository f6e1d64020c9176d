"""PAPER.md and its picture: every row of the paper beside what was measured, by rule from the numbers."""

import math

import altair as alt

from memory_trials.report import wording
from memory_trials.report.style import CHARACTER, INSIDE, inline, titled
from memory_trials.studies import references
from memory_trials.studies.schema import Experiments, Reference, SeparateArm

HEAD = """# The paper, measured anew

Hochreiter & Schmidhuber (1997), "Long Short-Term Memory", *Neural Computation* 9(8), is what the tutorial simplifies.
Here every row of its tables stands beside what we measured. `make paper` makes this page from
[experiments/paper.yaml](experiments/paper.yaml); `make paper ROW=...` measures one row. [docs/paper.md](docs/paper.md)
describes the tasks, the cell, and every choice that the paper leaves open.
"""
COLUMNS = """## How to read the tables

| column | meaning |
|---|---|
| learned | trials that met the paper's criterion, with a 95 % Wilson interval |
| after | training sequences until then: mean over the trials that learned, as in the paper, with a 95 % t interval; *at least*, where fewer than 90 % learned, counts the others with all their sequences |
| median | the same by Kaplan and Meier, over all trials |
| wrong | of 2,560 fresh sequences, mean over the trials that learned |
| agrees | *yes*: both tests below find no difference; *success*, *after*: the one that finds one; *share alone*: the counts agree, and our mean, a lower bound, is not above the paper's; x: our mean divided by the paper's |
| sequences at most | when a trial that has not learned is given up |

Two tests: Fisher's exact test of the numbers of successes (p at least 0.05), and whether the paper's mean lies where
95 % of the means of as many trials would lie, given ours (bootstrap). The paper gives no spread, so no stricter
comparison is possible. There is no verdict where our trials had fewer than twice the paper's mean. Where the paper's
nets learned nothing, a percentage says how many of its sequences ours had. *Another reading* takes a sentence of the
paper in another way and is compared with the same row; with several tries, one may agree by luck. A column that would
hold nothing is left out.
"""  # noqa: E501
KINDS = {"published": "", "reading": " (another reading)", "rival": " (rival)", "guess": " (guessing)", "own": ""}
NOT_RUN = "not run yet"
# marks of the picture: shape, stroke, fill; the second of two where some trials never learned
THEIRS = "the paper's mean"
OURS = ("our mean, with its 95 % interval", "our mean is at least this")
OTHERWISE = ("other readings of the paper", "other readings, at least this")
LOOKS = {
    THEIRS: ("diamond", "#b45f06", "#ffffff"),
    OURS[0]: ("circle", "#0b5394", "#0b5394"),
    OURS[1]: ("triangle-right", "#0b5394", "#0b5394"),
    OTHERWISE[0]: ("circle", "#0b5394", "#ffffff"),
    OTHERWISE[1]: ("triangle-right", "#0b5394", "#ffffff"),
}
SHARE = "share alone"
TOO_FEW = "too few sequences to tell"
ENOUGH = 2  # times the paper's mean: with fewer sequences, a trial that has not learned says little about the paper


def measured(summaries: dict[str, dict]) -> dict[str, dict]:
    """Return what was measured of each arm, from its summary."""
    return {name: summary["arms"][0] for name, summary in summaries.items()}


def page(experiments: Experiments, found: dict[str, dict]) -> str:
    """Return PAPER.md. found: what was `measured` of the arms that were run, by name."""
    rows, agreed = experiments.arms, verdicts(experiments.arms, found)
    lines = [HEAD, _summary(rows, agreed), "![The paper's means and ours](experiments/pictures/paper.png)", "", COLUMNS]
    for study in experiments.studies:
        if not (of_it := _of(study, rows)):
            continue
        published = {name: row for name, row in of_it.items() if row.reference}
        others = {name: row for name, row in of_it.items() if not row.reference}
        lines += [f"## {experiments.studies[study].title}", ""]
        lines += _markdown(_table(published, found, agreed)) if published else []
        if others:
            shown = _markdown(_table(others, found, agreed))
            lines += ["", *wording.folded(f"{len(others)} other readings, rivals and settings of our own", shown)]
        lines += [*_readings(of_it, found), *_notes(of_it), ""]
    return "\n".join(lines).rstrip() + "\n"


def _markdown(table: list[list[str]]) -> list[str]:
    head, *body = table
    return [f"| {' | '.join(line)} |" for line in (head, ["---", *["---:"] * (len(head) - 1)], *body)]


def verdicts(rows: dict[str, SeparateArm], found: dict[str, dict]) -> dict[str, str]:
    """Return `agreement` for each row of the paper and each other reading that was run, by name."""
    said = {name: rows[str(row.of)].reference if row.kind == "reading" else row.reference for name, row in rows.items()}
    return {name: agreement(reference, found[name]) for name, reference in said.items() if reference and name in found}


def agreement(said: Reference, found: dict) -> str:
    """Return whether a measured arm agrees with the paper: yes, or what does not."""
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
            f"; in {only_share} more the share that learned agrees, but not the time to learn, as far as it is known"
        )
    text += "."
    if otherwise:
        text += f" Of the rows that do not agree, {len(otherwise)} do if the paper is read in another way."
    if few:
        text += f" {few} had too few sequences to tell."
    if nobody:
        same = [verdict for verdict in nobody.values() if verdict.startswith("yes")]
        text += f" Of the {len(nobody)} in which it learned nothing, {len(same)} learned nothing here"
        if sooner := sum("%" in verdict for verdict in same):
            text += f"; {sooner} of these were given up sooner than the paper's"
        text += "."
    if missing := len(published) - len(words) - len(nobody):
        text += f" {missing} of its rows are {NOT_RUN}."
    return text + "\n"


def tables(experiments: Experiments, found: dict[str, dict], verdicts: dict[str, str]) -> dict[str, list[list[str]]]:
    """Return, for each study by its name, its arms as a table of words, the head first."""
    of_studies = {study: _of(study, experiments.arms) for study in experiments.studies}
    return {study: _table(rows, found, verdicts) for study, rows in of_studies.items() if rows}


def _of(study: str, rows: dict[str, SeparateArm]) -> dict[str, SeparateArm]:
    """A study's arms: those with a reference first, then what is compared with them."""
    of_it = [(name, row) for name, row in rows.items() if row.study == study]
    return dict(sorted(of_it, key=lambda named: list(KINDS).index(named[1].kind)))


def _table(rows: dict[str, SeparateArm], found: dict[str, dict], verdicts: dict[str, str]) -> list[list[str]]:
    head = ["row", "paper: learned", "paper: after", "paper: wrong", "here: learned", "here: after", "here: median",
            "here: wrong", "agrees", "sequences at most"]  # fmt: skip
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
    return wording.without_empty_columns(cells)


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
    """Return the name of an arm in the picture, with the number of its experiment."""
    return f"{row.study.removeprefix('paper_')}: {row.label}"


def picture(experiments: Experiments, found: dict[str, dict]) -> alt.LayerChart:
    """Return a chart with a line for each row of the paper that has a time: its mean, ours with the interval, and the
    means of other readings."""
    rows, shown, otherwise = experiments.arms, [], []
    for name, row in rows.items():
        numbers = found[name]["metrics"] if name in found else {}
        mean, *ends = _mean(numbers) if numbers else [None] * 3
        bound = bool(numbers) and _is_lower_bound(numbers)
        if row.kind == "reading" and mean is not None:
            kind = OTHERWISE[bound]
            otherwise.append({"row": named(rows[str(row.of)]), "mean": mean, "reading": row.label, "kind": kind})
        if row.reference is None or row.reference.after is None or not numbers:
            continue
        low, high = (mean if end is None else end for end in ends)
        shown.append({
            "row": named(row), "paper": row.reference.after, "mean": mean, "theirs": THEIRS,
            "low": low and mean and max(mean / 10, low), "high": high,  # a logarithm has no place for 0
            "kind": OURS[bound], "learned": f"{numbers['successes']} of {numbers['trials']} learned",
        })  # fmt: skip
    order = [str(each["row"]) for each in shown]
    base = alt.Chart(inline(shown)).encode(
        y=alt.Y("row:N", sort=order, title=None, scale=alt.Scale(paddingInner=0.3), axis=alt.Axis(ticks=False)),
        tooltip=[*map(alt.Tooltip, ("row:N", "paper:Q", "mean:Q", "learned:N"))],
    )
    scale = alt.Scale(type="log", nice=False, domain=_domain(shown + otherwise))
    ticks = [10.0**power for power in range(10)]
    x = alt.X("mean:Q", title="training sequences until learned", scale=scale, axis=alt.Axis(format="~s", values=ticks))
    present = [kind for kind in LOOKS if any(kind in each.values() for each in (*shown, *otherwise))]
    legend = alt.Legend(orient="top", title=None, columns=3, symbolStrokeWidth=2, symbolSize=70, columnPadding=18)
    look = lambda field: {
        channel: of(
            f"{field}:N", sort=present, legend=legend,
            scale=alt.Scale(domain=present, range=[LOOKS[kind][place] for kind in present]),
        )
        for place, (channel, of) in enumerate((("shape", alt.Shape), ("stroke", alt.Stroke), ("fill", alt.Fill)))
    }  # fmt: skip
    bars = base.mark_rule(color=LOOKS[OURS[0]][1], strokeWidth=2).encode(
        x=alt.X("low:Q", scale=scale), x2=alt.X2("high:Q")
    )
    ours = base.mark_point(size=60, strokeWidth=1.5, opacity=1).encode(x=x, **look("kind"))
    theirs = base.mark_point(size=80, strokeWidth=2, opacity=1).encode(
        x=alt.X("paper:Q", scale=scale), **look("theirs")
    )
    text = base.mark_text(align="left", dx=8).encode(x=alt.value("width"), text=alt.Text("learned:N"))
    tooltip = [*map(alt.Tooltip, ("reading:N", "mean:Q"))]
    readings = (
        alt.Chart(inline(otherwise))
        .mark_point(size=28, strokeWidth=1, opacity=1)
        .encode(x=x, y=alt.Y("row:N", sort=order), tooltip=tooltip, **look("kind"))
    )
    names = CHARACTER * max((len(name) for name in order), default=0)
    width = int(max(200, INSIDE - names - CHARACTER * len("100 of 100 learned") - 20))
    question = "After how many sequences do trials learn, in the paper and here?"
    marks = "each row is one of the paper's; a logarithmic axis; on the right how many of our trials learned"
    layers, height = alt.layer(bars, readings, ours, theirs, text), 20 * max(1, len(shown))
    return titled(layers, question, [marks], width, height, text_width=INSIDE)


def _domain(shown: list[dict]) -> list[float]:
    values = [row[key] for row in shown for key in ("paper", "mean", "low", "high") if row.get(key)] or [1, 10]
    return [10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)))]
