"""A picture's bytes depend on its specification alone: not on the machine's fonts, its zlib, or a number's last bits."""

import hashlib
import io
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import vl_convert
from fontTools.ttLib import TTFont
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from memory_trials.report import drawing
from tests.conftest import ROOT

# the style in which the digests below were recorded
CONFIG = {
    "font": f"{drawing.FAMILY}, Liberation Sans, Arial, Helvetica, sans-serif",
    "view": {"stroke": None},
    "axis": {"gridColor": "#e3e3e3", "domainColor": "#888", "tickColor": "#888", "tickCount": 6, "labelOverlap": True,
             "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal", "labelLimit": 0, "titleLimit": 0},
    "title": {"anchor": "start", "fontSize": 13, "subtitleFontSize": 11, "subtitleColor": "#555", "limit": 0,
              "fontWeight": "bold", "offset": 10, "subtitlePadding": 4},
    "header": {"labelFontSize": 12, "titleFontSize": 12, "labelLimit": 0},
    "legend": {"labelLimit": 0, "titleFontWeight": "normal", "symbolOpacity": 1, "symbolSize": 90},
}  # fmt: skip


def chart(share: float = 100 / 3, symbol: str = "über", title: str = "αβγ, naïve, Ж") -> dict:
    """A line, a band, points and words on a logarithmic axis."""
    rows = [{"x": x, "y": share * math.log1p(x), "symbol": symbol} for x in (1, 7, 50, 300)]
    x = {"field": "x", "type": "quantitative", "scale": {"type": "log"}, "title": "epochs (%)"}
    y = {"field": "y", "type": "quantitative"}
    return {
        "data": {"values": json.dumps(rows, ensure_ascii=False), "format": {"type": "json"}},
        "title": {"text": [title], "subtitle": "thick: median"},
        "config": CONFIG,
        "encoding": {"x": x, "y": y},
        "layer": [
            {"mark": {"type": "area", "opacity": 0.25, "color": "#0b5394"}},
            {"mark": {"type": "line", "strokeDash": [7, 3], "color": "#b45f06"}},
            {"mark": {"type": "point", "filled": True, "shape": "circle", "size": 70}},
            {"mark": {"type": "text", "dy": -9}, "encoding": {"text": {"field": "symbol"}}},
        ],
    }


def digests(specification: dict) -> list[str]:
    drawn = drawing.svg(specification)
    return [hashlib.sha256(content).hexdigest() for content in (drawn.encode(), drawing.png(drawn))]


# of chart(): emulated processors without AVX, with AVX2, and ARM give the same; a new vl-convert or deflate may not
RECORDED = [
    "f2be77aaa8b5c7c7258bb2bad60dcc5a798e5d1dd0811a8a125bdab26ad68462",
    "3eeed3196a106525afccbade0c39a6b1cdfd7d6edb11b97305e09536f5cb3f7b",
]


def test_a_recorded_chart():
    assert digests(chart()) == RECORDED


def impostor(path: Path, family: str) -> None:
    """A font of this name that shows % for each character, also for one that the project's font lacks."""
    font = TTFont(drawing.FONTS / "MemoryTrialsSans-Regular.ttf")
    for number, name in ((1, family), (4, family), (6, family.replace(" ", ""))):
        font["name"].setName(name, number, 3, 1, 0x409)
    percent = font.getBestCmap()[ord("%")]
    for table in font["cmap"].tables:
        table.cmap = dict.fromkeys((*table.cmap, ord("日")), percent)
    font.save(path)


def plainly(family: str, text: str) -> bytes:
    """The text as vl-convert draws it when nobody looks after its fonts."""
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="99" height="20"><text y="15" font-family="{family}">{text}</text></svg>'
    return vl_convert.svg_to_png(svg)


@pytest.mark.parametrize("fonts", ["none", "the machine's", "others"])
def test_the_machines_fonts_change_no_byte(fonts, tmp_path):
    installed = tmp_path / "fonts"
    installed.mkdir()
    if fonts == "others":
        for family in ("Liberation Sans", "Arial", "Helvetica"):
            impostor(installed / f"{family}.ttf", family)
    (tmp_path / "fonts.conf").write_text(f"<fontconfig><dir>{installed}</dir></fontconfig>")
    environment = {"HOME": str(tmp_path), "PATH": os.defpath, "FONTCONFIG_FILE": str(tmp_path / "fonts.conf")}
    if fonts == "the machine's":
        environment = dict(os.environ)
    program = """if True:
        from tests.report.test_drawing import *
        print(*digests(chart()), *digests(chart(symbol="日")))
        print(*(plainly("Liberation Sans", char) == plainly("Liberation Sans", "%") for char in "a日"))
    """
    done = subprocess.run(  # a process looks at the machine's fonts once
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    drawn, taken = done.stdout.splitlines()
    assert drawn.split() == RECORDED + digests(chart(symbol="日"))
    if fonts != "the machine's":  # other text is set in the impostor, so this test could fail
        assert taken == ("True True" if fonts == "others" else "False False")


def test_both_faces_have_the_same_characters_and_the_name_that_is_asked_for():
    faces = [TTFont(path) for path in sorted(drawing.FONTS.glob("*.ttf"))]
    assert [face["name"].getDebugName(2) for face in faces] == ["Bold", "Regular"]
    assert {face["name"].getDebugName(1) for face in faces} == {drawing.FAMILY}
    assert faces[0].getBestCmap().keys() == faces[1].getBestCmap().keys() == drawing._characters()
    assert "Liberation" not in "".join(str(name) for face in faces for name in face["name"].names if name.nameID != 0)


def test_the_last_bits_of_a_number_change_no_byte():
    assert digests(chart(math.nextafter(100 / 3, 0))) == digests(chart())
    assert digests(chart(33.4)) != digests(chart())


def words(specification: dict) -> str:
    return " ".join(ElementTree.fromstring(drawing.svg(specification)).itertext())


def test_characters_that_the_font_lacks_are_shown_by_their_number():
    shown = words(chart(symbol="日", title="ein Ü, 日本 und \x01"))
    assert "ein Ü, U+65E5U+672C und U+0001" in shown and " U+65E5 " in shown


@hypothesis_settings(max_examples=25)
@given(st.text(st.characters(codec="utf-8"), max_size=6))
@example("\x00\b\f\t\x7f\ufeff\ufffe\u200b\u2028\u202e")
@example("</text>&amp;<![CDATA[")
@example("👩‍👩‍👧é")
@example("if")
@example("constructor")
def test_any_text_can_be_drawn(text):
    shown = words(chart(symbol=text, title=text))
    assert all(char in "\n\t" or ord(char) in drawing._characters() for char in shown)


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_a_png_holds_its_pixels(pixels):
    with Image.open(io.BytesIO(drawing.encode_png(pixels))) as picture:
        assert picture.mode == "RGB" and np.array_equal(np.asarray(picture), pixels)
