"""What a stage depends on is all code that it reaches, by its meaning and not by its words."""

import ast
import hashlib
import sys
from pathlib import Path

import pytest

from memory_trials import meaning
from tests.conftest import ROOT

CODE = {
    "stages/one.py": "from memory_trials import tools\nfrom memory_trials.engine import run\nrun(tools.KEEP)\n",
    "stages/two.py": "def main():\n    import memory_trials.other as other\n    other.f()\n",
    "memory_trials/__init__.py": "API = 1\n",
    "memory_trials/engine.py": 'from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from memory_trials import other\nSOURCE = "engine.c"\ndef run(x):\n    return x\n',
    "memory_trials/engine.c": '#include "engine.h"\nint f(int x) { return x + 1; }\n',
    "memory_trials/engine.h": "#define ONE 1\n",
    "memory_trials/other.py": "from memory_trials import engine\ndef f():\n    return 2\n",
    "memory_trials/tools.py": 'NO_RESULT_DEPENDS_ON_THIS = "it keeps files"\nfrom memory_trials import hidden\nKEEP = 1\n',
    "memory_trials/hidden.py": "x = 1\n",
    "memory_trials/fonts/one.ttf": "bytes",
    "memory_trials/__pycache__/engine.so": "compiled",
}  # fmt: skip


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A small project; digests of what a stage reaches, after files are changed."""
    monkeypatch.setattr(meaning, "ROOT", tmp_path)

    def digests(stage: str, without=(), **changed: str) -> dict[str, str]:
        for name in ("_read", "_source", "_digest", "_files_beside"):
            getattr(meaning, name).cache_clear()
        for name, content in (CODE | changed).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(content)
        return meaning.digests([f"stages.{stage}"], without)

    yield digests
    for name in ("_read", "_source", "_digest", "_files_beside"):
        getattr(meaning, name).cache_clear()


def test_a_stage_reaches_what_is_imported_anywhere_but_for_type_checkers(project):
    names = lambda found: {Path(name).name for name in found}
    assert names(project("one")) == {"one.py", "engine.py", "engine.c", "engine.h"}
    assert names(project("two")) == {"two.py", "other.py", "engine.py", "engine.c", "engine.h"}
    assert names(project("two", without=["memory_trials.engine"])) == {"two.py", "other.py"}
    with pytest.raises(ValueError, match=r"no module of this project is called stages\.three"):
        project("three")


@pytest.mark.parametrize(
    ("name", "new", "changed"),
    [
        ("memory_trials/engine.c", CODE["memory_trials/engine.c"] + "// words", set()),
        ("memory_trials/engine.c", CODE["memory_trials/engine.c"].replace("+ 1", "+ 2"), {"engine.c"}),
        ("memory_trials/engine.h", "#define ONE 2", {"engine.h"}),
        ("memory_trials/engine.py", '"""Words."""\n' + CODE["memory_trials/engine.py"], set()),
        ("memory_trials/engine.py", CODE["memory_trials/engine.py"] + "raise ValueError(f'no {x}')", {"engine.py"}),
        ("memory_trials/engine.py", CODE["memory_trials/engine.py"].replace("return x", "return 2 * x"), {"engine.py"}),
        ("memory_trials/tools.py", CODE["memory_trials/tools.py"].replace("KEEP = 1", "KEEP = 2"), set()),
        ("memory_trials/hidden.py", "x = 2", set()),
        ("memory_trials/__init__.py", "API = 2", set()),
    ],
)  # fmt: skip
def test_what_changes_a_digest_is_code_that_is_reached_and_no_word(project, name, new, changed):
    before, after = project("one"), project("one", **{name: new})
    assert {Path(path).name for path in before if before[path] != after[path]} == changed


def test_a_folder_that_code_names_counts_with_all_its_files(project):
    code = CODE["memory_trials/engine.py"] + 'FONTS, CACHE = "fonts", "__pycache__"\n'
    before = project("one", **{"memory_trials/engine.py": code})
    after = project("one", **{"memory_trials/engine.py": code, "memory_trials/fonts/one.ttf": "others"})
    assert before["memory_trials/fonts/one.ttf"] != after["memory_trials/fonts/one.ttf"]
    more = project("one", **{"memory_trials/engine.py": code + 'SERVED = "other.py"\n'})
    assert more.keys() - before.keys() == {"memory_trials/other.py"}  # a module that is run as a file
    assert not [name for name in before if "__pycache__" in name]


def test_the_wording_of_errors_and_of_what_is_printed_does_not_count():
    said = "def f(x):\n    print(f'{x} is said')\n    raise UserError(f'{x} is wrong: {x + 1}') from None\n"
    other = "def f(x):\n    print('other')\n    raise UserError('words') from None\n"
    assert meaning.meaning(said, "a.py") == meaning.meaning(other, "a.py")
    assert meaning.meaning(said, "a.py") != meaning.meaning(said.replace("UserError", "ValueError"), "a.py")
    assert meaning.meaning("f('a')", "a.py") != meaning.meaning("f('b')", "a.py")
    assert meaning.meaning("print(1)\nf(2)", "a.py") != meaning.meaning("f(1)\nf(2)", "a.py")


@pytest.mark.parametrize(
    ("code", "other"),
    [
        ("from a import b", "from a import c"),
        ("from a import b", "pass"),
        ("if x:\n    f()", "if y:\n    f()"),
        ("if x:\n    f()", "pass"),
        ("def f(x): return 1", "def f(y): return 1"),
        ("import typing_of_mine", "pass"),
    ],
)
def test_what_code_imports_asks_and_takes_counts(code, other):
    assert meaning.meaning(code, "a.py") != meaning.meaning(other, "a.py")


def test_the_words_of_code_do_not_count():
    python = 'def f(x):\n    """Words."""\n    return x + 1  # why\n'
    assert meaning.meaning(python, "a.py") == meaning.meaning("def f(x): return (x + 1)", "a.py")
    assert meaning.meaning(python, "a.py") != meaning.meaning(python.replace("x + 1", "x + 2"), "a.py")
    c = "/* words\nof two lines */ int f(int x) {\n    return x + 1; // why\n}"
    assert meaning.meaning(c, "a.c") == meaning.meaning("int f(int x) { return x + 1; }", "a.c")
    assert meaning.meaning(c, "a.c") != meaning.meaning(c.replace("+ 1", "+ 2"), "a.c")


def test_annotations_of_code_do_not_count():
    plain = (
        "import a\n@dataclass\nclass C:\n    x: A\n    y: A = 1\n\ndef f(x, *y, z=1, **w):\n    u = x\n    return u\n"
    )
    annotated = (
        "from __future__ import annotations\nimport a\nfrom typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from jaxtyping import Float\n"
        '@dataclass\nclass C:\n    x: "Float[A, 2]"\n    y: B = 1\n\n'
        'def f(x: int, *y: int, z: int = 1, **w: int) -> "Float[A, 2]":\n    u: int = x\n    v: int\n    return u\n'
    )
    assert meaning.meaning(annotated, "a.py") == meaning.meaning(plain, "a.py")
    for old, new in (
        ("    x: A\n", ""),
        ("A = 1", "A = 2"),
        ("y: A", "v: A"),
        ("    y: A = 1", "    y = 1"),
        ("u = x", "u = 1"),
    ):
        assert meaning.meaning(plain.replace(old, new), "a.py") != meaning.meaning(plain, "a.py"), (old, new)


class WithoutWords(ast.NodeTransformer):
    """What `meaning` leaves out, taken out of the tree by Python's own tools, to be dumped afterwards."""

    def generic_visit(self, node):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = node.body[ast.get_docstring(node, clean=False) is not None :]
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        if isinstance(node, ast.ClassDef):
            node.body = [
                ast.Tuple([line.target, line.value]) if isinstance(line, ast.AnnAssign) else line for line in node.body
            ]
        return super().generic_visit(node)

    def visit_arg(self, node):
        return ast.arg(node.arg)

    def visit_AnnAssign(self, node):
        return self.generic_visit(ast.Assign([node.target], node.value)) if node.value else None

    def visit_Assign(self, node):
        return None if ast.unparse(node).startswith("SHOWN = ") else self.generic_visit(node)

    def visit_ImportFrom(self, node):
        return None if node.module in ("__future__", "typing", "jaxtyping") else node

    def visit_If(self, node):
        return None if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)

    def visit_Call(self, node):
        name = ast.unparse(node.func).rpartition(".")[2]
        is_words = name == "print" or name.endswith("Error")
        return ast.Call(node.func, [], []) if is_words else self.generic_visit(node)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="later Pythons dump trees in other words")
@pytest.mark.parametrize("package", ["memory_trials", "stages"])
def test_meaning_is_pythons_own_dump_without_words(package):
    for path in (ROOT / package).rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert meaning.meaning(source, path.name) == ast.dump(WithoutWords().visit(ast.parse(source))).encode(), path


def test_a_digest_is_the_same_under_every_python():
    """Else all that was trained would be stale after Python was updated."""
    source = """
@decorated(a=1.5, **more)
class C(B, key=None):
    x: int
    y: str = u"a\\n"
    def f(self, *args, b=-1, **kw):
        global g
        for i, *rest in zip(a[1:2, ...], b): yield i
        else: return {1: [2], **d}, {3}, (4,), lambda z: z if z else not z
        with open(p) as file, lock: del file
async def h(): return await k() or [q async for q in r if 1 < q <= 2]
try: pass
except* ValueError as error: raise error from None
finally: n = m = b"bytes", f"{value!r:>{width}} text", 1j, True
match point:
    case {"x": [1, *_], **others} | C(y=2) as found if found: (w := 3)
"""
    assert hashlib.sha256(meaning.meaning(source, "a.py")).hexdigest()[:16] == "c3cbb8655b54bb5e"


def test_each_module_that_is_left_out_gives_its_reason():
    found = {}
    for path in (ROOT / "memory_trials").rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == meaning.EXEMPT:
                found[path.relative_to(ROOT / "memory_trials").as_posix()] = ast.literal_eval(node.value)
        is_left_out = path.relative_to(ROOT / "memory_trials").as_posix() in found or path.name == "__init__.py"
        assert meaning._exempt(path) == is_left_out
    assert all(isinstance(reason, str) and len(reason) > 15 for reason in found.values())
    assert found.keys() == {
        "engines/lapack.py", "errors.py", "files.py", "machine.py", "parameter_files.py", "progress.py", "sections.py", "settings.py", "stream_settings.py", "studies/design.py", "studies/schema.py", "tracking/tracker.py",
        "training/cache.py", "training/devices.py", "training/cluster.py", "training/shards.py", "training/trainer.py",
    }  # fmt: skip
