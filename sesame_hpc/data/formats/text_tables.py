"""Text tables as spreadsheets and pandas save them: separators, decimal commas, spare columns."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sesame_hpc.data.delimited import named_separator
from sesame_hpc.data.formats.faults import Fault, read_text

__all__ = ["TextTable", "read_text_table"]

_SEPARATORS = ",;\t|"
_INDEX_COLUMNS = ("", "index", "unnamed: 0")


@dataclass(frozen=True)
class TextTable:
    """A table's column names (lower case, `spelled` as in the file), its place, and its rows.

    `rows` yields the place ("file:line", of a row's last line) and fields of each row that holds
    text, an index column and empty columns at the end taken away.
    """

    place: str
    names: tuple[str, ...]
    spelled: tuple[str, ...]
    rows: Iterator[tuple[str, list[str]]]


def read_text_table(path: Path) -> TextTable:
    """The table in a file whose first line names the columns.

    The separator is the comma, semicolon, tab or bar that the first line has most of, or what a
    line "sep=;" before it names. With another than the comma, a comma in a field that is a number
    is a decimal comma.

    Raises:
        Fault: the file is not text, or not a table.
    """
    text = read_text(path)
    first = text.lstrip("\r\n").partition("\n")[0]
    named = named_separator(first)
    separator = named or max(_SEPARATORS, key=first.count)
    rows = _rows(path, text, separator)
    if named is not None:
        next(rows)
    place, header = next(rows, (f"{path}:1", []))
    leading = int(len(header) > 1 and header[0].casefold() in _INDEX_COLUMNS)
    trailing = 0
    while len(header) - leading > trailing + 1 and not header[-1 - trailing]:
        trailing += 1
    kept = header[leading : len(header) - trailing]
    return TextTable(
        place,
        tuple(name.casefold() for name in kept),
        tuple(kept),
        _cut(rows, leading, len(kept), separator != ","),
    )


def _rows(path: Path, text: str, separator: str) -> Iterator[tuple[str, list[str]]]:
    lines = io.StringIO(text, newline="")  # ends lines at \r and \n alone, not at U+2028 and others
    reader = csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=True)
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            problem = f"is not CSV: {error}"
            raise Fault("layout", f"{path}:{reader.line_num}", problem, fatal=True) from error
        if row is None:
            return
        if any(field.strip() for field in row):
            yield f"{path}:{reader.line_num}", [field.strip() for field in row]


def _cut(
    rows: Iterator[tuple[str, list[str]]], leading: int, width: int, commas: bool
) -> Iterator[tuple[str, list[str]]]:
    for place, row in rows:
        fields = row[leading:]
        while len(fields) > width and not fields[-1]:
            fields.pop()
        yield place, [_with_point(field) for field in fields] if commas else fields


def _with_point(field: str) -> str:
    whole, comma, part = field.partition(",")
    number = whole.lstrip("+-").isdigit() and part.isdigit() and field.isascii()
    return f"{whole}.{part}" if comma and number else field
