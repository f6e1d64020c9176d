"""The memory microscope: what its JavaScript computes against the equations in NumPy and against plain Keras, and
whether it can be used, in a real browser."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest

from memory_trials.evaluation import results
from memory_trials.models import forward
from memory_trials.models.keras_model import Model, make_model
from memory_trials.report import microscope
from memory_trials.settings import Settings
from memory_trials.studies import design
from memory_trials.tasks import problems
from memory_trials.tasks.encoding import one_hot
from memory_trials.training.trained import Trained, write_trained
from tests import outcomes

HERE = Path(microscope.__file__).parent
ALPHABET = [0, 1, 2, 3, 4]
MINUS = "\N{MINUS SIGN}"
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>microscope</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>body {{ margin: 12px }} {css}</style>
<div id="microscope"></div><script>{js}</script><script>const specimen = {specimen};</script>"""


def make_arm(folder: Path, trials: int = 3, scale: float = 1.0, **changes) -> tuple[design.Arm, Trained]:
    """An arm of random weights, as training and evaluation would leave it; trial 1 has learned, at a loss of 0.2."""
    defaults = {"problem": {"sequences": [[3, 0, 1, 2, 3], [4, 0, 1, 2, 4]]}, "model": {"units": 7}}
    settings = Settings.model_validate(design.changed(defaults, changes, "test"))
    model = make_model(settings.model, len(ALPHABET) * settings.encoding.history, len(ALPHABET))
    random = np.random.default_rng(5)
    weights = [(scale * random.normal(size=(trials, *v.shape))).astype(np.float32) for v in model.variables]
    nothing = np.zeros((trials, 1), np.float32)
    found = (nothing.astype(bool), nothing, nothing)
    trained = Trained(np.arange(trials), dict(zip(model.names, weights)), nothing, np.array([1]), *found)
    arm = design.Arm("test", "", settings, {}, design.pipeline_files(folder))
    write_trained(arm.files.trained, trained, {})
    arm.files.sequences.write_text(problems.make_problem(settings.problem).to_json())
    seeds, known = np.arange(trials), np.arange(trials) == 1
    losses = np.tile((0.1 * seeds + 0.1).round(1)[:, np.newaxis], 2)
    results.write(folder, outcomes.made_up(seeds, losses, np.array([2]), known[:, np.newaxis]))
    return arm, trained


@pytest.fixture
def open_page(browser):
    """Opens a page with a specimen at a width; every error, warning and request of it is a failure at the end."""
    pages, told = [], []

    def opened(specimen: dict, width: int = 1200):
        css, *js = ((HERE / name).read_text() for name in ("microscope.css", "equations.js", "microscope.js"))
        page = browser.new_page(viewport={"width": width, "height": 800})
        pages.append(page)
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda request: told.append(request.url))
        page.set_content(PAGE.format(css=css, js="\n".join(js), specimen=json.dumps(specimen)))
        page.evaluate("Microscope.mount(document.getElementById('microscope'), specimen)")
        return page

    yield opened
    for page in pages:
        page.close()
    assert told == []


def in_keras(model: Model, weights: list[np.ndarray], x: np.ndarray) -> dict[str, np.ndarray]:
    """One trial's output, h and c [L, ...] of one sequence x [L, F], one call of Keras's layers a step."""
    for variable, value in zip(model.variables, weights):
        variable.assign(value)
    states, steps = model.begin(1), []
    for vector in one_hot(x, model.variables[0].shape[0]):
        h, states = model.cell(vector[np.newaxis], states)
        steps.append([np.array(model.dense(h))[0], np.array(h)[0], np.array(states[-1] if states else h)[0]])
    return dict(zip(("output", "h", "c"), map(np.array, zip(*steps))))


IN_THE_PAGE = """([trial, symbols]) => Equations.forward(specimen, trial, symbols.map(String)).map((step) =>
    ({ places: step.places, output: [...step.output], h: [...step.h], c: [...(step.c ?? step.h)],
       z: [...step.z.output], gates: Object.fromEntries(Object.entries(step.gates).map(([k, v]) => [k, [...v]])) }))"""


@pytest.mark.parametrize("cell, gates", [("lstm", "ifgo"), ("gru", "zrg"), ("simple_rnn", ""), ("mlp", "")])
@pytest.mark.parametrize("output, history", [("sigmoid", 1), ("softmax", 3)])
def test_the_page_computes_what_numpy_and_keras_compute(cell, gates, output, history, tmp_path, open_page):
    arm, trained = make_arm(tmp_path, **{"model.cell": cell, "model.output": output, "encoding.history": history})
    specimen = microscope.specimens(arm)
    page = open_page(specimen)
    settings = arm.settings.model
    model = make_model(settings, len(ALPHABET) * history, len(ALPHABET))
    for symbols in ([3, 0, 1, 2], [4, 0, 1, 2, 4, 4, 3, 0, 0, 1, 2, 2], [1]):
        x = np.full((len(symbols), history), -1)
        for back in range(min(history, len(symbols))):
            x[back:, back] = np.array(symbols[: len(symbols) - back]) + back * len(ALPHABET)
        every = np.stack([o for _, o in forward.outputs(settings, trained.weights, x[np.newaxis])], axis=2)[:, 0]
        for trial in (0, 2):
            steps = page.evaluate(IN_THE_PAGE, [trial, symbols])
            assert [step["places"] for step in steps] == [[place for place in row if place >= 0] for row in x.tolist()]
            assert all(list(step["gates"]) == list(gates) for step in steps)
            assert np.abs(np.array([step["output"] for step in steps]) - every[trial]).max() < 1e-5
            if len(symbols) > 4:
                keras = in_keras(model, [w[trial] for w in trained.weights.values()], x)
                for name, expected in keras.items():
                    assert np.abs(np.array([step[name] for step in steps]) - expected).max() < 1e-5


def test_every_number_of_a_calculation_can_be_read_off(tmp_path, open_page):
    arm, _ = make_arm(tmp_path)
    page = open_page(microscope.specimens(arm))
    page.locator(".map").nth(3).click(position={"x": 60, "y": 5})  # sequence 1's cell state, first row, second step
    lines = page.locator(".panel .line").all_inner_texts()
    assert [line.split("\n")[0] for line in lines] == [
        "input gate i", "forget gate f", "candidate g", "output gate o", "cell state c", "hidden state h"]  # fmt: skip
    status = page.locator(".chosen-words").inner_text().replace(MINUS, "-")
    assert "step 2" in status
    unit, said = int(status.split("unit ")[1].split(",")[0]), float(status.split(": ")[1])
    step = page.evaluate(IN_THE_PAGE, [1, [3, 0]])[1]  # trial 1 has learned, so it is shown first
    assert said == pytest.approx(step["c"][unit], abs=6e-5)
    for line, gate in zip(lines, "ifgo"):
        assert f"= {step['gates'][gate][unit]:.4f}".replace("-", MINUS) in " ".join(line.split())
    page.locator(".products summary").first.click()
    products = page.locator(".products[open] tbody tr")
    products.nth(6).wait_for()
    assert products.count() == 7
    numbers = [[float(n.replace(MINUS, "-")) for n in row.split()] for row in products.all_inner_texts()]
    assert all(h * weight == pytest.approx(product, abs=5e-4) for _, h, weight, product in numbers)
    page.locator("input.step").fill("1")  # the choice goes with the step, and nothing comes before the first
    assert "step 1" in page.locator(".chosen-words").inner_text() and page.locator(".products").count() == 0


def test_the_keyboard_is_enough(tmp_path, open_page):
    arm, _ = make_arm(tmp_path)
    page = open_page(microscope.specimens(arm))
    words = page.locator(".chosen-words")

    def tab_to(selector: str) -> None:
        for _ in range(20):
            page.keyboard.press("Tab")
            if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
                return
        raise AssertionError(f"Tab never comes to {selector}")

    tab_to("select.trial")
    verdict = page.locator(".verdict").inner_text()
    page.keyboard.press("ArrowDown")
    assert "did not learn" in page.locator("select.trial option:checked").inner_text()
    assert page.locator(".verdict").inner_text() != verdict
    tab_to("input.step")
    page.keyboard.press("ArrowLeft")
    assert "step 3" in words.inner_text()
    tab_to(".stage")
    before = words.inner_text()
    page.keyboard.press("ArrowDown")
    assert words.inner_text() != before and "step 3" in words.inner_text()
    page.keyboard.press("End")
    page.keyboard.press("ArrowRight")
    assert "sequence 2" in words.inner_text() and "step 1" in words.inner_text()
    page.keyboard.press("PageUp")
    assert words.inner_text().startswith("output y of sequence 2, symbol ")
    for _ in range(len(ALPHABET)):
        page.keyboard.press("ArrowDown")
    assert words.inner_text().startswith("cell state c of sequence 2, unit ")
    for _ in range(9):
        page.keyboard.press("PageDown")
    assert words.inner_text().startswith("output gate o")


def test_a_typed_sequence_is_computed_and_a_mistake_leaves_the_picture(tmp_path, open_page):
    arm, _ = make_arm(tmp_path)
    page = open_page(microscope.specimens(arm))
    alert, verdict, field = page.get_by_role("alert"), page.locator(".verdict"), page.locator("input.of-0")
    field.fill("1, 1 2")
    assert (
        verdict.inner_text().startswith("After 1 1 2 this trial says ")
        and "right" not in verdict.inner_text().split(",")[0]
    )
    said = page.evaluate(IN_THE_PAGE, [1, [1, 1, 2]])[-1]["output"]
    assert f"says {np.argmax(said)} ({max(said):.3f})" in verdict.inner_text()
    shown = page.locator(".bench").inner_html()
    for text, sentence in (("1 9", "Sequence 1: there is no symbol 9; the symbols are 0 1 2 3 4."),
                           (" ", "Sequence 1 is empty: type at least one symbol, such as 3 0 1 2."),
                           ("1 " * 2001, "Sequence 1 has 2001 symbols: 2000 are the most that are shown here.")):  # fmt: skip
        field.fill(text)
        field.press("Enter")
        assert alert.inner_text() == sentence
        assert page.locator(".bench").inner_html() == shown
    field.fill("3 0 1 2")
    assert alert.inner_text() == "" and "After 3 0 1 2 this trial" in verdict.inner_text()


def test_words_with_spaces_are_symbols_too(tmp_path, open_page):
    arm, _ = make_arm(tmp_path)
    specimen = microscope.specimens(arm) | {
        "alphabet": ["ice cream", "b", "<c>", "d", "e"], "evaluation_sequences": [["ice cream", "b", "d"], ["<c>", "b", "e"]]
    }  # fmt: skip
    page = open_page(specimen)
    assert page.locator(".verdict").inner_text().startswith("After ice cream, b this trial says ")
    page.locator("input.of-1").fill("d,ice cream")
    assert "after d, ice cream it says" in page.locator(".verdict").inner_text()


def test_symbols_have_the_names_that_they_have_everywhere(tmp_path, open_page):
    sequences = [
        [100000.0, "a, b", "\n", 1e-5],
        ["007", "a, b", "\n", 100000.0],
    ]  # JavaScript has other names for two of them
    arm, _ = make_arm(tmp_path, **{"problem.sequences": sequences})
    specimen = microscope.specimens(arm)
    assert specimen["alphabet"] == ["1e-05", "100000.0", "\\n", "007", "a, b"]
    page = open_page(specimen)
    assert page.locator(".verdict").inner_text().startswith('After 100000.0, "a, b", \\n this trial says ')
    page.locator("input.of-1").fill('007 "a, b" 1e-05')
    assert 'after 007, "a, b", 1e-05 it says' in page.locator(".verdict").inner_text()


def test_a_trial_that_diverged_is_told(tmp_path, open_page):
    arm, _ = make_arm(tmp_path, scale=np.nan)
    specimen = microscope.specimens(arm)
    page = open_page(json.loads(json.dumps(specimen, allow_nan=False)))
    assert page.locator(".verdict").inner_text() == "This trial's outputs are not numbers: its training diverged."


@pytest.mark.parametrize("length", [4, 300])
def test_nothing_is_wider_than_a_phone(length, tmp_path, open_page):
    sequences = [[key, *[0, 1, 2] * (length // 3 - (length > 4)), key] for key in (3, 4)]
    arm, _ = make_arm(tmp_path, **{"problem.sequences": sequences, "model.units": 60})
    page = open_page(microscope.specimens(arm), width=360)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator(".products summary").first.click()
    page.locator("input.step").fill("2")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("document.querySelectorAll('.microscope canvas').length") == 21


def test_a_specimen_holds_the_weights_exactly(tmp_path):
    arm, trained = make_arm(tmp_path)
    specimen = microscope.specimens(arm)
    flat = np.frombuffer(base64.b64decode(specimen["trials"][2]["weights"]), "<f4")
    assert np.array_equal(flat, np.concatenate([array[2].ravel() for array in trained.weights.values()]))
    assert specimen["variables"][0] == {"name": "cell/kernel", "shape": [5, 28]}
    assert json.loads(json.dumps(specimen, allow_nan=False)) == specimen


def test_of_too_many_weights_the_telling_trials_are_kept(tmp_path):
    arm, _ = make_arm(tmp_path, trials=5)
    each = len(microscope.specimens(arm)["trials"][0]["weights"])
    seeds = lambda largest: [trial["seed"] for trial in microscope.specimens(arm, largest)["trials"]]
    assert seeds(5 * each) == [0, 1, 2, 3, 4]
    assert seeds(4 * each) == [0, 1, 2, 3]
    assert seeds(2 * each) == [0, 1] and seeds(each) == [1]
    assert microscope.specimens(arm, each)["trials_in_all"] == 5
    assert microscope.specimens(arm, each - 1) is None


def test_only_models_whose_equations_are_known_are_looked_at(tmp_path):
    arm, _ = make_arm(tmp_path, **{"encoding.history": 2, "encoding.history_as": "steps"})
    assert microscope.specimens(arm) is None
    arm, _ = make_arm(tmp_path, **{"model.cell_options": {"activation": "relu"}})
    assert microscope.specimens(arm) is None
