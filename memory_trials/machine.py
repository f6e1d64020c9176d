"""What this machine has."""

import os

NO_RESULT_DEPENDS_ON_THIS = "it says how much can run side by side"


def cores() -> int:
    """Return how many cores this process may use; where that cannot be asked, as on macOS, how many there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
