"""`predict`: landmarks of images, folders and videos, as files."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from sesame_hpc.choices import OutputFormat
from sesame_hpc.data.geometry import square_windows
from sesame_hpc.data.viewing.draw import draw_face
from sesame_hpc.files import write_bytes_atomic
from sesame_hpc.inference.boxes import BoxTable
from sesame_hpc.inference.images import read_image
from sesame_hpc.inference.inputs import Input, find_inputs
from sesame_hpc.inference.landmarker import Landmarker
from sesame_hpc.inference.landmarks import Landmarks
from sesame_hpc.inference.results import FoundFace, write_results
from sesame_hpc.inference.smoothing import FaceSmoother
from sesame_hpc.inference.video import Video, VideoSink

__all__ = ["Outcome", "Predictor", "predict"]

_AT_ONCE = 16
_INPUT_ERRORS = (ValueError, OSError, cv2.error)
_KEPT_SUFFIXES = (".jpg", ".jpeg", ".png")

Detector = Callable[[np.ndarray], np.ndarray]


@dataclass
class Outcome:
    """What was found; a message for each input that failed; the files that were written.

    `without_faces` counts images and frames for which no box was given or found.
    """

    faces: list[FoundFace] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    images: int = 0
    frames: int = 0
    without_faces: int = 0

    def __str__(self) -> str:
        places = [_count(self.images, "image"), _count(self.frames, "frame")]
        where = " and ".join(place for place in places if place) or "no image"
        empty = f", {self.without_faces} of them without a face" if self.without_faces else ""
        return f"{_count(len(self.faces), 'face') or 'no face'} in {where}{empty}"


def predict(
    landmarker: Landmarker,
    paths: list[Path],
    out: Path,
    *,
    format: OutputFormat = "json",
    boxes: BoxTable | None = None,
    detector: Detector | None = None,
    draw: bool = True,
    smooth: bool = False,
) -> Outcome:
    """Find landmarks in all files of `paths` and write them below `out`, with drawn copies.

    Boxes are those of `boxes`, else the detector's, else each whole image. `smooth` steadies the
    landmarks of videos. An input that cannot be used is a fault of the outcome; the others are
    done. Also when it is interrupted, what was found till then is written.
    """
    inputs, faults = find_inputs(paths)
    predictor = Predictor(landmarker, out, boxes, detector, draw, smooth)
    outcome = predictor.outcome
    outcome.faults += faults
    try:
        predictor.images([source for source in inputs if not source.is_video])
        for source in inputs:
            if source.is_video:
                predictor.video(source)
    finally:
        scheme = landmarker.scheme
        outcome.files += write_results(out, format, outcome.faces, scheme, outcome.faults)
    return outcome


@dataclass
class Predictor:
    """Goes through the inputs and collects an `Outcome`; see `predict`."""

    landmarker: Landmarker
    out: Path
    boxes: BoxTable | None
    detector: Detector | None
    draw: bool
    smooth: bool
    outcome: Outcome = field(default_factory=Outcome)

    def images(self, sources: list[Input]) -> None:
        """Images, some at a time."""
        remaining = iter(sources)
        while some := list(islice(remaining, _AT_ONCE)):
            self._some_images(some)

    def _some_images(self, sources: list[Input]) -> None:
        read: list[tuple[Input, np.ndarray, np.ndarray, np.ndarray]] = []
        for source in sources:
            try:
                image = read_image(source.path)
                read.append((source, image, *self._boxes_of(image, source, None)))
            except _INPUT_ERRORS as error:
                self._note(source, error)
        found = self.landmarker([image for _, image, _, _ in read], [some for *_, some, _ in read])
        for index, (source, image, _, orders) in enumerate(read):
            landmarks = found.of_image(index)
            self._collect(source, None, landmarks, landmarks.points, orders)
            self.outcome.images += 1
            if self.draw:
                try:
                    self._save_drawn(source, self._drawn(image, landmarks.points))
                except _INPUT_ERRORS as error:
                    self._note(source, error)

    def video(self, source: Input) -> None:
        """All frames of a video, in order."""
        try:
            video = Video(source.path)
        except _INPUT_ERRORS as error:
            self._note(source, error)
            return
        name = Path("drawn") / source.name
        with VideoSink(self.out / name.with_name(name.name + ".mp4"), video.rate) as sink:
            try:
                self._frames(source, video, sink)
            except _INPUT_ERRORS as error:
                self._note(source, error)
        if sink.path.exists():
            self.outcome.files.append(sink.path)

    def _frames(self, source: Input, video: Video, sink: VideoSink) -> None:
        smoother = FaceSmoother() if self.smooth else None
        number = 0
        for frames in _batches(video.frames()):
            chosen = [
                self._boxes_of(frame, source, number + offset)
                for offset, frame in enumerate(frames)
            ]
            found = self.landmarker(frames, [boxes for boxes, _ in chosen])
            for index, (frame, (boxes, orders)) in enumerate(zip(frames, chosen, strict=True)):
                landmarks = found.of_image(index)
                points = landmarks.points
                if smoother is not None:
                    points = smoother(points, boxes, number / video.rate)
                self._collect(source, number, landmarks, points, orders)
                if self.draw:
                    sink.add(self._drawn(frame, points))
                number += 1
                self.outcome.frames += 1

    def _boxes_of(
        self, image: np.ndarray, source: Input, frame: int | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Boxes [F, 4] and their order [F]."""
        first = len(self.outcome.faces)
        if self.boxes is not None:
            boxes, orders = self.boxes.of(source, frame)
        else:
            height, width = image.shape[:2]
            whole = np.array([[0, 0, width, height]], dtype=np.float64)
            boxes = whole if self.detector is None else self.detector(image)
            orders = np.full(len(boxes), first)
        square_windows(boxes)
        return boxes, orders

    def _collect(
        self,
        source: Input,
        frame: int | None,
        landmarks: Landmarks,
        points: np.ndarray,
        orders: np.ndarray,
    ) -> None:
        self.outcome.without_faces += len(orders) == 0
        for face, order in enumerate(orders):
            self.outcome.faces.append(
                FoundFace(
                    source=source,
                    frame=frame,
                    face=face,
                    order=int(order),
                    box=landmarks.boxes[face],
                    points=points[face],
                    confidence=landmarks.confidence[face],
                    expected_error=landmarks.expected_error[face],
                )
            )

    def _drawn(self, image: np.ndarray, points: np.ndarray) -> np.ndarray:
        for face in points:
            image = draw_face(image, face, self.landmarker.scheme)
        return image

    def _save_drawn(self, source: Input, image: np.ndarray) -> None:
        path = self.out / "drawn" / source.name
        if path.suffix.lower() not in _KEPT_SUFFIXES:
            path = path.with_name(path.name + ".png")
        encoded = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
        write_bytes_atomic(path, encoded.tobytes())
        self.outcome.files.append(path)

    def _note(self, source: Input, error: Exception) -> None:
        text = str(error)
        place = str(source.path)
        self.outcome.faults.append(text if place in text else f"{place}: {text}")


def _count(number: int, what: str) -> str:
    """ "" for none, "1 face", "2 faces"."""
    return f"{number} {what}{'s' * (number > 1)}" if number else ""


def _batches(frames: Iterator[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """Some frames at a time; those before an error come first, then the error."""
    some: list[np.ndarray] = []
    failure: Exception | None = None
    try:
        for frame in frames:
            some.append(frame)
            if len(some) == _AT_ONCE:
                yield some
                some = []
    except ValueError as error:
        failure = error
    if some:
        yield some
    if failure is not None:
        raise failure
