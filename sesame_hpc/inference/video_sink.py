"""Drawn videos as browsers play them: H.264 in MP4, with the sound of the original."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import cv2
import numpy as np

from sesame_hpc.files import replacing
from sesame_hpc.inference.live_video import LiveVideo
from sesame_hpc.inference.video import Frame, Video

__all__ = ["VideoSink"]

_CLOCK = Fraction(1, 90_000)
_PLAYED_SOUND = ("aac", "mp3", "opus", "flac")
_OPTIONS = {"crf": "20", "preset": "veryfast"}
_BT601, _LIMITED_RANGE = 5, 1


class VideoSink:
    """Writes an MP4 that is there once it is whole: at the end of the `with` block.

    Frames keep their times, and the sound of `video` goes with them: as it is where browsers play
    it (AAC, MP3, Opus, FLAC), else as AAC.
    """

    def __init__(self, path: Path, video: Video | LiveVideo) -> None:
        self.path = path
        self._video = video
        self._file = ExitStack()
        self._output: av.container.OutputContainer | None = None
        self._stream: av.VideoStream
        self._sound: Iterator[av.Packet] = iter(())
        self._next_sound: av.Packet | None = None
        self._shape = (0, 0)

    def add(self, frame: Frame, drawn: np.ndarray) -> None:
        """The drawn uint8 RGB [H, W, 3] image of a frame."""
        if self._output is None:
            self._open(drawn)
        assert self._output is not None
        self._add_sound(frame.time)
        converted = av.VideoFrame.from_ndarray(self._fitted(drawn), format="rgb24")
        converted.pts = round(frame.time / _CLOCK)
        converted.time_base = _CLOCK
        self._output.mux(self._stream.encode(converted))

    def _open(self, first: np.ndarray) -> None:
        partial = self._file.enter_context(replacing(self.path))
        height, width = first.shape[:2]
        self._shape = (height + height % 2, width + width % 2)
        self._output = av.open(str(partial), "w", options={"movflags": "+faststart"})
        self._stream = self._output.add_stream("libx264", rate=self._video.rate, options=_OPTIONS)
        self._stream.height, self._stream.width = self._shape
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = _CLOCK
        self._stream.codec_context.colorspace = _BT601
        self._stream.codec_context.color_range = _LIMITED_RANGE
        self._sound = self._sound_packets(self._output)
        self._next_sound = next(self._sound, None)

    def _fitted(self, drawn: np.ndarray) -> np.ndarray:
        """H.264 takes even sides: the last row and column may be repeated.

        A video whose size changes is scaled to that of its first frame.
        """
        height, width = self._shape
        if abs(drawn.shape[0] - height) > 1 or abs(drawn.shape[1] - width) > 1:
            return np.asarray(cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA))
        down, right = height - drawn.shape[0], width - drawn.shape[1]
        return np.pad(drawn, ((0, max(down, 0)), (0, max(right, 0)), (0, 0)), mode="edge")[
            :height, :width
        ]

    def _add_sound(self, until: Fraction | None) -> None:
        """All sound before a time, so that it lies beside its frames in the file; None: all."""
        assert self._output is not None
        while (packet := self._next_sound) is not None:
            stamp = packet.dts if packet.dts is not None else packet.pts
            if until is not None and stamp is not None and stamp * packet.time_base > until:
                return
            self._output.mux(packet)
            self._next_sound = next(self._sound, None)

    def _sound_packets(self, output: av.container.OutputContainer) -> Iterator[av.Packet]:
        """The first sound of the original, ready to be muxed; a stream for it in `output`."""
        if self._video.sound is None:
            return iter(())
        source = av.open(str(self._video.sound))
        if not source.streams.audio:
            source.close()
            return iter(())
        sound = source.streams.audio[0]
        if sound.codec_context.name.removesuffix("float") in _PLAYED_SOUND:
            return _copied(source, output.add_stream_from_template(sound))
        return _as_aac(source, output.add_stream("aac", rate=sound.codec_context.sample_rate))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._output is not None:
                if kind is None:
                    self._output.mux(self._stream.encode(None))
                    self._add_sound(None)
                self._output.close()
        except BaseException:
            self._file.__exit__(*sys.exc_info())
            raise
        self._file.__exit__(kind, error, trace)


def _copied(source: av.container.InputContainer, stream: av.AudioStream) -> Iterator[av.Packet]:
    with source:
        try:
            for packet in source.demux(source.streams.audio[0]):
                if packet.dts is not None:
                    packet.stream = stream
                    yield packet
        except av.FFmpegError:
            return


def _as_aac(source: av.container.InputContainer, stream: av.AudioStream) -> Iterator[av.Packet]:
    with source:
        try:
            for frame in source.decode(audio=0):
                yield from stream.encode(frame)
        except av.FFmpegError:
            pass
        yield from stream.encode(None)
