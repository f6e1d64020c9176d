"""The command `memory-trials`, also `python -m memory_trials`: everything a user runs. `make` calls it.

What a command needs takes up to seconds to import, so each imports its own: the help is there at once.
"""

import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memory_trials.errors import DEBUG, UserError, exit_on_user_error

if TYPE_CHECKING:
    from memory_trials.settings import Settings

gc.set_threshold(100_000)  # a tenth of what imports take is Python's search for cycles in what they leave
TUTORIAL = Path("data/tutorial")
EXPERIMENTS = "experiments"  # a DVC project of its own
BEST = TUTORIAL / "memory.npz"


class InOrder(click.Group):
    """Lists commands in the order of this file, not of the alphabet."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.commands)


AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, to be read by programs.")


def print_json(content: Any) -> None:
    print(json.dumps(content, indent=2, ensure_ascii=False))


def complete_names(file: str) -> Any:
    """Complete the names of the studies and separate arms of a file in experiments/, as shells ask for it."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
        import yaml

        try:
            content = yaml.safe_load(Path(EXPERIMENTS, file).read_text(encoding="utf-8"))
            names = [str(name) for key in ("studies", "arms") for name in content.get(key) or ()]
            return [name for name in names if name.startswith(incomplete)]
        except (OSError, ValueError, yaml.YAMLError, AttributeError, TypeError):
            return []  # a shell shows nothing of an error

    return complete


class InProject(click.Command):
    """A command for the folder that holds params.yaml; elsewhere one sentence says so."""

    def invoke(self, context: click.Context) -> Any:
        check_folder(context)
        return super().invoke(context)


def check_folder(context: click.Context) -> None:
    """`UserError` where the current folder is not the project's; it names the project that the folder belongs to."""
    is_project = lambda folder: (folder / "params.yaml").is_file() and (folder / ".dvc").is_dir()
    here = Path.cwd()
    # studies/ and paper/ have a params.yaml too
    above = None if is_project(here) else next(filter(is_project, here.parents), None)
    if above:
        raise UserError(f"{context.command_path} must be run in the folder that holds params.yaml, which is {above}")
    if not (here / "params.yaml").is_file():
        raise UserError(
            f"{context.command_path} must be run in the folder that holds params.yaml: "
            f"neither {here} nor a folder above it does (memory-trials init makes a project)"
        )


@click.group(
    cls=InOrder,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="`memory-trials COMMAND --help` says more. Run it in the folder that holds params.yaml.",
)
@click.version_option(package_name="memory-trials", prog_name="memory-trials", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Print the traceback of an error too, also in stages.")
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
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
def init(folder: Path) -> None:
    """Make a project in an empty folder.

    Writes params.yaml, dvc.yaml, experiments/, my_cells/ and data/problems/ into FOLDER, by default the current one.
    Existing files are never overwritten.

    \b
    memory-trials init my_project
    cd my_project && memory-trials repro
    """
    from memory_trials import project
    from memory_trials.report import plots

    for path in project.create(folder):
        print(folder / path)
    plots.write(folder)  # which `dvc plots show` draws with
    go = "" if folder == Path() else f"cd {folder} && "
    print(f"next: {go}memory-trials repro; every setting is in params.yaml")


@commands.command(cls=InProject)
@click.option(
    "-S", "--set", "changes", multiple=True, metavar="KEY=VALUE",
    help="Change a setting of params.yaml in a copy of the project, and leave this folder as it is.",
)  # fmt: skip
def repro(changes: tuple[str, ...]) -> None:
    """Bring the pipeline up to date, and print the answer.

    With -S the pipeline runs in a copy, as a DVC experiment, which `dvc exp show` lists and `dvc exp apply` brings into
    this folder. This needs git.

    \b
    memory-trials repro
    memory-trials repro -S model.cell=gru -S model.units=10
    """
    from memory_trials.settings import load_settings

    settings = load_settings()
    if changes:
        if wrong := next((change for change in changes if "=" not in change.strip("+~")), None):
            raise click.UsageError(f"-S {wrong!r} is not KEY=VALUE", click.get_current_context())
        _check_git()
        _check_changes(changes)
        dvc("exp", "run", "--temp", *(word for change in changes for word in ("--set-param", change)))
        return
    dvc("repro")
    _bring_champion_in_step(settings)
    _print_answer(TUTORIAL, whole=False)


@commands.command(cls=InProject)
@click.option("--check", is_flag=True, help="Validate and list the studies; train nothing.")
@AS_JSON
def studies(check: bool, as_json: bool) -> None:
    """Bring all studies and RESULTS.md up to date.

    With --json, list them as --check does: the question, the source and the settings that differ between the arms.

    \b
    memory-trials studies --check
    memory-trials studies
    """
    from memory_trials.studies import design, schema

    if as_json:
        blocks = schema.load(design.FILE).studies
        print_json({name: block.model_dump(mode="json", exclude_unset=True) for name, block in blocks.items()})
        return
    for study, arms in design.units():  # those of the paper too, so that a mistake is known now
        line = design.described(study, arms)
        if not study.separate:
            print(line, flush=True)
    if not check:
        dvc("--cd", EXPERIMENTS, "repro", "results")
        print(f"every answer: RESULTS.md; pictures: {EXPERIMENTS}/pictures/")


@commands.command(cls=InProject)
@click.argument("name", shell_complete=complete_names("studies.yaml"))
def study(name: str) -> None:
    """Bring one study up to date, and its answer in RESULTS.md.

    \b
    memory-trials study cells
    """
    _bring_up_to_date(name)


@commands.command(cls=InProject)
@click.argument("arm", default="", shell_complete=complete_names("paper.yaml"))
def paper(arm: str) -> None:
    """Measure the paper's tables anew: all, one table or arm.

    PAPER.md sets them beside the paper's own numbers.

    ARM is an arm of experiments/paper.yaml, or a study, which is a table. All of them take a night.

    \b
    memory-trials paper adding_100
    memory-trials paper paper_6a
    memory-trials paper
    """
    from memory_trials.studies import design

    if arm:
        _bring_up_to_date(arm)
        return
    for study, arms in design.units():
        design.described(study, arms)  # a mistake in the last arm is known now, and not after a night
    dvc("--cd", EXPERIMENTS, "repro", "paper")
    print(f"every arm: PAPER.md; the picture: {EXPERIMENTS}/pictures/paper.png")


def _bring_up_to_date(name: str) -> None:
    """Run the stages of a study, or of an arm that is trained by itself, and of the page that shows it."""
    from memory_trials.studies import design

    units = {unit: design.find(unit) for unit in design.units_of(name)}
    for study, arms in units.values():
        print(design.described(study, arms), flush=True)
    (separate,) = {study.separate for study, _ in units.values()}
    ways, page = (("train_arm", "evaluate_arm"), "paper") if separate else (("train", "evaluate"), "results")
    # one by one, since the page depends on all experiments, which are not to run
    stages = [f"{way}@{unit}" for unit in units for way in ways]
    dvc("--cd", EXPERIMENTS, "repro", "--single-item", "resolve", *stages, page)
    where, picture = ("PAPER.md", "paper") if separate else (f"RESULTS.md#{name}", name)
    print(f"the answer: {where}; the picture: {EXPERIMENTS}/pictures/{picture}.png")


@commands.command()
@click.argument("folder", type=click.Path(path_type=Path), default=TUTORIAL)
@click.option("--short", is_flag=True, help="Print the first sentence only.")
@AS_JSON
@click.pass_context
def answer(context: click.Context, folder: Path, short: bool, as_json: bool) -> None:
    """Print the answer in words.

    FOLDER holds the results of an arm, by default the pipeline's. With --json, print the metrics, which
    docs/results.md explains.

    \b
    memory-trials answer
    memory-trials answer --json
    memory-trials answer --short experiments/data/studies/cells/arms/cell=gru
    """
    if not folder.exists():
        check_folder(context)
    if as_json:
        from memory_trials import files
        from memory_trials.evaluation import statistics

        files.check_recorded()
        print_json(files.read_json(folder / statistics.METRICS))
        return
    _print_answer(folder, whole=not short)


@commands.command(cls=InProject)
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
@click.option(
    "--steps",
    type=int,
    default=1,
    show_default=True,
    help="Number of symbols to predict; each is fed back.",
)
@click.option(
    "--model", type=click.Path(path_type=Path), default=BEST, show_default=True,
    help="A file that the stage evaluate wrote.",
)  # fmt: skip
@AS_JSON
@click.pass_context
def predict(context: click.Context, symbols: tuple[str, ...], steps: int, model: Path, as_json: bool) -> None:
    """Predict the next symbol with the best trial.

    Prints each symbol with its probability. SYMBOLS are separated by spaces or commas, or given as a JSON array;
    after --, a symbol may begin with a dash.

    \b
    memory-trials predict 3 0 1 2
    memory-trials predict 4 --steps 10
    memory-trials predict '["ice cream", "b"]'
    """
    from memory_trials.serving import predictor
    from memory_trials.tasks.symbols import name, words

    if model == BEST and not model.exists():
        check_folder(context)
    best = predictor.read(model)
    predicted = predictor.predict(best, words(" ".join(symbols)), steps)
    if as_json:
        print_json([{"symbol": name(symbol), "probability": float(probability)} for symbol, probability in predicted])
        return
    for symbol, probability in predicted:
        print(f"{name(symbol)}  (probability {probability:.4f})")
    print(f"says {best}")


@commands.command(cls=InProject)
@click.option(
    "--host", envvar="BIND", default="127.0.0.1", show_default=True,
    help="The address to listen on. By default only this machine can reach it.",
)  # fmt: skip
@click.option("--port", envvar="PORT", type=click.IntRange(0, 65535), default=5001, show_default=True)
def serve(host: str, port: int) -> None:
    """Serve the best trial over HTTP, with MLflow.

    Prints a request to paste, and serves until Ctrl-C. The environment variables BIND and PORT set the defaults.

    \b
    memory-trials serve
    memory-trials serve --port 5002
    """
    from memory_trials.serving import registry

    registry.serve(host, port)


@commands.command(cls=InProject)
@click.option(
    "--host", envvar="BIND", default="127.0.0.1", show_default=True,
    help="The address to listen on. By default only this machine can reach it.",
)  # fmt: skip
@click.option("--port", envvar="PORT", type=click.IntRange(0, 65535), default=5000, show_default=True)
def ui(host: str, port: int) -> None:
    """Show the runs in MLflow's page.

    Prints a link to each study's charts. The environment variables BIND and PORT set the defaults.

    \b
    memory-trials ui
    memory-trials ui --port 5003
    """
    from memory_trials.settings import load_settings
    from memory_trials.tracking import publisher

    publisher.show_page(load_settings().tracking, host, port)


@commands.command(cls=InProject)
def track() -> None:
    """Publish the results of this folder in MLflow.

    Publishes every run, and registers the best trial. Publishing twice changes nothing.

    \b
    memory-trials track
    MLFLOW_TRACKING_URI=https://runs.example.org memory-trials track
    """
    from memory_trials.serving import registry
    from memory_trials.tracking import publisher

    publisher.publish_what_is_here()
    registry.register_what_is_here()


@commands.command()
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


@commands.command(cls=InProject)
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


@commands.command()
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


@commands.command(cls=InProject)
@click.option(
    "--share", type=click.FloatRange(0, 1), envvar="SHARE",
    help="Train this share of all recorded trials, however long it takes.  [default: as many as fit into a minute]",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(0), envvar="SEED", help="Draw the trials by this seed.  [default: a random one]"
)
def verify(share: float | None, seed: int | None) -> None:
    """Train recorded trials again, and compare.

    Fails if a trial differs from its digest in git. By default it trains for a minute: every arm gets a short turn, the
    fastest arms first, then further turns while a trial can still end in time. Fast trials are therefore verified more
    often than slow ones.

    \b
    memory-trials verify               # as many as fit into a minute
    memory-trials verify --share 0.1   # a tenth of all, each as likely as any other
    """
    from memory_trials.integrity import verify

    verify.check_against_digests(share, seed)


@commands.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the code for completion in a shell.

    It completes commands, options and the names of studies.

    \b
    memory-trials completion bash >> ~/.bashrc
    memory-trials completion zsh >> ~/.zshrc
    memory-trials completion fish > ~/.config/fish/completions/memory-trials.fish
    """
    from click.shell_completion import get_completion_class

    completer = get_completion_class(shell)
    assert completer is not None
    print(completer(commands, {}, "memory-trials", "_MEMORY_TRIALS_COMPLETE").source())


def _check_git() -> None:
    """`UserError` unless this folder is in a git repository with a commit, which DVC's experiments need."""
    try:
        done = subprocess.run(["git", "rev-parse", "--verify", "--quiet", "HEAD"], capture_output=True)
    except OSError:
        raise UserError("-S runs a DVC experiment, which needs git; git cannot be run") from None
    if done.returncode:
        raise UserError(
            "-S runs a DVC experiment, which needs a git repository with a commit: git init, git add . and git commit "
            "(and remove no_scm from .dvc/config); or change params.yaml"
        )


def _check_changes(changes: tuple[str, ...]) -> None:
    """`UserError` for a change that params.yaml does not allow, before DVC copies the project and reads its stages."""
    import tempfile

    from dvc.exceptions import DvcException
    from dvc.utils.hydra import apply_overrides

    from memory_trials.parameter_files import read_yaml
    from memory_trials.settings import Settings, validated

    where = f"params.yaml with -S {' -S '.join(changes)}"
    with tempfile.TemporaryDirectory() as folder:
        changed = Path(folder) / "params.yaml"
        changed.write_bytes(Path("params.yaml").read_bytes())
        try:
            apply_overrides(changed, list(changes))
        except DvcException as error:
            reason = str(error.__cause__ or error).splitlines()[0]  # Hydra's, and below it advice for its own commands
            raise UserError(f"{where}: {reason}") from None
        validated(Settings, read_yaml(changed), where)


def _bring_champion_in_step(settings: "Settings") -> None:
    """Where DVC took the result from its cache, as after a git checkout, MLflow may still offer another memory."""
    from memory_trials.serving import champion

    if champion.is_another(settings, BEST):
        from memory_trials.serving import registry
        from memory_trials.studies import design
        from memory_trials.tracking import tracker

        try:
            registry.show(design.pipeline_arm(), settings.tracking)
        except UserError as error:  # the result is what counts, and it is complete
            print(f"warning: {error}; {tracker.PUBLISH_LATER_HINT}", file=sys.stderr)


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
    from memory_trials.tasks.sequence_files import check_folder

    check_folder()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = {"DVC_NO_ANALYTICS": "1"} | os.environ | {"PATH": path}
    with subprocess.Popen([sys.executable, "-m", "dvc", *arguments], env=environment) as process:
        try:
            code = process.wait()
        except KeyboardInterrupt:  # which DVC has got too: it ends its stages, and unlocks the repository
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
            print(f"error: {words}; {where} --help says what it takes", file=sys.stderr)
            sys.exit(2)
        except click.ClickException as error:
            raise UserError(error.format_message()) from None
        except click.Abort:
            raise KeyboardInterrupt from None

    exit_on_user_error(run)
