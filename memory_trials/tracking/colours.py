"""Colours by which MLflow's charts distinguish arms."""

import colorsys
from collections.abc import Collection, Iterator

from memory_trials.report import palette
from memory_trials.studies.design import Arm

TURN = 0.618033988749895  # of the colour wheel, between further colours: the golden ratio keeps all of them apart


def of_arms(arms: list[Arm]) -> list[str]:
    """Return a different colour for each arm of a study: those of their cells, where the arms have different cells."""
    cells = [arm.changes.get("model.cell", "") for arm in arms]
    by_cell = len(set(cells)) == len(cells)
    chosen: dict[str, None] = {}
    for number, cell in enumerate(cells):
        colour, *_ = palette.series_style(cell if by_cell else "", number)
        chosen[unused(chosen) if colour in chosen else colour] = None
    return list(chosen)


def unused(taken: Collection[str]) -> str:
    """Return a colour that is not among these."""
    return next(colour for colour in _all() if colour not in taken)


def _all() -> Iterator[str]:
    """Yield colours without end, all different, dark enough to be seen on white."""
    yield from (colour for colour, _, _ in palette.OTHERS)
    number = 0
    while True:
        red, green, blue = colorsys.hls_to_rgb(number * TURN % 1, (0.3, 0.42, 0.54)[number % 3], 0.6)
        yield f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"
        number += 1
