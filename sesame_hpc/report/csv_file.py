"""Tables of a page as CSV files: they are inside the page, and its links save them."""

import base64
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["CsvFile"]

_UNSAFE = re.compile(r"[^A-Za-z0-9._+=-]+")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Cell = str | float | None


@dataclass(frozen=True)
class CsvFile:
    """A table with the digits that its page rounds away.

    None is an empty cell. A text that a spreadsheet would take for a formula gets a "'" in front.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    @property
    def name(self) -> str:
        """The file's name, of letters, digits and ._+=- alone."""
        return f"{_UNSAFE.sub('-', self.title).strip('-.') or 'table'}.csv"

    @property
    def text(self) -> str:
        """UTF-8 text, cells separated by commas, rows by newlines, the columns' names first."""
        lines = io.StringIO()
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(map(_as_text, self.columns))
        writer.writerows([_as_text(cell) for cell in row] for row in self.rows)
        return lines.getvalue()

    @property
    def address(self) -> str:
        """The file as a data: URI."""
        content = self.text.encode("utf-8", "backslashreplace")
        return "data:text/csv;charset=utf-8;base64," + base64.b64encode(content).decode("ascii")


def _as_text(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return f"'{cell}" if cell.startswith(_FORMULA) else cell
    return repr(cell)
