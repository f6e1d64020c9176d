"""What tells series apart: a cell has the same colour, marker and dashes everywhere."""

from memory_trials.cells import registry

# Colour, marker, dashes: dark enough on white, apart in black and white too. Cells name theirs, other series the rest.
OTHERS = [
    ("#741b47", "circle", [1, 0]),
    ("#bf7f00", "square", [7, 3]),
    ("#2a7b8c", "triangle-up", [9, 3, 2, 3]),
    ("#7a4fbf", "diamond", [2, 3]),
    ("#4d4d4d", "triangle-down", [1, 0]),
    ("#a8324a", "cross", [7, 3]),
    ("#5b7a1f", "triangle-right", [9, 3, 2, 3]),
]
OWN = ("#134f5c", "cross", [5, 2])  # a cell of the user's


def series_style(cell: str, number: int = 0) -> tuple[str, str, list[int]]:
    """Return colour, marker and dashes of a cell, or of a series that is none."""
    if shown := registry.shown(cell):
        return shown.colour, shown.marker, shown.dashes
    return OWN if "." in cell else OTHERS[number % len(OTHERS)]
