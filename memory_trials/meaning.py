"""The meaning of code, so that a stage depends on all code that it reaches, but not on wording or layout.

A digest is taken of the meaning of each module: its syntax tree without docstrings, annotations, comments, layout and
the wording of errors and of what is printed; of C its tokens. The modules that a stage reaches are found by following
imports, also those inside functions, from the stage's own module.

Some modules do work for a stage and can change no byte of its results, such as those that keep files or show progress.
Each of these assigns its reason to `NO_RESULT_DEPENDS_ON_THIS`; it is left out, and what it imports is not followed.
What a module assigns to `SHOWN` is how a page shows something, and is left out too: pages depend on it by its value.
Trained bits are guarded besides by tests/integrity/test_digests.py.
"""

import ast
import functools
import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
EXEMPT = "NO_RESULT_DEPENDS_ON_THIS"
LOOKS = "SHOWN"
PACKAGES = ("memory_trials", "stages")
INCLUDED = re.compile(rb'^\s*#include "([^"]+)"', re.MULTILINE)
FOR_TYPES = ("__future__", "typing", "jaxtyping")  # modules that serve annotations alone


def digests(roots: Iterable[str], without: Iterable[str] = ()) -> dict[str, str]:
    """Return a digest of the meaning of every file that these modules reach.

    Args:
        roots: dotted names of modules of this project.
        without: dotted names of modules that are left out, with all that only they reach.

    Returns:
        Digests by the files' paths relative to the project's folder, in their order.
    """
    left_out = frozenset(without)
    found: set[Path] = set()
    waiting = [path for name in roots if (path := _path(name))]
    if missing := [name for name in roots if not _path(name)]:
        raise ValueError(f"no module of this project is called {missing[0]}")
    while waiting:
        path = waiting.pop()
        if path not in found and not _exempt(path):
            found.add(path)
            waiting += [reached for name, reached in _read(path).imports if name not in left_out]
            waiting += [file for file in _files_beside(path) if file.suffix == ".py"]
            found |= {file for file in _files_beside(path) if file.suffix != ".py"}
    return {path.relative_to(ROOT).as_posix(): _digest(path) for path in sorted(found)}


def meaning(source: str, name: str) -> bytes:
    """Return the meaning of Python or C source; name: of its file, which ends with .py where it is Python."""
    if not name.endswith(".py"):
        return " ".join(re.sub(r"/\*.*?\*/|//[^\n]*", " ", source, flags=re.DOTALL).split()).encode()
    return _Walk().visit(ast.parse(source)).encode()


def imported(node: ast.AST) -> list[str]:
    """Return the dotted names that a statement of Python imports; of `from a import b` both a and a.b."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def imports_of(path: Path) -> list[str]:
    """Return what a file of Python imports, as `imported`; nothing where it cannot be read, as running it will show."""
    try:
        nodes = list(ast.walk(ast.parse(path.read_bytes())))
    except (SyntaxError, ValueError):
        return []
    return [name for node in nodes for name in imported(node)]


class _Walk(ast.NodeVisitor):
    """Writes a syntax tree down without docstrings, annotations, what is imported for them, and the wording of errors
    and prints. What is left is as `ast.dump` of Python 3.11 has it, whichever Python runs, so digests last."""

    def __init__(self) -> None:
        self.imports: set[str] = set()
        self.strings: set[str] = set()
        self._of_a_class: set[ast.AnnAssign] = set()

    def generic_visit(self, node: ast.AST, **instead: Any) -> str:
        kind = type(node)
        fields = [(name, instead[name] if name in instead else getattr(node, name, None)) for name in node._fields]
        written = [
            f"{name}={self._value(value)}"
            for name, value in fields
            # but for what may be left out, where it is None, and for what Python 3.12 added
            if not (value is None and getattr(kind, name, ...) is None) and (value or name != "type_params")
        ]
        return f"{kind.__name__}({', '.join(written)})"

    def _value(self, value: Any) -> str:
        if isinstance(value, ast.AST):
            return self.visit(value)
        if isinstance(value, list):
            return f"[{', '.join(filter(None, map(self._value, value)))}]"
        return repr(value)

    def visit_Module(self, node: ast.Module) -> str:
        return self.generic_visit(node, body=_without_docstring(node))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> str:
        return self.generic_visit(node, body=_without_docstring(node), returns=None)

    def visit_ClassDef(self, node: ast.ClassDef) -> str:
        """Keep the name and default of an annotated field."""
        self._of_a_class.update(line for line in node.body if isinstance(line, ast.AnnAssign))
        return self.generic_visit(node, body=_without_docstring(node))

    def visit_arg(self, node: ast.arg) -> str:
        return f"arg(arg={node.arg!r})"

    def visit_AnnAssign(self, node: ast.AnnAssign) -> str:
        if node in self._of_a_class:
            return f"Tuple(elts=[{self.visit(node.target)}, {self._value(node.value)}])"
        return f"Assign(targets=[{self.visit(node.target)}], value={self.visit(node.value)})" if node.value else ""

    def visit_Assign(self, node: ast.Assign) -> str:
        shown = [isinstance(target, ast.Name) and target.id == LOOKS for target in node.targets]
        return "" if all(shown) else self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> str:
        self.imports.update(imported(node))
        return self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> str:
        self.imports.update(imported(node))
        return "" if node.module in FOR_TYPES else self.generic_visit(node)

    def visit_If(self, node: ast.If) -> str:
        for_types = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        return "" if for_types else self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> str:
        """Leave out the text of errors and of prints, on which no result depends."""
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))  # of a.b(), and of b()
        if name == "print" or name.endswith("Error"):
            return f"Call(func={self.visit(node.func)}, args=[], keywords=[])"
        return self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> str:
        """Remove the empty string with which Python 3.12 ends some of them."""
        return self.generic_visit(node, values=[part for part in node.values if getattr(part, "value", None) != ""])

    def visit_Constant(self, node: ast.Constant) -> str:
        if isinstance(node.value, str):
            self.strings.add(node.value)
        return self.generic_visit(node)


def _without_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef) -> list[ast.stmt]:
    return node.body[ast.get_docstring(node, clean=False) is not None :]


class _Module(NamedTuple):
    """What one walk of a module's syntax tree finds."""

    digest: str
    imports: list[tuple[str, Path]]  # the project's modules, by name
    strings: set[str]


@functools.cache
def _read(path: Path) -> _Module:
    walk = _Walk()
    digest = _digest_of(walk.visit(ast.parse(_source(path))).encode())
    return _Module(digest, [(name, found) for name in walk.imports if (found := _path(name))], walk.strings)


@functools.cache
def _source(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@functools.cache
def _digest(path: Path) -> str:
    if path.suffix == ".py":
        return _read(path).digest
    return _digest_of(meaning(_source(path), path.name) if path.suffix in (".c", ".h") else path.read_bytes())


def _digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _exempt(path: Path) -> bool:
    """Whether the module says that no result depends on it. The library's packages begin with words alone."""
    if path.name == "__init__.py" and ROOT / "memory_trials" in path.parents:
        return True
    return re.search(rf"^{EXEMPT} = ", _source(path), re.MULTILINE) is not None


def _path(name: str) -> Path | None:
    """Of a module of this project, by its dotted name."""
    if name.partition(".")[0] not in PACKAGES:
        return None
    path = ROOT / name.replace(".", "/")
    return next((found for found in (path.with_suffix(".py"), path / "__init__.py") if found.is_file()), None)


@functools.cache
def _files_beside(path: Path) -> set[Path]:
    """Return the files beside a module that it names in a string, such as its C source and what that includes; of a
    folder all files."""
    named = [path.with_name(name) for name in _read(path).strings & set(os.listdir(path.parent))]
    files: set[Path] = set()
    waiting = [file for file in named if file.is_file()]
    for folder in named:
        if folder.is_dir() and folder.name != "__pycache__" and not (folder / "__init__.py").exists():
            waiting += [file for file in folder.iterdir() if file.is_file()]
    while waiting:
        file = waiting.pop()
        if file not in files:
            files.add(file)
            includes = INCLUDED.findall(file.read_bytes()) if file.suffix in (".c", ".h") else ()
            waiting += [included for name in includes if (included := file.with_name(name.decode())).is_file()]
    return files
