"""WFLW's six lists of subsets of the test part: which faces are in which.

`WFLW_annotations/list_<K>pt_test/list_<K>pt_test_<name>.txt` has a line for each face: K pairs
x y and the image's path, without box and attributes. A line means the face of the test list that
has the same image and the same landmarks.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.formats.faults import Fault, read_lines
from sesame_hpc.data.formats.wflw import SUBSET_LISTS, parse_numbers, subset_path, wflw_folder
from sesame_hpc.schemes import Scheme

__all__ = ["Subsets", "read_subsets"]

_SAME_PIXELS = 0.01


@dataclass(frozen=True)
class Subsets:
    """Rows of the test faces by subset, int64, sorted; lists without a file are not there.

    `faults` are lines that could not be read or mean no face of the test list.
    """

    rows: dict[str, NDArray[np.int64]]
    faults: tuple[Fault, ...]


def read_subsets(root: Path, test: Annotations) -> Subsets:
    """The subset lists in `root`, matched to the faces of the test list by image and landmarks."""
    rows_of_image: dict[str, list[int]] = {}
    for row, image in enumerate(test.images):
        rows_of_image.setdefault(image, []).append(row)
    rows: dict[str, NDArray[np.int64]] = {}
    faults: list[Fault] = []
    for name in SUBSET_LISTS:
        path = wflw_folder(root) / subset_path(name, test.scheme.num_landmarks)
        if path.is_file():
            found = _read_list(path, test, rows_of_image, faults)
            rows[name] = np.array(sorted(found), dtype=np.int64)
    return Subsets(rows, tuple(faults))


def _read_list(
    path: Path, test: Annotations, rows_of_image: dict[str, list[int]], faults: list[Fault]
) -> set[int]:
    found: set[int] = set()
    try:
        lines = read_lines(path)
    except Fault as fault:
        faults.append(fault)
        return found
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields:
            continue
        try:
            image, landmarks = _parse_line(fields, test.scheme, f"{path}:{number}")
            found.add(_find_face(image, landmarks, test, rows_of_image, f"{path}:{number}"))
        except Fault as fault:
            faults.append(fault)
    return found


def _parse_line(fields: list[str], scheme: Scheme, place: str) -> tuple[str, NDArray[np.float64]]:
    coordinates = 2 * scheme.num_landmarks
    if len(fields) != coordinates + 1:
        problem = (
            f"has {len(fields)} fields; a line of a subset has {coordinates + 1} "
            f"({coordinates} coordinates and an image name)"
        )
        raise Fault("fields", place, problem)
    numbers = parse_numbers(fields[:-1], place)
    return fields[-1], np.array(numbers).reshape(-1, 2)


def _find_face(
    image: str,
    landmarks: NDArray[np.float64],
    test: Annotations,
    rows_of_image: dict[str, list[int]],
    place: str,
) -> int:
    for row in rows_of_image.get(image, []):
        labelled = test.seen[row] > 0
        if np.abs(test.landmarks[row] - landmarks)[labelled].max() < _SAME_PIXELS:
            return row
    problem = f"no face of the test list has this image ({image}) and these landmarks"
    raise Fault("layout", place, problem)
