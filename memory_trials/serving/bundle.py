"""What goes with a registered model, so that it answers anywhere: its settings, and the code of a cell of the user's.

settings.json holds the settings, and digests of memory.npz and of that code. A model whose parts do not belong together
is refused when it is loaded.
"""

import hashlib
import importlib.util
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from memory_trials import files
from memory_trials.cells import registry
from memory_trials.errors import UserError, brief
from memory_trials.models.user_code import is_users
from memory_trials.serving import predictor
from memory_trials.settings import Settings

FORMAT = "memory-trials model 1"
SETTINGS, CODE = "settings.json", "code"  # the file, and MLflow's folder of code
SECTIONS = {"problem", "encoding", "model", "training"}


def code_of(cell: str) -> list[Path]:
    """Return the packages and modules that a cell of the user's consists of, and imports, but for installed ones."""
    from memory_trials.training import cache  # which a model that is loaded does not need

    if registry.find(cell):
        return []
    spec = importlib.util.find_spec(cell.partition(".")[0])
    installed = spec is not None and spec.origin is not None and not is_users(spec.origin)
    own = [Path(folder) for folder in spec.submodule_search_locations or ()] if spec and not installed else []
    found = dict.fromkeys(own)
    for path in cache.imported_by(cell):
        if not any(path.is_relative_to(folder) for folder in found):
            while (path.parent / "__init__.py").exists():
                path = path.parent
            found[path] = None
    return list(found)


def settings_text(settings: Settings, memory: Path, code: Iterable[Path]) -> str:
    """Return the text of settings.json."""
    content = {
        "format": FORMAT,
        "settings": settings.model_dump(include=SECTIONS),
        "memory": hashlib.sha256(files.read_bytes(memory)).hexdigest(),
        "code": {path.name: _digest(path) for path in code},
    }
    return files.json_text(content)


def read(memory: Path, settings: Path, code: Path) -> predictor.Predictor:
    """Return the predictor of a model's folder.

    Args:
        memory: memory.npz.
        settings: settings.json.
        code: MLflow's folder of code, which Python finds already.

    Raises:
        UserError: a part is missing, damaged, of another version, or belongs to another model.
    """
    try:
        content: dict[str, Any] = json.loads(settings.read_text(encoding="utf-8"))
        version, recorded = content["format"], content["settings"]
        digests, of_code = content["memory"], dict(content["code"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{settings.name} of this model is missing or damaged: register the model again") from None
    if version != FORMAT:
        raise UserError(
            f"this model is of the format {brief(version)}, and this code reads {FORMAT!r}: register it again"
        )
    best = predictor.read(memory, bundled=True)
    for section in ("model", "encoding"):
        if recorded[section] != getattr(best, section).model_dump():
            raise UserError(
                f"{memory.name} and {settings.name} have other settings in the section {section}: of two models"
            )
    if hashlib.sha256(memory.read_bytes()).hexdigest() != digests:
        raise UserError(f"{memory.name} is not the one that {settings.name} was written with: register the model again")
    for name, digest in of_code.items():
        if _digest(code / name) != digest:
            raise UserError(f"{CODE}/{name} is not the code that the model was trained with: register the model again")
        _check_imported(name, code)
    predictor.check_weights(best)
    return best


def _check_imported(name: str, code: Path) -> None:
    """That this process has not imported another module of this name."""
    imported = name.removesuffix(".py")
    file = getattr(sys.modules.get(imported), "__file__", None)
    if file is not None and not Path(file).resolve().is_relative_to(code.resolve()):
        found = Path(file).resolve()
        mine = found.parent if found.name == "__init__.py" else found
        if _digest(mine) != _digest(code / name):
            raise UserError(f"another module {imported} is loaded, from {file}: load the model in a new process")


def _digest(path: Path) -> str:
    """Return a digest of a module, or of all modules of a package; the same wherever it is."""
    modules = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for module in modules:
        name = module.relative_to(path.parent).as_posix()
        content = module.read_bytes() if module.is_file() else b""
        digest.update(f"{name} {len(content)} ".encode() + content)
    return digest.hexdigest()
