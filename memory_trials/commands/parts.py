"""Parts that several commands share."""

import json
from pathlib import Path
from typing import Any

import click

from memory_trials.errors import UserError

TUTORIAL = Path("data/tutorial")
EXPERIMENTS = "experiments"  # a DVC project of its own
BEST = TUTORIAL / "memory.npz"

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
    """Raise a `UserError` unless the current folder is a project's; it names the project that the folder is in."""
    is_project = lambda folder: (folder / "params.yaml").is_file() and (folder / ".dvc").is_dir()
    here = Path.cwd()
    above = None if is_project(here) else next(filter(is_project, here.parents), None)
    if above:
        raise UserError(f"{context.command_path} must be run in the folder that holds params.yaml, which is {above}")
    if not (here / "params.yaml").is_file():
        raise UserError(
            f"{context.command_path} must be run in the folder that holds params.yaml: "
            f"neither {here} nor a folder above it does (memory-trials init makes a project)"
        )
