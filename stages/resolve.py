"""DVC stage resolve: studies.yaml, paper.yaml, probe.yaml and the code -> what each experiment's stages depend on."""

from memory_trials import files
from memory_trials.errors import exit_on_user_error
from memory_trials.probe import dependencies as of_probe
from memory_trials.probe import longer
from memory_trials.probe import plan as plans
from memory_trials.studies import dependencies, design


def main() -> None:
    contents = {}
    for path, experiments in design.experiments():
        page, module = ("paper", "report.paper") if path == design.PAPER else ("results", "report.wording")
        shown = experiments.model_dump() if path == design.PAPER else list(experiments.studies)
        contents[f"{page}.json"] = dependencies.of_page(module, shown)
    for study, arms in design.units():
        name = f"{arms[0].unit}.json"
        contents[f"train/{name}"] = dependencies.of_training(arms, study.search)
        contents[f"evaluate/{name}"] = dependencies.of_evaluation(arms, study)
    plan = plans.load(plans.FILE)
    for name, cell in plan.cells.items():
        contents[f"probe/{name}.json"] = of_probe.of_cell(plan, name)
        if "state" in cell.sizes:
            contents[f"probe_by_state/{name}.json"] = of_probe.of_cell(plan, name, "state")
    more = longer.load(plan)
    for name in more.retried:
        contents[f"probe_longer/{name}.json"] = of_probe.of_longer(plan, more, name)
    contents["probe_by_hand.json"] = of_probe.of_by_hand(plan)
    contents["probe.json"] = of_probe.of_page(plan)
    for name, content in contents.items():
        files.write_json(dependencies.FOLDER / name, content)
    for path in dependencies.FOLDER.rglob("*.json"):
        if path.relative_to(dependencies.FOLDER).as_posix() not in contents:
            path.unlink()


if __name__ == "__main__":
    exit_on_user_error(main)
