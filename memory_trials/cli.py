"""The command `memory-trials`, also `python -m memory_trials`: everything a user runs. `make` calls it.

What a command needs takes up to seconds to import, so each imports its own: the help is there at once.
"""

import gc
import os
import subprocess
import sys
from pathlib import Path

import click

from memory_trials.errors import DEBUG, UserError, exit_on_user_error

gc.set_threshold(100_000)  # a tenth of what imports take is Python's search for cycles in what they leave
TUTORIAL = Path("data/tutorial")


class InOrder(click.Group):
    """Commands as they stand here, and not by the alphabet."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.commands)


@click.group(
    cls=InOrder,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="`memory-trials COMMAND --help` tells more. Run it in the folder that holds params.yaml.",
)
@click.option("--debug", is_flag=True, help="Print the traceback of an error too, here and in the stages.")
def commands(debug: bool) -> None:
    """How often does a recurrent network learn to remember?

    \b
    memory-trials repro               # trains 100 trials, prints the answer
    memory-trials report              # everything in one page
    memory-trials predict 3 0 1 2     # by the best trial
    """
    if debug:
        os.environ[DEBUG] = "1"


@commands.command()
def repro() -> None:
    """Bring the pipeline up to date, and print the answer.

    \b
    memory-trials repro
    dvc exp run -S model.cell=gru     # DVC's own: with another setting
    """
    from memory_trials.settings import load_settings

    load_settings()
    # stage by stage, in the order of dvc.yaml: to find the order itself, DVC reads all studies and rows, for a second
    dvc("repro", "--single-item")
    _print_answer(TUTORIAL, whole=False)


@commands.command()
@click.option("--check", is_flag=True, help="Only say whether they are valid, and list them; train nothing.")
def studies(check: bool) -> None:
    """Bring all studies and RESULTS.md up to date.

    \b
    memory-trials studies --check
    memory-trials studies
    """
    from memory_trials.studies import design

    for name in design.load_studies()[1]:
        print(design.described(name), flush=True)
    if not check:
        dvc("repro", "studies/dvc.yaml")
        print("every answer: RESULTS.md")


@commands.command()
@click.argument("name")
def study(name: str) -> None:
    """Bring one study up to date, and its answer in RESULTS.md.

    \b
    memory-trials study cells
    """
    from memory_trials.studies import design

    print(design.described(name), flush=True)
    stages = [f"studies/{stage}/dvc.yaml:{stage}@{name}" for stage in ("generate_data", "encode", "train", "evaluate")]
    # one by one, since RESULTS.md depends on all studies, which shall not run
    dvc("repro", "--single-item", *stages, "studies/dvc.yaml")


@commands.command()
@click.argument("row", default="")
def paper(row: str) -> None:
    """Measure the paper's rows anew: all, or one.

    PAPER.md sets them beside the paper's own numbers.

    ROW: as paper/params.yaml names it; all of them take a night.

    \b
    memory-trials paper adding_100
    memory-trials paper
    """
    from memory_trials.studies.rows import load_rows, row_arm

    rows = load_rows()
    for name in [row] if row else rows.rows:
        row_arm(name, rows)  # a mistake in the last row is told now, and not after a night
    if row:
        # one by one, since PAPER.md depends on all rows, which shall not run
        stages = [f"paper/{stage}/dvc.yaml:{stage}@{row}" for stage in ("train", "evaluate")]
        dvc("repro", "--single-item", *stages, "paper/dvc.yaml")
    else:
        dvc("repro", "paper/dvc.yaml")
    print("every row: PAPER.md")


@commands.command()
@click.argument("folder", type=click.Path(path_type=Path), default=TUTORIAL)
@click.option("--short", is_flag=True, help="The first sentence only.")
def answer(folder: Path, short: bool) -> None:
    """Say in words what came out.

    FOLDER: of another arm than the pipeline's.

    \b
    memory-trials answer
    memory-trials answer --short data/studies/cells/arms/cell=gru
    """
    _print_answer(folder, whole=not short)


@commands.command()
def report() -> None:
    """Write report.html, everything in one page.

    It holds the answer, every study, and a microscope for the inside of a trial, and needs no network.

    \b
    memory-trials report
    """
    from memory_trials.report import page

    print(page.write())


@commands.command()
@click.argument("symbols", nargs=-1)
@click.option("--steps", type=int, default=1, show_default=True, help="How many symbols to say, each fed back.")
@click.option(
    "--model", type=click.Path(path_type=Path), default=TUTORIAL / "memory.npz", show_default=True,
    help="A file that the stage evaluate wrote.",
)  # fmt: skip
def predict(symbols: tuple[str, ...], steps: int, model: Path) -> None:
    """Predict what comes next, by the best trial.

    It answers with each symbol's probability. SYMBOLS are separated by spaces or commas, or given as a JSON array;
    after --, any may begin with a dash.

    \b
    memory-trials predict 3 0 1 2
    memory-trials predict 4 --steps 10
    memory-trials predict '["ice cream", "b"]'
    """
    from memory_trials.serving import predictor

    best = predictor.read(model)
    for symbol, probability in predictor.predict(best, predictor.words(" ".join(symbols)), steps):
        print(f"{symbol}  (probability {probability:.4f})")
    print(f"says {best}")


@commands.command()
def serve() -> None:
    """Answer the same over HTTP, by MLflow.

    Prints a request to paste, and serves until Ctrl-C. On 127.0.0.1:5001, unless the environment variables BIND and
    PORT say otherwise.

    \b
    memory-trials serve
    PORT=5002 memory-trials serve
    """
    from memory_trials.serving import registry

    registry.serve()


@commands.command()
def ui() -> None:
    """Show the runs in MLflow's page.

    Prints a link to each study's charts. On 127.0.0.1:5000, unless the environment variables BIND and PORT say
    otherwise.

    \b
    memory-trials ui
    """
    from memory_trials.settings import load_settings
    from memory_trials.tracking import publisher

    publisher.show_page(load_settings().tracking)


@commands.command()
def track() -> None:
    """Publish what is here in MLflow.

    The runs, and the best trial in its registry. Doing it again changes nothing.

    \b
    memory-trials track
    MLFLOW_TRACKING_URI=https://runs.example.org memory-trials track
    """
    from memory_trials.serving import registry
    from memory_trials.tracking import publisher

    publisher.publish_what_is_here()
    registry.register_what_is_here()


@commands.command()
@click.argument("revision", default="HEAD~1")
def check(revision: str) -> None:
    """Is the recorded result in step, and good enough?

    In step with code and parameters; its metrics are shown beside those of REVISION.

    \b
    memory-trials check
    memory-trials check main
    """
    from memory_trials.integrity import check

    check.check(revision)


@commands.command()
@click.option("--share", type=click.FloatRange(0, 1), envvar="SHARE", help="Of all recorded trials; else for a minute.")
@click.option("--seed", type=click.IntRange(0), envvar="SEED", help="Which trials are drawn; else others each time.")
def verify(share: float | None, seed: int | None) -> None:
    """Are recorded trials the same, trained anew here?

    \b
    memory-trials verify               # as many as fit into a minute
    memory-trials verify --share 1     # all of them
    """
    from memory_trials.integrity import verify

    verify.check_against_digests(share, seed)


def _print_answer(folder: Path, whole: bool) -> None:
    from memory_trials import files
    from memory_trials.evaluation import statistics
    from memory_trials.studies import answers

    files.check_recorded()
    if whole:
        from memory_trials.evaluation import results
        from memory_trials.report import wording

        print(wording.report(results.read(folder), folder).strip())
    else:
        print(answers.how_often_and_how_much(files.read_json(folder / statistics.METRICS)))


def dvc(*arguments: str) -> None:
    """DVC in this environment, which its stages find first; ends as DVC does where it fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = {"DVC_NO_ANALYTICS": "1"} | os.environ | {"PATH": path}
    with subprocess.Popen([sys.executable, "-m", "dvc", *arguments], env=environment) as process:
        try:
            code = process.wait()
        except KeyboardInterrupt:  # which DVC has been told too: it ends its stages, and unlocks the repository
            process.wait()
            raise
    if code:
        sys.exit(code)


def main() -> None:
    """What is wrong with the words of a command is one sentence, and exit code 2; else as `exit_on_user_error`."""
    sys.path.insert(0, os.getcwd())  # where cells of the user's are, as with python -m

    def run() -> None:
        try:
            commands.main(prog_name="memory-trials", standalone_mode=False)
        except click.UsageError as error:
            if isinstance(error, click.exceptions.NoArgsIsHelpError):
                print(error.format_message())
                return
            where = error.ctx.command_path if error.ctx else "memory-trials"
            words = " ".join(error.format_message().split()).rstrip(".?")
            print(f"error: {words}; {where} --help tells what it takes", file=sys.stderr)
            sys.exit(2)
        except click.ClickException as error:
            raise UserError(error.format_message()) from None
        except click.Abort:
            raise KeyboardInterrupt from None

    exit_on_user_error(run)
