"""Landmarks of frames that come one after the other: batches out of a generator."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.inference.image_input import AnyImage, as_image
from sesame_hpc.inference.landmarks import Landmarks

__all__ = ["Boxes", "stream"]

Image = NDArray[np.uint8]
Boxes = Callable[[Image], Any] | Iterable[Any]


class Finder(Protocol):
    """A `Landmarker`, which calls `stream`."""

    def __call__(self, images: Any, boxes: Any = None, *, passes: int = 1) -> Landmarks: ...


def stream(
    find: Finder,
    frames: Iterable[AnyImage],
    boxes: Boxes | None = None,
    *,
    passes: int = 1,
    at_once: int = 16,
) -> Iterator[Landmarks]:
    """See `Landmarker.stream`."""
    if at_once < 1:
        raise ValueError(f"at_once is {at_once}; at least 1")
    if passes < 1:
        raise ValueError(f"passes is {passes}; at least 1")
    return _streamed(find, _with_boxes(frames, boxes), passes, at_once)


def _streamed(
    find: Finder, pairs: Iterator[tuple[Image, Any]], passes: int, at_once: int
) -> Iterator[Landmarks]:
    first = 0
    failure: Exception | None = None
    while failure is None:
        some: list[tuple[Image, Any]] = []
        try:
            while len(some) < at_once:
                some.append(next(pairs))
        except StopIteration:
            if not some:
                return
        except (ValueError, OSError) as error:
            failure = error
        yield from _found(find, some, passes, first)
        first += len(some)
    assert failure is not None
    raise failure


def _found(
    find: Finder, some: list[tuple[Image, Any]], passes: int, first: int
) -> Iterator[Landmarks]:
    """Frame by frame where one of them has a box that is refused, so that those before are done."""
    if not some:
        return
    try:
        every = find([image for image, _ in some], [boxes for _, boxes in some], passes=passes)
    except ValueError as error:
        if len(some) == 1:
            raise ValueError(str(error).replace("image 0", f"frame {first}", 1)) from None
        for offset, each in enumerate(some):
            yield from _found(find, [each], passes, first + offset)
        return
    for index in range(len(some)):
        yield every.of_image(index)


def _with_boxes(frames: Iterable[AnyImage], boxes: Boxes | None) -> Iterator[tuple[Image, Any]]:
    """Frames as uint8 RGB [H, W, 3] with their boxes; a ValueError names the frame."""
    given = None if boxes is None or callable(boxes) else iter(boxes)
    for number, frame in enumerate(frames):
        image = as_image(frame, f"frame {number}")
        if callable(boxes):
            yield image, boxes(image)
        elif given is None:
            yield image, [[0, 0, image.shape[1], image.shape[0]]]
        else:
            try:
                yield image, next(given)
            except StopIteration:
                raise ValueError(f"boxes: there are none for frame {number}") from None
