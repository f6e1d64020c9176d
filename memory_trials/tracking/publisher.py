"""MLflow as a view of the artifacts.

    python -m memory_trials track           (make track)
    python -m memory_trials ui      (make ui: MLflow's page on this machine)

An arm is a parent run with one child run a trial. A parent is found by the fingerprint of what it shows, so
publishing again changes nothing, a publication that was cut short is completed, and a result that DVC took
from its cache or from a remote can be published at any time. Each study has a view, in MLflow's own sense: charts
of its arms side by side, in the menu Views of the experiment's page, and under the links that `make ui` prints.

A database is locked while one publishes. A server cannot be, so whoever publishes there reads again at the end: of
two runs that stand for the same, the one that was begun first stays. It is the same one whoever reads, so that
something always stays, and whoever reads last sees all there is.
"""

import getpass
import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterator

import numpy as np
import pandas as pd

from memory_trials import files
from memory_trials.errors import UserError
from memory_trials.evaluation import results, statistics
from memory_trials.progress import counted
from memory_trials.report.palette import series_style
from memory_trials.revision import revision
from memory_trials.settings import TrackingSettings
from memory_trials.studies import answers, design
from memory_trials.studies.schema import Study
from memory_trials.tracking import metric_names, moved, run_names, store, tracker, views
from memory_trials.training.trained import read_trained

VERSION = "5"  # of what is shown and how: a new one publishes anew
NAME_LENGTH = 250  # of a run, the most that MLflow takes
BATCH = 1000  # metrics in one request, the most that MLflow takes
# How many points of a curve are shown, evenly spread, the first and the last included. Studies have hundreds of arms
# and thousands of trials, and each point is a row in the store, so theirs are few.
POINTS, STUDY_POINTS, STUDY_TRIAL_POINTS = 250, 50, 20
NOTE = "mlflow.note.content"
MARK = "publishing."  # begins the tag of a publisher at work
STALE = 3600  # seconds after which it is not at work any more
ABOUT = """Each run is an **arm**: one setting, trained from many seeds. Its description holds the answer; its child \
runs are the trials, one for each seed.

- The menu **Views** (top right, on the page *Training runs*) opens the arms side by side in charts; `make ui` prints \
the links.
- Filters: `tags.kind = 'arm'`, `tags.study = 'cells'`, `tags.cell = 'gru'`, ``metrics.`success/rate` > 0.9``, and \
for the trials `tags.kind = 'trial' and tags.learned = 'no'`.
- `learned/share` is the share of the trials that had learned at an epoch (`learned/low`, `learned/high`: its \
interval), `learned/ever` the share that had learned at that epoch or before (Kaplan-Meier); `loss/median`, \
`loss/p10` and `loss/p90` are over the trials, and so are `memory/median` and its like, in bits: how much is \
remembered. docs/results.md explains these words.
- Where an arm was trained again, its earlier results are kept as `tags.kind = 'earlier arm'`.
"""


def publish(arms: list[design.Arm], settings: TrackingSettings) -> None:
    """Publish the pipeline's arm or all arms of a study, each whole and once; `UserError` when the store cannot be
    reached."""
    with store.opened(settings) as opened:
        was_there, what = store.repeated(_publish, opened, arms, settings.experiment)
    state = "has this result already" if was_there else "now shows this result"
    print(f"MLflow {state}: {what}, experiment {settings.experiment!r}")


def _publish(opened: store.MlflowStore, arms: list[design.Arm], name: str) -> tuple[bool, str]:
    """Whether all was there already, and what there is."""
    client = opened.client
    experiment = _experiment(client, name, local=not opened.server)
    was_there, published, names = True, {}, {}
    # one after the other: a study's weights together are hundreds of megabytes
    for payload in counted(_payloads(arms), len(arms), "arms published"):
        was_there &= _publish_arm(opened, experiment, payload)
        published[payload.fingerprint] = payload.parameters() | payload.sizes()
        names |= dict.fromkeys(name for name, _ in payload.numbers())
    _set_earlier_apart(client, experiment, arms, published)
    shown, settings = arms, list(published.values())
    if arms[0].key:  # its peers are published one by one
        shown, settings = design.peers(arms[0]), _of_study(client, experiment, arms[0].study)
    views.write(client, experiment, shown, settings, ("learned/", "loss/", *names))
    one = f"run {payload.name!r} and its {len(payload.trials)} trials"
    return was_there, one if len(arms) == 1 else f"{len(arms)} arms"


def _spread(epochs: int, points: int) -> np.ndarray:
    return np.unique(np.linspace(1, epochs, min(epochs, points)).round().astype(int))


def _of_study(client, experiment: str, study: str) -> list[dict[str, str]]:
    """Parameters and sizes of each arm of a study that is published."""
    runs = store.all_runs(client, experiment, f"tags.kind = 'arm' and tags.study = '{study}'")
    sizes = lambda metrics: {name: f"{metrics[name]:.0f}" for name in views.SIZES if name in metrics}
    return [run.data.params | sizes(run.data.metrics) for run in runs]


def _payloads(arms: list[design.Arm]) -> Iterator["RunPayload"]:
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


def _made_by() -> dict[str, str]:
    """The commit as MLflow's tag, and whether code or parameters differ from it."""
    found = revision()
    return {"mlflow.source.git.commit": found[0], "git.dirty": "yes" if found[1] else "no"} if found else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _short(value: object) -> str:
    text = _text(value)
    return text if len(text) < 60 else f"{text[:60]} ..."


def _experiment(client, name: str, local: bool) -> str:
    import mlflow.exceptions

    found = client.get_experiment_by_name(name)
    if found is None:
        location = moved.location(tracker.default_database()) if local else None
        try:
            # the kind makes MLflow's page open with training runs and charts
            kind = {"mlflow.experimentKind": "custom_model_development", NOTE: ABOUT}
            return client.create_experiment(name, artifact_location=location, tags=kind)
        except mlflow.exceptions.MlflowException:  # another process was quicker
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        raise UserError(
            f"the MLflow experiment {name!r} was deleted: restore it, or set tracking.experiment to another name"
        )
    if NOTE not in found.tags:
        client.set_experiment_tag(found.experiment_id, NOTE, ABOUT)
    return found.experiment_id


def _set_earlier_apart(client, experiment: str, arms: list[design.Arm], published: dict[str, dict[str, str]]) -> None:
    """What these arms (published: fingerprint -> settings) take the place of: all else of a study, the same setting of
    the pipeline, an earlier result of an arm that is trained by itself. It is kept, but no longer among the arms."""
    arm = arms[0]
    of_study, of_name = f"tags.study = '{arm.study}'", {run_names.of_arm(arm) for arm in arms}
    for run in store.all_runs(client, experiment, f"tags.kind = 'arm' and {of_study}"):
        parameters = run.data.params.items()  # none where another process is about to publish it
        if arm.compared:
            replaced = not arm.key or run.info.run_name in of_name
        else:
            replaced = bool(parameters) and any(parameters <= settings.items() for settings in published.values())
        if replaced and run.data.tags.get("fingerprint") not in published:
            client.set_tag(run.info.run_id, "kind", "earlier arm")
    # another result of the same, published meanwhile, may have taken the place of these: the last one has it
    for run in store.all_runs(client, experiment, f"tags.kind = 'earlier arm' and {of_study}"):
        if run.data.tags.get("fingerprint") in published:
            client.set_tag(run.info.run_id, "kind", "arm")


def _publish_arm(opened: store.MlflowStore, experiment: str, payload: RunPayload) -> bool:
    """One arm, whole and once; whether it was there already.

    While a publisher is at work, its mark is on the parent: where one was killed, also beside another one, a mark
    stays, and the next one checks everything again.
    """
    client, mark, was_there = opened.client, f"{MARK}{uuid.uuid4().hex[:8]}", True
    parent = _parent(opened, experiment, payload, mark)
    while parent.info.status != "FINISHED" or any(key.startswith(MARK) for key in parent.data.tags):
        parent_id, finished = parent.info.run_id, parent.info.status == "FINISHED"
        if mark not in parent.data.tags:
            client.set_tag(parent_id, mark, str(time.time()))
        if not finished:
            _log_arm(client, payload, parent)
        was_there &= not _publish_children(opened, payload, parent) and finished
        client.set_terminated(parent_id)
        parent = _parent(opened, experiment, payload, mark)
        if parent.info.run_id == parent_id:  # else another publisher's stays, and this one's is deleted
            for key in filter(lambda key: key.startswith(MARK), parent.data.tags):
                if opened.alone or key == mark or time.time() - float(parent.data.tags[key]) > STALE:
                    client.delete_tag(parent_id, key)
            break
    return was_there


def _parent(opened: store.MlflowStore, experiment: str, payload: RunPayload, mark: str):
    """The parent run of this fingerprint, made where there is none. Where several publishers made one, the first stays,
    and what is under the others is deleted, also what came there after they were."""
    from mlflow.entities import LifecycleStage

    client, fingerprint = opened.client, f"tags.fingerprint = '{payload.fingerprint}'"
    runs = store.all_runs(client, experiment, fingerprint, deleted=True)
    if not any(run.info.lifecycle_stage == LifecycleStage.ACTIVE for run in runs):
        _create_parent(client, experiment, payload, mark)
        runs = store.all_runs(client, experiment, fingerprint, deleted=True)
    first, *others = [run for run in runs if run.info.lifecycle_stage == LifecycleStage.ACTIVE]
    for run in runs:
        if run is not first:
            for run_id, *_ in store.children(opened, run):
                client.delete_run(run_id)
    for run in others:
        client.delete_run(run.info.run_id)
    if first.data.tags["kind"] != "arm":  # an earlier result is the present one again
        client.set_tag(first.info.run_id, "kind", "arm")
    return first


def _create_parent(client, experiment: str, payload: RunPayload, mark: str) -> None:
    tags = {
        "kind": "arm",
        "study": payload.study,
        "cell": payload.settings["model"]["cell"],
        "fingerprint": payload.fingerprint,
        mark: str(time.time()),
        NOTE: payload.description(experiment),
        "mlflow.source.name": "dvc repro",
        "mlflow.user": getpass.getuser(),
        **_made_by(),
    }
    if payload.arm.compared:  # not the pipeline's, whose tries come one by one; MLflow chooses their colours
        tags["mlflow.runColor"] = payload.colour
    client.create_run(experiment, tags=tags, run_name=payload.name)


def _profile(problem: dict) -> dict:
    """Return the size of the problem in sequences.json; of a stream, its rule."""
    if "stream" in problem:
        return problem["stream"] | problem["shape"]
    return {"sequences": len(problem["sequences"]), "symbols": len(problem["alphabet"])}


def _log_arm(client, payload: RunPayload, parent) -> None:
    """What a parent run says of its arm; said again, it changes nothing."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param

    run_id, then = parent.info.run_id, parent.info.start_time
    metrics = [Metric(name, value, then, 0) for name, value in payload.numbers()]
    metrics += [Metric(name, value, then, epoch) for name, value, epoch in payload.curves()]
    client.log_batch(run_id, params=[Param(key, value) for key, value in payload.parameters().items()])
    for start in range(0, len(metrics), BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + BATCH])
    sequences = files.read_text(payload.arm.files.sequences)
    dataset = Dataset(
        name=f"{payload.study} sequences",
        digest=hashlib.sha256(sequences.encode()).hexdigest()[:8],
        source_type="local",
        source=json.dumps({"uri": str(payload.arm.files.sequences)}),
        profile=json.dumps(_profile(json.loads(sequences))),
    )
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
    names = (results.FIGURE, results.SCALABLE, results.METRICS, "trials.csv", "confusion.csv")
    among_peers = design.PICTURES / f"{payload.study}.png"
    for path in (*(payload.folder / name for name in names), among_peers, payload.arm.files.sequences):
        if path.exists():  # only studies have a picture of arms among their peers, only the pipeline a scalable one
            client.log_artifact(run_id, str(path))


def _publish_children(opened: store.MlflowStore, payload: RunPayload, parent) -> bool:
    """One finished run for each trial, found by its name; whether any was missing. Of several that are finished the
    first stays; what is not finished may be under way elsewhere, and goes when its trial is finished.

    It reads again after it deleted: what it deleted as not finished may have become so meanwhile, and another publisher
    may have deleted this one's in its favour. So whoever deletes last sees what is missing."""
    wanted = {child["name"]: child for child in _children(payload, parent.info.run_id)}
    added = False
    while True:
        done, others = set(), []
        for run_id, name, status in store.children(opened, parent):
            if status == "FINISHED" and name not in done:
                done.add(name)
            else:
                others.append(run_id)
        if missing := [child for name, child in wanted.items() if name not in done]:
            store.add_runs(opened, parent, missing)
            added = True
        elif others:
            for run_id in others:
                opened.client.delete_run(run_id)
        else:
            return added


def _children(payload: RunPayload, parent_id: str):
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


def show_page(settings: TrackingSettings, host: str, port: int) -> None:
    """Print the links to the views, and become MLflow's page, where no server has one."""
    uri = tracker.uri_of(settings)
    server = not tracker.is_database(uri)
    address = tracker.redacted(uri).replace("***@", "").rstrip("/") if server else f"http://{host}:{port}"
    of_studies = [content.defaults.get("tracking", {}).get("experiment") for _, content in design.experiments()]
    names = [settings.experiment, *filter(None, of_studies)]
    with store.opened(settings) as opened:
        links = list(views.links(opened.client, names, address))
    how = "" if server else " (Ctrl-C ends it)"
    print(f"MLflow's page{how}: {address}; arms side by side in charts:")
    print(*(links or ["  none yet; make track publishes what is here"]), sep="\n", flush=True)
    if not server:
        os.environ[tracker.BACKEND] = uri  # not as an argument, which all users of the machine could read
        os.environ["MLFLOW_LOGGING_LEVEL"] = "WARNING"
        os.execvp("mlflow", ["mlflow", "ui", "--host", host, "--port", str(port)])


def publish_what_is_here() -> None:
    """The pipeline's arm, each study that is whole, and each arm that is trained by itself."""
    arm = design.pipeline_arm()
    files.check_recorded()
    if arm.files.trained.exists() or not design.FOLDER.exists():
        publish([arm], arm.settings.tracking)
    for study, arms in design.units():
        if study.search and arms[0].files.trained.parent.exists():
            arms = design.found_arms(arms)
        if all(map(_is_here, arms)):
            publish(arms, arms[0].settings.tracking)


def _is_here(arm: design.Arm) -> bool:
    return arm.files.trained.exists() and (arm.files.folder / results.METRICS).exists()
