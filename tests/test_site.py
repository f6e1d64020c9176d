"""The site in a real browser: nothing from outside, no wider than a phone, and what an accessibility checker finds."""

import importlib.util
import os
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.conftest import ROOT

needed = ("mkdocs", "material", "mkdocstrings", "axe_playwright_python")
missing = [name for name in needed if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(missing), reason=f"no {', '.join(missing)} here: make site installs what it needs")
PAGES = ("", "all-results.html", "questions.html", "api/tasks.html", "source/params.yaml.html")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "which is not found" not in done.stderr and "does not contain an anchor" not in done.stderr, done.stderr
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="module", params=["light", "dark"])
def phone(browser, request):
    context = browser.new_context(color_scheme=request.param, viewport={"width": 390, "height": 800})
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_asks_nobody_else_fits_a_phone_and_is_accessible(site, phone, path):
    from axe_playwright_python.sync_playwright import Axe

    asked = []
    phone.on("request", lambda request: asked.append(request.url))
    phone.goto(site + path)
    phone.wait_for_load_state("networkidle")
    assert [url for url in asked if not url.startswith((site, "data:", "blob:"))] == []
    assert phone.evaluate("document.documentElement.scrollWidth <= innerWidth")
    found = Axe().run(phone).response["violations"]
    serious = {fault["id"]: fault["nodes"][0]["html"] for fault in found if fault["impact"] in ("serious", "critical")}
    assert serious == {}


def test_the_keyboard_reaches_content_and_search_finds_it(site, phone):
    phone.goto(site)
    phone.keyboard.press("Tab")
    assert "Skip to content" in phone.evaluate("document.activeElement.textContent")
    phone.keyboard.press("/")
    phone.keyboard.type("wilson", delay=30)
    phone.wait_for_selector(".md-search-result__item", timeout=20_000)
