"""Which library computes a cell of the user's: read off its code, without running it."""

import sys

import pytest

from memory_trials.engines import own

CELL = "import keras\n\n\nclass Cell(keras.layers.Layer):\n    pass\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"new.py": CELL}, False),
        ({"new.py": "import tensorflow as tf\n" + CELL}, True),
        ({"new.py": "from {package} import helper\n" + CELL, "helper.py": "from tensorflow import math\n"}, True),
        ({"new.py": "from {package}.helper import f\n" + CELL, "helper.py": "import tensorflow_probability\n"}, True),
        ({"new.py": "from {package}.deep import f\n" + CELL, "deep/__init__.py": "import tensorflow\n"}, True),
        ({"new.py": CELL, "another.py": "import tensorflow\n"}, False),  # which the cell does not import
        ({"new.py": "import {package}.new\nimport nowhere\n" + CELL}, False),
        ({"new.py": "def"}, False),  # whoever imports it is told
    ],
)
def test_a_cell_calls_tensorflow_where_it_or_what_it_imports_does(files, expected, tmp_path, monkeypatch, request):
    package = f"cells_{abs(hash(request.node.name))}"
    for name, text in files.items():
        path = tmp_path / package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("{package}", package))
    (tmp_path / package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert own.calls_tensorflow(f"{package}.new.Cell") is expected
    assert not [name for name in sys.modules if name.startswith(package)]  # nothing of it was imported
