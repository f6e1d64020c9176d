"""Which code made a result: the commit, and whether code or parameters differ from it."""

import subprocess

# what the pipeline itself writes does not count: every result would be of changed code
WRITTEN = (
    "*dvc.lock", "data/*/metrics.json", "data/*/digests.json", "experiments/data", "experiments/pictures", "RESULTS.md",
    "PAPER.md",
)  # fmt: skip


def revision() -> tuple[str, bool] | None:
    """Return the commit's full name, and whether anything but the pipeline's own results has changed since.

    Returns:
        None outside a git repository.
    """

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout

    try:
        commit = git("rev-parse", "HEAD").strip()
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", *(f":!{path}" for path in WRITTEN))
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit, bool(changed.strip())
