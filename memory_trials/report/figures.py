"""An arm's charts: how often, how much, how soon. What is computed here is only how the numbers are shown."""

import math
import textwrap
from collections import Counter

import altair as alt
import numpy as np

from memory_trials.evaluation import results, statistics
from memory_trials.report import stream_figures
from memory_trials.report.palette import series_style
from memory_trials.report.style import MEMORY, SINGLE, START, ZERO, curve, inline, percent, titled, together
from memory_trials.studies import answers


def of_arm(outcome: results.Outcome, cell: str, losses: np.ndarray) -> dict[str, alt.LayerChart]:
    """An arm's charts by name, from all that is known of it and its losses [T, E]."""
    if outcome.of_stream:
        return stream_figures.of_stream(outcome, cell)
    metrics, rows = outcome.metrics, lambda table: getattr(outcome, table).to_dict("records")
    over_epochs = outcome.learned.merge(
        outcome.remembered.add_prefix("memory_"), left_on="epoch", right_on="memory_epoch"
    )
    by = f" by the required lead of {required:g}" if (required := answers.required_margin(metrics)) else ""
    finding = f"{metrics['successes']} of {metrics['trials']} trials know every step{by} in the end"
    charts = {
        "learned": learned(over_epochs.to_dict("records"), metrics, cell, finding),
        "margin": margin(metrics, cell),
        "loss": loss(rows("loss"), losses, list(outcome.verdicts().values()), cell),
        "time_to_learn": time_to_learn(rows("time_to_learn"), metrics, cell),
    }
    if metrics["memory_whole"]:
        charts["confusion"] = confusion(rows("confusion"), cell)
        charts["memory"] = memory(outcome.trials.to_dict("records"), metrics, cell)
        order = ("learned", "margin", "memory", "loss", "time_to_learn", "confusion")
        charts = {name: charts[name] for name in order}
    return charts


def overview(charts: dict[str, alt.LayerChart], answer: str) -> dict:
    """An arm's charts as one picture under its answer, three in a row."""
    title = {"text": textwrap.wrap(answer[0].upper() + answer[1:], 150), "fontSize": 16, "offset": 16}
    resolve = {"scale": {"color": "independent"}}
    return together(charts.values(), "concat", columns=3, spacing=36, title=title, resolve=resolve)


def learned(rows: list[dict[str, float]], metrics: dict, cell: str, finding: str) -> alt.LayerChart:
    """How many trials know every step at each check, and how much they remember, in one chart. rows: learned.csv beside
    remembered.csv (its columns with memory_ before their names)."""
    subtitle = f"line: share of trials; band: its {100 * metrics['confidence']:g} % interval"
    chart = curve(percent(rows, "share_learned"), "trials that know every step (%)", finding, subtitle, cell, "linear")
    if not metrics["memory_whole"]:
        return chart
    share = lambda value: round(max(0.0, 100 * value / metrics["memory_whole"]), 4)
    below = any(row["memory_p10"] < 0 for row in rows)
    points = [
        {"epoch": row["epoch"]} | {key: share(row[f"memory_{key}"]) for key in ("median", "p10", "p90")} for row in rows
    ]
    base = alt.Chart(inline(points)).encode(x=alt.X("epoch:Q"))
    band = base.mark_area(opacity=0.15, color=MEMORY).encode(y=alt.Y("p10:Q"), y2=alt.Y2("p90:Q"))
    line = base.mark_line(color=MEMORY, strokeDash=[6, 3]).encode(y=alt.Y("median:Q"))
    tooltip = [alt.Tooltip(f"{key}:Q", format=".4~g") for key in ("epoch", "median", "p10", "p90")]
    pointed = base.mark_point(opacity=0, size=60).encode(y=alt.Y("median:Q"), tooltip=tooltip)
    dashed = f"dashed: memory, in % of {metrics['memory_whole']:.2g} bit; median and 10 % to 90 % of trials"
    cut = ["what is below 0, worse than the best guess without memory, is drawn at 0"] if below else []
    return titled(alt.layer(chart, band, line, pointed), finding, [subtitle, dashed, *cut])


def margin(metrics: dict, cell: str) -> alt.LayerChart:
    """How many trials learned, by how much of a lead is asked for."""
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
            title="lead that is required of the right output",
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
    finding += f" by the required lead of {required:g}" if required else f", {counts['0.1']} by a lead of 0.1"
    subtitle = "lead: the right output minus the best wrong one, at the worst step"
    return titled(alt.layer(bars, rules, points, text), finding, subtitle)


def memory(rows: list[dict], metrics: dict, cell: str) -> alt.LayerChart:
    """How much each trial remembers. rows: trials.csv."""
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
    colours = alt.Scale(domain=["learned", "not learned"], range=[series_style(cell)[0], "#c4c4c4"])
    drawn = (
        alt.Chart(inline(bars))
        .mark_rect(stroke="#fff", strokeWidth=0.5)
        .encode(
            x=alt.X("from:Q", title="memory (bits)", scale=alt.Scale(domain=[low, 1.05 * whole], nice=False)),
            x2=alt.X2("to:Q"),
            y=alt.Y("start:Q", title="trials", scale=alt.Scale(domain=[0, 1.1 * max(bar["end"] for bar in bars)])),
            y2=alt.Y2("end:Q"),
            color=alt.Color("verdict:N", legend=None, scale=colours),
            tooltip=[*map(alt.Tooltip, ("verdict:N", "trials:Q", "from:Q", "to:Q"))],
        )
    )
    ends = alt.Chart(inline([{"at": 0.0, "what": ""}, {"at": whole, "what": "all"}]))
    rules = ends.mark_rule(color="#555", strokeDash=[3, 3]).encode(x=alt.X("at:Q"))
    text = ends.mark_text(color="#555", dy=-6, baseline="bottom").encode(
        x=alt.X("at:Q"), y=alt.value(0), text=alt.Text("what:N")
    )
    finding = f"Half of the trials remember {answers.bits(metrics['memory_median'], whole)} or more"
    return titled(alt.layer(drawn, rules, text), finding, ["dark: learned; light: not", ZERO])


def time_to_learn(rows: list[dict[str, float]], metrics: dict, cell: str) -> alt.LayerChart:
    """How many have known everything at least once (Kaplan-Meier). rows: time_to_learn.csv."""
    median, forgot = metrics["median_epochs_to_learn"], metrics["forgotten"]
    finding = (
        f"{metrics['ever_learned']} of {metrics['trials']} trials have known every step at some check"
        if median is None
        else f"Half of the trials have known every step once by epoch {median:g}"
    )
    finding += f"; {forgot} forgot again" if forgot else ""
    subtitle = "Kaplan-Meier curve of the time to learn; band: its interval"
    points = [START, *percent(rows, "share_ever_learned")]
    return curve(points, "trials that ever knew every step (%)", finding, subtitle, cell, "step-after")


def loss(rows: list[dict[str, float]], losses: np.ndarray, verdicts: list[bool], cell: str) -> alt.LayerChart:
    """All trials' loss over epochs, and some single ones. rows: loss.csv; losses [T, E]; verdicts [T]."""
    colour = series_style(cell)[0]
    last = losses[:, -1].astype(np.float64)
    of = lambda wanted: f"{np.median(last[np.array(verdicts) == wanted]):.3g}"
    finding = (
        f"In the end a loss of {of(True)} where learned, {of(False)} where not (medians)"
        if len(set(verdicts)) == 2
        else f"In the end a loss of {np.median(last):.3g} (median)"
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
    subtitle = f"thick: median; band: 10 % to 90 % of trials; thin: {min(SINGLE, len(losses))} trials"
    if len(set(verdicts[:SINGLE])) == 2:
        subtitle += ", dashed where not learned"
    return titled(alt.layer(thin, band, line, pointed), finding, subtitle)


def confusion(rows: list[dict[str, str]], cell: str, most: int = 16) -> alt.LayerChart:
    """What was said where memory is needed, over all trials. rows: confusion.csv."""
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
            "predicted:N", title="said", sort=said, axis=alt.Axis(labelAngle=0), scale=alt.Scale(paddingInner=0.06)
        ),
        y=alt.Y("target:N", title="should be said", sort=kept, scale=alt.Scale(paddingInner=0.06)),
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
    subtitle = "how many trials; framed: right" + (
        f"; the {most} commonest of {len(asked)}" if len(asked) > most else ""
    )
    return titled(alt.layer(boxes, frames, text), f"{where}, {right} of {len(rows)} answers are right", subtitle)
