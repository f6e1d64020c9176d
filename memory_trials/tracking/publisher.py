"""MLflow as a view of the artifacts.

    python -m memory_trials track           (make track)
    python -m memory_trials ui      (make ui: MLflow's page on this machine)

An arm is a parent run, with a child run for each trial. A parent is found by the fingerprint of what it shows. So
publishing again changes nothing, an interrupted publication is completed, and a result that DVC took from its cache or
from a remote can be published at any time. Each experiment has a view of all its arms, and one for each study: MLflow
offers them in the menu Views of the experiment's page, and `make ui` prints links to them.

A database is locked during publication. A server cannot be locked, so a publisher reads the runs again at the end: of
several runs for the same arm or trial, the first one stays. Every publisher chooses the same one, so that one always
stays.
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
from memory_trials.tracking import colours, moved, payloads, run_names, store, tracker, views

BATCH = 1000  # metrics in one request, the most that MLflow takes
NOTE = "mlflow.note.content"
COLOUR = "mlflow.runColor"
MARK = "publishing."  # begins the name of the tag that marks a run as being published
STALE = 3600  # seconds after which the publisher that set a mark counts as ended
ABOUT = """[**All arms, with success rate, interval and memory**]({link}). Each run is an arm: one setting, trained \
from many seeds. Its description holds the answer; its child runs are the trials, one for each seed.

- The menu **Views** (top right, on the page *Training runs*) shows the arms of a study side by side in charts; \
`make ui` prints the links.
- Filters: `tags.kind = 'arm'`, `tags.study = 'cells'`, `tags.cell = 'gru'`, ``metrics.`success/rate` > 0.9``, and \
for the trials `tags.kind = 'trial' and tags.learned = 'no'`.
- `learned/share` is the share of the trials that had learned at an epoch (`learned/low`, `learned/high`: its \
interval), `learned/ever` the share that had learned at that epoch or before (Kaplan-Meier); `loss/median`, \
`loss/p10` and `loss/p90` are taken over the trials, and so are `memory/median`, `memory/p10` and `memory/p90`, in \
bits. docs/results.md explains these words.
- Where an arm was trained again, its earlier results are kept as `tags.kind = 'earlier arm'`.
"""


def publish(arms: list[design.Arm], settings: TrackingSettings) -> None:
    """Publish the pipeline's arm, or all arms of a study. Publishing again changes nothing.

    Args:
        arms: The arms, which are evaluated.
        settings: Where to publish.

    Raises:
        UserError: The store cannot be reached, or an artifact is missing or damaged.
    """
    with store.opened(settings) as opened:
        was_there, what = store.repeated(_publish, opened, arms, settings.experiment)
    state = "has this result already" if was_there else "now shows this result"
    print(f"MLflow {state}: {what}, experiment {settings.experiment!r}")


def _publish(opened: store.MlflowStore, arms: list[design.Arm], name: str) -> tuple[bool, str]:
    """Publish arms; return whether all was there already, and what was published, in words."""
    client = opened.client
    experiment = experiment_id(client, name, local=not opened.server)
    was_there, published, names = True, {}, {}
    for payload in counted(payloads.of_arms(arms), len(arms), "arms published"):
        was_there &= _publish_arm(opened, experiment, payload)
        published[payload.fingerprint] = payload.parameters() | payload.sizes()
        names |= dict.fromkeys(name for name, _ in payload.numbers())
    _set_earlier_apart(client, experiment, arms, published)
    shown, settings = arms, list(published.values())
    if arms[0].key:  # the other arms of its study are published one by one
        shown, settings = design.peers(arms[0]), _of_study(client, experiment, arms[0].study)
    views.write_all_arms(client, experiment)
    views.write(client, experiment, shown, settings, ("learned/", "loss/", *names))
    one = f"run {payload.name!r} and its {len(payload.trials)} trials"
    return was_there, one if len(arms) == 1 else f"{len(arms)} arms"


def _of_study(client, experiment: str, study: str) -> list[dict[str, str]]:
    """Return the parameters and sizes of each published arm of a study."""
    runs = store.all_runs(client, experiment, f"tags.kind = 'arm' and tags.study = '{study}'")
    sizes = lambda metrics: {name: f"{metrics[name]:.0f}" for name in views.SIZES if name in metrics}
    return [run.data.params | sizes(run.data.metrics) for run in runs]


def _made_by() -> dict[str, str]:
    """Return tags for the commit, and for whether code or parameters differ from it."""
    found = revision()
    return {"mlflow.source.git.commit": found[0], "git.dirty": "yes" if found[1] else "no"} if found else {}


def experiment_id(client, name: str, local: bool, about: str = ABOUT) -> str:
    """Return the id of an experiment, which is made if it is missing.

    Args:
        client: MLflow's.
        name: The name of the experiment.
        local: Whether it is in this machine's default database.
        about: Its description, if it has none; {link} stands for the link to the view of all arms.

    Raises:
        UserError: The experiment was deleted.
    """
    import mlflow.exceptions

    found = client.get_experiment_by_name(name)
    if found is None:
        location = moved.location(tracker.default_database()) if local else None
        try:
            # this kind's page opens with training runs and charts
            kind = {"mlflow.experimentKind": "custom_model_development"}
            client.create_experiment(name, artifact_location=location, tags=kind)
        except mlflow.exceptions.MlflowException:  # another process may have made it
            if client.get_experiment_by_name(name) is None:
                raise
        found = client.get_experiment_by_name(name)
    if found.lifecycle_stage != "active":
        raise UserError(
            f"the MLflow experiment {name!r} was deleted: restore it, or set tracking.experiment to another name"
        )
    if NOTE not in found.tags:
        described = about.format(link=views.link(found.experiment_id, views.ALL_ARMS))
        client.set_experiment_tag(found.experiment_id, NOTE, described)
    return found.experiment_id


def _set_earlier_apart(client, experiment: str, arms: list[design.Arm], published: dict[str, dict[str, str]]) -> None:
    """Mark the runs that published arms replace as earlier ones, which views do not show.

    An arm of a study replaces all runs of the study that are not published, an arm that is trained by itself its own
    earlier result, and the pipeline's arm earlier results of the same settings.

    Args:
        published: The settings of the arms, by their fingerprints.
    """
    arm = arms[0]
    of_study, of_name = f"tags.study = '{arm.study}'", {run_names.of_arm(arm) for arm in arms}
    for run in store.all_runs(client, experiment, f"tags.kind = 'arm' and {of_study}"):
        parameters = run.data.params.items()  # none yet, if another process is publishing it
        if arm.compared:
            replaced = not arm.key or run.info.run_name in of_name
        else:
            replaced = bool(parameters) and any(parameters <= settings.items() for settings in published.values())
        if replaced and run.data.tags.get("fingerprint") not in published:
            client.set_tag(run.info.run_id, "kind", "earlier arm")
    # another publisher may have replaced these meanwhile by another result: the last publication counts
    for run in store.all_runs(client, experiment, f"tags.kind = 'earlier arm' and {of_study}"):
        if run.data.tags.get("fingerprint") in published:
            client.set_tag(run.info.run_id, "kind", "arm")


def _publish_arm(opened: store.MlflowStore, experiment: str, payload: payloads.RunPayload) -> bool:
    """Publish one arm; return whether it was there already.

    A publisher leaves its mark on the parent run until it has finished. If it was killed, the mark stays, and the next
    publisher checks everything again.
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
        if parent.info.run_id == parent_id:  # else another publisher's run stays, and this one's was deleted
            for key in filter(lambda key: key.startswith(MARK), parent.data.tags):
                if opened.alone or key == mark or time.time() - float(parent.data.tags[key]) > STALE:
                    client.delete_tag(parent_id, key)
            break
    return was_there


def _parent(opened: store.MlflowStore, experiment: str, payload: payloads.RunPayload, mark: str):
    """Return the parent run of this fingerprint, which is made if it is missing. If several publishers have made one,
    the first stays; the others are deleted with their child runs, also with those added after their deletion."""
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
    if payload.arm.compared:
        tags[COLOUR] = payload.colour
    else:  # the pipeline's results are published one at a time, beside those of earlier settings
        earlier = store.all_runs(client, experiment, f"tags.kind = 'arm' and tags.study = '{payload.study}'")
        tags[COLOUR] = colours.unused([run.data.tags.get(COLOUR, "") for run in earlier])
    client.create_run(experiment, tags=tags, run_name=payload.name)


def _log_arm(client, payload: payloads.RunPayload, parent) -> None:
    """Log parameters, metrics, data and files of an arm to its parent run. Logging again changes nothing."""
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
        profile=json.dumps(payload.kind.profile(json.loads(sequences))),
    )
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
    names = (results.FIGURE, results.SCALABLE, results.METRICS, "trials.csv", "confusion.csv")
    among_peers = design.PICTURES / f"{payload.study}.png"
    for path in (*(payload.folder / name for name in names), among_peers, payload.arm.files.sequences):
        if path.exists():  # only studies have a picture of all arms, only the pipeline a scalable one
            client.log_artifact(run_id, str(path))


def _publish_children(opened: store.MlflowStore, payload: payloads.RunPayload, parent) -> bool:
    """Publish a finished run for each trial, which is found by its name; return whether any was missing.

    Of several finished runs the first stays. An unfinished run may be another publisher's, and is deleted once its
    trial has a finished one.

    Runs are read again after a deletion: an unfinished run may have been finished just before it was deleted, and
    another publisher may have deleted this one's run in its favour. So the last one to delete sees what is missing.
    """
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
    """Print links to the views, and serve MLflow's page unless a server does so already. Does not return then.

    Args:
        settings: Where the runs are.
        host: The address to listen on.
        port: The port to listen on.

    Raises:
        UserError: The store cannot be reached.
    """
    uri = tracker.uri_of(settings)
    server = not tracker.is_database(uri)
    address = tracker.redacted(uri).replace("***@", "").rstrip("/") if server else f"http://{host}:{port}"
    of_studies = [content.defaults.get("tracking", {}).get("experiment") for _, content in design.experiments()]
    names = [settings.experiment, *filter(None, of_studies)]
    with store.opened(settings) as opened:
        links = list(views.links(opened.client, names, address))
    how = "" if server else " (Ctrl-C ends it)"
    print(f"MLflow's page{how}: {address}; its views:")
    print(*(links or ["  none yet; memory-trials track publishes what is here"]), sep="\n", flush=True)
    if not server:
        os.environ[tracker.BACKEND] = uri  # not as an argument, which all users of the machine could read
        os.environ["MLFLOW_LOGGING_LEVEL"] = "WARNING"
        os.execvp("mlflow", ["mlflow", "ui", "--host", host, "--port", str(port)])


def publish_what_is_here() -> None:
    """Publish what is evaluated: the pipeline's arm, whole studies, and each arm that is trained by itself."""
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
