"""Run DVC."""

import os
import subprocess
import sys
from pathlib import Path


def run(*arguments: str) -> None:
    """Run DVC with this environment first on the path, so that its stages use it.

    Args:
        arguments: DVC's command and its options.

    Raises:
        SystemExit: DVC failed; with its exit code.
        UserError: The folder data/problems holds a file that cannot be used.
    """
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
