"""A chart's specification as a picture with the same bytes on every machine (docs/reproducibility.md says how).

Text is set in a font that the project brings along, under a name that no machine has. What differs in the last bits is
rounded away. PNG is compressed by a library that is the same everywhere.
"""

import functools
import io
import json
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import deflate
import numpy as np
import vl_convert
from PIL import Image

FONTS = Path(__file__).parent / "fonts"
FAMILY = "Memory Trials Sans"  # Liberation Sans by a name of its own, so that no installed font is taken for it
SCALE = 1.5  # pixels of a PNG to one of the chart's
# texts that Vega takes for names: a word of its expressions, and what every table of JavaScript has
NAMES = frozenset(
    """if constructor hasOwnProperty isPrototypeOf propertyIsEnumerable toLocaleString toString valueOf __defineGetter__
    __defineSetter__ __lookupGetter__ __lookupSetter__ __proto__""".split()
)


def svg(specification: dict) -> str:
    """Draw a Vega-Lite specification as SVG."""
    _register_fonts()
    drawn = vl_convert.vegalite_to_svg(_drawable(specification))
    # Vega rounds the points of a path to thousandths, but not where the path stands
    return re.sub(r'(?<= transform=")[^"]*', lambda found: re.sub(r"-?\d+\.\d+", _thousandths, found[0]), drawn)


def png(drawn: str) -> bytes:
    """Convert an SVG of `svg` to PNG."""
    picture = Image.open(io.BytesIO(vl_convert.svg_to_png(drawn, scale=SCALE)))
    return encode_png(np.asarray(picture.convert("RGB")))


def encode_png(pixels: np.ndarray) -> bytes:
    """Encode pixels [height, width, 3] of uint8 as a PNG file (ISO/IEC 15948).

    Pillow would compress with whatever zlib the machine has, and vl-convert's own PNG is four times as large.
    """
    height, width, _ = pixels.shape
    rows = np.insert(pixels.reshape(height, -1), 0, 0, axis=1)  # each begins with its filter: none
    chunks: dict[bytes, bytes | bytearray] = {
        b"IHDR": struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0),  # 8 bits a channel, RGB
        b"IDAT": deflate.zlib_compress(rows.tobytes(), 9),
        b"IEND": b"",
    }
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks.items()
    )


@functools.cache
def _register_fonts() -> None:
    vl_convert.register_font_directory(str(FONTS))


def literal(text: str) -> str:
    """Return a text that Vega does not take for a name: one of `NAMES` gets a space after it, which does not show."""
    return f"{text} " if text in NAMES else text


def with_literals(value: Any) -> Any:
    """Return a value of a specification in which Vega takes no text, also of its data, for a name."""
    if isinstance(value, str):
        return literal(value)
    if isinstance(value, list):
        return [with_literals(inner) for inner in value]
    if isinstance(value, dict):
        rows = value.get("values")
        if isinstance(rows, str) and any(f'"{name}"' in rows for name in NAMES):  # data, as JSON
            value = value | {"values": json.dumps(with_literals(json.loads(rows)), ensure_ascii=False)}
        return {key: with_literals(inner) for key, inner in value.items()}
    return value


def _drawable(value: Any) -> Any:
    """Return a value of a specification with six digits of each number and only characters that the font has.

    Others become their code point, U+65E5: each machine would take another font for them, or draw the same box for all.
    """
    if isinstance(value, str):
        return literal(value) if value.isascii() and value.isprintable() else "".join(map(_printable, value))
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, list):
        return [_drawable(inner) for inner in value]
    if isinstance(value, dict):
        if isinstance(value.get("values"), str):  # data, as JSON
            value = value | {"values": json.loads(value["values"])}
        return {key: _drawable(inner) for key, inner in value.items()}
    return value


def _printable(char: str) -> str:
    return char if char.isprintable() and (char.isascii() or ord(char) in _characters()) else f"U+{ord(char):04X}"


@functools.cache
def _characters() -> frozenset[int]:
    from fontTools.ttLib import TTFont  # slow to import, and rarely needed

    return frozenset(TTFont(FONTS / "MemoryTrialsSans-Regular.ttf").getBestCmap())


def _thousandths(number: re.Match) -> str:
    return f"{float(number[0]):.3f}".rstrip("0").rstrip(".")
