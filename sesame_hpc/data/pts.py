"""300-W's `.pts` files: folders of images with one file of landmarks beside each image.

    version: 1
    n_points: 68
    {
    92.168 107.808
    ...
    }

Coordinates in the file are 1-based pixel centres: the centre of the first pixel is (1, 1), which
is (0.5, 0.5) in corner-based pixels.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.faults import Faults, folder_entries, read_lines
from sesame_hpc.schemes import Scheme

__all__ = ["IMAGE_SUFFIXES", "has_pts_split", "parse_pts", "read_pts"]

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
_TO_CORNERS = -0.5
_HEADERS = ("version", "n_points")


def has_pts_split(root: Path, split: str) -> bool:
    """Whether `root/<split>` exists; a root without that folder is itself train if it has faces."""
    return (root / split).is_dir() or (split == "train" and any(root.glob("*.pts")))


def read_pts(root: Path, split: str, scheme: Scheme) -> Annotations:
    """The faces of `root/<split>`, or of `root` itself for train, sorted by file name.

    The box of a face is the tight box of its landmarks. There are no attributes.

    Raises:
        FileNotFoundError: no such split.
        ValueError: no face, or faults of the files, each with its place.
    """
    folder = _split_folder(root, split)
    faults = Faults(f"faces of {folder}")
    pairs = _pair_files(folder, faults)
    landmarks = np.empty((len(pairs), scheme.num_landmarks, 2))
    for row, (_, points_file) in enumerate(pairs):
        try:
            landmarks[row] = _read_face(points_file, scheme)
        except ValueError as error:
            faults.add(str(error))
    faults.raise_if_any()
    if not pairs:
        raise ValueError(
            f"no face in {folder}: an image ({', '.join(IMAGE_SUFFIXES)}) with a .pts file of the "
            f"same name beside it; {folder_entries(folder)}"
        )
    return Annotations(
        scheme=scheme,
        root=folder,
        images=tuple(image.name for image, _ in pairs),
        boxes=np.concatenate([landmarks.min(axis=1), landmarks.max(axis=1)], axis=1),
        landmarks=landmarks,
        attributes=np.zeros((len(pairs), 0), dtype=np.bool_),
        attribute_names=(),
        sources=tuple(f"{points_file}:1" for _, points_file in pairs),
        sample_ids=np.arange(len(pairs), dtype=np.int64),
    )


def parse_pts(path: Path, landmarks: int) -> np.ndarray:
    """The landmarks of a `.pts` file: float64 [landmarks, 2], corner-based pixels.

    Raises:
        ValueError: the file departs from the format; the message names file and line.
    """
    lines = [
        (number, line.strip()) for number, line in enumerate(read_lines(path), 1) if line.strip()
    ]
    if not lines:
        raise ValueError(f"{path}:1: is empty; takes version, n_points, '{{', points and '}}'")
    numbered = iter(lines)
    last = lines[-1][0]
    _parse_headers(numbered, path, last, landmarks)
    points = _parse_body(numbered, path, last)
    if len(points) != landmarks:
        raise ValueError(f"{path}:{last}: {len(points)} points, but n_points is {landmarks}")
    return np.array(points, dtype=np.float64) + _TO_CORNERS


def _split_folder(root: Path, split: str) -> Path:
    if (root / split).is_dir():
        return root / split
    if split == "train" and root.is_dir():
        return root
    raise FileNotFoundError(
        f"no {split} split: looked for the folder {root / split}; {folder_entries(root)}"
    )


def _pair_files(folder: Path, faults: Faults) -> list[tuple[Path, Path]]:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    points_files = {path.stem: path for path in files if path.suffix.lower() == ".pts"}
    images: dict[str, Path] = {}
    for path in files:
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        if path.stem in images:
            faults.add(
                f"{path}: shares its .pts file with {images[path.stem].name}; one image each"
            )
        elif path.stem not in points_files:
            faults.add(f"{path}: has no {path.stem}.pts beside it")
        images[path.stem] = path
    for stem, path in points_files.items():
        if stem not in images:
            suffixes = ", ".join(IMAGE_SUFFIXES)
            faults.add(f"{path}: has no image beside it ({stem} with {suffixes})")
    return [(images[stem], points_files[stem]) for stem in images if stem in points_files]


def _read_face(path: Path, scheme: Scheme) -> np.ndarray:
    points = parse_pts(path, scheme.num_landmarks)
    first, second = scheme.normaliser
    if np.array_equal(points[first], points[second]):
        raise ValueError(
            f"{path}: points {first} and {second} coincide; errors are divided by their distance"
        )
    return points


def _parse_headers(lines: Iterator[tuple[int, str]], path: Path, last: int, landmarks: int) -> None:
    """Reads up to the opening brace."""
    counted = False
    for number, line in lines:
        place = f"{path}:{number}"
        if line == "{":
            if not counted:
                raise ValueError(f"{place}: '{{' before 'n_points: {landmarks}'")
            return
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or name not in _HEADERS:
            raise ValueError(
                f"{place}: {line!r} where 'version: 1', 'n_points: {landmarks}' or '{{' belongs"
            )
        if name == "n_points":
            counted = True
            if value != str(landmarks):
                raise ValueError(f"{place}: n_points is {value!r}; the scheme has {landmarks}")
    raise ValueError(f"{path}:{last}: ends without the '{{' before the points")


def _parse_body(lines: Iterator[tuple[int, str]], path: Path, last: int) -> list[list[float]]:
    points: list[list[float]] = []
    for number, line in lines:
        if line == "}":
            if extra := next(lines, None):
                raise ValueError(f"{path}:{extra[0]}: {extra[1]!r} after the closing '}}'")
            return points
        points.append(_parse_point(line, f"{path}:{number}"))
    raise ValueError(f"{path}:{last}: ends without the '}}' after the points")


def _parse_point(line: str, place: str) -> list[float]:
    try:
        point = [float(field) for field in line.split()]
    except ValueError:
        point = []
    if len(point) != 2 or not all(map(math.isfinite, point)):
        raise ValueError(f"{place}: {line!r} is no point; a point is two finite numbers: x y")
    return point
