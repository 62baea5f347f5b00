"""Tables of measurements as CSV files: each row is on disk as soon as it is appended."""

import csv
import io
import os
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sesame_hpc.files import write_text_atomic

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["RowType", "Table"]

RowType = TypeVar("RowType", bound="DataclassInstance")


class Table(Generic[RowType]):
    """A CSV file of dataclass rows whose fields are str, int, float, or one of them or None."""

    def __init__(self, path: Path | None, row_type: type[RowType]) -> None:
        """None keeps no file. ValueError for an existing file with other columns."""
        self._path, self._row_type = path, row_type
        self._columns = [field.name for field in fields(row_type)]
        if path is not None and path.exists():
            with path.open(newline="") as file:
                found = next(csv.reader(file), [])
            if found != self._columns:
                raise ValueError(
                    f"{path} has the columns {', '.join(found)}, not {', '.join(self._columns)}: "
                    "move it away, or give another --csv"
                )

    def append(self, row: RowType) -> None:
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = not self._path.exists()
        with self._path.open("a", newline="") as file:
            self._write(file, [row], heading=new)
            file.flush()
            os.fsync(file.fileno())

    def replace(self, rows: Iterable[RowType]) -> None:
        """Write these rows in place of all that the file holds."""
        if self._path is None:
            return
        text = io.StringIO(newline="")
        self._write(text, rows, heading=True)
        write_text_atomic(self._path, text.getvalue())

    def read(self) -> list[RowType]:
        """All rows; none where there is no file."""
        if self._path is None or not self._path.exists():
            return []
        kinds = {field.name: str(field.type) for field in fields(self._row_type)}
        with self._path.open(newline="") as file:
            lines = list(csv.DictReader(file))
        return [
            self._row_type(**{key: _value(kinds[key], text) for key, text in line.items()})
            for line in lines
        ]

    def _write(self, file: Any, rows: Iterable[RowType], heading: bool) -> None:
        writer = csv.DictWriter(file, self._columns, lineterminator="\n")
        if heading:
            writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def _value(kind: str, text: str) -> Any:
    if "None" in kind and not text:
        return None
    return float(text) if "float" in kind else int(text) if "int" in kind else text
