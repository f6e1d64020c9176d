"""DVC stage resolve: studies.yaml, paper.yaml and the code -> what each experiment's stages depend on."""

from pathlib import Path
from typing import Any

from memory_trials import files
from memory_trials.errors import exit_on_user_error
from memory_trials.studies import dependencies, design, rows


def main() -> None:
    resolved = dict(of_studies()) | dict(of_rows())
    for path, content in resolved.items():
        files.write_json(path, content)
    for path in dependencies.FOLDER.rglob("*.json"):
        if path not in resolved:
            path.unlink()


def of_studies() -> dict[Path, dict[str, Any]]:
    """The files of all studies, and of RESULTS.md."""
    _, studies = design.load_studies()
    found = {dependencies.FOLDER / "results.json": dependencies.of_page("report.wording", list(studies))}
    for name in studies:
        study, arms = design.study_arms(name)
        found[dependencies.FOLDER / f"train/{name}.json"] = dependencies.of_training(arms, study.search)
        found[dependencies.FOLDER / f"evaluate/{name}.json"] = dependencies.of_evaluation(arms, study)
    return found


def of_rows() -> dict[Path, dict[str, Any]]:
    """The files of all rows of the paper, and of PAPER.md."""
    of_paper = rows.load_rows()
    described = {name: row.model_dump() for name, row in of_paper.rows.items()}
    found = {dependencies.FOLDER / "paper.json": dependencies.of_page("report.paper", described)}
    for name in of_paper.rows:
        arm = rows.row_arm(name, of_paper)
        found[dependencies.FOLDER / f"train/paper/{name}.json"] = dependencies.of_training([arm])
        found[dependencies.FOLDER / f"evaluate/paper/{name}.json"] = dependencies.of_evaluation([arm])
    return found


if __name__ == "__main__":
    exit_on_user_error(main)
