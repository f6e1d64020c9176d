"""What MLflow shows of an arm, and of each of its trials, from the arm's artifacts."""

import hashlib
import json
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from memory_trials import files
from memory_trials.evaluation import results, statistics
from memory_trials.studies import answers, design
from memory_trials.studies.schema import Study
from memory_trials.tracking import colours, kinds, metric_names, run_names, views
from memory_trials.training.trained import read_trained

VERSION = "5"  # of what is shown and how; with a new one, results are published anew
NAME_LENGTH = 250  # MLflow's limit for the name of a run
PARAMETER_LENGTH = 6000  # and for a parameter
# Number of points of a curve, evenly spread, with the first and the last. Studies have hundreds of arms and thousands
# of trials, and each point is a row in the store, so their curves have few.
POINTS, STUDY_POINTS, STUDY_TRIAL_POINTS = 250, 50, 20


def _spread(epochs: int, points: int) -> np.ndarray:
    return np.unique(np.linspace(1, epochs, min(epochs, points)).round().astype(int))


def of_arms(arms: list[design.Arm]) -> Iterator["RunPayload"]:
    """Yield a payload for each arm. It is read only then, since a study's weights are hundreds of megabytes."""
    study = design.study_of(arms[0])
    peers = design.peers(arms[0]) if arms[0].key else arms
    colour = dict(zip((arm.name for arm in peers), colours.of_arms(peers)))
    for arm in arms:
        yield RunPayload(arm, study, colour[arm.name])


class RunPayload:
    """What MLflow shows of an arm, read from its artifacts.

    Args:
        arm: The arm, which is evaluated.
        block: Its study, if it has one.
        colour: Its colour in charts.

    Raises:
        UserError: An artifact is missing or damaged.
    """

    def __init__(self, arm: design.Arm, block: Study | None = None, colour: str = ""):
        self.arm, self.folder, self.study, self.block, self.colour = arm, arm.files.folder, arm.study, block, colour
        self.settings, self.trained = read_trained(arm.files.trained)
        self.metrics = files.read_json(arm.files.folder / results.METRICS)
        self.trials = results.read_table(arm.files.folder, "trials")
        learned = results.read_table(arm.files.folder, "learned")
        self.answer = answers.how_often_and_how_much(self.metrics)
        self.kind = kinds.of(self.settings["problem"])
        losses = len(self.trained.losses[0])
        points, trial_points = (STUDY_POINTS, STUDY_TRIAL_POINTS) if arm.compared else (POINTS, POINTS)
        self.losses, self.trial_losses = _spread(losses, points) - 1, _spread(losses, trial_points) - 1  # their indices
        checks = len(learned)
        self.checks, self.trial_checks = _spread(checks, points) - 1, _spread(checks, trial_points) - 1  # their indices
        self.learned = learned.iloc[self.checks]
        paths = (arm.files.trained, self.folder / results.METRICS, self.folder / "trials.csv")
        contents = (files.read_bytes(path) for path in paths)
        identity = (VERSION.encode(), arm.study.encode(), arm.name.encode())
        self.fingerprint = hashlib.sha256(b"\0".join([*identity, *contents])).hexdigest()

    @property
    def name(self) -> str:
        """The name of the run."""
        if self.arm.name:
            return run_names.of_arm(self.arm)
        return run_names.of_settings(self._inputs)[:NAME_LENGTH]

    @cached_property
    def _inputs(self) -> dict[str, dict[str, Any]]:
        """What the result depends on: the settings of training and those of evaluation, by section."""
        evaluation = self.settings.get("evaluation", {}) | {"confidence": self.metrics["confidence"]}
        return self.settings | {"evaluation": evaluation | self.kind.evaluation(self.metrics)}

    def parameters(self) -> dict[str, str]:
        """Return the settings as text, by their paths in params.yaml, such as model.cell."""
        flat = {
            f"problem.{source}.{key}": _text(value)
            for source in ("generate", "stream")
            for key, value in (self.settings["problem"].get(source) or {}).items()
            if value is not None
        }
        for section, values in self._inputs.items():
            flat |= {f"{section}.{key}": _text(value) for key, value in values.items()}
        return {key: text[:PARAMETER_LENGTH] for key, text in flat.items()}

    def sizes(self) -> dict[str, str]:
        """Return the sizes that charts show, by MLflow's names."""
        return {name: str(self.metrics.get(name.removeprefix("size/"))) for name in views.SIZES}

    def numbers(self) -> Iterator[tuple[str, float]]:
        """Yield the values of metrics.json by MLflow's names."""
        for key in dict.fromkeys([*metric_names.METRICS, *self.metrics]):
            if self.metrics.get(key) is not None:
                yield metric_names.shown(key), float(self.metrics[key])

    def curves(self) -> Iterator[tuple[str, float, int]]:
        """Yield the name, value and epoch of every point of the arm's curves."""
        losses = statistics.loss_curves(self.trained.losses[:, self.losses])
        for epoch, values in zip(self.trained.loss_epochs[self.losses].tolist(), losses.tolist()):
            yield from ((f"loss/{name}", value, epoch) for name, value in zip(("median", "p10", "p90"), values))
        ever = results.read_table(self.folder, "time_to_learn")
        steps = np.searchsorted(ever["epoch"], self.learned["epoch"], side="right")
        shares = np.append(0.0, ever["share_ever_learned"])[steps]
        for row, share in zip(self.learned.itertuples(), shares.tolist()):
            for name, value in (("share", row.share_learned), ("low", row.low), ("high", row.high)):
                yield f"learned/{name}", value, row.epoch
            yield "learned/ever", share, row.epoch
        if self.metrics["memory_whole"]:
            for row in results.read_table(self.folder, "remembered").iloc[self.checks].itertuples():
                for name, value in (("median", row.median), ("p10", row.p10), ("p90", row.p90)):
                    yield f"memory/{name}", value, row.epoch

    def description(self, experiment: str) -> str:
        """Return the description of the run as Markdown: the answer, the question and the numbers.

        Args:
            experiment: The id of the MLflow experiment, to which links lead.
        """
        numbers, paragraphs = self.metrics, [f"**{self.answer[0].upper()}{self.answer[1:]}.**"]
        if self.block:
            changed = (self.block.set | self.arm.changes).items()
            changes = ", ".join(f"`{key}: {_short(value)}`" for key, value in changed)
            start, page = "the tutorial's setting", "RESULTS.md"
            if self.block.separate:
                start, page = f"the default setting of {design.PAPER}", "PAPER.md"
            paragraphs.append(
                f"The study *{self.study}* asks: **{self.block.question}** (from {self.block.source}). This arm is "
                f"{start} with {changes or 'nothing changed'}; {page} has the answer."
            )
        paragraphs.append(f"[Side by side with its peers]({views.link(experiment, self.study)})")
        median, *ends = (numbers[f"median_epochs_to_learn{end}"] for end in ("", "_low", "_high"))
        low, high = ("?" if end is None else f"{end:g}" for end in ends)
        rates = [f"{100 * numbers[f'success_rate{end}']:.1f} %" for end in ("", "_low", "_high")]
        rows = {
            "success rate, with its interval": "{} ({} to {})".format(*rates),
            "trials that learned": f"{numbers['successes']} of {numbers['trials']}",
            f"{self.kind.epochs} to learn (Kaplan-Meier median)": "not half of the trials ever learned"
            if median is None else f"{median:g} ({low} to {high})",
            "memory (median of the trials)": answers.bits(numbers["memory_median"], numbers["memory_whole"])
            or "no step needs it",
            **self.kind.rows(numbers),
            "parameters": f"{numbers.get('parameters', 0):,}",
            "updates in training": f"{numbers.get('updates', 0):,}",
        }  # fmt: skip
        table = (f"| {name}&emsp; | {value} |" for name, value in rows.items())
        paragraphs.append("\n".join(["| | |", "|---|---|", *table]))
        paragraphs.append(
            f"*Learned* means that {self.kind.learned(numbers)}. docs/results.md explains the words; the charts "
            "are under *Model metrics*, the picture and the files under *Artifacts*, the trials are this run's child "
            "runs."
        )
        return "\n\n".join(paragraphs)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _short(value: object) -> str:
    text = _text(value)
    return text if len(text) < 60 else f"{text[:60]} ..."


def of_trials(payload: RunPayload, parent_id: str) -> Iterator[dict[str, Any]]:
    """Yield the run of each trial of an arm: its name, tags, params and metrics, a list of (key, value, step)."""
    losses = payload.trained.losses[:, payload.trial_losses].tolist()
    epochs = payload.trained.loss_epochs[payload.trial_losses].tolist()
    remembered = payload.trained.memory[:, payload.trial_checks].tolist()
    checks = payload.trained.checks[payload.trial_checks].tolist()
    for number, row in enumerate(payload.trials.astype(object).to_dict("records")):
        learned = row["learned"] == 1
        numbers = ("learned", "sequence_accuracy", "step_accuracy", "final_loss", "first_learned_epoch", "margin")
        curves = [("loss", value, epoch) for epoch, value in zip(epochs, losses[number])]
        curves += [("memory", value, epoch) for epoch, value in zip(checks, remembered[number]) if np.isfinite(value)]
        yield {
            "name": f"seed {row['seed']}, {'learned' if learned else 'not learned'}",
            "tags": {
                "mlflow.parentRunId": parent_id,
                "kind": "trial",
                "study": payload.study,
                "cell": payload.settings["model"]["cell"],
                "learned": "yes" if learned else "no",
            },
            "params": {"seed": str(row["seed"])},
            "metrics": curves + [(key, float(row[key]), 0) for key in numbers if not pd.isna(row[key])],
        }
