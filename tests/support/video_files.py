"""Small videos, and their drawn copies."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from sesame_hpc.inference.video import Video
from sesame_hpc.inference.video_sink import VideoSink

__all__ = ["TIMES", "drawn", "grey_level", "write_video"]

TIMES = [0, 40, 80, 200, 240, 500, 540]
"""When the frames of a video of changing rate are shown, in milliseconds."""


def grey_level(number: int) -> int:
    return 30 + 25 * (number % 8)


def write_video(
    path: Path,
    *,
    times: list[int] = TIMES,
    size: tuple[int, int] = (64, 48),
    sound: str | None = "aac",
    codec: str = "libx264",
    seconds: float = 0.6,
) -> Path:
    """Frame n is of one grey, `grey_level(n)`, with its upper left quarter white."""
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream(codec, rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        hearing: Any = output.add_stream(sound, rate=48000) if sound else None
        for number, time in enumerate(times):
            image = np.full((size[1], size[0], 3), grey_level(number), np.uint8)
            image[: size[1] // 2, : size[0] // 2] = 255
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if hearing is not None:
            wave = np.sin(np.arange(int(48000 * seconds)) * 0.06).astype(np.float32)
            whole = av.AudioFrame.from_ndarray(np.stack([wave, wave]), "fltp", "stereo")
            whole.sample_rate, whole.pts, whole.time_base = 48000, 0, Fraction(1, 48000)
            output.mux(hearing.encode(whole))
            output.mux(hearing.encode(None))
    return path


def drawn(source: Path, out: Path) -> Path:
    video = Video(source)
    with VideoSink(out, video) as sink:
        for frame in video.frames():
            sink.add(frame, frame.image)
    return out
