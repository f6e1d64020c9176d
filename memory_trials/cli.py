"""The command `memory-trials`, also `python -m memory_trials`: everything a user runs. `make` calls it.

A command is a function in a module of commands/. It imports what it needs when it runs, which takes up to seconds, so
that the help appears at once.
"""

import gc
import os
import sys

import click

from memory_trials.commands import checks, completion, experiments, pipeline, probe, results, servers
from memory_trials.errors import DEBUG, UserError, exit_on_user_error

gc.set_threshold(100_000)  # a tenth of what imports take is Python's search for cycles in what they leave


class InOrder(click.Group):
    """Lists commands in the order in which they were added, not of the alphabet."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.commands)


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


for module in (pipeline, experiments, results, probe, servers, checks, completion):
    for command in vars(module).values():
        if isinstance(command, click.Command):
            commands.add_command(command)


def main() -> None:
    """Run the command line.

    A wrong command or option is one sentence and exit code 2; other errors are handled by `exit_on_user_error`.
    """
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
