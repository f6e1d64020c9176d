"""Mistakes that are the user's to mend end in one sentence and a non-zero exit, never in a traceback."""

import errno
import gc
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

NO_RESULT_DEPENDS_ON_THIS = "where there is an error, there is no result"


class UserError(Exception):
    """Something the user gave cannot be used; the message is the one sentence that says what and why."""

    def _render_traceback_(self) -> list[str]:
        """Return what IPython prints for it in a notebook: the sentence, after its traceback with `DEBUG`."""
        shown = traceback.format_exception(self) if os.environ.get(DEBUG) == "1" else []
        return [*shown, f"error: {self}"]


DEBUG = "MEMORY_TRIALS_DEBUG"  # an environment variable: 1 prints tracebacks too

# what a machine refuses, and no mistake of the code
REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG)


def brief(value: Any, most: int = 60) -> str:
    """A value as a sentence may show it: on one line, whatever is in it, and not at length."""
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
