"""The success rate beside another revision's, as Markdown with a picture drawn in text, for the summary of a CI run."""

from collections.abc import Mapping
from typing import Any

WIDTH = 50  # characters from 0 % to 100 %


def summary(metrics: Mapping[str, Any], before: Mapping[str, Any] | None, name: str, floor: float) -> str:
    """Return the headline of a comparison.

    Args:
        metrics: The metrics here: trials, success_rate and its interval's ends, confidence.
        before: Those of the other revision; None where it has none.
        name: Of the other revision.
        floor: Where the interval must begin at least, from 0 to 1.

    Returns:
        Markdown: the rate in words, and both rates with their intervals on one scale. Empty where there is no rate.
    """
    if not _has_rate(metrics):
        return ""
    words = f"**Success rate {_words(metrics)}**"
    rows = [("here", _line(metrics))]
    if before is not None and _has_rate(before):
        change = 100 * (metrics["success_rate"] - before["success_rate"])
        words += f"; {name}: {_words(before)}, a change of {change:+.1f} percentage points"
        rows.append((name[:12], _line(before)))
    margin = 100 * (metrics["success_rate_low"] - floor)
    side = "above" if margin >= 0 else "below"
    words += f". The interval begins {abs(margin):.1f} percentage points {side} the floor."
    rows += [("floor", " " * round(WIDTH * floor) + f"^ {100 * floor:g} %")]
    left = max(len(label) for label, _ in rows) + 2
    scale = " " * left + "0 %" + "50 %".center(WIDTH - 5) + "100 %"
    picture = [scale, *(f"{label:<{left}}{line}" for label, line in rows)]
    return "\n".join([words, "", "```text", *picture, "```", ""])


def _has_rate(metrics: Mapping[str, Any]) -> bool:
    numbers = [metrics.get(key) for key in ("success_rate", "success_rate_low", "success_rate_high", "trials")]
    return all(isinstance(number, int | float) and 0 <= number for number in numbers)


def _words(metrics: Mapping[str, Any]) -> str:
    low, high = metrics["success_rate_low"], metrics["success_rate_high"]
    return f"{metrics['success_rate']:.1%} ({low:.1%} to {high:.1%}, {metrics['trials']} trials)".replace("%", " %")


def _line(metrics: Mapping[str, Any]) -> str:
    low, rate, high = (
        min(WIDTH, round(WIDTH * metrics[key])) for key in ("success_rate_low", "success_rate", "success_rate_high")
    )
    line = ["·"] * (WIDTH + 1)
    line[low : high + 1] = "─" * (high + 1 - low)
    line[low], line[high], line[rate] = "├", "┤", "●"
    return "".join(line)
