"""Views of arms in MLflow's own tables and charts, as the menu Views of its page saves them.

MLflow 3 keeps a view as a tag of the experiment: filter, columns, charts and their sections as compressed JSON. It has
no tag for what an experiment's page shows without a view, so each experiment has a view of all its arms.
"""

import base64
import json
import zlib
from collections.abc import Iterable, Iterator

from memory_trials.studies import design
from memory_trials.tracking import metric_names

# The settings drawn beside the success rate where no study says which ones it changes.
KNOBS = ("model.cell", "model.units", "model.output", "training.epochs", "training.learning_rate")
SIZES = ("size/parameters", "size/updates")
COLUMNS = ("success/rate", "success/low", "success/high", "memory/final_median", "trials/forgotten", "size/parameters")
COLUMN_WIDTH = 130  # pixels
TAG = "mlflow.sharedViewState."
ALL_ARMS = "all-arms"  # the name of a view; no study has a hyphen in its name


def varied(arms: list[design.Arm], settings: list[dict[str, str]]) -> list[str]:
    """Return the settings and sizes in which arms differ, of those that MLflow can draw.

    It can where every arm has a short value, and all values or none are numbers.
    """
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


def write_all_arms(client, experiment: str) -> None:
    """Write the view of all arms of an experiment, the latest first, if it is not there yet."""
    names = ["learned/", "loss/", *metric_names.METRICS.values(), *metric_names.SECTIONS.values()]
    _write(client, experiment, ALL_ARMS, "tags.kind = 'arm'", False, [*KNOBS, *SIZES], names)


def write(
    client, experiment: str, arms: list[design.Arm], settings: list[dict[str, str]], metrics: Iterable[str]
) -> None:
    """Write the view of a study's arms, if it is not there yet.

    Args:
        client: MLflow's.
        experiment: The id of the experiment.
        arms: All arms of the study.
        settings: Parameters and sizes of each arm, by their names.
        metrics: The names of all metrics that MLflow has.
    """
    study = arms[0].study
    wanted = f"tags.kind = 'arm' and tags.study = '{study}'"
    ascending = arms[0].compared  # in the order of the study; of the pipeline's results, the latest first
    few = len(arms) <= 20
    _write(client, experiment, study, wanted, ascending, varied(arms, settings), metrics, show_all=few)


def _write(
    client, experiment: str, name: str, wanted: str, ascending: bool, drawn: list[str], metrics: Iterable[str],
    show_all: bool = False,
) -> None:  # fmt: skip
    """Write a view: the filter of its runs, their order, columns, sections and charts.

    Args:
        drawn: The settings and sizes beside the success rate.
        show_all: Whether charts show all runs, or the first 20.
    """
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
    section("How often does it learn, and how large is the loss?", 2, 380, [
        lines("learned/share", "learned/low", "learned/high", range=share),
        lines("loss/median", "loss/p10", "loss/p90", scaleType="log"),
    ])  # fmt: skip
    section("How often has it learned in the end?", 3, 300, bars("success/rate", "success/low", "success/high"))
    section("How much is remembered, in bits?", 3, 340, [
        lines("memory/median", "memory/p10", "memory/p90"),
        *bars("memory/final_median", "margin/median_of_learned"),
    ])  # fmt: skip
    soon = [lines("learned/ever", range=share), *bars("time_to_learn/median", "trials/forgotten")]
    section("How soon does it learn, and for how long?", 3, 340, soon)
    if drawn:
        section("Which settings and sizes succeed?", 1, 400, [
            {"type": "PARALLEL", "selectedParams": [key for key in drawn if key not in SIZES], "showAllRuns": False,
             "selectedMetrics": [*(key for key in drawn if key in SIZES), "success/rate"]},
        ])  # fmt: skip
    for rest in dict.fromkeys(name.split("/")[0] for name in metrics):
        section(rest, 3, 0, [])  # closed; MLflow puts charts of the other metrics there
    columns = [f"metrics.`{column}`" for column in COLUMNS]
    state = {
        "searchFilter": wanted,
        "orderByKey": "attributes.start_time",
        "orderByAsc": ascending,
        "selectedColumns": columns,
        "columnOrder": columns,
        "columnWidths": dict.fromkeys(columns, COLUMN_WIDTH),
        "runsHiddenMode": "SHOW_ALL" if show_all else "FIRST_20_RUNS",
        "compareRunCharts": charts,
        "compareRunSections": sections,
        "isAccordionReordered": True,
        "hideEmptyCharts": True,
    }
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    view = json.dumps({"name": name.replace("-", " "), "createdAt": 0, "updatedAt": 0, "state": f"deflate;{packed}"})
    if client.get_experiment(experiment).tags.get(TAG + name) != view:
        client.set_experiment_tag(experiment, TAG + name, view)


def link(experiment: str, view: str) -> str:
    """Return the link to a view, from MLflow's page: a study's charts, or the table of all arms."""
    mode = "" if view == ALL_ARMS else "&compareRunsMode=CHART"
    return f"#/experiments/{experiment}/runs?viewStateShareKey={view}{mode}"


def links(client, names: list[str], address: str) -> Iterator[str]:
    """Yield a line with the name of a view and its link, for each view of each experiment that exists.

    Args:
        client: MLflow's.
        names: The names of the experiments.
        address: The address of MLflow's page.
    """
    for name in dict.fromkeys(names):
        found = client.get_experiment_by_name(name)
        for tag in sorted(found.tags, key=lambda tag: (tag != TAG + ALL_ARMS, tag)) if found else ():
            if tag.startswith(TAG):
                view = tag.removeprefix(TAG)
                yield f"  {view:<18}{address}/{link(found.experiment_id, view)}"
