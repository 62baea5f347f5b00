"""The metrics of a run: one JSON object per line."""

import json
import math
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sesame_hpc.files import naming, write_text_atomic

__all__ = ["MetricsLog"]


class MetricsLog:
    """Appends to `path` (`metrics.jsonl`); use from one rank only.

    A record is {"stage", "epoch", "step", "time", ...}: `epoch` and `step` as the caller counts
    them, `time` in seconds since 1970. An incomplete last line, left by a killed process, is
    removed when the file is opened.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        _drop_incomplete_line(path)
        self._file = path.open("a", encoding="utf-8")

    def append(
        self, stage: str, epoch: int, step: int, **values: float | int | str | list[float]
    ) -> None:
        """Append one record and flush it. NaN and infinity are written as null."""
        record = {"stage": stage, "epoch": epoch, "step": step, "time": time.time()} | values
        line = json.dumps({key: _finite(value) for key, value in record.items()}) + "\n"
        with naming(self._path):
            self._file.write(line)
            self._file.flush()

    def sync(self) -> None:
        os.fsync(self._file.fileno())

    def truncate(self, stage: str, step: int) -> None:
        """Drop the records of `stage` after `step`; a run that resumes there writes them again."""
        kept = [r for r in self.read(self._path) if r["stage"] != stage or r["step"] <= step]
        self._file.close()
        write_text_atomic(self._path, "".join(json.dumps(record) + "\n" for record in kept))
        self._file = self._path.open("a", encoding="utf-8")

    def close(self) -> None:
        with naming(self._path):
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @staticmethod
    def read(path: Path) -> list[dict[str, Any]]:
        """All records but for an incomplete last line and `damaged_lines`."""
        lines = path.read_bytes().split(b"\n")[:-1]
        return [record for line in lines if (record := _record(line)) is not None]

    @staticmethod
    def damaged_lines(path: Path) -> list[int]:
        """Numbers, from 1, of complete lines that hold no record."""
        lines = path.read_bytes().split(b"\n")[:-1]
        return [number for number, line in enumerate(lines, start=1) if _record(line) is None]


def _record(line: bytes) -> dict[str, Any] | None:
    """None for anything but an object with the keys that `append` gives it."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or not isinstance(record.get("stage"), str):
        return None
    numbers = (record.get("epoch"), record.get("step"), record.get("time"))
    is_whole = all(isinstance(each, int) for each in numbers[:2])
    return record if is_whole and isinstance(numbers[2], int | float) else None


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _drop_incomplete_line(path: Path) -> None:
    """Truncate the file after its last newline."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        whole = file.read().rfind(b"\n") + 1
        file.truncate(whole)
        os.fsync(file.fileno())
