"""Tables as people and programs write them: CSV in whatever encoding, with whatever separator."""

import codecs
import csv
import io
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from sesame_hpc.plural import counted

__all__ = [
    "DelimitedRow",
    "clipped",
    "decode_text",
    "encoding_of",
    "named_separator",
    "other_kind",
    "read_delimited",
    "shortened",
]

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NOT_TEXT = {
    b"PK\x03\x04": "is a ZIP archive or a workbook (.xlsx), not text; save it as CSV, or unpack it",
    b"\x1f\x8b\x08": "is compressed by gzip, not text; unpack it",
}
_SEPARATORS = (",", ";", "\t", "|")
_SHOWN = 200


@dataclass(frozen=True)
class DelimitedRow:
    """A row: "file:line" of its last line, and its cells by the names of the columns.

    `problem` says what is wrong with the row as a whole; "" for nothing.
    """

    place: str
    cells: dict[str, str]
    problem: str = ""


def encoding_of(content: bytes) -> str:
    """That of a text by its byte order mark or, in UTF-16, by the zeros of Latin letters."""
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    if encoding == "utf-8" and content[:200].count(0) * 3 > len(content[:200]):
        return "utf-16-be" if content[:1] == b"\0" else "utf-16-le"
    return encoding


def other_kind(content: bytes) -> str | None:
    """The kind of a file that is not text, in words; None if its first bytes do not tell."""
    return next((said for mark, said in _NOT_TEXT.items() if content.startswith(mark)), None)


def named_separator(line: str) -> str | None:
    """That which a first line "sep=;" names, as Excel writes and reads it."""
    match = re.fullmatch(r'"?sep=(.)"?', line.strip("\r\n "), re.IGNORECASE)
    return match[1] if match else None


def decode_text(content: bytes, place: Path | str) -> str:
    """Text in UTF-8, or in UTF-16 or UTF-32 with a byte order mark or Latin letters.

    In UTF-8, other bytes become surrogates, as in the names of files: `os.fsencode` gives them
    back. Raises ValueError naming `place` for archives and for broken UTF-16 and UTF-32.
    """
    if (kind := other_kind(content)) is not None:
        raise ValueError(f"{place}: {kind}")
    encoding = encoding_of(content)
    errors = "surrogateescape" if encoding.startswith("utf-8") else "strict"
    try:
        return content.decode(encoding, errors)
    except UnicodeDecodeError as error:
        raise ValueError(f"{place}: is not text in {encoding.upper()} ({error.reason})") from None


def read_delimited(path: Path, required: Collection[str], form: str) -> Iterator[DelimitedRow]:
    """The rows of a table whose first line names the columns, `required` among them.

    The separator is a comma, a semicolon, a tab or a bar; a line "sep=;" before the columns, blank
    lines, blanks around names of columns and empty cells after the last column are ignored; a first
    column `image` takes separators that are too many, as in names without quotes. Where the
    separator is not a comma, a comma in the columns x... and y... is a decimal point.

    Raises:
        ValueError: columns are missing or given twice; names the file and says the `form`.
    """
    text = decode_text(path.read_bytes(), path)
    lines = io.StringIO(text, newline="")
    first = next((line.rstrip("\r\n") for line in lines if line.strip()), "")
    names_separator = named_separator(first) is not None
    if names_separator:
        first = next((line.rstrip("\r\n") for line in lines if line.strip()), "")
    separator, header = _header(first, required, path, form)
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=separator,
        skipinitialspace=f"{separator} " in first,
    )
    seen_header = False
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            place = f"{path}:{reader.line_num}"
            yield DelimitedRow(place, {}, f"is not CSV ({error}); what follows is not read")
            return
        if cells is None:
            return
        if not any(cell.strip() for cell in cells):
            continue
        if names_separator:
            names_separator = False
            continue
        if not seen_header:
            seen_header = True
            continue
        yield _row(f"{path}:{reader.line_num}", cells, header, separator)


def _header(line: str, required: Collection[str], path: Path, form: str) -> tuple[str, list[str]]:
    candidates = {
        separator: [name.strip().strip('"').strip().casefold() for name in line.split(separator)]
        for separator in _SEPARATORS
    }
    separator = max(_SEPARATORS, key=lambda each: len(set(required) & set(candidates[each])))
    header = candidates[separator]
    while header and not header[-1]:
        header.pop()
    if missing := [name for name in required if name not in header]:
        raise ValueError(f"{path}:1: lacks {', '.join(missing[:6])}; takes {form}")
    if twice := sorted({name for name in required if header.count(name) > 1}):
        raise ValueError(f"{path}:1: column {twice[0]!r} is given twice; takes {form}")
    return separator, header


def _row(place: str, cells: list[str], header: list[str], separator: str) -> DelimitedRow:
    while len(cells) > len(header) and not cells[-1].strip():
        cells.pop()
    if (surplus := len(cells) - len(header)) > 0 and header[0] == "image":
        cells = [separator.join(cells[: surplus + 1]), *cells[surplus + 1 :]]
    if not len(header) - 1 <= len(cells) <= len(header):
        problem = f"has {counted(len(cells), 'cell')}; the first line names {len(header)} columns"
        return DelimitedRow(place, {}, problem)
    cells += [""] * (len(header) - len(cells))
    named = dict(zip(header, cells, strict=True))
    if separator != ",":
        named = {
            name: cell.replace(",", ".") if name[:1] in "xy" else cell
            for name, cell in named.items()
        }
    return DelimitedRow(place, named)


def shortened(value: object) -> str:
    """`repr` of a value for a message, cut where it is long; bytes that are not UTF-8: `\\xe9`."""
    return clipped(re.sub(r"\\udc([89a-f][0-9a-f])", r"\\x\1", repr(value)))


def clipped(text: str) -> str:
    """A text for a message, cut where it is long."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"
