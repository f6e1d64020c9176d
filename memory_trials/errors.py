"""Errors that the user can correct: one sentence and a non-zero exit code instead of a traceback."""

import errno
import gc
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

NO_RESULT_DEPENDS_ON_THIS = "where there is an error, there is no result"


class UserError(Exception):
    """The user's input cannot be used. The message is one sentence that says what is wrong, and why."""

    def _render_traceback_(self) -> list[str]:
        """Return what IPython prints for it in a notebook: the sentence, after its traceback with `DEBUG`."""
        shown = traceback.format_exception(self) if os.environ.get(DEBUG) == "1" else []
        return [*shown, f"error: {self}"]


DEBUG = "MEMORY_TRIALS_DEBUG"  # an environment variable: 1 prints tracebacks too

# what the operating system refuses, which is no error in the code
REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG)


def brief(value: Any, most: int = 60) -> str:
    """Return a value as an error message shows it: on one line, and at most so many characters."""
    text = repr(value)
    return text if len(text) <= most else text[: most - 3] + "..."


def exit_on_user_error(main: Callable[[], None]) -> None:
    """Run a command; turn a `UserError` into its sentence on stderr and exit code 1, after its traceback with `DEBUG`.

    It is the last that a process does. What it has in memory then, Python would look through for cycles before it ends:
    most of a second where MLflow is imported.
    """
    try:
        main()
    except UserError as error:
        if os.environ.get(DEBUG) == "1":
            traceback.print_exception(error)
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        print(f"error: {error.filename or 'a file'} cannot be written: {error.strerror}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    finally:
        gc.freeze()
