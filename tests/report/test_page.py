"""report.html in a real browser: alone, offline, by keyboard, on a phone."""

import shutil

import pytest

from memory_trials import files
from memory_trials.errors import UserError
from memory_trials.evaluation import results
from memory_trials.report import page
from memory_trials.studies import design
from tests.conftest import ROOT
from tests.small_results import small_result

HOSTILE = '</script><img src="https://example.org/x.png">'  # a symbol may be any text


def reported(folder, *changes: tuple[str, str]):
    """report.html of four short trials, the studies' summaries, and two cells of the probe, in a folder of its own."""
    for name in (
        "experiments/studies.yaml",
        "experiments/probe.yaml",
        *(f"experiments/data/probe/{cell}.csv" for cell in ("lstm", "gru")),
        *(f"experiments/data/studies/summaries/{study}.json" for study in ("cells", "tuning")),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    with small_result(folder, *changes):
        page.write()
    return folder / page.FILE


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return reported(tmp_path_factory.mktemp("report"))


class Visit:
    """A page that writes down what it should not do: say something on the console, or ask for another file."""

    def __init__(self, browser, path, width=1280):
        self.page = browser.new_page(viewport={"width": width, "height": 800})
        self.heard: list[str] = []
        self.page.on("console", lambda message: self.heard.append(message.text))
        self.page.on("pageerror", lambda error: self.heard.append(str(error)))
        self.page.on("request", lambda request: self.heard.append(request.url))
        self.page.goto(path.as_uri())
        assert self.heard.pop(0) == path.as_uri()

    def draw_all(self):
        """Scroll through; the ids of the charts that were drawn."""
        charts = self.page.locator(".chart")
        for chart in charts.all():
            chart.scroll_into_view_if_needed()
            chart.locator("svg.marks").wait_for()
        return [chart.get_attribute("id") for chart in charts.all()]

    def fits(self) -> bool:
        return self.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_everything_is_drawn_in_one_small_file_that_asks_for_nothing(browser, report):
    visit = Visit(browser, report)
    drawn = visit.draw_all()
    assert {"answer-learned", "answer-loss", "answer-time_to_learn", "answer-confusion"} <= set(drawn)
    assert {"cells-rate", "cells-time", "tuning-front"} <= set(drawn)
    metrics = files.read_json(report.parent / "data/tutorial" / results.METRICS)
    assert f"{metrics['successes']} of 4 trials learned" in visit.page.inner_text(".answer")
    summary = files.read_json(report.parent / design.FOLDER / design.SUMMARIES / "cells.json")
    assert summary["answer"] in visit.page.inner_text("#cells") and "Can only an LSTM" in visit.page.inner_text(
        "#cells"
    )
    for text in ("gru", "39 %", "trials that learned (%)"):
        assert text in visit.page.locator("#cells-rate").inner_html()
    assert {"probe-learned", "probe-holds", "probe-recall"} <= set(drawn)
    assert "2 cells on" in visit.page.inner_text("#probe ul") and "96-100" in visit.page.inner_html("#probe-learned")
    assert visit.page.locator("#probe > details").count() == 4
    assert "seed 3" in visit.page.inner_html("#microscope")
    captions = visit.page.locator("figcaption").all_inner_texts()
    assert any("band: 10 % to 90 % of trials" in caption for caption in captions)
    assert not any("[" in caption for caption in captions)
    assert visit.heard == []
    assert report.stat().st_size < 5_000_000


def test_it_is_used_by_keyboard(browser, report):
    visit = Visit(browser, report)
    press = visit.page.keyboard.press
    focused = lambda: visit.page.evaluate("document.activeElement.textContent")
    for _ in range(10):
        press("Tab")
        if focused() == "The studies":
            break
    press("Enter")
    visit.page.wait_for_function("Math.abs(document.querySelector('#studies').getBoundingClientRect().top) < 100")
    table = visit.page.locator("#cells > details")
    for _ in range(40):
        press("Tab")
        if focused().startswith("All 4 arms"):
            break
    assert not table.evaluate("element => element.open")
    press("Enter")
    assert table.evaluate("element => element.open") and "76 % (67 to 83 %)" in table.inner_text()
    assert visit.heard == []


def test_it_fits_a_phone(browser, report):
    visit = Visit(browser, report, width=360)
    visit.draw_all()
    assert visit.fits() and visit.heard == []


def test_symbols_cannot_break_the_page(browser, tmp_path):
    old = "    - [3, 0, 1, 2, 3]\n    - [4, 0, 1, 2, 4]"
    path = reported(tmp_path, (old, f"    - ['{HOSTILE}', b, c]\n    - [d, b, '{HOSTILE}']"))
    visit = Visit(browser, path)
    visit.draw_all()
    assert HOSTILE in visit.page.inner_text("header")
    assert visit.page.locator("img").count() == 0 and visit.heard == []


def test_without_results_it_says_what_to_do(tmp_path, monkeypatch):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="data/tutorial/trained.npz does not exist: run dvc repro"):
        page.write()
    assert not page.FILE.exists()


def test_charts_have_names_and_numbers_for_those_who_do_not_see_them(browser, report):
    visit = Visit(browser, report, width=390)
    visit.draw_all()
    menus = visit.page.locator(".chart summary").evaluate_all("all => all.map(one => one.getAttribute('aria-label'))")
    assert menus and all(name.startswith("Save the chart: ") for name in menus)
    numbers = visit.page.locator("#answer .numbers").first
    numbers.locator("summary").click()
    numbers.locator("tbody tr").last.wait_for()  # it is filled when it is opened
    assert numbers.locator("thead th").all_inner_texts()[0] == "epoch" and numbers.locator("tbody tr").count() > 3
    assert visit.page.locator("th").evaluate_all("all => all.every(one => one.textContent.trim())")
    wide = "[...document.querySelectorAll('.scroll, pre')].filter(one => one.scrollWidth > one.clientWidth)"
    visit.page.wait_for_function(f"{wide}.every(one => one.tabIndex === 0 && one.getAttribute('aria-label'))")
    assert visit.fits() and visit.heard == []


def test_a_link_chooses_its_trial_in_the_microscope(browser, report):
    visit = Visit(browser, report)
    visit.draw_all()  # else a chart that is drawn between press and release may move the link away
    link = visit.page.locator("a[data-seed]").last
    seed = link.get_attribute("data-seed")
    link.click()
    assert visit.page.locator("select.trial option:checked").inner_text().startswith(f"seed {seed},")
    assert visit.heard == []


def test_an_accessibility_checker_finds_nothing_serious(browser, report):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    context = browser.new_context(color_scheme="dark", bypass_csp=True)
    page_ = context.new_page()
    page_.goto(report.as_uri())
    for chart in page_.locator(".chart").all():
        chart.scroll_into_view_if_needed()
        chart.locator("svg.marks").wait_for()
    # what Vega draws is thousands of shapes under one name
    found = axe.run(page_, context={"exclude": [[".chart svg"], ["#microscope .grid"]]}).response["violations"]
    context.close()
    assert {fault["id"]: fault["nodes"][0]["html"] for fault in found} == {}
