"""A drawn video plays in a browser: its size, length, sound and pixels, in headless Chromium."""

import base64
import time
from pathlib import Path

import pytest
from chromium import Browser, missing
from video_files import TIMES, drawn, grey_level, write_video

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]

PAGE = """<!doctype html><title>video</title>
<video id=shown muted preload=auto src="data:video/mp4;base64,CONTENT"></video>
<script>
var video = document.getElementById("shown"), failure = null, seen = false;
video.onerror = () => { failure = video.error.message; };
video.onseeked = () => { seen = true; };
function pixel() {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth; canvas.height = video.videoHeight;
  const pen = canvas.getContext("2d"); pen.drawImage(video, 0, 0);
  return pen.getImageData(video.videoWidth - 5, video.videoHeight - 5, 1, 1).data[1];
}
</script>"""


@pytest.mark.parametrize("sound", ["aac", "ac3"])
def test_a_drawn_video_plays(tmp_path: Path, sound: str) -> None:
    video = drawn(write_video(tmp_path / "v.mkv", sound=sound), tmp_path / "d.mp4")
    content = base64.b64encode(video.read_bytes()).decode()
    (tmp_path / "page.html").write_text(PAGE.replace("CONTENT", content))
    with Browser(tmp_path / "profile") as browser:
        browser.open(tmp_path / "page.html")

        def wait_for(condition: str) -> None:
            for _ in range(600):
                assert browser.run("return failure") is None
                if browser.run(f"return !!({condition})"):
                    return
                time.sleep(0.1)
            pytest.fail(f"never came: {condition}")

        wait_for("video.readyState >= 2")
        assert browser.run("return [video.videoWidth, video.videoHeight]") == [64, 48]
        assert browser.run("return video.duration") == pytest.approx(0.6, abs=0.1)
        for number in (5, 3, 0):
            seconds = TIMES[number] / 1000 + 0.01
            browser.run(f"seen = false; video.currentTime = {seconds}")
            wait_for("seen")
            assert browser.run("return pixel()") == pytest.approx(grey_level(number), abs=10)
        browser.run("video.play(); return null")
        wait_for("video.ended")
        assert browser.run("return video.webkitAudioDecodedByteCount") > 0
        assert browser.run("return video.webkitDecodedFrameCount") >= len(TIMES)
