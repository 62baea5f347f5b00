"""`predict_live`: landmarks of a camera or another live source, written as they are found."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from sesame_hpc.inference.box_problem import box_problem
from sesame_hpc.inference.drawing import draw_found
from sesame_hpc.inference.inputs import Input
from sesame_hpc.inference.landmarker import Landmarker
from sesame_hpc.inference.landmarks import Landmarks
from sesame_hpc.inference.live_video import LiveVideo
from sesame_hpc.inference.outcome import count_of
from sesame_hpc.inference.outputs import OutputFolder
from sesame_hpc.inference.results import about_landmarks, face_record
from sesame_hpc.inference.smoothing import FaceSmoother
from sesame_hpc.inference.video import Frame
from sesame_hpc.inference.video_sink import VideoSink

__all__ = ["LINES_NAME", "LiveOutcome", "predict_live"]

LINES_NAME = "landmarks.jsonl"

Detector = Callable[[np.ndarray], np.ndarray]
Progress = Callable[[str, int, int | None], None]


@dataclass
class LiveOutcome:
    """How many frames there were, without a face among them, and faces in all."""

    frames: int = 0
    faces: int = 0
    without_faces: int = 0

    def __str__(self) -> str:
        empty = f", {self.without_faces} of them without a face" if self.without_faces else ""
        faces = count_of(self.faces, "face") or "no face"
        return f"{faces} in {count_of(self.frames, 'frame') or 'no frame'}{empty}"


def predict_live(
    landmarker: Landmarker,
    source: str,
    out: Path,
    *,
    detector: Detector | None = None,
    draw: bool = True,
    smooth: bool = False,
    passes: int | None = None,
    frames: int | None = None,
    progress: Progress = lambda what, done, total: None,
) -> LiveOutcome:
    """Find landmarks in each frame of `source` (see `LiveVideo`) until it ends.

    Each frame is processed alone, so that its landmarks are there before the next one, and becomes
    a line of `landmarks.jsonl` below `out`: {"frame", "time" in seconds since the first, "faces"},
    faces as in `landmarks.json`. The first line says what the numbers are. With `draw` there is
    also a drawn video, once the source has ended. Boxes are the detector's, or the whole frame.
    `passes` is as of `Landmarker`; None: 2. `frames` is the number after which to stop. Ctrl-C
    stops as well, and keeps what is there.

    Raises ValueError where the source cannot be opened, has no frame, or a file would be
    overwritten that `sesame predict` did not write; OSError where `out` cannot be written.
    """
    video = LiveVideo(source)
    its = Input(Path(source), video.name, live=True)
    folder = OutputFolder(out, [its], [LINES_NAME], pts=False, draw=draw)
    outcome = LiveOutcome()
    smoother = FaceSmoother() if smooth else None
    with ExitStack() as opened:
        lines = opened.enter_context((out / LINES_NAME).open("w", encoding="utf-8"))
        folder.files.append(out / LINES_NAME)
        sink = opened.enter_context(VideoSink(folder.drawn(its), video)) if draw else None

        def write(record: dict[str, Any]) -> None:
            lines.write(json.dumps(record) + "\n")
            lines.flush()

        write(about_landmarks(landmarker.scheme) | {"source": source})
        for frame, found, points in _found(
            landmarker, islice(video.frames(), frames), detector, smoother, passes or 2
        ):
            faces = [
                face_record(found.boxes[row], points[row], found.confidence[row], expected)
                for row, expected in enumerate(found.expected_error)
            ]
            write({"frame": outcome.frames, "time": round(float(frame.time), 4), "faces": faces})
            outcome.frames += 1
            outcome.faces += len(faces)
            outcome.without_faces += not faces
            if sink is not None:
                for row, face in enumerate(points):
                    confidence = float(found.confidence[row].mean())
                    draw_found(frame.image, face, found.boxes[row], confidence, landmarker.scheme)
                sink.add(frame, frame.image)
            progress(video.name, outcome.frames, frames)
    if draw:
        folder.files.append(folder.drawn(its))
    folder.close()
    return outcome


def _found(
    landmarker: Landmarker,
    frames: Iterator[Frame],
    detector: Detector | None,
    smoother: FaceSmoother | None,
    passes: int,
) -> Iterator[tuple[Frame, Landmarks, np.ndarray]]:
    """Frame, landmarks, and points [F, K, 2], smooth if wanted; ends at Ctrl-C."""
    try:
        for frame in frames:
            height, width = frame.image.shape[:2]
            boxes = np.array([[0.0, 0.0, width, height]])
            if detector is not None:
                boxes = detector(frame.image)
            usable = [box_problem(box, width, height) is None for box in boxes]
            found = landmarker(frame.image, boxes[np.array(usable, dtype=bool)], passes=passes)
            points = found.points
            if smoother is not None:
                points = smoother(points, found.boxes, float(frame.time))
            yield frame, found, points
    except KeyboardInterrupt:
        return
