"""Live sources: a pipe in place of a device, a file, a camera that is not there."""

import json
import os
import re
import threading
from pathlib import Path

import av
import numpy as np
import pytest
from video_files import TIMES, write_video

from sesame_hpc.cli.predict import predict
from sesame_hpc.inference.landmarker import Landmarker
from sesame_hpc.inference.live import LINES_NAME, predict_live
from sesame_hpc.inference.live_video import LiveVideo, newest


def lines_of(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / LINES_NAME).read_text().splitlines()]


def test_a_pipe_is_a_device(landmarker: Landmarker, tmp_path: Path) -> None:
    """Read once and in order, as a camera is: a pipe cannot go back or be opened again."""
    video, pipe, out = write_video(tmp_path / "v.mkv"), tmp_path / "device", tmp_path / "out"
    os.mkfifo(pipe)

    def feed() -> None:
        with pipe.open("wb") as end:
            end.write(video.read_bytes())

    feeding = threading.Thread(target=feed)
    feeding.start()
    outcome = predict_live(landmarker, str(pipe), out, passes=1)
    feeding.join()
    assert (outcome.frames, outcome.faces) == (len(TIMES), len(TIMES))
    about, *frames = lines_of(out)
    assert about["scheme"] == landmarker.scheme.name
    assert about["source"] == str(pipe)
    assert [each["frame"] for each in frames] == list(range(len(TIMES)))
    expected = [(time - TIMES[0]) / 1000 for time in TIMES]
    assert [each["time"] for each in frames] == pytest.approx(expected, abs=2e-3)
    assert len(frames[0]["faces"][0]["points"]) == landmarker.scheme.num_landmarks
    with av.open(str(out / "drawn" / "device.mp4")) as drawn:
        assert sum(1 for _ in drawn.decode(video=0)) == len(TIMES)


def test_it_stops_after_so_many_frames(landmarker: Landmarker, tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.mkv")
    outcome = predict_live(landmarker, str(video), tmp_path / "out", frames=2, draw=False)
    assert outcome.frames == 2
    assert len(lines_of(tmp_path / "out")) == 3
    assert not (tmp_path / "out" / "drawn").exists()


def test_a_detector_gives_the_boxes(landmarker: Landmarker, tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.mkv")
    boxes = np.array([[4.0, 4.0, 40.0, 44.0], [-900.0, -900.0, -800.0, -800.0]])
    predict_live(
        landmarker,
        str(video),
        tmp_path / "out",
        detector=lambda image: boxes,
        draw=False,
        smooth=True,
    )
    frames = lines_of(tmp_path / "out")[1:]
    assert all([face["box"] for face in each["faces"]] == [boxes[0].tolist()] for each in frames)


def test_what_was_found_is_there_before_the_next_frame(
    landmarker: Landmarker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And Ctrl-C ends it as the source's end does, with the video that was drawn till then."""
    video, out = write_video(tmp_path / "v.mkv"), tmp_path / "out"
    frames = LiveVideo.frames

    def interrupted(self):
        for number, frame in enumerate(frames(self)):
            if number == 3:
                assert [each["frame"] for each in lines_of(out)[1:]] == [0, 1, 2]
                raise KeyboardInterrupt
            yield frame

    monkeypatch.setattr(LiveVideo, "frames", interrupted)
    assert predict_live(landmarker, str(video), out).frames == 3
    assert (out / "drawn" / "v.mkv.mp4").is_file()


def test_a_camera_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"camera 97 .*cannot be opened"):
        LiveVideo("97")


@pytest.mark.parametrize("content", [b"", b"no video at all"])
def test_what_is_no_video_is_named(tmp_path: Path, content: bytes) -> None:
    place = tmp_path / "x"
    place.write_bytes(content)
    with pytest.raises(ValueError, match="x: cannot be opened"):
        LiveVideo(str(place))


def test_a_camera_shows_what_is_now() -> None:
    """While one frame is processed others come; the next one asked for is the latest."""
    asked, given = threading.Event(), threading.Event()

    def camera():
        yield 0
        asked.wait(20)
        yield from (1, 2, 3)
        given.set()
        yield 4

    frames = newest(camera())
    assert next(frames) == 0
    asked.set()
    given.wait(20)
    assert list(frames)[-1] == 4


def test_a_camera_that_fails_says_so_after_its_last_frame() -> None:
    def camera():
        yield 0
        raise ValueError("unplugged")

    frames = newest(camera())
    assert next(frames) == 0
    with pytest.raises(ValueError, match="unplugged"):
        next(frames)


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        (None, {}, "give either INPUT... or --source"),
        (["a.jpg"], {"source": "0"}, "give either INPUT... or --source"),
        (["a.jpg"], {"frames": 3}, "--frames goes with --source"),
        (None, {"source": "0", "format": "csv"}, "--source writes landmarks.jsonl"),
        (None, {"source": "0", "boxes": Path("b.csv")}, "--boxes is for files"),
    ],
)
def test_options_that_exclude_each_other(tmp_path: Path, inputs, options, message) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        predict(tmp_path, inputs and list(map(Path, inputs)), **options)
