"""Videos: their frames, times and sound, before and after."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from video_files import TIMES, drawn, grey_level, write_video

from sesame_hpc.inference.video import Frame, Video
from sesame_hpc.inference.video_sink import VideoSink


def sound_of(path: Path) -> tuple[str, np.ndarray]:
    with av.open(str(path)) as container:
        codec = container.streams.audio[0].codec_context.name
        parts = [frame.to_ndarray().mean(axis=0) for frame in container.decode(audio=0)]
    return codec, np.concatenate(parts)


def test_frames_have_their_pixels_and_times(tmp_path):
    video = Video(write_video(tmp_path / "v.mp4"))
    frames = list(video.frames())
    assert [round(1000 * frame.time) for frame in frames] == TIMES
    assert video.promised == len(TIMES)
    for number, frame in enumerate(frames):
        assert frame.image.shape == (48, 64, 3)
        assert abs(int(frame.image[40, 50, 1]) - grey_level(number)) < 6
        assert frame.image[4, 4].min() > 245


@pytest.mark.parametrize("quarter_turns", [0, 1, 2, 3])
def test_a_video_is_turned_as_its_file_says(tmp_path, quarter_turns):
    content = write_video(tmp_path / "v.mp4", sound=None).read_bytes()
    one, none = (1 << 16).to_bytes(4, "big"), bytes(4)
    less = (-(1 << 16) & 0xFFFFFFFF).to_bytes(4, "big")
    last = (1 << 30).to_bytes(4, "big")
    upper = [(one, none, none, one), (none, one, less, none), (less, none, none, less)]
    upper.append((none, less, one, none))

    def matrix(a: bytes, b: bytes, c: bytes, d: bytes) -> bytes:
        return a + b + none + c + d + none + none + none + last

    header = content.index(b"tkhd")
    start = content.index(matrix(*upper[0]), header)
    turned = content[:start] + matrix(*upper[quarter_turns]) + content[start + 36 :]
    path = tmp_path / "turned.mp4"
    path.write_bytes(turned)
    image = next(Video(path).frames()).image
    capture = cv2.VideoCapture(str(path))
    there, expected = capture.read()
    assert there
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).mean() < 4


@pytest.mark.parametrize("size", [(64, 48), (66, 50)])
@pytest.mark.parametrize(("sound", "suffix"), [("aac", ".mp4"), ("ac3", ".mkv"), (None, ".mp4")])
def test_a_drawn_video_keeps_times_pixels_and_sound(tmp_path, size, sound, suffix):
    source = write_video(tmp_path / f"v{suffix}", sound=sound, size=size)
    out = drawn(source, tmp_path / "drawn" / "v.mp4")
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert len(container.streams.audio) == (sound is not None)
    frames = list(Video(out).frames())
    assert [round(1000 * frame.time) for frame in frames] == TIMES
    for number, frame in enumerate(frames):
        assert frame.image.shape == (size[1], size[0], 3)
        assert abs(int(frame.image[40, 50, 1]) - grey_level(number)) < 8
    if sound is None:
        return
    codec, wave = sound_of(out)
    assert codec == "aac"
    before = sound_of(source)[1]
    assert abs(len(wave) - len(before)) < 4096
    assert np.std(wave) == pytest.approx(np.std(before), rel=0.1)
    assert [path.name for path in out.parent.iterdir()] == ["v.mp4"]


def test_sound_lies_beside_its_frames_in_the_file(tmp_path):
    times = list(range(0, 20_000, 400))
    source = write_video(tmp_path / "v.mp4", times=times, seconds=20)
    with av.open(str(drawn(source, tmp_path / "d.mp4"))) as container:
        seconds = {"video": 0.0, "audio": 0.0}
        apart = 0.0
        for packet in container.demux():
            if packet.dts is not None:
                seconds[packet.stream.type] = float(packet.dts * packet.time_base)
                apart = max(apart, abs(seconds["video"] - seconds["audio"]))
    assert seconds["audio"] > 19
    assert apart < 3


def test_odd_sides_become_even_by_repeating_the_last_pixels(tmp_path):
    video = Video(write_video(tmp_path / "v.mp4", sound=None))
    image = np.zeros((51, 77, 3), np.uint8)
    image[:, -1], image[-1] = 255, 255
    with VideoSink(tmp_path / "d.mp4", video) as sink:
        sink.add(Frame(image, Fraction(0)), image)
        sink.add(Frame(image[:20, :20], Fraction(1, 5)), image[:20, :20])
    frames = [frame.image for frame in Video(tmp_path / "d.mp4").frames()]
    assert [frame.shape for frame in frames] == [(52, 78, 3)] * 2
    assert frames[0][:, -2:].min() > 200


def test_what_breaks_off_or_is_damaged_is_named_after_what_there_is(tmp_path):
    times = list(range(0, 4000, 40))
    whole = write_video(tmp_path / "v.mkv", times=times, codec="mjpeg", sound=None)
    content = whole.read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(content[: len(content) // 2])
    frames = Video(cut).frames()
    assert len([next(frames) for _ in range(30)]) == 30
    spoilt = tmp_path / "spoilt.mkv"
    noise = np.random.default_rng(0).integers(0, 256, 4000, dtype=np.uint8).tobytes()
    start = len(content) // 2
    spoilt.write_bytes(content[:start] + noise + content[start + len(noise) :])
    found: list[Frame] = []
    with pytest.raises(ValueError, match=r"spoilt\.mkv: is damaged in \d+ place"):
        found.extend(Video(spoilt).frames())
    assert 60 < len(found) <= 100


@pytest.mark.parametrize("content", [b"", b"no video", b"RIFF\0\0\0\0AVI LIST", b"\0\0\0\x18ftyp"])
def test_what_is_no_video_is_named(tmp_path, content):
    path = tmp_path / "v.mp4"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"v\.mp4: is not a video that can be read"):
        Video(path)
    only_sound = tmp_path / "sound.mp4"
    with av.open(str(only_sound), "w") as output:
        stream = output.add_stream("aac", rate=48000)
        silence = av.AudioFrame.from_ndarray(np.zeros((2, 4096), np.float32), "fltp", "stereo")
        silence.sample_rate = 48000
        output.mux(stream.encode(silence))
        output.mux(stream.encode(None))
    with pytest.raises(ValueError, match="has no images"):
        Video(only_sound)


def test_an_error_leaves_no_file(tmp_path):
    video = Video(write_video(tmp_path / "v.mp4"))
    frame = next(video.frames())

    def interrupted() -> None:
        with VideoSink(tmp_path / "out" / "d.mp4", video) as sink:
            sink.add(frame, frame.image)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list((tmp_path / "out").iterdir()) == []
