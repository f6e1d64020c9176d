"""What code computes, apart from its words: so that a stage depends on all code that it reaches, and on nothing else.

A digest is taken of the meaning of each module: its syntax tree without docstrings, annotations, comments, layout and
the wording of errors and of what is printed; of C its tokens. The modules that a stage reaches are found by following
imports, also those inside functions, from the stage's own module.

Some modules do work for a stage and can change no byte of its results, such as those that keep files or show progress.
Each of these assigns its reason to `NO_RESULT_DEPENDS_ON_THIS`; it is left out, and what it imports is not followed.
Trained bits are guarded besides by tests/integrity/test_digests.py.
"""

import ast
import functools
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXEMPT = "NO_RESULT_DEPENDS_ON_THIS"
PACKAGES = ("memory_trials", "stages")
BESIDE = re.compile(r"\w[\w.-]*\w")  # the name of a file or folder
INCLUDED = re.compile(rb'^\s*#include "([^"]+)"', re.MULTILINE)


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
            waiting += [reached for name, reached in _imports(path) if name not in left_out]
            waiting += [file for file in _files_beside(path) if file.suffix == ".py"]
            found |= {file for file in _files_beside(path) if file.suffix != ".py"}
    return {path.relative_to(ROOT).as_posix(): _digest(path) for path in sorted(found)}


def meaning(source: str, name: str) -> bytes:
    """Return the meaning of Python or C source; name: of its file, which ends with .py where it is Python."""
    if not name.endswith(".py"):
        return " ".join(re.sub(r"/\*.*?\*/|//[^\n]*", " ", source, flags=re.DOTALL).split()).encode()
    return ast.dump(_WithoutWords().visit(ast.parse(source))).encode()


class _WithoutWords(ast.NodeTransformer):
    """Takes docstrings, annotations, what is imported for them, and the wording of errors and prints out of Python."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = node.body[ast.get_docstring(node, clean=False) is not None :]
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        if isinstance(node, ast.ClassDef):  # what is annotated there is a field, by its name and default
            node.body = [
                # no Python that could run: it is dumped, and nothing else
                ast.Tuple([line.target, line.value]) if isinstance(line, ast.AnnAssign) else line  # type: ignore
                for line in node.body
            ]
        return super().generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(node.arg)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        return self.generic_visit(ast.Assign([node.target], node.value)) if node.value else None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom | None:
        return None if node.module in ("__future__", "typing", "jaxtyping") else node

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """What an error says, or what is printed, is in no result."""
        name = ast.unparse(node.func).rpartition(".")[2]
        if name == "print" or name.endswith("Error"):
            return ast.Call(node.func, [], [])
        return self.generic_visit(node)


@functools.cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def _digest(path: Path) -> str:
    is_code = path.suffix in (".py", ".c", ".h")
    content = meaning(path.read_text(encoding="utf-8"), path.name) if is_code else path.read_bytes()
    return hashlib.sha256(content).hexdigest()[:16]


@functools.cache
def _exempt(path: Path) -> bool:
    """Whether the module says that no result depends on it. The library's packages begin with words alone."""
    assigned = (node for node in _parsed(path).body if isinstance(node, ast.Assign))
    names = {target.id for node in assigned for target in node.targets if isinstance(target, ast.Name)}
    return EXEMPT in names or (path.name == "__init__.py" and ROOT / "memory_trials" in path.parents)


def _path(name: str) -> Path | None:
    """Of a module of this project, by its dotted name."""
    if name.partition(".")[0] not in PACKAGES:
        return None
    path = ROOT / name.replace(".", "/")
    return next((found for found in (path.with_suffix(".py"), path / "__init__.py") if found.is_file()), None)


@functools.cache
def _imports(path: Path) -> list[tuple[str, Path]]:
    """The project's modules that a module imports, anywhere in it but for type checkers."""
    names: list[str] = []
    for node in _nodes(_parsed(path)):
        if isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return [(name, found) for name in dict.fromkeys(names) if (found := _path(name))]


def _nodes(node: ast.AST) -> Iterable[ast.AST]:
    """Of a tree, without what stands under `if TYPE_CHECKING`."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _nodes(child)


@functools.cache
def _files_beside(path: Path) -> set[Path]:
    """Files that a module names in a string and that stand beside it, such as its C source and what that includes; of a
    folder all files."""
    texts = {node.value for node in ast.walk(_parsed(path)) if isinstance(node, ast.Constant)}
    named = [path.with_name(text) for text in texts if isinstance(text, str) and BESIDE.fullmatch(text)]
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
