"""Frames out of a generator: landmarks are those of single images, nothing is read ahead."""

from collections.abc import Iterator

import numpy as np
import pytest

from sesame_hpc.inference.landmarker import Landmarker

BOX = [8.0, 8.0, 40.0, 44.0]


def frames_of(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(4)
    return [random.integers(0, 256, (48, 56, 3), dtype=np.uint8) for _ in range(count)]


@pytest.mark.parametrize("at_once", [1, 3, 16])
def test_each_frame_has_the_landmarks_of_its_image(landmarker: Landmarker, at_once: int) -> None:
    frames = frames_of(7)
    boxes = [[BOX] * (number % 3) for number in range(7)]
    found = list(landmarker.stream(iter(frames), iter(boxes), at_once=at_once, passes=2))
    assert [len(each) for each in found] == [0, 1, 2, 0, 1, 2, 0]
    for frame, its, landmarks in zip(frames, boxes, found, strict=True):
        alone = landmarker(frame, its, passes=2)
        np.testing.assert_allclose(landmarks.points, alone.points, atol=1e-3)
        np.testing.assert_array_equal(landmarks.boxes, alone.boxes)


def test_boxes_may_be_a_detector_or_the_whole_frame(landmarker: Landmarker) -> None:
    frames = frames_of(2)
    seen: list[tuple[int, ...]] = []

    def detector(image: np.ndarray) -> np.ndarray:
        seen.append(image.shape)
        return np.array([BOX])

    found = list(landmarker.stream([frames[0], frames[1][..., 0]], detector))
    assert seen == [(48, 56, 3)] * 2
    assert all(landmarks.boxes.tolist() == [BOX] for landmarks in found)
    (whole,) = landmarker.stream(frames[:1])
    assert whole.boxes.tolist() == [[0, 0, 56, 48]]


def test_no_frame_is_asked_for_before_the_results_are_taken(landmarker: Landmarker) -> None:
    asked: list[int] = []

    def generator() -> Iterator[np.ndarray]:
        for number, frame in enumerate(frames_of(6)):
            asked.append(number)
            yield frame

    stream = landmarker.stream(generator(), at_once=2)
    assert asked == []
    next(stream)
    next(stream)
    assert asked == [0, 1]
    next(stream)
    assert asked == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("bad", "boxes", "message"),
    [
        (np.zeros((4, 4, 3)), None, r"frame 2: is float64 \[4, 4, 3\]"),
        (None, [[BOX]] * 2, "boxes: there are none for frame 2"),
        (None, [[BOX], [BOX], [[90, 90, 99, 99]], [BOX]], "frame 2: box 0: .*outside the image"),
    ],
)
def test_an_error_names_the_frame_and_those_before_are_done(
    landmarker: Landmarker, bad, boxes, message
) -> None:
    frames = frames_of(4)
    if bad is not None:
        frames[2] = bad
    stream = landmarker.stream(frames, boxes, at_once=16)
    assert len([next(stream), next(stream)]) == 2
    with pytest.raises(ValueError, match=message):
        next(stream)


@pytest.mark.parametrize("options", [{"at_once": 0}, {"passes": 0}])
def test_numbers_below_one_are_refused_at_once(landmarker: Landmarker, options) -> None:
    with pytest.raises(ValueError, match="is 0; at least 1"):
        landmarker.stream(frames_of(1), **options)
