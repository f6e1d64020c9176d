"""The command that measures a cell on all tasks of the probe."""

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memory_trials.commands import dvc
from memory_trials.commands.parts import AS_JSON, EXPERIMENTS, check_folder, print_json

if TYPE_CHECKING:
    from memory_trials.probe.plan import Size


@click.command()
@click.argument("cell", required=False)
@click.option("--tasks", help="Names of tasks, separated by commas; by default all.")
@click.option("--trials", type=click.IntRange(2, 100_000), help="Trials on each task; by default the plan's.")
@click.option(
    "--size",
    type=click.Choice(["parameters", "state"]),
    default="parameters",
    show_default=True,
    help="What is matched with the recorded cells: weights, or numbers in the state.",
)
@click.option("--plan", type=click.Path(path_type=Path), help="Another file than experiments/probe.yaml.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("probe"),
    show_default=True,
    help="Folder for the table of trials, the page and its pictures.",
)
@click.option("--threads", type=click.IntRange(1, 1024), help="By default one for each core.")
@AS_JSON
def probe(
    cell: str | None, tasks: str | None, trials: int | None, size: "Size", plan: Path | None, out: Path,
    threads: int | None, as_json: bool,
) -> None:  # fmt: skip
    """Measure how often a cell learns memory tasks.

    CELL is a built-in cell, a dotted path such as my_cells.leaky.LeakyCell, or a file and a class in it. It is shown
    beside the recorded cells. Its learning rate is chosen on seeds of their own, and its units so that it has as many
    weights as they have. Trials are kept in the output folder: interrupted, the same command goes on where it was.

    Without CELL, bring the recorded cells and PROBE.md up to date, which takes hours.

    \b
    memory-trials probe my_cells.leaky.LeakyCell
    memory-trials probe gru --tasks parity,flip-flop --trials 20
    memory-trials probe leaky.py:LeakyCell --size state --out leaky
    """
    if cell is None:
        check_folder(click.get_current_context())
        dvc.run("--cd", EXPERIMENTS, "repro", "probe_page")
        print(f"every cell: PROBE.md; the pictures: {EXPERIMENTS}/pictures/probe*.png")
        return
    from memory_trials import files
    from memory_trials.interactive import given
    from memory_trials.probe import findings, one
    from memory_trials.probe import plan as plans
    from memory_trials.probe import trials as tables
    from memory_trials.report import probe as words
    from memory_trials.report import probe_figures, probe_page
    from memory_trials.settings import ComputeSettings

    asked = plans.load(plan)
    asked = asked.model_copy(update={"trials": trials}) if trials else asked
    named = one.tasks_of(asked, tasks)
    known = asked.cells.get(cell)
    model = known.model_dump() if known else given.model_of(cell)
    name = cell if known else cell.rpartition(":")[2].rpartition(".")[2]
    compute = ComputeSettings(threads=threads)
    with contextlib.redirect_stdout(sys.stderr):  # what is printed meanwhile is no result
        mine = one.measure(asked, name, model["cell"], model.get("cell_options", {}), [size], named, compute, out)
        whole = one.beside(asked, mine, name, size)
    tables.write(out / "trials.csv", mine)
    summary = findings.summarize(asked, whole, name)
    pictures = {each: path.name for each, path in probe_figures.write(summary, out).items()}
    files.write_text(out / "probe.md", probe_page.page(summary, f"How often does {name} learn to remember?", pictures))
    if as_json:
        print_json(summary)
        return
    print(words.text(summary))
    print(f"\n{out / 'probe.md'} has everything, {out / 'probe.png'} shows rates, {out / 'trials.csv'} has every trial")
