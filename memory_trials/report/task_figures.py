"""Pictures of what endless tasks ask: the symbols of one sequence of each, and its targets.

python -m website.reference     # draws docs/tasks.png (`make reference`)
"""

from __future__ import annotations

import importlib
from typing import Any

import altair as alt
import numpy as np

from memory_trials.report.style import inline, titled, together
from memory_trials.stream_settings import TAKES, stream_settings
from memory_trials.tasks.interface import Shown
from memory_trials.tasks.streams import Stream, module_of

STEP = 20  # pixels
SEED = 3  # of the trial whose first training sequence is shown
ROWS = ["input", "target"]
COLOURS = {"blank": "#f4f4f4", "symbol": "#cfe0ee", "target": "#f6c98f"}
BLANK = "\N{MIDDLE DOT}"


def picture() -> dict:
    """Return one picture of an example of every task that says how it is shown."""
    charts = [example(task, shown) for task in TAKES if (shown := shown_as(task))]
    return together(charts, "vconcat", spacing=14)


def shown_as(task: str) -> Shown | None:
    """Return how a task's symbols are written; None where its module does not say."""
    return getattr(importlib.import_module(module_of(task)), "SHOWN", None)


def example(task: str, shown: Shown) -> alt.LayerChart:
    """Return a row of inputs, and below it the targets of the steps that are scored."""
    settings = stream_settings(task=task, **shown.settings)
    rows = cells(settings, shown)
    steps = max(row["step"] for row in rows)
    base = alt.Chart(inline(rows)).encode(
        x=alt.X("step:O", title=None, axis=None),
        y=alt.Y("row:N", title=None, sort=ROWS, axis=alt.Axis(domain=False, ticks=False)),
    )
    colour = alt.Color("kind:N", legend=None, scale=alt.Scale(domain=list(COLOURS), range=list(COLOURS.values())))
    squares = base.mark_rect(stroke="white", strokeWidth=2).encode(color=colour)
    letters = base.mark_text(fontSize=12).encode(text=alt.Text("symbol:N"))
    about = " ".join((type(settings).__doc__ or "").split()).partition(".")[0]
    return titled(alt.layer(squares, letters), task, about, STEP * steps, STEP * len(ROWS))


def cells(settings: Any, shown: Shown) -> list[dict]:
    """Return the squares of a picture: their step and row, what is written in them, and of what kind it is."""
    drawn = Stream(settings).draw(np.array([SEED]), "train", 0, 1)
    scored = np.ones(drawn.x.shape[1], bool) if drawn.mask is None else drawn.mask[0]
    possible = 1 << drawn.y[0] if drawn.possible is None else drawn.possible[0]
    rows = []
    for step, symbol in enumerate(drawn.x[0].tolist()):
        letter = shown.inputs[symbol]
        rows.append(
            {"step": step + 1, "row": "input", "symbol": letter, "kind": "blank" if letter == BLANK else "symbol"}
        )
        if scored[step]:
            answers = "".join(name for n, name in enumerate(shown.outputs) if int(possible[step]) >> n & 1)
            rows.append({"step": step + 1, "row": "target", "symbol": answers, "kind": "target"})
    return rows
