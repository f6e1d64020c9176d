"""Commands that check: a cell, a result, a table of scores, recorded trials."""

from pathlib import Path

import click

from memory_trials.commands.parts import AS_JSON, InProject
from memory_trials.errors import UserError


@click.command()
@click.argument("cell")
@click.option("--units", type=click.IntRange(1), default=20, show_default=True, help="The cell's first argument.")
@click.option("--inputs", type=click.IntRange(2), default=5, show_default=True, help="Length of the input vector.")
@click.option("--options", default="{}", help="Further arguments of the cell, as JSON: '{\"leak\": 0.5}'.")
def check(cell: str, units: int, inputs: int, options: str) -> None:
    """Check a cell of your own before it is trained.

    Is it one that trials can share, are its gradients right, does it stay finite, is it deterministic? CELL is a dotted
    path, or a file and a class in it.

    \b
    memory-trials check my_cells.leaky.LeakyCell
    memory-trials check path/to/leaky.py:LeakyCell --units 8
    """
    import json

    try:
        cell_options = json.loads(options)
    except ValueError:
        raise UserError(f"--options is {options!r}: it must be JSON, such as '{{\"leak\": 0.5}}'") from None
    from memory_trials.interactive.check import check

    checked = check(cell, units, inputs, cell_options)
    print(checked)
    if not checked.passed:
        raise UserError(f"{len(checked.failures)} of {len(checked.findings)} checks failed")


@click.command(cls=InProject)
@click.argument("revision", required=False)
@AS_JSON
def compare(revision: str | None, as_json: bool) -> None:
    """Compare the recorded result with another revision's.

    Prints the success rate and all metrics beside those of REVISION, a commit, branch or experiment; by default the
    previous commit, if there is one. Fails if the recorded result does not match the code or the parameters, or is
    below the floors in params.yaml (`make check`).

    \b
    memory-trials compare
    memory-trials compare main
    """
    from memory_trials.integrity import check

    check.check(revision or None, as_json)


@click.command()
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--model", default="model", show_default=True, help="The column that names what is compared.")
@click.option(
    "--task",
    "tasks",
    default=["task"],
    show_default=True,
    multiple=True,
    help="The column, or the columns with commas between them, that name what models are compared on.",
)
@click.option("--seed", default="seed", show_default=True, help="The column that tells the runs of a model apart.")
@click.option("--score", default="score", show_default=True, help="The column with the score of a run.")
@click.option("--lower-is-better", is_flag=True, help="Scores are errors or losses.")
@click.option("--choose", metavar="COLUMN", help="Take each model's best value of this column on each task.")
@click.option("--choose-by", metavar="COLUMN", help="The score that chooses.  [default: the score itself]")
@click.option(
    "--paired/--unpaired", default=None, help="Whether a seed means the same for all models.  [default: if all have it]"
)
@click.option(
    "--confidence", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.95, show_default=True
)
@click.option("--output", type=click.Path(path_type=Path), help="Write ranking.md, .png and .json to this folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
def rank(
    table: Path,
    model: str,
    tasks: tuple[str, ...],
    seed: str,
    score: str,
    lower_is_better: bool,
    choose: str | None,
    choose_by: str | None,
    paired: bool | None,
    confidence: float,
    output: Path | None,
    as_json: bool,
) -> None:
    """Say which model is better in a table of scores.

    And how sure that is. TABLE is a CSV file of any project, with one row for each run. Every mean gets an interval,
    every two models a permutation test; and how often do 1, 3, 5 or 10 seeds, or the best of them, mislead?

    \b
    memory-trials rank results.csv
    memory-trials rank results.csv --task task,size --score test_error --lower-is-better --choose learning_rate
    """  # fmt: skip
    from memory_trials.evaluation import ranking, score_files

    if choose_by and not choose:
        raise UserError("--choose-by says which score chooses, so it needs --choose")
    columns = score_files.Columns(
        model, score_files.names(tasks), seed, score, lower_is_better, choose, choose_by
    )  # fmt: skip
    scores = score_files.read(table, columns)
    if paired and not scores.paired:
        raise UserError(f"--paired: {table} has a task on which not all models have the same values of {seed}")
    summary = ranking.summarize(scores.tasks, scores.paired if paired is None else paired, confidence, lower_is_better)
    summary |= {"chosen": scores.chosen} if choose else {}
    if output:
        from memory_trials import files
        from memory_trials.report import ranking as report
        from memory_trials.report import ranking_figures, style

        files.write_json(output / "ranking.json", summary)
        style.write(ranking_figures.picture(summary), output / "ranking.png")
        files.write_text(output / "ranking.md", report.page(summary, table.name, "ranking.png"))
    if as_json:
        import json

        print(json.dumps(summary, indent=2))
    else:
        from memory_trials.report import ranking as report

        print(report.text(summary))
        if choose and not choose_by:
            print(f"\nnote: {choose} was chosen by {score} itself, on the same runs, so every score flatters its model")


@click.command(cls=InProject)
@click.option(
    "--share", type=click.FloatRange(0, 1), envvar="SHARE",
    help="Train this share of all recorded trials, however long it takes.  [default: as many as fit into a minute]",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(0), envvar="SEED", help="Draw the trials by this seed.  [default: a random one]"
)
@click.option(
    "--probe", type=click.IntRange(1), help="Verify so many arms of the probe instead; a minute or more each."
)
def verify(share: float | None, seed: int | None, probe: int | None) -> None:
    """Train recorded trials again, and compare.

    Fails if a trial differs from its digest in git. By default it trains for a minute: every arm gets a short turn, the
    fastest arms first, then further turns while a trial can still end in time. Fast trials are therefore verified more
    often than slow ones.

    \b
    memory-trials verify               # as many as fit into a minute
    memory-trials verify --share 0.1   # a tenth of all, each as likely as any other
    memory-trials verify --probe 2     # two arms of the probe, 16 trials of each
    """
    if probe:
        if share is not None:
            raise UserError("--share and --probe exclude each other: give one of them")
        from memory_trials.probe import plan, verifying
        from memory_trials.settings import ComputeSettings

        found = verifying.verify(plan.load(), probe, seed, ComputeSettings())
        print(verifying.text(found))
        if not all(row.agrees for row in found):
            raise UserError("recorded trials of the probe have other results here")
        return
    from memory_trials.integrity import verify

    verify.check_against_digests(share, seed)
