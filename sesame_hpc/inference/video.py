"""Videos, frame by frame, by OpenCV."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from sesame_hpc.files import replacing

__all__ = ["Video", "VideoSink"]

_USUAL_RATE = 25.0
_MISSING_SHARE = 0.02


class Video:
    """An opened video. `rate` is in frames a second (25 where the file does not say).

    Raises ValueError where OpenCV cannot open it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise ValueError(f"{path}: is no video that OpenCV can open")
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0 < rate < 1000 else _USUAL_RATE

    def frames(self) -> Iterator[np.ndarray]:
        """Frames as uint8 RGB [H, W, 3].

        Raises ValueError at the end where there was none, or clearly fewer than the file says.
        """
        promised = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        count = 0
        while True:
            there, frame = self._capture.read()
            if not there:
                break
            count += 1
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        self._capture.release()
        if count == 0:
            raise ValueError(f"{self.path}: no frame can be read")
        if count < (1 - _MISSING_SHARE) * promised - 1:
            raise ValueError(
                f"{self.path}: ends after {count} of {promised:.0f} frames; those before are done"
            )


class VideoSink:
    """Writes an MP4 that is there once it is whole: at the end of the `with` block."""

    def __init__(self, path: Path, rate: float) -> None:
        self.path = path
        self._file = ExitStack()
        self._rate = rate
        self._writer: cv2.VideoWriter | None = None

    def add(self, frame: np.ndarray) -> None:
        """A uint8 RGB [H, W, 3] frame. Raises ValueError where OpenCV cannot write MP4."""
        if self._writer is None:
            partial = self._file.enter_context(replacing(self.path))
            size = frame.shape[1], frame.shape[0]
            code = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(partial), code, self._rate, size)
            if not self._writer.isOpened():
                raise ValueError(f"{self.path}: this OpenCV cannot write MP4 videos")
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.release()
        self._file.__exit__(kind, error, trace)
