"""DVC stage results: every study's summary -> RESULTS.md."""

from memory_trials import answers, artifacts, report, studies
from memory_trials.errors import UserError, exit_on_user_error


def main() -> None:
    order = list(studies.load_studies()[1])
    paths = [studies.SUMMARIES / f"{name}.json" for name in order]
    summaries = [answers.read_summary(path) for path in paths if path.exists()]
    if not summaries:
        raise UserError(f"{studies.SUMMARIES} is empty: run make studies")
    artifacts.write_text("RESULTS.md", report.results_page(summaries, studies.PICTURES))


if __name__ == "__main__":
    exit_on_user_error(main)
