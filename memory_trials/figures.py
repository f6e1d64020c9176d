"""Pictures of an arm's and of a study's result. The numbers come from `statistics`; nothing is computed here."""

import io
import itertools
import textwrap

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from memory_trials import answers

COLOUR, BAND = "#0b5394", "#9fc5e8"  # a dark and a light blue that stay apart in black and white
CELLS = ["lstm", "gru", "simple_rnn", "mlp"]


def answer(
    answer: str, losses: np.ndarray, loss_curves: np.ndarray, checks: np.ndarray, shares: np.ndarray, confidence: float
) -> bytes:
    """PNG: the share of trials that have learned over epochs (left) and their loss (right).

    losses [T, E]; loss_curves [E, 3] median, 10 %, 90 %; checks [C]; shares [C, 3] share, low, high.
    """
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    figure.suptitle(answer[0].upper() + answer[1:], fontsize=13)
    left, right = figure.subplots(1, 2)
    epochs = np.arange(1, losses.shape[1] + 1)

    left.fill_between(
        checks, 100 * shares[:, 1], 100 * shares[:, 2], color=BAND, label=f"{100 * confidence:g} % interval"
    )
    left.plot(checks, 100 * shares[:, 0], color=COLOUR, marker="." if len(checks) < 60 else None, label="share learned")
    left.set(xlabel="epoch", ylabel="trials that have learned (%)", ylim=(0, 100), xlim=(0, epochs[-1]))
    left.set_title("How many trials know every step", fontsize=11)
    left.legend(loc="upper left" if shares[:, 2].max() < 0.8 else "lower right", frameon=False)

    shown = losses[:20]
    right.plot(epochs, shown.T, color="0.75", linewidth=0.5, label=["single trials"] + [None] * (len(shown) - 1))
    right.fill_between(
        epochs, loss_curves[:, 1], loss_curves[:, 2], color=BAND, alpha=0.7, label="10 % to 90 % of trials"
    )
    right.plot(epochs, loss_curves[:, 0], color=COLOUR, label="median")
    right.set(xlabel="epoch", ylabel="loss (cross-entropy, nats)", xlim=(0, epochs[-1]), ylim=(0, None))
    right.set_title(f"Their loss, {loss_curves[-1, 0]:.3g} in the end (median)", fontsize=11)
    right.legend(loc="upper right", frameon=False)
    for axes in (left, right):
        _plain(axes)
    return _png(figure, 120)


def study(summary: dict) -> bytes:
    """PNG of a study's arms with their intervals: over an axis where its answer is read along one, else a list."""
    rule = summary["rule"]
    if rule["rule"] == "front":
        figure = _front(summary)
    elif rule["rule"] in ("along", "reach"):
        figure = _over_axis(summary)
    else:
        figure = _forest(summary)
    figure.suptitle("\n".join(textwrap.wrap(summary["question"], 90)), fontsize=11)
    return _png(figure, 100)


def _forest(summary: dict) -> Figure:
    """One row an arm: its success rate and interval; the first arm's rate as a line to compare with."""
    arms = summary["arms"]
    figure = Figure(figsize=(9, 1.4 + 0.3 * len(arms)), layout="constrained")
    axes = figure.subplots()
    for place, arm in enumerate(arms):
        rate, low, high = (100 * arm["metrics"][f"success_rate{end}"] for end in ("", "_low", "_high"))
        cell = arm["changes"].get("model.cell", "lstm")
        colour, marker, _ = _look(CELLS.index(cell) if cell in CELLS else len(CELLS))
        axes.plot([low, high], [place, place], color=colour, linewidth=2)
        axes.plot(rate, place, color=colour, marker=marker, markersize=7)
        axes.annotate(f"{rate:.0f} %", (101, place), va="center", fontsize=9, annotation_clip=False)
    axes.axvline(100 * arms[0]["metrics"]["success_rate"], color="0.6", linestyle=":")
    axes.set_yticks(range(len(arms)), [arm["name"] for arm in arms], fontsize=9)
    axes.set(xlim=(-1.5, 100), ylim=(len(arms) - 0.5, -0.5), xlabel=f"trials that learned (%), {_interval(summary)}")
    _plain(axes)
    return figure


def _over_axis(summary: dict) -> Figure:
    """Success rate over the values of a key, a line for each group of arms that differ in it alone.

    Where the answer is told for each value of two keys, a panel for each: a column for `per`, a row for `rows`.
    """
    rule = summary["rule"]
    key, values_of = rule["key"], lambda key: list(dict.fromkeys(arm["changes"].get(key) for arm in summary["arms"]))
    columns, rows = values_of(rule["per"]), values_of(rule["rows"])
    figure = Figure(figsize=(max(8, 4.2 * len(columns)), 1 + 3.4 * len(rows)), layout="constrained")
    panels = figure.subplots(len(rows), len(columns), squeeze=False, sharex=True, sharey=True)
    looks: dict[str, tuple] = {}  # the same line for the same recipe in every panel
    for (i, row), (j, column) in itertools.product(enumerate(rows), enumerate(columns)):
        axes = panels[i][j]
        arms = [
            a
            for a in summary["arms"]
            if a["changes"].get(rule["per"]) == column and a["changes"].get(rule["rows"]) == row
        ]
        for label, group in answers.groups(arms, key).items():
            label = answers.shortened(label, group[0], [rule["per"], rule["rows"]])
            colour, marker, line = looks.setdefault(label, _look(len(looks)))
            x = [arm["changes"][key] for arm in group]
            rate, low, high = (
                np.array([100 * arm["metrics"][f"success_rate{end}"] for arm in group]) for end in ("", "_low", "_high")
            )
            error = np.maximum(0, [rate - low, high - rate])
            axes.errorbar(x, rate, error, color=colour, marker=marker, linestyle=line, capsize=3, label=label)
        every = sorted({arm["changes"][key] for arm in summary["arms"]})
        if max(every) > 20 * min(every):
            axes.set_xscale("log")
        axes.set_xticks(every, [f"{value:g}" for value in every])
        axes.minorticks_off()
        axes.set(ylim=(-4, 104))
        named = [f"{k.split('.')[-1]} {v}" for k, v in ((rule["per"], column), (rule["rows"], row)) if k]
        axes.set_title(", ".join(named), fontsize=10)
        if i == len(rows) - 1:
            axes.set_xlabel(key.split(".")[-1])
        _plain(axes)
    figure.supylabel(f"trials that learned (%), {_interval(summary)}", fontsize=10)
    if list(looks) != [""]:
        handles = {label: h for axes in figure.axes for h, label in zip(*axes.get_legend_handles_labels())}
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def _front(summary: dict) -> Figure:
    """Parameters against updates of the settings that were found, with their rate on fresh seeds."""
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axes = figure.subplots()
    level = summary["rule"]["level"]
    for arm in summary["arms"]:
        numbers = arm["metrics"]
        reliable = numbers["success_rate"] >= level
        axes.plot(
            numbers["parameters"],
            numbers["updates"],
            "o",
            color=COLOUR,
            markerfacecolor=COLOUR if reliable else "white",
        )
        text = f" {100 * numbers['success_rate']:.0f} %"
        axes.annotate(text, (numbers["parameters"], numbers["updates"]), fontsize=8, va="bottom")
    axes.set(xscale="log", yscale="log", xlabel="parameters of the model", ylabel="updates (optimizer steps)")
    axes.set_title(f"filled: at least {100 * level:.0f} % of fresh trials learn", fontsize=10)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.margins(0.15)
    _plain(axes)
    return figure


def _look(number: int) -> tuple[str, str, str]:
    """Colour, marker and line, apart in black and white too; the cells have the first four."""
    looks = [("#0b5394", "o", "-"), ("#b45f06", "s", "--"), ("#38761d", "^", "-."), ("0.35", "D", ":"),
             ("#741b47", "v", "-"), ("#7f6000", "P", "--"), ("#45818e", "X", "-.")]  # fmt: skip
    return looks[number % len(looks)]


def _interval(summary: dict) -> str:
    return f"{100 * summary['confidence']:g} % interval"


def _plain(axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)


def _png(figure: Figure, dpi: int) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()
