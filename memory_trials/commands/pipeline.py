"""Commands that make a project and run its pipeline."""

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memory_trials.commands import dvc, results
from memory_trials.commands.parts import BEST, TUTORIAL, InProject
from memory_trials.errors import UserError

if TYPE_CHECKING:
    from memory_trials.settings import Settings


@click.command()
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


@click.command(cls=InProject)
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
        dvc.run("exp", "run", "--temp", *(word for change in changes for word in ("--set-param", change)))
        return
    dvc.run("repro")
    _bring_champion_in_step(settings)
    results.print_answer(TUTORIAL, whole=False)


def _check_git() -> None:
    """Raise a `UserError` unless this folder is in a git repository with a commit, which DVC's experiments need."""
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
    """Raise a `UserError` for a change that params.yaml does not allow, before DVC copies the project."""
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
    """Register the best trial where MLflow offers another, as after DVC took the result from its cache."""
    from memory_trials.serving import champion

    if champion.is_another(settings, BEST):
        from memory_trials.serving import registry
        from memory_trials.studies import design
        from memory_trials.tracking import tracker

        try:
            registry.show(design.pipeline_arm(), settings.tracking)
        except UserError as error:  # the result is what counts, and it is complete
            print(f"warning: {error}; {tracker.PUBLISH_LATER_HINT}", file=sys.stderr)
