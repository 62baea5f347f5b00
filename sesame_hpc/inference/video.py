"""Videos, frame by frame, by FFmpeg through PyAV."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

__all__ = ["Frame", "Video", "decoded", "frame_rate", "shown_at", "upright"]

_USUAL_RATE = Fraction(25)
_MOST_RATE = 1000
_MISSING_SHARE = 0.02


@dataclass(frozen=True)
class Frame:
    """uint8 RGB [H, W, 3], upright, and when it is shown, in seconds of the video's clock."""

    image: np.ndarray
    time: Fraction


class Video:
    """A video that can be read. `rate` is in frames per second (25 where the file does not say).

    `sound` is the file that has its sound, and `promised` is how many frames the file says that it
    has, None where it does not.
    Raises ValueError where FFmpeg finds no video in the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sound: Path | None = path
        with self._opened() as container:
            stream = container.streams.video[0]
            self.rate = frame_rate(stream)
            self.promised = stream.frames or None

    def _opened(self) -> av.container.InputContainer:
        try:
            container = av.open(str(self.path))
        except av.FFmpegError as error:
            raise ValueError(
                f"{self.path}: is not a video that can be read ({error.strerror})"
            ) from None
        if not container.streams.video:
            container.close()
            raise ValueError(f"{self.path}: is not a video that can be read (it has no images)")
        return container

    def frames(self) -> Iterator[Frame]:
        """The frames in the order in which they are shown.

        Raises ValueError at the end where some could not be decoded, where there was none, or
        clearly fewer than the file says.
        """
        count = damaged = 0
        last: Fraction | None = None
        with self._opened() as container:
            container.streams.video[0].thread_type = "AUTO"
            for frame in decoded(container):
                if frame is None or frame.is_corrupt:
                    damaged += 1
                if frame is None:
                    continue
                time = shown_at(frame, last, self.rate)
                last = time
                count += 1
                yield Frame(upright(frame), time)
        if count == 0:
            raise ValueError(f"{self.path}: no frame can be read")
        if self.promised and count < (1 - _MISSING_SHARE) * self.promised - 1:
            raise ValueError(
                f"{self.path}: ends after {count} of {self.promised} frames; those before are done"
            )
        if damaged:
            raise ValueError(
                f"{self.path}: is damaged in {damaged} place{'s' * (damaged > 1)}; "
                f"the {count} frames that could be decoded are done"
            )


def frame_rate(stream: av.VideoStream) -> Fraction:
    """Frames per second by the file; 25 where it does not say, or nonsense."""
    rate = stream.average_rate or stream.guessed_rate
    return Fraction(rate) if rate and 0 < rate < _MOST_RATE else _USUAL_RATE


def decoded(container: av.container.InputContainer) -> Iterator[av.VideoFrame | None]:
    """Frames, and None for each packet that does not decode; ends where the file breaks off."""
    stream = container.streams.video[0]
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:
            yield None
            return
        if packet is None:
            return
        try:
            yield from stream.codec_context.decode(packet)
        except av.EOFError:
            return
        except av.FFmpegError:
            yield None


def shown_at(frame: av.VideoFrame, last: Fraction | None, rate: Fraction) -> Fraction:
    """Strictly increasing, also where the file's own stamps are missing or go back."""
    if frame.pts is not None and frame.time_base:
        time = frame.pts * frame.time_base
        if last is None or time > last:
            return time
    return Fraction(0) if last is None else last + 1 / rate


def upright(frame: av.VideoFrame) -> np.ndarray:
    """The pixels, turned as the file says (phones store upright videos lying)."""
    image = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(image, round(frame.rotation / 90)))
