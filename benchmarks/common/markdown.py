"""Tables in Markdown."""

import re
from collections.abc import Iterable, Sequence

__all__ = ["markdown_table"]

_NUMBER = re.compile(r"(-?\d+(\.\d+)?%?)?")


def markdown_table(heading: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Cells by `str`; columns of numbers are aligned right. Ends with a line break."""
    body = [[str(cell) for cell in row] for row in rows]
    columns = zip(*body, strict=True) if body else ([""] for _ in heading)
    lines = [heading, ["---:" if _numeric(column) else "---" for column in columns], *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _numeric(column: Sequence[str]) -> bool:
    return any(column) and all(map(_NUMBER.fullmatch, column))
