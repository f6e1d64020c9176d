"""What MLflow shows of an arm, and of each of its trials, from the arm's artifacts."""

import hashlib
import json
from collections.abc import Iterator

import numpy as np
import pandas as pd

from memory_trials import files
from memory_trials.evaluation import results, statistics
from memory_trials.report.palette import series_style
from memory_trials.studies import answers, design
from memory_trials.studies.schema import Study
from memory_trials.tracking import metric_names, run_names, views
from memory_trials.training.trained import read_trained

VERSION = "5"  # of what is shown and how: a new one publishes anew
NAME_LENGTH = 250  # of a run, the most that MLflow takes
# How many points of a curve are shown, evenly spread, the first and the last included. Studies have hundreds of arms
# and thousands of trials, and each point is a row in the store, so theirs are few.
POINTS, STUDY_POINTS, STUDY_TRIAL_POINTS = 250, 50, 20


def _spread(epochs: int, points: int) -> np.ndarray:
    return np.unique(np.linspace(1, epochs, min(epochs, points)).round().astype(int))


def of_arms(arms: list[design.Arm]) -> Iterator["RunPayload"]:
    """A payload for each arm, one after the other."""
    study = design.study_of(arms[0])
    peers = design.peers(arms[0]) if arms[0].key else arms
    cells = [arm.changes.get("model.cell", "") for arm in peers]
    by_cell = len(set(cells)) == len(peers)  # else the colours only distinguish them
    colours = {arm.name: series_style(cell if by_cell else "", number)[0]
               for number, (arm, cell) in enumerate(zip(peers, cells))}  # fmt: skip
    for arm in arms:
        yield RunPayload(arm, study, colours[arm.name])


class RunPayload:
    """What an arm's artifacts say, as MLflow shall show it; block: its study's, where there is one."""

    def __init__(self, arm: design.Arm, block: Study | None = None, colour: str = ""):
        self.arm, self.folder, self.study, self.block, self.colour = arm, arm.files.folder, arm.study, block, colour
        self.settings, self.trained = read_trained(arm.files.trained)
        self.metrics = files.read_json(arm.files.folder / results.METRICS)
        self.trials = results.read_table(arm.files.folder, "trials")
        learned = results.read_table(arm.files.folder, "learned")
        self.answer = answers.how_often_and_how_much(self.metrics)
        self.margin = answers.required_margin(self.metrics)
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
    def stream(self) -> bool:
        """Whether its trials learn from streams, an epoch being one sequence."""
        return self.settings["problem"].get("stream") is not None

    def _numbers_of_kind(self) -> dict[str, str]:
        """What only the description of arms of this kind shows."""
        numbers = self.metrics
        if self.stream:
            wrong = numbers["test_wrong"]
            return {f"wrong of {numbers['test_sequences']:,} fresh sequences": "" if wrong is None else f"{wrong:.3g}"}
        return {
            "trials that learned by a lead of 0.1": numbers["successes_margin_0.1"],
            "learned once, but forgot again": numbers["forgotten"],
        }

    @property
    def name(self) -> str:
        if self.arm.name:
            return run_names.of_arm(self.arm)
        return run_names.of_settings(self._settings_and_margin())[:NAME_LENGTH]

    def _settings_and_margin(self) -> dict[str, dict]:
        """What the result depends on: what it was trained with, and what it was evaluated by."""
        evaluation = self.settings.get("evaluation", {}) | {"confidence": self.metrics["confidence"]}
        if not self.stream:
            evaluation["margin"] = self.margin
        return self.settings | {"evaluation": evaluation}

    def parameters(self) -> dict[str, str]:
        """problem.scored, model.cell, ... -> text, as in params.yaml."""
        generated = self.settings["problem"].get("generate") or {}
        flat = {f"problem.generate.{key}": _text(value) for key, value in generated.items()}
        stream = self.settings["problem"].get("stream") or {}
        flat |= {f"problem.stream.{key}": _text(value) for key, value in stream.items() if value is not None}
        for section, values in self._settings_and_margin().items():
            flat |= {f"{section}.{key}": _text(value) for key, value in values.items()}
        return {key: text[:6000] for key, text in flat.items()}  # MLflow's bound on a parameter

    def sizes(self) -> dict[str, str]:
        return {name: str(self.metrics.get(name.removeprefix("size/"))) for name in views.SIZES}

    def numbers(self) -> Iterator[tuple[str, float]]:
        """The values of metrics.json, under MLflow's names."""
        for key in dict.fromkeys([*metric_names.METRICS, *self.metrics]):
            if self.metrics.get(key) is not None:
                yield metric_names.shown(key), float(self.metrics[key])

    def curves(self) -> Iterator[tuple[str, float, int]]:
        """Name, value and epoch of every point."""
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
        """Markdown: the answer, the question, the numbers, and where the words are explained."""
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
        unit = "sequences" if self.stream else "epochs"
        rates = [f"{100 * numbers[f'success_rate{end}']:.1f} %" for end in ("", "_low", "_high")]
        rows = {
            "success rate, with its interval": "{} ({} to {})".format(*rates),
            "trials that learned": f"{numbers['successes']} of {numbers['trials']}",
            f"{unit} to learn (Kaplan-Meier median)": "not half of the trials ever learned"
            if median is None else f"{median:g} ({low} to {high})",
            "memory (median of the trials)": answers.bits(numbers["memory_median"], numbers["memory_whole"])
            or "no step needs it",
            **self._numbers_of_kind(),
            "parameters": f"{numbers.get('parameters', 0):,}",
            "updates in training": f"{numbers.get('updates', 0):,}",
        }  # fmt: skip
        table = (f"| {name}&emsp; | {value} |" for name, value in rows.items())
        paragraphs.append("\n".join(["| | |", "|---|---|", *table]))
        learned = (
            "that a trial met the task's criterion, which docs/paper.md states"
            if self.stream
            else "that every scored step of every evaluation sequence is predicted right in the end"
            + (f", by a lead of at least {self.margin:g}" if self.margin else "")
        )
        paragraphs.append(
            f"*Learned* means {learned}. docs/results.md explains the words; the charts are under *Model metrics*, "
            "the picture and the files under *Artifacts*, the trials are this run's child runs."
        )
        return "\n\n".join(paragraphs)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _short(value: object) -> str:
    text = _text(value)
    return text if len(text) < 60 else f"{text[:60]} ..."


def of_trials(payload: RunPayload, parent_id: str):
    """name, tags, params and metrics [(key, value, step)] of each trial's run."""
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
