"""DVC and git, run to be read: what they print, or one sentence about why they failed."""

import subprocess
import sys

from memory_trials.errors import UserError

DVC = (sys.executable, "-m", "dvc")  # this environment's, whatever is on the path
CAUSES = ("ERROR: ", "fatal: ", "error: ")  # how DVC and git begin the line that says what is wrong
ASIDE = ("WARNING: ", "hint: ", "warning: ")


def run(*command: str) -> str:
    """Return what a command prints.

    Raises:
        UserError: The command cannot be run, or fails.
    """
    words = " ".join(command).replace(" ".join(DVC), "dvc")
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise UserError(f"{words} cannot be run: {error.strerror}") from None
    if done.returncode:
        raise UserError(f"{words} failed: {cause(done.stderr.strip() or done.stdout)}")
    return done.stdout


def cause(output: str) -> str:
    """Return the line of a tool's output that says why it failed, without its prefix.

    DVC and git mark that line, and offer help after it. A traceback ends with it. Otherwise it is the first line.
    """
    lines = [line.strip() for line in output.splitlines() if line.strip() and not line.startswith(ASIDE)]
    for line in lines:
        for mark in CAUSES:
            if line.startswith(mark):
                return line.removeprefix(mark).removeprefix("unexpected error - ")
    if not lines:
        return "it printed no reason"
    return lines[-1 if lines[0].startswith("Traceback ") else 0]
