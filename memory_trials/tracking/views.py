"""A study's arms side by side in MLflow's own charts: a view, as the menu Views of MLflow's page saves one.

What MLflow 3 keeps of a view is a tag of the experiment: the charts and their sections as compressed JSON.
"""

import base64
import json
import zlib
from collections.abc import Iterable, Iterator

from memory_trials.studies import design

# The settings that are drawn beside the success rate where a study does not say which ones it changes.
KNOBS = ("model.cell", "model.units", "model.output", "training.epochs", "training.learning_rate")
SIZES = ("size/parameters", "size/updates")
COLUMNS = ("success/rate", "success/low", "success/high", "memory/final_median", "trials/forgotten", "size/parameters")
TAG = "mlflow.sharedViewState."


def varied(arms: list[design.Arm], settings: list[dict[str, str]]) -> list[str]:
    """In which settings and sizes the arms differ, as far as MLflow can draw it: every arm has one, in few words, and
    all of them or none are numbers."""
    if not arms[0].compared:
        return [*KNOBS, *SIZES]
    changed = dict.fromkeys(key for arm in arms for key in arm.changes)
    drawn = []
    for key in (*changed, *SIZES):
        texts = {of_arm[key] for of_arm in settings if key in of_arm}
        short = all(key in of_arm for of_arm in settings) and max(map(len, texts)) < 30
        if short and len(texts) > 1 and len({text[:1].isdigit() for text in texts}) == 1:
            drawn.append(key)
    return drawn


def write(
    client, experiment: str, arms: list[design.Arm], settings: list[dict[str, str]], metrics: Iterable[str]
) -> None:
    """The view of a study's arms, where it is not there yet: filter, sections and charts.

    settings: each arm's parameters and sizes by name. metrics: the names of all that MLflow shows.
    """
    study, drawn = arms[0].study, varied(arms, settings)
    sections, charts = [], []

    def section(title: str, columns: int, height: int, cards: list[dict]) -> None:
        sections.append({"uuid": title, "name": title, "display": height > 0, "isReordered": True, "deleted": False,
                         "isGenerated": False, "columns": columns, "cardHeight": height or 360})  # fmt: skip
        for card in cards:
            charts.append({"uuid": f"{title} {len(charts)}", "metricSectionId": title, "deleted": False,
                           "isGenerated": False, "runsCountToCompare": 100} | card)  # fmt: skip

    def lines(*keys: str, **drawn: object) -> dict:
        return {"type": "LINE", "metricKey": keys[0], "selectedMetricKeys": keys, "range": {}, "xAxisKey": "step",
                "selectedXAxisMetricKey": "", "yAxisKey": "metric", "yAxisExpressions": [], "scaleType": "linear",
                "xAxisScaleType": "linear", "lineSmoothness": 0, "displayPoints": False, "ignoreOutliers": False,
                "useGlobalXaxisKey": True, "useGlobalLineSmoothing": True} | drawn  # fmt: skip

    def bars(*keys: str) -> list[dict]:
        return [{"type": "BAR", "metricKey": key} for key in keys]

    share = {"yMin": 0, "yMax": 1.05}
    section("Share that learned, and loss, by epoch", 2, 380, [
        lines("learned/share", "learned/low", "learned/high", range=share),
        lines("loss/median", "loss/p10", "loss/p90", scaleType="log"),
    ])  # fmt: skip
    section("Success rate in the end, with its interval", 3, 300, bars("success/rate", "success/low", "success/high"))
    section("How much is remembered, in bits", 3, 340, [
        lines("memory/median", "memory/p10", "memory/p90"),
        *bars("memory/final_median", "margin/median_of_learned"),
    ])  # fmt: skip
    soon = [lines("learned/ever", range=share), *bars("time_to_learn/median", "trials/forgotten")]
    section("How soon, and for how long", 3, 340, soon)
    if drawn:
        section("Settings, sizes and success", 1, 400, [
            {"type": "PARALLEL", "selectedParams": [key for key in drawn if key not in SIZES], "showAllRuns": False,
             "selectedMetrics": [*(key for key in drawn if key in SIZES), "success/rate"]},
        ])  # fmt: skip
    for rest in dict.fromkeys(name.split("/")[0] for name in metrics):
        section(rest, 3, 0, [])  # closed: MLflow puts there what is drawn nowhere else
    state = {
        "searchFilter": f"tags.kind = 'arm' and tags.study = '{study}'",
        "orderByKey": "attributes.start_time",
        "orderByAsc": arms[0].compared,  # as the study lists them; the latest try of the pipeline first
        "selectedColumns": [f"metrics.`{name}`" for name in COLUMNS],
        "runsHiddenMode": "SHOW_ALL" if len(arms) <= 20 else "FIRST_20_RUNS",
        "compareRunCharts": charts,
        "compareRunSections": sections,
        "isAccordionReordered": True,
        "hideEmptyCharts": True,
    }
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    view = json.dumps({"name": study, "createdAt": 0, "updatedAt": 0, "state": f"deflate;{packed}"})
    if client.get_experiment(experiment).tags.get(TAG + study) != view:
        client.set_experiment_tag(experiment, TAG + study, view)


def link(experiment: str, view: str) -> str:
    return f"#/experiments/{experiment}/runs?viewStateShareKey={view}&compareRunsMode=CHART"


def links(client, names: list[str], address: str) -> Iterator[str]:
    """For each of the experiments that is there, the links to its views."""
    for name in dict.fromkeys(names):
        found = client.get_experiment_by_name(name)
        for tag in sorted(found.tags) if found else ():
            if tag.startswith(TAG):
                view = tag.removeprefix(TAG)
                yield f"  {view:<18}{address}/{link(found.experiment_id, view)}"
