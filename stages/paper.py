"""DVC stage paper: the summaries of arms with published references -> PAPER.md, and its picture."""

from memory_trials import files
from memory_trials.errors import UserError, exit_on_user_error
from memory_trials.report import paper, style
from memory_trials.studies import answers, design, schema


def main() -> None:
    experiments = schema.load(design.PAPER)
    found = paper.measured(answers.summaries(design.PAPER_FOLDER, experiments.arms))
    if not found:
        raise UserError(
            f"{design.PAPER_FOLDER / design.SUMMARIES} has no arm of {design.PAPER}: run memory-trials paper"
        )
    files.write_text("PAPER.md", paper.page(experiments, found))
    style.write(style.specification(paper.picture(experiments, found)), design.PICTURES / "paper.png")


if __name__ == "__main__":
    exit_on_user_error(main)
