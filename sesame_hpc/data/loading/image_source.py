"""Encoded images of rows, from files or a pack, and the policy for unreadable ones."""

import logging
import math
import threading
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.config.schema import DataConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.image_files import VALID_IMAGES

__all__ = ["ImageSource"]

Rows = NDArray[np.int64]
Encoded = NDArray[np.uint8]

_log = logging.getLogger(__name__)


class ImageSource:
    """Reads the images of `annotations`; with `data.on_error` skip it skips unreadable ones.

    Thread-safe. Whether an image is skipped depends only on its file. `may_skip` is whether any
    may be.
    """

    def __init__(self, annotations: Annotations, data: DataConfig) -> None:
        self._annotations = annotations
        self.may_skip = data.on_error == "skip"
        self._share = data.max_skipped
        self._lock = threading.Lock()
        self._skipped: set[int] = set()

    @property
    def skipped(self) -> tuple[int, ...]:
        """Sample ids that were skipped so far, ascending."""
        with self._lock:
            return tuple(int(self._annotations.sample_ids[row]) for row in sorted(self._skipped))

    def read(
        self, rows: Rows, substitutes: Callable[[int], Iterable[int]]
    ) -> tuple[Rows, list[Encoded]]:
        """The readable rows and their images, uint8 [n] each.

        A row that is skipped is replaced by the first readable one of its `substitutes`.

        Raises:
            FileNotFoundError: a file does not exist.
            ValueError: a file or a record of a pack cannot be read, or too many were skipped. All
                name the file and the annotation line.
        """
        found = [
            self._readable(int(row)) or self._substitute(int(row), substitutes) for row in rows
        ]
        kept = [each for each in found if each is not None]
        return np.array([row for row, _ in kept], dtype=np.int64), [encoded for _, encoded in kept]

    def _readable(self, row: int) -> tuple[int, Encoded] | None:
        """The row with its image, or None if it is skipped."""
        if row in self._skipped:
            return None
        try:
            return row, self._read(row)
        except (FileNotFoundError, ValueError) as error:
            self.skip(row, error)
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
                f"{self._place(row)}: skipped, and none of the {len(candidates)} faces drawn in "
                "its place can be read either"
            )
        return None

    def skip(self, row: int, error: Exception) -> None:
        """Record a row that must not be read again.

        Raises:
            ValueError: `error` if `data.on_error` is fail; or too many are skipped.
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
        """ValueError if `count` faces are more than may be skipped."""
        most = math.ceil(self._share * len(self._annotations))
        if count > most:
            raise ValueError(
                f"{count} of {len(self._annotations)} faces cannot be read, more than "
                f"data.max_skipped ({self._share:g}: {most} faces) allows"
                + (f"; the last: {cause}" if cause else "")
            ) from cause

    def undecodable(self, row: int) -> ValueError:
        """The error for an image that was read but cannot be decoded."""
        return ValueError(
            f"{self._place(row)}: the image cannot be decoded; takes complete files of "
            f"{VALID_IMAGES}"
        )

    def _read(self, row: int) -> Encoded:
        faces = self._annotations
        sample_id = int(faces.sample_ids[row])
        if faces.pack is not None and faces.pack.holds(sample_id):
            return faces.pack.encoded(sample_id)
        try:
            encoded = np.fromfile(faces.image_path(row), dtype=np.uint8)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{self._place(row)}: no such image") from error
        except OSError as error:
            reason = error.strerror or error
            raise ValueError(f"{self._place(row)}: cannot be read ({reason})") from error
        if not encoded.size:
            raise ValueError(f"{self._place(row)}: the file is empty; takes {VALID_IMAGES}")
        return encoded

    def _place(self, row: int) -> str:
        faces = self._annotations
        return f"{faces.image_path(row)} ({faces.sources[row]})"
