"""Cells of tables that hold coordinates: which are numbers, and which points are not labelled."""

import math
import re
from collections.abc import Sequence

from sesame_hpc.data.formats.faults import Fault
from sesame_hpc.data.formats.numbers import FARTHEST, finite_numbers, first_bad_number

__all__ = ["NO_DECIMAL_COMMA", "coordinates_of", "numbers_of"]

NO_DECIMAL_COMMA = "a decimal comma? Write a point, or separate the columns by semicolons"

_NOT_LABELLED = frozenset(
    {"", "nan", "-nan", "na", "n/a", "#n/a", "#na", "<na>", "null", "none", "-"}
)
"""As people, spreadsheets, R and pandas write it."""
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")


def numbers_of(cells: Sequence[str], names: Sequence[str], place: str) -> list[float]:
    """The numbers that cells spell.

    Raises:
        Fault: one is not a finite number of pixels; names its column.
    """
    numbers = finite_numbers(cells)
    if numbers is None:
        bad = first_bad_number(cells)
        problem = (
            f"{names[bad]} is {cells[bad]!r:.60}; coordinates are finite numbers of pixels, at "
            f"most {FARTHEST:g}"
        )
        if _DECIMAL_COMMA.fullmatch(cells[bad]):
            problem += f"; {NO_DECIMAL_COMMA}"
        raise Fault("number", place, problem)
    return numbers


def coordinates_of(cells: Sequence[str], names: Sequence[str], place: str) -> list[float]:
    """The 2K numbers x, y of each point, NaN where both of its cells are empty.

    Raises:
        Fault: one is not a finite number of pixels, or only one of a point's cells is empty.
    """
    absent = [cell.strip().casefold() in _NOT_LABELLED for cell in cells]
    for x in range(0, len(cells), 2):
        if absent[x] != absent[x + 1]:
            empty = x if absent[x] else x + 1
            problem = (
                f"{names[empty]} is {cells[empty]!r}, and the point's other coordinate is not; a "
                "point has both, or neither where it is not labelled"
            )
            raise Fault("number", place, problem)
    given = [number for number, none in enumerate(absent) if not none]
    numbers = numbers_of([cells[i] for i in given], [names[i] for i in given], place)
    found = dict(zip(given, numbers, strict=True))
    return [found.get(number, math.nan) for number in range(len(cells))]
