"""What docs/reliability.md says under "Who gets in" of the code as a whole; what single modules refuse is tested with them."""

import ast
import re
import subprocess

import pytest

from tests.conftest import ROOT

OURS = sorted(path for folder in ("memory_trials", "stages", "my_cells") for path in (ROOT / folder).rglob("*.py"))
RUNS_WHAT_IT_READS = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "joblib",
    "marshal",
    "shelve",
    "jsonpickle",
}


def calls(tree: ast.AST) -> list[tuple[str, dict[str, object]]]:
    """The name of each function that is called, by its last word, with the constants it is given by name."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            given = {word.arg: getattr(word.value, "value", word.value) for word in node.keywords}
            found.append((name, given | {"on": ast.unparse(node.func)}))
    return found


def careless(source: str) -> list[str]:
    """What in this code would run what it reads."""
    tree, found = ast.parse(source), []
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found += [name for name in names if name.partition(".")[0] in RUNS_WHAT_IT_READS]
    for name, given in calls(tree):
        if given["on"] in ("np.load", "numpy.load") and given.get("allow_pickle") is not False:
            found.append("np.load")
        if name in ("load_model", "deserialize_keras_object", "from_config") and given.get("safe_mode") is False:
            found.append(name)
        if given["on"] in ("os.system", "os.popen"):
            found.append(name)
        if name in ("eval", "exec", "unsafe_load", "full_load", "enable_unsafe_deserialization"):
            found.append(name)
        if given.get("allow_pickle") is True or given.get("shell") is True:
            found.append(name)
    return found


# What a process says to the one that it has started itself, over a pipe that no other has: cells and arrays
BETWEEN_TWO_PROCESSES = {"own.py", "worker.py", "trying_jax.py"}


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_nothing_that_is_read_is_run(path):
    allowed = {"pickle", "cloudpickle"} if path.name in BETWEEN_TWO_PROCESSES else set()
    assert set(careless(path.read_text())) <= allowed


@pytest.mark.parametrize("name", sorted(BETWEEN_TWO_PROCESSES))
def test_what_is_pickled_comes_from_no_file(name):
    (path,) = (path for path in OURS if path.name == name)
    on = {given["on"] for _, given in calls(ast.parse(path.read_text()))}
    assert not {"pickle.load", "pickle.Unpickler", "cloudpickle.load", "cloudpickle.loads"} & on


@pytest.mark.parametrize(
    "source",
    ["import pickle", "from joblib import load", "np.load(path)", "np.load(path, allow_pickle=True)", "eval(text)",
     "keras.models.load_model(path, safe_mode=False)", "yaml.unsafe_load(text)", "subprocess.run(text, shell=True)"],
)  # fmt: skip
def test_it_would_be_noticed(source):
    assert careless(source)


def test_modules_are_imported_by_name_where_the_name_is_ours_or_that_of_a_cell():
    """layers: the cell that params.yaml names (test_predictor: an artifact that names one does not have it imported).
    registry: the modules of cells/. streams, task_figures: those of tasks/endless/. worker: the function that the process which started it asks for. backend:
    tensorflow."""
    by_name = [
        path.name for path in OURS if any(name == "import_module" for name, _ in calls(ast.parse(path.read_text())))
    ]
    assert sorted(by_name) == ["backend.py", "layers.py", "registry.py", "streams.py", "task_figures.py", "worker.py"]


def test_servers_are_for_this_machine_unless_told_otherwise():
    from memory_trials.cli import commands

    defaults = [{option.name: option.default for option in commands.commands[name].params} for name in ("serve", "ui")]
    assert defaults == [{"host": "127.0.0.1", "port": 5001}, {"host": "127.0.0.1", "port": 5000}]
    assert not [path.name for path in OURS if "0.0.0.0" in path.read_text()]


def locks():
    names = subprocess.run(["git", "ls-files", "*requirements*.txt"], cwd=ROOT, capture_output=True, text=True)
    return names.stdout.split()


@pytest.mark.parametrize("name", locks())
def test_every_package_is_locked_by_its_hashes_and_no_host_is_named(name):
    text = (ROOT / name).read_text()
    packages = re.split(r"\n(?=[A-Za-z0-9])", text.strip())
    assert len(packages) > 5
    for package in packages:
        assert re.match(r"[\w.\-\[\],]+==\S+", package) and "--hash=sha256:" in package, package[:80]
    assert "://" not in text


def test_what_is_installed_is_what_is_locked():
    installs = [line for line in (ROOT / "Makefile").read_text().splitlines() if "pip install" in line]
    own = "--no-deps --no-index --no-build-isolation -e ."  # fetches nothing
    assert installs and all("--require-hashes" in line or own in line for line in installs)
