"""The files of a new project, which `memory-trials init` writes into an empty folder."""

import subprocess
import sysconfig
from importlib import metadata
from pathlib import Path

from memory_trials import files
from memory_trials.errors import UserError

CHECKOUT = Path(__file__).parents[1]
SHARED = "share/memory-trials"  # where the wheel installs them (pyproject.toml, data-files)
# what a project begins with, by glob patterns
PATTERNS = (
    "params.yaml",
    "dvc.yaml",
    ".gitignore",
    ".dvcignore",
    ".dvc/config",
    ".dvc/.gitignore",
    ".dvc/plots.html",
    ".dvc/plots/*",
    "my_cells/*.py",
    "data/problems/*",
    "experiments/*.yaml",
    "experiments/.dvcignore",
    "experiments/.dvc/config",
    "experiments/.dvc/.gitignore",
)
# The code is installed, and not in the project. So the stage `code` always runs, and what it writes decides.
CODE_HERE = "    deps:\n      - memory_trials\n      - stages\n"
CODE_INSTALLED = "    always_changed: true # the code is installed; what this writes says whether it has changed\n"


def template() -> dict[str, bytes]:
    """Return the content of each file that a new project begins with, by its path in the project.

    Raises:
        UserError: The installation lacks these files.
    """
    folder = _folder()
    paths = sorted({path for pattern in PATTERNS for path in folder.glob(pattern) if path.is_file()})
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    if "dvc.yaml" not in found:
        raise UserError(f"{folder} does not hold the files of a new project: install memory-trials again")
    found["dvc.yaml"] = found["dvc.yaml"].decode().replace(CODE_HERE, CODE_INSTALLED).encode()
    return found


def create(folder: Path) -> list[str]:
    """Write the files of a new project into a folder, which is made if it is missing.

    Args:
        folder: May hold other files, but none that would be overwritten.

    Returns:
        The paths of the files, relative to the folder.

    Raises:
        UserError: One of the files exists already, or the folder is in a project already; nothing has been written.
    """
    content = template()
    for path in content:
        if path != ".gitignore" and (folder / path).exists():
            raise UserError(f"{folder / path} exists already: memory-trials init makes a project in an empty folder")
    above = next((path for path in folder.resolve().parents if (path / "params.yaml").is_file()), None)
    if above:
        raise UserError(f"{folder} is in the project {above}: memory-trials init makes a project outside of others")
    if (folder / ".gitignore").exists():
        content[".gitignore"] = (folder / ".gitignore").read_bytes().rstrip() + b"\n" + content[".gitignore"]
    if not _in_git(folder):
        for path in (".dvc/config", "experiments/.dvc/config"):
            content[path] = content[path].replace(b"[core]\n", b"[core]\n    no_scm = true\n")
    for path, data in content.items():
        files.write_bytes(folder / path, data)
    return list(content)


def shared(path: Path) -> Path:
    """Return where a file of the repository is: in this checkout, or where the wheel has installed it."""
    return _folder() / path


def _folder() -> Path:
    """The checkout that this code is in, or where the wheel has installed the files."""
    if (CHECKOUT / "pyproject.toml").is_file() and (CHECKOUT / "params.yaml").is_file():
        return CHECKOUT
    try:
        for file in metadata.distribution("memory-trials").files or ():
            if file.as_posix().endswith(f"{SHARED}/params.yaml") and (path := Path(str(file.locate()))).is_file():
                return path.resolve().parent
    except metadata.PackageNotFoundError:
        pass
    beside = CHECKOUT / SHARED  # pip install --target
    return beside if beside.is_dir() else Path(sysconfig.get_path("data")) / SHARED


def _in_git(folder: Path) -> bool:
    existing = next(path for path in (folder.resolve(), *folder.resolve().parents) if path.is_dir())
    try:
        done = subprocess.run(["git", "-C", str(existing), "rev-parse", "--is-inside-work-tree"], capture_output=True)
    except OSError:
        return False
    return done.returncode == 0
