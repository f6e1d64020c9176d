"""An arm's charts: how often, how much, how soon. Only how the numbers are shown is computed here."""

import math
import textwrap
from collections import Counter

import altair as alt
import numpy as np

from memory_trials.evaluation import results, statistics
from memory_trials.report import stream_figures
from memory_trials.report.palette import series_style
from memory_trials.report.style import HEIGHT, MEMORY, SINGLE, START, ZERO, curve, inline, percent, titled, together
from memory_trials.studies import answers


def of_arm(outcome: results.Outcome, cell: str, losses: np.ndarray) -> dict[str, alt.LayerChart]:
    """Return an arm's charts by name. losses [T, E]: of its trials over epochs."""
    if outcome.of_stream:
        return stream_figures.of_stream(outcome, cell)
    metrics, rows = outcome.metrics, lambda table: getattr(outcome, table).to_dict("records")
    over_epochs = outcome.learned.merge(
        outcome.remembered.add_prefix("memory_"), left_on="epoch", right_on="memory_epoch"
    )
    by = f" by the required lead of {required:g}" if (required := answers.required_margin(metrics)) else ""
    finding = f"{metrics['successes']} of {metrics['trials']} trials know every step{by} in the end"
    checked = over_epochs.to_dict("records")
    charts = {
        "learned": learned(checked, metrics, cell, finding),
        "margin": margin(metrics, cell),
        "loss": loss(rows("loss"), losses, list(outcome.verdicts().values()), cell),
        "time_to_learn": time_to_learn(rows("time_to_learn"), metrics, cell),
    }
    if metrics["memory_whole"]:
        charts["confusion"] = confusion(rows("confusion"), cell)
        charts["memory"] = memory(outcome.trials.to_dict("records"), metrics, cell)
        charts["remembered"] = remembered(checked, metrics)
        order = ("learned", "memory", "margin", "remembered", "loss", "time_to_learn", "confusion")
        charts = {name: charts[name] for name in order}
    return charts


def overview(charts: dict[str, alt.LayerChart], answer: str) -> dict:
    """Return an arm's first two charts as one picture, as wide as a README shows it, under its answer."""
    shown = list(charts.values())[:2]
    for chart in shown:
        chart.width, chart.height = 325, HEIGHT
    question = "How often does the network learn to remember, and how much does it remember?"
    lines = textwrap.wrap(answer[0].upper() + answer[1:], 130)
    title = {"text": question, "fontSize": 16, "offset": 18, "subtitle": lines, "subtitleFontSize": 13}
    return together(shown, "hconcat", spacing=30, title=title, resolve={"scale": {"color": "independent"}})


def learned(rows: list[dict[str, float]], metrics: dict, cell: str, finding: str) -> alt.LayerChart:
    """Return a chart of how many trials know every step at each check. rows: learned.csv."""
    marks = f"line: share of trials; band: its {100 * metrics['confidence']:g} % interval"
    question = "How often does it learn?"
    return curve(
        percent(rows, "share_learned"), "trials that know every step (%)", question, [finding, marks], cell, "linear"
    )


def remembered(rows: list[dict[str, float]], metrics: dict) -> alt.LayerChart:
    """Return a chart of the trials' memory at each check. rows: remembered.csv, its columns with the prefix memory_."""
    whole = metrics["memory_whole"]
    points = [
        {"epoch": row["epoch"]} | {key: round(row[f"memory_{key}"], 6) for key in ("median", "p10", "p90")}
        for row in rows
    ]
    lowest = min(0.0, *(max(-0.25 * whole, row["p10"]) for row in points))
    base = alt.Chart(inline(points)).encode(
        x=alt.X("epoch:Q", title="epoch", scale=alt.Scale(nice=False, domainMin=0)),
        tooltip=[alt.Tooltip(f"{key}:Q", format=".4~g") for key in ("epoch", "median", "p10", "p90")],
    )
    y = alt.Y("p10:Q", title="memory (bits)", scale=alt.Scale(domain=[lowest, whole], nice=False))
    band = base.mark_area(opacity=0.15, color=MEMORY, clip=True).encode(y=y, y2=alt.Y2("p90:Q"))
    line = base.mark_line(color=MEMORY, clip=True).encode(y=alt.Y("median:Q"))
    pointed = base.mark_point(opacity=0, size=60).encode(y=alt.Y("median:Q"))
    finding = f"In the end the median is {answers.bits(points[-1]['median'], whole)}"
    marks = ["line: median; band: 10 % to 90 % of trials", f"top: all there is to remember; {ZERO}"]
    return titled(alt.layer(band, line, pointed), "How much do the trials remember over time?", [finding, *marks])


def margin(metrics: dict, cell: str) -> alt.LayerChart:
    """Return a chart of how many trials learned, by the lead that is required."""
    rows = []
    required = answers.required_margin(metrics)
    by_lead = {required: metrics["successes"]} | {m: metrics[f"successes_margin_{m:g}"] for m in statistics.MARGINS}
    counts = {f"{lead:g}": by_lead[lead] for lead in sorted(by_lead)}
    for asked, count in counts.items():
        rate, low, high = statistics.success_rate(count, metrics["trials"], metrics["confidence"])
        shares = {name: round(100 * share, 4) for name, share in (("rate", rate), ("low", low), ("high", high))}
        rows.append({"asked": asked, "trials": count, "label": answers.percent(rate)} | shares)
    colour = series_style(cell)[0]
    base = alt.Chart(inline(rows)).encode(
        x=alt.X(
            "asked:N",
            title="required lead of the right output",
            sort=list(counts),
            axis=alt.Axis(labelAngle=0),
        ),
        tooltip=[
            *map(alt.Tooltip, ("asked:N", "trials:Q")),
            *(alt.Tooltip(f"{key}:Q", format=".4~g") for key in ("rate", "low", "high")),
        ],
    )
    y = alt.Y("rate:Q", title="trials that learned (%)", scale=alt.Scale(domain=[0, 100]))
    bars = base.mark_bar(color=colour, opacity=0.3, size=34).encode(y=y)
    rules = base.mark_rule(color=colour, strokeWidth=2).encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q"))
    points = base.mark_point(color=colour, filled=True, size=60, opacity=1).encode(y=y)
    text = base.mark_text(align="left", dx=7, dy=-6, fontSize=12).encode(y=y, text=alt.Text("label:N"))
    finding = f"{metrics['successes']} of {metrics['trials']} trials learned"
    finding += f" by the required lead of {required:g}" if required else f", {counts['0.1']} of them by a lead of 0.1"
    marks = [
        "lead: the right output minus the best wrong one, at the worst step",
        f"bar and point: share of trials; line: its {100 * metrics['confidence']:g} % interval",
    ]
    return titled(alt.layer(bars, rules, points, text), "How far is the right output ahead?", [finding, *marks])


def memory(rows: list[dict], metrics: dict, cell: str) -> alt.LayerChart:
    """Return a histogram of the trials' memory. rows: trials.csv."""
    whole = metrics["memory_whole"]
    values = [0.0 if math.isnan(row["memory"]) else row["memory"] for row in rows]
    step = whole / 40  # so that two bars meet at 0
    low = -step * min(40, math.ceil(max(step, -min(values)) / step))  # what is worse, the first bar tells
    edges = (np.arange(round(low / step), 42) * step).round(6)
    learned = np.array([row["learned"] == 1 for row in rows])
    shown = np.clip(values, edges[0], edges[-1])  # the edges are rounded, and every trial stands in a bar
    counts = [np.histogram(shown[learned == verdict], edges)[0] for verdict in (True, False)]
    bars = [
        {"from": left, "to": right, "start": start, "end": start + count, "verdict": verdict, "trials": count}
        for left, right, known, unknown in zip(*np.array([edges[:-1], edges[1:], *counts]).tolist())
        for verdict, start, count in (("learned", 0, known), ("not learned", known, unknown))
        if count
    ]
    colours = alt.Scale(domain=["learned", "not learned"], range=[series_style(cell)[0], "#949494"])
    drawn = (
        alt.Chart(inline(bars))
        .mark_rect(stroke="#fff", strokeWidth=0.5)
        .encode(
            x=alt.X("from:Q", title="memory (bits)", scale=alt.Scale(domain=[low, 1.05 * whole], nice=False)),
            x2=alt.X2("to:Q"),
            y=alt.Y("start:Q", title="trials", scale=alt.Scale(domain=[0, 1.1 * max(bar["end"] for bar in bars)])),
            y2=alt.Y2("end:Q"),
            color=alt.Color("verdict:N", legend=alt.Legend(orient="top-right", title=None, offset=24), scale=colours),
            tooltip=[*map(alt.Tooltip, ("verdict:N", "trials:Q", "from:Q", "to:Q"))],
        )
    )
    ends = alt.Chart(inline([{"at": 0.0, "what": "a guess"}, {"at": whole, "what": "all there is"}]))
    rules = ends.mark_rule(color="#555", strokeDash=[3, 3]).encode(x=alt.X("at:Q"))
    texts = [
        ends.transform_filter(f"datum.at {side} 0")
        .mark_text(color="#444", dy=4, dx=dx, baseline="top", align=align)
        .encode(x=alt.X("at:Q"), y=alt.value(0), text=alt.Text("what:N"))
        for side, align, dx in (("==", "left", 5), (">", "right", -5))
    ]
    finding = f"Half of the trials remember {answers.bits(metrics['memory_median'], whole)} or more"
    return titled(alt.layer(drawn, rules, *texts), "How much does it remember?", [finding, f"memory of {ZERO}"])


def time_to_learn(rows: list[dict[str, float]], metrics: dict, cell: str) -> alt.LayerChart:
    """Return the Kaplan-Meier curve of trials that have known every step once. rows: time_to_learn.csv."""
    median, forgot = metrics["median_epochs_to_learn"], metrics["forgotten"]
    finding = (
        f"{metrics['ever_learned']} of {metrics['trials']} trials have known every step at some check"
        if median is None
        else f"Half of the trials have known every step once by epoch {median:g}"
    )
    finding += f"; {forgot} forgot again" if forgot else ""
    marks = "Kaplan-Meier curve of the time to learn; band: its interval"
    points = [START, *percent(rows, "share_ever_learned")]
    question = "How soon does it learn for the first time?"
    return curve(points, "trials that ever knew every step (%)", question, [finding, marks], cell, "step-after")


def loss(rows: list[dict[str, float]], losses: np.ndarray, verdicts: list[bool], cell: str) -> alt.LayerChart:
    """Return a chart of the loss over epochs, of all trials and some single ones.

    Args:
        rows: loss.csv.
        losses: [T, E] of each trial.
        verdicts: [T] whether it learned.
        cell: whose colour it has.
    """
    colour = series_style(cell)[0]
    last = losses[:, -1].astype(np.float64)
    of = lambda wanted: f"{np.median(last[np.array(verdicts) == wanted]):.3g}"
    finding = (
        f"The median loss in the end is {of(True)} of those that learned, {of(False)} of the others"
        if len(set(verdicts)) == 2
        else f"The median loss in the end is {np.median(last):.3g}"
    )
    shown = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), 120)).round().astype(int))
    single = [
        {"epoch": int(epoch) + 1, "loss": round(float(losses[trial, epoch]), 5), "trial": trial,
         "learned": "learned" if verdicts[trial] else "not learned"}
        for trial in range(min(SINGLE, len(losses)))
        for epoch in shown
    ]  # fmt: skip
    x = alt.X("epoch:Q", title="epoch", scale=alt.Scale(nice=False, domainMin=0))
    y = alt.Y("p10:Q", title="loss (cross-entropy, nats)", scale=alt.Scale(domainMin=0))
    base = alt.Chart(inline([rows[epoch] for epoch in shown])).encode(x=x)
    thin = (
        alt.Chart(inline(single))
        .mark_line(strokeWidth=0.6, color="#777")  # opacity would take twice the time of the whole chart
        .encode(
            x=x,
            y=alt.Y("loss:Q"),
            detail=alt.Detail("trial:N"),
            strokeDash=alt.StrokeDash(
                "learned:N", scale=alt.Scale(domain=["learned", "not learned"], range=[[1, 0], [3, 3]]), legend=None
            ),
        )
    )
    band = base.mark_area(opacity=0.25, color=colour).encode(y=y, y2=alt.Y2("p90:Q"))
    line = base.mark_line(color=colour).encode(y=alt.Y("median:Q"))
    pointed = base.mark_point(opacity=0, size=60).encode(
        y=alt.Y("median:Q"),
        tooltip=[alt.Tooltip(f"{key}:Q", format=".4~g") for key in ("epoch", "median", "p10", "p90")],
    )
    marks = f"thick: median; band: 10 % to 90 % of trials; thin: {min(SINGLE, len(losses))} trials"
    if len(set(verdicts[:SINGLE])) == 2:
        marks += ", dashed if they did not learn"
    return titled(alt.layer(thin, band, line, pointed), "Does the loss tell who learned?", [finding, marks])


def confusion(rows: list[dict[str, str]], cell: str, most: int = 16) -> alt.LayerChart:
    """Return a confusion matrix of the predictions that need memory, over all trials. rows: confusion.csv."""
    inputs = list(dict.fromkeys(row["input"] for row in rows))
    named = lambda row: row["target"] if len(inputs) == 1 else f"{row['target']} after {row['input']}"
    counts = Counter((named(row), row["target"], row["predicted"]) for row in rows)
    asked = Counter(named(row) for row in rows)
    right = sum(count for (_, target, predicted), count in counts.items() if target == predicted)
    targets = [target for target, _ in asked.most_common(most)]
    kept = [target for target in asked if target in targets]  # in the order of the sequences
    cells = [
        {"target": name, "predicted": predicted, "trials": count, "share": 100 * count / asked[name],
         "right": target == predicted}
        for (name, target, predicted), count in counts.items()
        if name in targets
    ]  # fmt: skip
    said = [
        symbol
        for symbol in dict.fromkeys(row["target"] for row in rows)
        if any(c["predicted"] == symbol for c in cells)
    ]
    said += sorted({predicted for name, _, predicted in counts if name in targets} - set(said))
    followed = " or ".join(dict.fromkeys(row["target"] for row in rows))
    where = f"After {inputs[0]}, where {followed} may follow" if len(inputs) == 1 and len(followed) < 20 else (
        "Where the present symbol does not tell the next"
    )  # fmt: skip
    base = alt.Chart(inline(cells)).encode(
        x=alt.X(
            "predicted:N",
            title="prediction",
            sort=said,
            axis=alt.Axis(labelAngle=0),
            scale=alt.Scale(paddingInner=0.06),
        ),
        y=alt.Y("target:N", title="target", sort=kept, scale=alt.Scale(paddingInner=0.06)),
    )
    shade = alt.Scale(domain=[0, 100], range=["#ffffff", series_style(cell)[0]], interpolate="rgb")
    boxes = base.mark_rect(stroke="#ccc").encode(
        color=alt.Color("share:Q", legend=None, scale=shade),
        tooltip=[
            *map(alt.Tooltip, ("target:N", "predicted:N", "trials:Q")),
            alt.Tooltip("share:Q", title="%", format=".1f"),
        ],
    )
    frames = base.transform_filter("datum.right").mark_rect(filled=False, stroke="#000", strokeWidth=2)
    text = base.mark_text(fontSize=13).encode(
        text=alt.Text("trials:Q"), color=alt.condition("datum.share > 55", alt.value("#fff"), alt.value("#000"))
    )
    marks = "number of trials; framed: right" + (f"; the {most} commonest of {len(asked)}" if len(asked) > most else "")
    finding = f"{where}, {right} of {len(rows)} predictions are right"
    return titled(alt.layer(boxes, frames, text), "What is predicted where memory is needed?", [finding, marks])
