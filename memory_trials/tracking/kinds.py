"""What MLflow shows of the arms of one kind of task, beside what it shows of all arms."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from memory_trials.studies import answers

Metrics = dict[str, Any]  # of metrics.json


@dataclass(frozen=True)
class Kind:
    """What differs between finite and endless tasks.

    Args:
        epochs: The word for epochs.
        learned: Return, of the metrics, what *learned* means, after "means that".
        rows: Return, of the metrics, further rows of the description's table.
        evaluation: Return, of the metrics, what the result was evaluated by, as settings.
        profile: Return the size of the data, of the content of sequences.json.
    """

    epochs: str
    learned: Callable[[Metrics], str]
    rows: Callable[[Metrics], dict[str, Any]]
    evaluation: Callable[[Metrics], dict[str, Any]]
    profile: Callable[[dict[str, Any]], dict[str, Any]]


def of(problem: dict[str, Any]) -> Kind:
    """Return the kind of task that the settings of a problem describe."""
    return ENDLESS if problem.get("stream") else FINITE


def _learned(metrics: Metrics) -> str:
    margin = answers.required_margin(metrics)
    lead = f", by a lead of at least {margin:g}" if margin else ""
    return f"every scored step of every evaluation sequence is predicted right in the end{lead}"


def _fresh(metrics: Metrics) -> dict[str, Any]:
    wrong = metrics["test_wrong"]
    return {f"wrong of {metrics['test_sequences']:,} fresh sequences": "" if wrong is None else f"{wrong:.3g}"}


FINITE = Kind(
    epochs="epochs",
    learned=_learned,
    rows=lambda metrics: {
        "trials that learned by a lead of 0.1": metrics["successes_margin_0.1"],
        "learned once, but forgot again": metrics["forgotten"],
    },
    evaluation=lambda metrics: {"margin": answers.required_margin(metrics)},
    profile=lambda made: {"sequences": len(made["sequences"]), "symbols": len(made["alphabet"])},
)
ENDLESS = Kind(
    epochs="sequences",
    learned=lambda metrics: "a trial met the task's criterion, which docs/paper.md states",
    rows=_fresh,
    evaluation=lambda metrics: {},
    profile=lambda made: made["stream"] | made["shape"],
)
