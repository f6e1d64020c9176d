"""How every chart looks: Vega-Lite, written with Altair, drawn as PNG or SVG here and alive in the report page.

Titles say the finding, by rule from the numbers. Channels are written as objects, x=alt.X("epoch:Q"): of a mere text
Altair works out the class anew, 3 ms each time. That each object is valid is checked by the tests alone.
"""

import json
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import altair as alt
from altair.utils import schemapi

from memory_trials import files
from memory_trials.report import drawing
from memory_trials.report.palette import series_style

MEMORY = "#444444"  # its curve, beside a cell's
WIDTH, WIDE, HEIGHT, SINGLE = 360, 560, 210, 20  # pixels; SINGLE: so many trials' losses are drawn one by one
# before training no trial has ever known everything
START: dict[str, float] = {"epoch": 0, "share": 0, "low": 0, "high": 0}
CONFIG = {
    "font": f"{drawing.FAMILY}, Liberation Sans, Arial, Helvetica, sans-serif",
    "view": {"stroke": None},
    "axis": {"gridColor": "#e3e3e3", "domainColor": "#888", "tickColor": "#888", "tickCount": 6, "labelOverlap": True,
             "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal", "labelLimit": 0, "titleLimit": 0},
    "title": {"anchor": "start", "fontSize": 13, "subtitleFontSize": 11, "subtitleColor": "#555", "limit": 0,
              "fontWeight": "bold", "offset": 10, "subtitlePadding": 4},
    "header": {"labelFontSize": 12, "titleFontSize": 12, "labelLimit": 0},
    "legend": {"labelLimit": 0, "titleFontWeight": "normal", "symbolOpacity": 1, "symbolSize": 90},
}  # fmt: skip
ZERO = "0: the best guess without memory"
SomeChart = TypeVar("SomeChart", bound=alt.TopLevelMixin)
schemapi.disable_debug_mode()


def write(specification: dict, *paths: Path) -> None:
    """A PNG or an SVG, by each path's suffix; the same bytes for the same numbers."""
    drawn = drawing.svg(specification)
    for path in paths:
        if path.suffix == ".svg":
            files.write_text(path, drawn)
        else:
            files.write_bytes(path, drawing.png(drawn))


def specification(chart: alt.TopLevelMixin) -> dict:
    """The chart as Vega-Lite, in the project's style."""
    with alt.data_transformers.enable(max_rows=None, consolidate_datasets=False):
        drawn = chart.to_dict(validate=False)  # validating takes seconds; `configure` would copy all of the chart
    of_altair = drawn.pop("config")
    return drawn | {"config": of_altair | CONFIG | {"view": of_altair["view"] | CONFIG["view"], "padding": 12}}


def together(charts: Iterable[alt.TopLevelMixin], how: str, **properties: Any) -> dict:
    """Charts as one picture, in the project's style; how: Vega-Lite's concat, hconcat or vconcat, which `properties`
    belong to. Altair's own would copy all that is in them."""
    parts, shared = [specification(chart) for chart in charts], {}
    for part in parts:
        shared = {name: part.pop(name) for name in ("$schema", "config")}
    return shared | {how: parts} | properties


def titled(
    chart: SomeChart,
    finding: str,
    subtitle: str | list[str],
    width: int = WIDTH,
    height: int = HEIGHT,
    sized: bool = True,
) -> SomeChart:
    """The chart, which has just been made, under the finding, and what the marks mean; not sized: panels, which have
    their own size. `properties` would copy it, and all that is in it three times."""
    chart.title = alt.TitleParams(textwrap.wrap(finding, width // 7), **({"subtitle": subtitle} if subtitle else {}))
    if sized:
        chart.width, chart.height = width, height
    return chart


def inline(rows: list[dict]) -> alt.InlineData:
    """Rows as a text, which Altair copies for free; rows as objects it copies again for every layer."""
    return alt.InlineData(values=json.dumps(rows, ensure_ascii=False), format=alt.JsonDataFormat(type="json"))


def percent(rows: list[dict[str, float]], key: str) -> list[dict[str, float]]:
    shares = {"share": key, "low": "low", "high": "high"}
    return [{"epoch": row["epoch"]} | {name: round(100 * row[of], 4) for name, of in shares.items()} for row in rows]


def curve(rows: list[dict], y: str, finding: str, subtitle: str, cell: str, interpolate: str) -> alt.LayerChart:
    """Percentages over epochs with a band: rows with epoch, share, low, high."""
    colour = series_style(cell)[0]
    base = alt.Chart(inline(rows)).encode(
        x=alt.X("epoch:Q", title="epoch", scale=alt.Scale(nice=False, domainMin=0)),
        tooltip=[alt.Tooltip(f"{key}:Q", format=".4~g") for key in ("epoch", "share", "low", "high")],
    )
    band = base.mark_area(opacity=0.25, color=colour, interpolate=interpolate).encode(
        y=alt.Y("low:Q", title=y, scale=alt.Scale(domain=[0, 100])), y2=alt.Y2("high:Q")
    )
    line = base.mark_line(color=colour, interpolate=interpolate).encode(y=alt.Y("share:Q"))
    points = base.mark_point(color=colour, filled=True, size=30, opacity=1 if len(rows) < 60 else 0)
    return titled(alt.layer(band, line, points.encode(y=alt.Y("share:Q"))), finding, subtitle)
