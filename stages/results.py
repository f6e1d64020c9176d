"""DVC stage results: every study's summary -> RESULTS.md."""

from memory_trials import files
from memory_trials.errors import UserError, exit_on_user_error
from memory_trials.report import wording
from memory_trials.studies import answers, design, schema


def main() -> None:
    summaries = answers.summaries(design.FOLDER, schema.load(design.FILE).units)
    if not summaries:
        raise UserError(f"{design.FOLDER / design.SUMMARIES} has no study of {design.FILE}: run memory-trials studies")
    files.write_text("RESULTS.md", wording.results_page(list(summaries.values()), design.PICTURES))


if __name__ == "__main__":
    exit_on_user_error(main)
