"""The charts of an arm that learns from a stream: after how many sequences its trials learned, and by what errors."""

import altair as alt
import numpy as np

from memory_trials.evaluation.results import Outcome
from memory_trials.report.palette import series_style
from memory_trials.report.style import inline, titled

X_TITLE = "training sequences"


def of_stream(outcome: Outcome, cell: str) -> dict[str, alt.LayerChart]:
    """Return the arm's charts by name."""
    return {"time_to_learn": time_to_learn(outcome, cell), "error": error(outcome, cell)}


def time_to_learn(outcome: Outcome, cell: str) -> alt.LayerChart:
    """Return the Kaplan-Meier curve of the trials that have learned, over sequences."""
    metrics, colour = outcome.metrics, series_style(cell)[0]
    rows = [
        {"sequences": row.epoch, "share": 100 * row.share_ever_learned, "low": 100 * row.low, "high": 100 * row.high}
        for row in outcome.time_to_learn.itertuples()
    ]
    first = {"sequences": max(1, rows[0]["sequences"] // 2), "share": 0.0, "low": 0.0, "high": 0.0}
    base = alt.Chart(inline([first, *rows])).encode(x=_x())
    y_title = "trials that have learned (%)"
    y = alt.Y("low:Q", title=y_title, scale=alt.Scale(domain=[0, 100]))
    band = base.mark_area(opacity=0.25, color=colour, interpolate="step-after").encode(y=y, y2=alt.Y2("high:Q"))
    line = base.mark_line(color=colour, interpolate="step-after").encode(
        y=alt.Y("share:Q"), tooltip=[alt.Tooltip(f"{key}:Q", format=".4~g") for key in ("sequences", "share")]
    )
    median, budget = metrics["median_epochs_to_learn"], metrics["epochs_budget"]
    finding = (
        f"{metrics['successes']} of {metrics['trials']} trials learned within {budget:,} sequences"
        if median is None
        else f"Half of the trials have learned after {median:,.0f} sequences"
    )
    marks = f"Kaplan-Meier curve; band: its {100 * (metrics['confidence'] or 0):g} % interval"
    return titled(alt.layer(band, line), "After how many sequences does it learn?", [finding, marks])


def error(outcome: Outcome, cell: str) -> alt.LayerChart:
    """Return a chart of the mean absolute error in training: median, 10 % and 90 % quantile of the trials."""
    colour = series_style(cell)[0]
    rows = outcome.loss.rename(columns={"epoch": "sequences"}).to_dict("records")
    base = alt.Chart(inline(rows)).encode(x=_x())
    y = alt.Y("p10:Q", title="mean absolute error", scale=alt.Scale(domainMin=0))
    band = base.mark_area(opacity=0.25, color=colour).encode(y=y, y2=alt.Y2("p90:Q"))
    line = base.mark_line(color=colour).encode(
        y=alt.Y("median:Q"), tooltip=[alt.Tooltip(f"{key}:Q", format=".4~g") for key in ("sequences", "median")]
    )
    wrong = outcome.metrics["test_wrong"]
    finding = f"The median error in the end is {np.round(rows[-1]['median'], 4):g}"
    if wrong is not None:
        finding += f"; {wrong:.2g} of {outcome.metrics['test_sequences']:,} fresh sequences are wrong (mean)"
    marks = "line: median; band: 10 % to 90 % of trials; a trial that has stopped counts with its last error"
    return titled(alt.layer(band, line), "How large is the error in training?", [finding, marks])


def _x() -> alt.X:
    return alt.X("sequences:Q", title=X_TITLE, scale=alt.Scale(type="log", nice=False), axis=alt.Axis(format="~s"))
