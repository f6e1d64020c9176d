"""DVC stage page: what was measured of each row of the paper -> PAPER.md, and its picture."""

from memory_trials import files
from memory_trials.errors import UserError, exit_on_user_error
from memory_trials.report import paper as report
from memory_trials.report import style
from memory_trials.studies import design, paper
from memory_trials.studies.rows import load_rows


def main() -> None:
    rows = load_rows().rows
    found = paper.all_measured(rows)
    if not found:
        raise UserError(f"{paper.MEASURED} is empty: run make paper")
    files.write_text("PAPER.md", report.page(rows, found))
    style.write(style.specification(report.picture(rows, found)), design.PICTURES / "paper.png")


if __name__ == "__main__":
    exit_on_user_error(main)
