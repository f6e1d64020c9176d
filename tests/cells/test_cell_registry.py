"""Every table of cells follows from the modules of one folder: one more file is one more cell everywhere."""

import ast
import importlib
from pathlib import Path

import numpy as np
import pytest

from memory_trials import cells
from memory_trials.cells import registry
from memory_trials.engines import native, streaming
from memory_trials.errors import UserError
from memory_trials.models import forward, initializers
from memory_trials.report import palette
from memory_trials.settings import ModelSettings, Settings
from memory_trials.studies import dependencies
from memory_trials.training import cache

HOME = """
from memory_trials.cells.interface import Cell, Keras, Shown
from memory_trials.numerics.elementary import product, tanh

def step(weights, x, h, c):
    return h / 2 + tanh(x + product(h, weights["cell/recurrent_kernel"]) + weights["cell/bias"]) / 2, c

CELL = Cell(
    step=step,
    keras=Keras("SimpleRNNCell", "SimpleRNN", ("cell", "kernel", "recurrent", "bias", "output"), frozenset({"seed"})),
)
SHOWN = Shown("#123456", "cross", [1, 1])
"""
PROBLEM = {"sequences": [[0, 1, 0], [1, 1, 1]]}


@pytest.fixture
def half_rnn(tmp_path, monkeypatch):
    """A cell that is one more file in a folder of cells."""
    (tmp_path / "half_rnn.py").write_text(HOME)
    (tmp_path / "only_jax.py").write_text(
        "from memory_trials.cells.interface import Cell, Jax\nCELL = Cell(jax=Jax(None))"
    )
    monkeypatch.setattr(cells, "__path__", [*cells.__path__, str(tmp_path)])
    registry.all_cells.cache_clear()
    yield ModelSettings(cell="half_rnn", units=3)
    registry.all_cells.cache_clear()


def test_one_more_file_is_a_cell_everywhere(half_rnn):
    assert list(registry.all_cells()) == sorted(registry.all_cells()) and registry.find("half_rnn")
    settings = Settings(problem=PROBLEM, model={"cell": "half_rnn", "units": 3})
    assert palette.series_style("half_rnn") == ("#123456", "cross", [1, 1])
    assert "half_rnn" in dependencies.looks()
    assert initializers.supports(half_rnn) and not initializers.supports(
        half_rnn.model_copy(update={"cell_options": {"bias_initializer": "ones"}})
    )
    seeds = np.arange(4)
    drawn = initializers.initial_weights(half_rnn, 2, 2, seeds)
    as_elman = initializers.initial_weights(ModelSettings(cell="simple_rnn", units=3), 2, 2, seeds)
    assert all(np.array_equal(one, other) for one, other in zip(drawn, as_elman))
    names = registry.find("half_rnn").shapes(3, 2, 2)
    (_, first), (_, _) = forward.outputs(half_rnn, dict(zip(names, drawn)), np.zeros((1, 2, 1), int))
    h = np.tanh(drawn[0][:, 0] + drawn[2]) / 2
    z = np.einsum("tu,tus->ts", h, drawn[3]) + drawn[4]
    assert np.allclose(first[:, 0], 1 / (1 + np.exp(-z)), atol=1e-6)
    assert not native.trains(settings.model)  # but XLA does


def test_what_a_cell_does_not_have_is_refused_in_one_sentence(half_rnn):
    stream = {"task": "keys"}
    for problem, model, sentence in (
        (
            {"stream": stream},
            {"cell": "half_rnn"},
            "Settings: problem.stream is for the cells attention, chunker, .*, not 'half_rnn'",
        ),
        (
            PROBLEM,
            {"cell": "half_rnn", "forget_bias": 1.0},
            "forget_bias is for the cells gru and lstm; half_rnn has no forget gate",
        ),
        (PROBLEM, {"cell": "chunker"}, "the cell chunker learns from a stream: set problem.stream"),
        (PROBLEM, {"cell": "half"}, "the built-in cells are attention, chunker, .*, gru, half_rnn, lru, lstm"),
    ):
        with pytest.raises(UserError, match=sentence):
            Settings(problem=problem, model=model)
    Settings(problem={"stream": stream}, model={"cell": "only_jax"}, training={"update": "sequence"})
    Settings(problem=PROBLEM, model={"cell": "only_jax"})


def test_engines_train_the_cells_that_name_them():
    for engine in (native, streaming):
        name = engine.__name__.rpartition(".")[2]
        assert sorted(engine.CELLS) == registry.named(lambda cell, name=name: name in cell.engines)
        assert name in cache.ROOTS


def test_neither_tensorflow_nor_jax_is_imported_with_the_cells():
    """Nor anything of the library that imports them."""
    for path in Path(cells.__file__).parent.glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            names = [alias.name for alias in getattr(node, "names", [])] + [getattr(node, "module", None) or ""]
            assert not {name.partition(".")[0] for name in names} & {"tensorflow", "keras", "jax"}, path
            assert not any(name.startswith(("memory_trials.models", "memory_trials.engines")) for name in names), path


def test_a_changed_colour_trains_nothing_anew_and_a_changed_equation_does():
    from memory_trials import meaning

    source = Path(importlib.import_module(registry.module_of("gru")).__file__).read_text()
    recoloured = source.replace("#b45f06", "#000000")
    rewritten = source.replace("update * h", "h * update")
    assert recoloured != source != rewritten
    assert (
        meaning.meaning(recoloured, "gru.py")
        == meaning.meaning(source, "gru.py")
        != meaning.meaning(rewritten, "gru.py")
    )
    assert cache.code("native", "gru") != cache.code("native", "lstm")
