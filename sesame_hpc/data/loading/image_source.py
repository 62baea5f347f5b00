"""Encoded images of rows, from files or a pack, and what happens to those that are no good."""

import logging
import math
import threading
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.config.schema import DataConfig
from sesame_hpc.data.annotations import Annotations

__all__ = ["ImageSource"]

Rows = NDArray[np.int64]
Encoded = NDArray[np.uint8]

_log = logging.getLogger(__name__)


class ImageSource:
    """Reads the images of `annotations`; with `data.on_error` skip it leaves bad ones out.

    May be used from several threads. Whether an image is left out depends on its file alone.
    `may_skip` is whether any may be.
    """

    def __init__(self, annotations: Annotations, data: DataConfig) -> None:
        self._annotations = annotations
        self.may_skip = data.on_error == "skip"
        self._share = data.max_skipped
        self._lock = threading.Lock()
        self._skipped: set[int] = set()

    @property
    def skipped(self) -> tuple[int, ...]:
        """Sample ids that were left out so far, ascending."""
        with self._lock:
            return tuple(int(self._annotations.sample_ids[row]) for row in sorted(self._skipped))

    def read(
        self, rows: Rows, substitutes: Callable[[int], Iterable[int]]
    ) -> tuple[Rows, list[Encoded]]:
        """The rows whose images are there, and these, uint8 [n] each.

        In place of a row that is left out comes the first readable one of its `substitutes`.

        Raises:
            FileNotFoundError: a file does not exist.
            ValueError: a file or a record of a pack cannot be read, or too many were left out. All
                name the file and the annotation line.
        """
        found = [
            self._readable(int(row)) or self._substitute(int(row), substitutes) for row in rows
        ]
        kept = [each for each in found if each is not None]
        return np.array([row for row, _ in kept], dtype=np.int64), [encoded for _, encoded in kept]

    def _readable(self, row: int) -> tuple[int, Encoded] | None:
        """The row with its image, or None if it is left out."""
        if row in self._skipped:
            return None
        try:
            return row, self._read(row)
        except (FileNotFoundError, ValueError) as error:
            self.leave_out(row, error)
            return None

    def _substitute(
        self, row: int, substitutes: Callable[[int], Iterable[int]]
    ) -> tuple[int, Encoded] | None:
        candidates = [int(each) for each in substitutes(row)]
        for candidate in candidates:
            if (found := self._readable(candidate)) is not None:
                return found
        if candidates:
            raise ValueError(
                f"{self._place(row)}: left out, and none of the {len(candidates)} faces drawn in "
                "its place can be read either"
            )
        return None

    def leave_out(self, row: int, error: Exception) -> None:
        """Note a row that must not be read again.

        Raises:
            ValueError: `error` where `data.on_error` is fail; or too many are left out.
        """
        if not self.may_skip:
            raise error
        with self._lock:
            if row in self._skipped:
                return
            self._skipped.add(row)
            count = len(self._skipped)
        sample_id = self._annotations.sample_ids[row]
        _log.warning("skipped sample %d (%d so far): %s", sample_id, count, error)
        self.check_count(count, error)

    def check_count(self, count: int, cause: Exception | None = None) -> None:
        """ValueError if `count` faces are more than may be left out."""
        most = math.ceil(self._share * len(self._annotations))
        if count > most:
            raise ValueError(
                f"{count} of {len(self._annotations)} faces cannot be read, more than "
                f"data.max_skipped ({self._share:g}: {most} faces) allows"
                + (f"; the last: {cause}" if cause else "")
            ) from cause

    def undecodable(self, row: int) -> ValueError:
        """The error for an image that was read but does not decode."""
        return ValueError(
            f"{self._place(row)}: the image cannot be decoded; valid are whole JPEG and PNG files"
        )

    def _read(self, row: int) -> Encoded:
        faces = self._annotations
        if faces.pack is not None:
            return faces.pack.encoded(int(faces.sample_ids[row]))
        try:
            encoded = np.fromfile(faces.image_path(row), dtype=np.uint8)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{self._place(row)}: no such image") from error
        except OSError as error:
            reason = error.strerror or error
            raise ValueError(f"{self._place(row)}: cannot be read ({reason})") from error
        if not encoded.size:
            raise ValueError(f"{self._place(row)}: the file is empty; valid are JPEG and PNG")
        return encoded

    def _place(self, row: int) -> str:
        faces = self._annotations
        return f"{faces.image_path(row)} ({faces.sources[row]})"
