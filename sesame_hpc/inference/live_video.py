"""Sources that are read once, as they come: cameras, pipes, streams; by FFmpeg through PyAV."""

import re
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import av

from sesame_hpc.inference.video import Frame, decoded, frame_rate, shown_at, upright

__all__ = ["LiveVideo", "newest"]

_CAMERAS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}:none")}

Item = TypeVar("Item")


class LiveVideo:
    """A camera by its number (0, 1, ...), or whatever FFmpeg opens: a device, pipe, file or URL.

    It is opened once. Of a camera, frames that come while earlier ones are processed are left out,
    so that what is shown is now; of everything else, all frames are read. `name` is for files.

    Raises ValueError if the source does not exist or has no video.
    """

    sound = None
    promised = None

    def __init__(self, source: str) -> None:
        self.is_camera = bool(re.fullmatch(r"\d+", source))
        self.name = f"camera-{source}" if self.is_camera else _file_name(source)
        self._source = source
        self._container = self._opened()
        self.rate = frame_rate(self._container.streams.video[0])

    def _opened(self) -> av.container.InputContainer:
        place, form = self._source, None
        if self.is_camera:
            if sys.platform not in _CAMERAS:
                raise ValueError(
                    f"camera {place}: cameras are opened by number on Linux and macOS; give the "
                    "URL of a stream"
                )
            form, device = _CAMERAS[sys.platform]
            place = device.format(place)
        try:
            container = av.open(place, format=form)
        except (av.FFmpegError, OSError) as error:
            what = f"camera {self._source} ({place})" if self.is_camera else place
            raise ValueError(f"{what}: cannot be opened ({error.strerror})") from None
        if not container.streams.video:
            container.close()
            raise ValueError(f"{place}: has no video")
        return container

    def frames(self) -> Iterator[Frame]:
        """The frames with their times since the first one; once. Raises ValueError without any."""
        frames = self._all_frames()
        return newest(frames) if self.is_camera else frames

    def _all_frames(self) -> Iterator[Frame]:
        first = last = None
        with closing(self._container):
            self._container.streams.video[0].thread_type = "AUTO"
            for frame in decoded(self._container):
                if frame is None:
                    continue
                last = shown_at(frame, last, self.rate)
                first = last if first is None else first
                yield Frame(upright(frame), last - first)
        if last is None:
            raise ValueError(f"{self._source}: no frame can be read")


def _file_name(source: str) -> str:
    """The last part of a path or URL that can name a file."""
    last = Path(source.split("?")[0].rstrip("/")).name
    return re.sub(r"[^\w.+=-]+", "-", last).strip(".-") or "stream"


def newest(items: Iterator[Item]) -> Iterator[Item]:
    """The latest item each time one is asked for; those in between are left out.

    Items are read in a thread. An error among them is raised once the last one is taken.
    """
    changed = threading.Condition()
    latest: list[Item] = []
    ended: list[BaseException | None] = []
    is_wanted = threading.Event()
    is_wanted.set()

    def read() -> None:
        failure: BaseException | None = None
        try:
            for item in items:
                with changed:
                    latest[:] = [item]
                    changed.notify()
                if not is_wanted.is_set():
                    break
        except BaseException as error:
            failure = error
        with changed:
            ended.append(failure)
            changed.notify()

    threading.Thread(target=read, daemon=True).start()
    try:
        while True:
            with changed:
                changed.wait_for(lambda: latest or ended)
                if not latest:
                    break
                item = latest.pop()
            yield item
    finally:
        is_wanted.clear()
    if ended[0] is not None:
        raise ended[0]
