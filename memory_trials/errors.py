"""Mistakes that are the user's to mend end in one sentence and a non-zero exit, never in a traceback."""

import sys
from collections.abc import Callable


class UserError(Exception):
    """Something the user gave cannot be used; the message is the one sentence that says what and why."""


def exit_on_user_error(main: Callable[[], None]) -> None:
    """Run a command; turn a `UserError` into its sentence on stderr and exit code 1."""
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
