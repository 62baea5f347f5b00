"""What the readers of all formats share: a face as parsed, its checks, and the table of faces."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.formats.faults import Fault, raise_faults
from sesame_hpc.schemes import Scheme

__all__ = [
    "FARTHEST",
    "ImageFolder",
    "Parsed",
    "ParsedFace",
    "check_box",
    "check_normaliser",
    "finite_numbers",
    "first_bad_number",
    "parse_result",
]

FARTHEST = 1e7
"""No coordinate of a file lies farther than this many pixels from the first."""

_BOX = ("x_min", "y_min", "x_max", "y_max")


@dataclass(frozen=True)
class ParsedFace:
    """A face in corner-based pixels: 2K `coordinates` x0, y0, ...; `box` None is the tight one."""

    source: str
    image: str
    coordinates: Sequence[float]
    box: Sequence[float] | None = None
    attributes: Sequence[bool] = ()


@dataclass(frozen=True)
class Parsed:
    """One parse of a split: the faces without a fault (maybe none), and every fault."""

    what: str
    faces: Annotations
    faults: tuple[Fault, ...]

    def require(self) -> Annotations:
        """The faces, or a ValueError that names the faults."""
        raise_faults(self.what, self.faults)
        return self.faces


def parse_result(
    what: str,
    scheme: Scheme,
    root: Path,
    faces: Sequence[ParsedFace],
    faults: Sequence[Fault],
    attribute_names: tuple[str, ...] = (),
) -> Parsed:
    """The table of `faces`, in their order and numbered by it, with the faults found beside it."""
    count = len(faces)
    numbers = np.array([face.coordinates for face in faces], dtype=np.float64)
    landmarks = numbers.reshape(count, scheme.num_landmarks, 2)
    boxes = np.empty((count, len(_BOX)))
    for row, face in enumerate(faces):
        boxes[row] = _tight_box(landmarks[row]) if face.box is None else face.box
    attributes = np.array([face.attributes for face in faces], dtype=np.bool_)
    table = Annotations(
        scheme=scheme,
        root=root,
        images=tuple(face.image for face in faces),
        boxes=boxes,
        landmarks=landmarks,
        attributes=attributes.reshape(count, len(attribute_names)),
        attribute_names=attribute_names,
        sources=tuple(face.source for face in faces),
        sample_ids=np.arange(count, dtype=np.int64),
    )
    return Parsed(what, table, tuple(faults))


def _tight_box(landmarks: np.ndarray) -> np.ndarray:
    return np.concatenate([landmarks.min(axis=0), landmarks.max(axis=0)])


class ImageFolder:
    """The folder that image names are relative to; looks each name up once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._exists = cache(self._look_up)

    def require(self, name: str, place: str) -> None:
        """Raise a Fault at `place` if the image does not exist."""
        if not self._exists(name):
            raise Fault("image", place, f"no image {self._folder / name}")

    def _look_up(self, name: str) -> bool:
        try:
            return (self._folder / name).is_file()
        except OSError:
            return False


def finite_numbers(fields: Sequence[str]) -> list[float] | None:
    """The numbers that fields spell, each at most `FARTHEST` in size; None for anything else."""
    together = "".join(fields)
    if not together.isascii() or "_" in together:
        return None
    try:
        numbers = [float(field) for field in fields]
    except ValueError:
        return None
    return numbers if all(-FARTHEST <= number <= FARTHEST for number in numbers) else None


def first_bad_number(fields: Sequence[str]) -> int:
    """The position of the first field that is no finite number; there must be one."""
    return next(i for i, field in enumerate(fields) if finite_numbers([field]) is None)


def check_box(box: Sequence[float], place: str) -> None:
    """Raise a Fault at `place` for a box (x_min, y_min, x_max, y_max) without extent."""
    x_min, y_min, x_max, y_max = box
    if x_max <= x_min or y_max <= y_min:
        found = ", ".join(f"{name} {value:g}" for name, value in zip(_BOX, box, strict=True))
        problem = f"empty box ({found}); x_max > x_min and y_max > y_min in a box"
        raise Fault("box", place, problem)


def check_normaliser(coordinates: Sequence[float], scheme: Scheme, place: str) -> None:
    """Raise a Fault at `place` where the two points of the normaliser are one."""
    first, second = scheme.normaliser
    if all(coordinates[2 * first + axis] == coordinates[2 * second + axis] for axis in (0, 1)):
        problem = f"points {first} and {second} coincide; errors are divided by their distance"
        raise Fault("normaliser", place, problem)
