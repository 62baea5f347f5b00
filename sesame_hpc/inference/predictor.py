"""`Predictor`: goes through images and videos, and collects an `Outcome`."""

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import av
import cv2
import numpy as np

from sesame_hpc.files import write_bytes_atomic
from sesame_hpc.inference.box_problem import box_problem
from sesame_hpc.inference.boxes import MatchedBoxes
from sesame_hpc.inference.drawing import draw_found
from sesame_hpc.inference.images import read_image
from sesame_hpc.inference.inputs import Input
from sesame_hpc.inference.landmarker import Landmarker
from sesame_hpc.inference.landmarks import Landmarks
from sesame_hpc.inference.outcome import FoundFace, Outcome
from sesame_hpc.inference.outputs import OutputFolder
from sesame_hpc.inference.smoothing import FaceSmoother
from sesame_hpc.inference.video import Video
from sesame_hpc.inference.video_sink import VideoSink

__all__ = ["Predictor", "Progress"]

_AT_ONCE = 16
_PIXELS_AT_ONCE = 32_000_000
_INPUT_ERRORS = (ValueError, OSError, MemoryError, cv2.error, av.FFmpegError)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

Progress = Callable[[str, int, int | None], None]
Chosen = tuple[np.ndarray, np.ndarray]
Item = TypeVar("Item")


@dataclass
class Predictor:
    """Adds what it finds, and what fails, to `outcome`; see `predict`."""

    landmarker: Landmarker
    folder: OutputFolder
    outcome: Outcome
    boxes: MatchedBoxes | None
    detector: Callable[[np.ndarray], np.ndarray] | None
    draw: bool
    smooth: bool
    passes: int
    progress: Progress

    def images(self, sources: list[Input]) -> None:
        """Images, some at a time; a large one alone."""
        for some in _batches(self._read(sources), lambda read: read[1]):
            self._some_images(some)

    def _read(self, sources: list[Input]) -> Iterator[tuple[Input, np.ndarray, Chosen]]:
        for done, source in enumerate(sources):
            self.progress("images", done, len(sources))
            try:
                image = read_image(source.path)
                chosen = self._boxes_of(image, source, None)
                self._name_boxes_past_the_end(source, 1)
            except _INPUT_ERRORS as error:
                self._note(source, error)
                continue
            yield source, image, chosen
        if sources:
            self.progress("images", len(sources), len(sources))

    def _some_images(self, read: list[tuple[Input, np.ndarray, Chosen]]) -> None:
        found = self.landmarker(
            [image for _, image, _ in read],
            [boxes for *_, (boxes, _) in read],
            passes=self.passes,
        )
        for index, (source, image, (_, orders)) in enumerate(read):
            landmarks = found.of_image(index)
            self._collect(source, None, landmarks, landmarks.points, orders)
            self.outcome.images += 1
            if self.draw:
                self._save_drawn(source, image, landmarks)

    def video(self, source: Input) -> None:
        """All frames of a video, in order."""
        try:
            video = Video(source.path)
            if not self.draw:
                self._frames(source, video, None)
                return
            path = self.folder.drawn(source)
            with VideoSink(path, video) as sink:
                try:
                    self._frames(source, video, sink)
                except _INPUT_ERRORS as error:
                    self._note(source, error)
            if path.exists():
                self.folder.files.append(path)
        except _INPUT_ERRORS as error:
            self._note(source, error)

    def _frames(self, source: Input, video: Video, sink: VideoSink | None) -> None:
        smoother = FaceSmoother() if self.smooth else None
        number = 0
        for frames in _batches(video.frames(), lambda frame: frame.image):
            chosen = [
                self._boxes_of(frame.image, source, number + offset)
                for offset, frame in enumerate(frames)
            ]
            found = self.landmarker(
                [frame.image for frame in frames],
                [boxes for boxes, _ in chosen],
                passes=self.passes,
            )
            for index, (frame, (boxes, orders)) in enumerate(zip(frames, chosen, strict=True)):
                landmarks = found.of_image(index)
                points = landmarks.points
                if smoother is not None:
                    points = smoother(points, boxes, float(frame.time))
                self._collect(source, number, landmarks, points, orders)
                if sink is not None:
                    self._draw(frame.image, landmarks, points)
                    sink.add(frame, frame.image)
                number += 1
                self.outcome.frames += 1
            self.progress(source.name, number, video.promised)
        self._name_boxes_past_the_end(source, number)

    def _name_boxes_past_the_end(self, source: Input, frames: int) -> None:
        if self.boxes is not None:
            self.outcome.failed += self.boxes.past_the_end(source, frames)

    def _boxes_of(self, image: np.ndarray, source: Input, frame: int | None) -> Chosen:
        """Boxes [F, 4] that can be used, and their order [F]."""
        height, width = image.shape[:2]
        if self.boxes is not None:
            boxes, orders = self.boxes.of(source, frame)
        else:
            whole = np.array([[0, 0, width, height]], dtype=np.float64)
            boxes = whole if self.detector is None else self.detector(image)
            orders = np.full(len(boxes), len(self.outcome.faces))
        problems = [box_problem(box, width, height) for box in boxes]
        for problem, order in zip(problems, orders, strict=True):
            if problem is not None:
                place = "" if self.boxes is None else f"{self.boxes.table.places[order]}: "
                self.outcome.failed.append(f"{place}{source.path}: {problem}")
        usable = np.array([problem is None for problem in problems], dtype=bool)
        return boxes[usable], orders[usable]

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

    def _draw(self, image: np.ndarray, landmarks: Landmarks, points: np.ndarray) -> None:
        for face, box, confidence in zip(
            points, landmarks.boxes, landmarks.confidence, strict=True
        ):
            draw_found(image, face, box, float(confidence.mean()), self.landmarker.scheme)

    def _save_drawn(self, source: Input, image: np.ndarray, landmarks: Landmarks) -> None:
        """Where the disk is full, no more is drawn, so that the landmarks find room."""
        path = self.folder.drawn(source)
        try:
            self._draw(image, landmarks, landmarks.points)
            encoded = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
            write_bytes_atomic(path, encoded.tobytes())
            self.folder.files.append(path)
        except _INPUT_ERRORS as error:
            self._note(source, error)
            if isinstance(error, OSError) and error.errno in _NO_ROOM:
                self.draw = False
                self.outcome.failed.append("no more images are drawn: no space is left for them")

    def _note(self, source: Input, error: BaseException) -> None:
        text = str(error) or type(error).__name__
        place = str(source.path)
        self.outcome.failed.append(text if place in text else f"{place}: {text}")


def _batches(items: Iterator[Item], image_of: Callable[[Item], np.ndarray]) -> Iterator[list[Item]]:
    """Some at a time, of at most `_PIXELS_AT_ONCE` pixels; those before an error come first."""
    some: list[Item] = []
    failure: Exception | None = None
    try:
        for item in items:
            some.append(item)
            pixels = sum(image_of(each)[..., 0].size for each in some)
            if len(some) == _AT_ONCE or pixels >= _PIXELS_AT_ONCE:
                yield some
                some = []
    except ValueError as error:
        failure = error
    if some:
        yield some
    if failure is not None:
        raise failure
