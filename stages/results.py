"""DVC stage results: every study's summary -> RESULTS.md."""

from memory_trials import files
from memory_trials.errors import UserError, exit_on_user_error
from memory_trials.report import wording
from memory_trials.studies import answers, design


def main() -> None:
    order = list(design.load_studies()[1])
    paths = [design.SUMMARIES / f"{name}.json" for name in order]
    summaries = [answers.read_summary(path) for path in paths if path.exists()]
    if not summaries:
        raise UserError(f"{design.SUMMARIES} is empty: run make studies")
    files.write_text("RESULTS.md", wording.results_page(summaries, design.PICTURES))


if __name__ == "__main__":
    exit_on_user_error(main)
