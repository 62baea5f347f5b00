"""Tables of measurements that survive an interruption: each row is on disk when it is appended."""

import csv
import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Generic, TypeVar

__all__ = ["Table"]

RowType = TypeVar("RowType")


class Table(Generic[RowType]):
    """A CSV file of dataclass rows whose fields are str, int, float, or one of them or None."""

    def __init__(self, path: Path | None, row_type: type[RowType]) -> None:
        """None keeps no file. An existing file is appended to; ValueError for other columns."""
        self._path, self._row_type = path, row_type
        self._columns = [field.name for field in fields(row_type)]  # type: ignore[arg-type]
        if path is not None and path.exists():
            with path.open(newline="") as file:
                found = next(csv.reader(file), [])
            if found != self._columns:
                raise ValueError(
                    f"{path} has the columns {found}, not {self._columns}: move it away"
                )

    def append(self, row: RowType) -> None:
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = not self._path.exists()
        with self._path.open("a", newline="") as file:
            writer = csv.DictWriter(file, self._columns)
            if fresh:
                writer.writeheader()
            writer.writerow(asdict(row))  # type: ignore[call-overload]
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> list[RowType]:
        if self._path is None or not self._path.exists():
            return []
        kinds = {field.name: str(field.type) for field in fields(self._row_type)}  # type: ignore[arg-type]
        with self._path.open(newline="") as file:
            lines = list(csv.DictReader(file))
        return [
            self._row_type(**{key: _value(kinds[key], text) for key, text in line.items()})
            for line in lines
        ]


def _value(kind: str, text: str) -> Any:
    if "None" in kind and not text:
        return None
    return float(text) if "float" in kind else int(text) if "int" in kind else text
