"""The notebooks in examples/, executed in a kernel of Jupyter's, in an empty folder, with few trials."""

import json

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
MISTAKE = "measure('lstn')"


def run(path, folder, monkeypatch) -> list[dict]:
    """The cells of code after they were run with 3 trials, and after them a mistake."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(folder.parent / "jupyter"))
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    for cell in book.cells:
        cell.source = cell.source.replace("TRIALS = 100", "TRIALS = 3").replace("epochs=1000", "epochs=20")
    book.cells.append(nbformat.v4.new_code_cell(MISTAKE, metadata={"tags": ["raises-exception"]}))
    NotebookClient(book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    return [cell for cell in book.cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_in_an_empty_folder_and_leaves_nothing(path, tmp_path, monkeypatch):
    folder = tmp_path / "empty"
    folder.mkdir()
    cells = run(path, folder, monkeypatch)
    assert list(folder.iterdir()) == []
    *shown, (mistake,) = [cell.outputs for cell in cells if cell.outputs]
    assert mistake.traceback[0].startswith("error: model.cell is 'lstn': no such cell") and len(mistake.traceback) == 1
    pages = [
        output.data["text/html"] for outputs in shown for output in outputs if "text/html" in output.get("data", {})
    ]
    assert any("of 3</b>" in page and "data:image/png;base64," in page for page in pages)
    assert any("Of the same 3 seeds" in page for page in pages)
    if path.stem == "your_own_cell":
        assert any(page.count("<td>ok</td>") == 7 for page in pages)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_kept_without_outputs(path):
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert 6 <= len(cells) <= 11 and not any(cell["outputs"] or cell["execution_count"] for cell in cells)
