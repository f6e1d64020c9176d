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

from memory_trials import files
from memory_trials.errors import UserError
from memory_trials.evaluation import results
from memory_trials.progress import counted
from memory_trials.revision import revision
from memory_trials.settings import TrackingSettings
from memory_trials.studies import design
from memory_trials.tracking import moved, payloads, run_names, store, tracker, views

BATCH = 1000  # metrics in one request, the most that MLflow takes
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
    for payload in counted(payloads.of_arms(arms), len(arms), "arms published"):
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


def _of_study(client, experiment: str, study: str) -> list[dict[str, str]]:
    """Parameters and sizes of each arm of a study that is published."""
    runs = store.all_runs(client, experiment, f"tags.kind = 'arm' and tags.study = '{study}'")
    sizes = lambda metrics: {name: f"{metrics[name]:.0f}" for name in views.SIZES if name in metrics}
    return [run.data.params | sizes(run.data.metrics) for run in runs]


def _made_by() -> dict[str, str]:
    """The commit as MLflow's tag, and whether code or parameters differ from it."""
    found = revision()
    return {"mlflow.source.git.commit": found[0], "git.dirty": "yes" if found[1] else "no"} if found else {}


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


def _publish_arm(opened: store.MlflowStore, experiment: str, payload: payloads.RunPayload) -> bool:
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


def _parent(opened: store.MlflowStore, experiment: str, payload: payloads.RunPayload, mark: str):
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


def _create_parent(client, experiment: str, payload: payloads.RunPayload, mark: str) -> None:
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


def _log_arm(client, payload: payloads.RunPayload, parent) -> None:
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


def _publish_children(opened: store.MlflowStore, payload: payloads.RunPayload, parent) -> bool:
    """One finished run for each trial, found by its name; whether any was missing. Of several that are finished the
    first stays; what is not finished may be under way elsewhere, and goes when its trial is finished.

    It reads again after it deleted: what it deleted as not finished may have become so meanwhile, and another publisher
    may have deleted this one's in its favour. So whoever deletes last sees what is missing."""
    wanted = {child["name"]: child for child in payloads.of_trials(payload, parent.info.run_id)}
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
    print(*(links or ["  none yet; memory-trials track publishes what is here"]), sep="\n", flush=True)
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
