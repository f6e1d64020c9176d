"""report.html: the answer, the studies, the probe and the microscope in one file that needs no network.

python -m memory_trials report      (make report)

Charts are the specifications of `figures`, drawn by Vega in the reader's browser; the microscope computes in the page.
"""

import json
import platform
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import altair as alt
import jinja2
import vl_convert
import yaml

from memory_trials import files, revision
from memory_trials.evaluation import results
from memory_trials.probe import plan as plans
from memory_trials.probe import recorded, trials
from memory_trials.progress import counted
from memory_trials.report import (
    drawing,
    figures,
    microscope,
    paper,
    probe_figures,
    probe_page,
    study_figures,
    style,
    wording,
)
from memory_trials.studies import answers, design, schema
from memory_trials.training.trained import read_trained

FILE = Path("report.html")
HERE = Path(__file__).parent
PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "statsmodels", "optuna", "dvc", "mlflow", "altair")
PROBE = ("learned", "holds", "recall", "by_state_learned", "by_state_recall")  # the probe's pictures that the page has
CURVES = 7  # a study's time-to-learn curves are drawn together while there are at most so many


def page() -> str:
    """Return the page's HTML, from the artifacts of params.yaml's arm and of the studies that have been run."""
    # a second of work, beside what follows; its stub asks for a snippet
    vega = ThreadPoolExecutor(1).submit(vl_convert.javascript_bundle)  # type: ignore[call-arg]
    arm = design.pipeline_arm()
    settings, trained = read_trained(arm.files.trained)
    outcome = results.read(arm.files.folder)
    specimen = microscope.specimens(arm)
    margin = answers.required_margin(outcome.metrics)
    table = lambda seed: wording.table(outcome.predictions, seed, margin)
    examples = [(words, seed, table(seed)) for words, seed in wording.examples(outcome)]
    charts: dict[str, dict] = {}
    summaries = _summaries()
    answer_charts = _added(charts, "answer", figures.of_arm(outcome, settings["model"]["cell"], trained.losses))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("page.html").render(
        metrics=outcome.metrics,
        margin=margin,
        answer=answers.how_often_and_how_much(outcome.metrics),
        settings=settings,
        stream=arm.settings.problem.stream,
        problem=files.read_json(arm.files.sequences),
        examples=examples,
        answer_charts=answer_charts,
        studies=[_study(summary, charts) for summary in counted(summaries, len(summaries), "studies drawn")],
        paper=_paper(charts),
        probe=_probe(charts),
        specimen=specimen,
        parameters=yaml.safe_dump(settings, sort_keys=False, allow_unicode=True),
        revision=revision.revision(),
        versions={"Python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        machine=f"{platform.system()}, {platform.machine()}",
        outputs=_outputs(),
        charts_json=_inlined(charts),
        specimen_json=_inlined(specimen),
        vega=vega.result(),
        microscope_css=files.read_text(HERE / "microscope.css"),
        microscope_js=[files.read_text(HERE / name) for name in ("equations.js", "microscope.js")],
    )


def _summaries() -> list[dict]:
    """Every study's, in the order of experiments/studies.yaml."""
    if not design.FILE.exists():
        return []
    return list(answers.summaries(design.FOLDER, schema.load(design.FILE).units).values())


def _paper(charts: dict[str, dict]) -> list[dict]:
    """What the page shows of the paper's arms, a study each, as far as they were run; adds their chart."""
    if not design.PAPER.exists():
        return []
    experiments = schema.load(design.PAPER)
    found = paper.measured(answers.summaries(design.PAPER_FOLDER, experiments.arms))
    if not found:
        return []
    names = [paper.named(arm) for name, arm in experiments.arms.items() if arm.reference and name in found]
    shown = _added(charts, "paper", {"after": paper.picture(experiments, found)}, names)
    tables = paper.tables(experiments, found, paper.verdicts(experiments.arms, found))
    titles = [experiments.studies[study].title for study in tables]
    return [{"charts": shown if number == 0 else [], "title": title, "head": head, "rows": body}
            for number, (title, (head, *body)) in enumerate(zip(titles, tables.values()))]  # fmt: skip


def _probe(charts: dict[str, dict]) -> dict | None:
    """What the page shows of the probe, where this project has recorded trials; adds its charts."""
    if not trials.RECORDED.is_dir():
        return None
    plan = plans.load()
    summary = recorded.summarize(plan, recorded.read(plan, plan.cells), None, ("bands",))
    if summary is None:
        return None
    shown = probe_figures.charts(summary, PROBE)
    least = probe_figures.CELL_WIDTH * len(summary["tasks"]) + 110  # names of cells
    return {
        "title": probe_page.TITLE,
        "sentences": probe_page.sentences(summary),
        "charts": _added(charts, "probe", {name: shown[name] for name in PROBE if name in shown}, least=least),
        "tables": probe_page.tables(summary),
    }


def _study(summary: dict, charts: dict[str, dict]) -> dict:
    """What the page shows of a study; adds its charts."""
    shown = study_figures.of_study(summary)
    if summary["rule"]["rule"] == "compare" and len(summary["arms"]) <= CURVES:
        folders = {arm.name: arm.files.folder for arm in design.find(summary["study"])[1]}
        if all((folder / "time_to_learn.csv").exists() for folder in folders.values()):  # absent in a fresh clone
            shown["curves"] = study_figures.times_to_learn(summary, folders)
    head, *rows = wording.study_table(summary)
    return summary | {
        "charts": _added(charts, summary["study"], shown, [row[0] for row in rows]),
        "head": head,
        "rows": rows,
    }


def _added(
    charts: dict[str, dict], prefix: str, shown: Mapping[str, alt.TopLevelMixin], names: Sequence[str] = (),
    least: int | None = None,
) -> list[dict]:  # fmt: skip
    """Put charts among the page's: as wide as the page allows, their titles left to it. least: pixels that each needs,
    so that it has a row to itself."""
    room_of_names = 240 + 6 * max(map(len, names), default=0)  # pixels; the names of arms take their room
    added = []
    for name, chart in shown.items():
        spec = drawing.with_literals(style.specification(chart))
        title = spec.pop("title")
        for layer in spec.get("layer", []):
            layer.pop("title", None)
        subtitle = title.get("subtitle", "")
        subtitle = subtitle if isinstance(subtitle, str) else " ".join(subtitle)
        text = " ".join(title["text"])
        if "layer" in spec:
            spec |= {"width": "container", "autosize": {"type": "fit-x", "contains": "padding"}}
        charts[f"{prefix}-{name}"] = spec | {"description": f"{text}. {subtitle}" if subtitle else text}
        told = {"finding": text, "subtitle": subtitle, "panels": "layer" not in spec or least is not None}
        room = {
            "least": least or room_of_names,
            "tall": spec.get("height", 0) + 50,
        }  # so that nothing moves when it is drawn
        added.append({"id": f"{prefix}-{name}"} | room | told)
    return added


def _outputs() -> list[dict]:
    """What DVC recorded of the pipeline: each stage's files, with their checksums."""
    return [{"stage": name} | out for name, stage in files.recorded().items() for out in stage.get("outs", [])]


def _inlined(content: object) -> str:
    """Return JSON that cannot end the script element around it."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def write() -> str:
    """Write the page, and return a sentence that says where it is."""
    files.check_recorded()
    text = page()
    files.write_text(FILE, text)
    return f"{FILE.resolve()}: {len(text.encode()) / 1e6:.1f} MB, open it in a browser; it needs no network"
