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

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sesame_hpc.data.formats.faults import Fault, folder_entries, read_lines
from sesame_hpc.data.formats.rows import (
    Parsed,
    ParsedFace,
    check_normaliser,
    finite_numbers,
    parse_result,
)
from sesame_hpc.schemes import Scheme

__all__ = ["IMAGE_SUFFIXES", "TO_CORNERS", "has_pts_split", "parse_pts", "parse_pts_split"]

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
TO_CORNERS = -0.5
_HEADERS = ("version", "n_points")


def has_pts_split(root: Path, split: str) -> bool:
    """Whether `root/<split>` exists; a root without that folder is itself train if it has faces."""
    return (root / split).is_dir() or (split == "train" and any(root.glob("*.pts")))


def parse_pts_split(root: Path, split: str, scheme: Scheme) -> Parsed:
    """The faces of `root/<split>`, or of `root` itself for train, by file name; and all faults.

    The box of a face is the tight box of its landmarks. There are no attributes.

    Raises:
        FileNotFoundError: no such split.
    """
    folder = _split_folder(root, split)
    faults: list[Fault] = []
    faces: list[ParsedFace] = []
    for image, points_file in _pair_files(folder, faults):
        try:
            points = parse_pts(points_file, scheme.num_landmarks).ravel().tolist()
            check_normaliser(points, scheme, str(points_file))
        except Fault as fault:
            faults.append(fault)
        else:
            faces.append(ParsedFace(f"{points_file}:1", image.name, points))
    if not faces and not faults:
        problem = (
            f"no face: an image ({', '.join(IMAGE_SUFFIXES)}) with a .pts file of the "
            f"same name beside it; {folder_entries(folder)}"
        )
        faults.append(Fault("empty", folder, problem))
    return parse_result(f"faces of {folder}", scheme, folder, faces, faults)


def parse_pts(path: Path, landmarks: int) -> np.ndarray:
    """The landmarks of a `.pts` file: float64 [landmarks, 2], corner-based pixels.

    Raises:
        Fault: the file departs from the format; the message names file and line.
    """
    lines = [
        (number, line.strip()) for number, line in enumerate(read_lines(path), 1) if line.strip()
    ]
    if not lines:
        raise Fault("empty", f"{path}:1", "is empty; takes version, n_points, '{', points and '}'")
    numbered = iter(lines)
    last = lines[-1][0]
    _parse_headers(numbered, path, last, landmarks)
    points = _parse_body(numbered, path, last)
    if len(points) != landmarks:
        problem = f"{len(points)} points, but n_points is {landmarks}"
        raise Fault("fields", f"{path}:{last}", problem)
    return np.array(points, dtype=np.float64) + TO_CORNERS


def _split_folder(root: Path, split: str) -> Path:
    if (root / split).is_dir():
        return root / split
    if split == "train" and root.is_dir():
        return root
    raise FileNotFoundError(
        f"no {split} split: looked for the folder {root / split}; {folder_entries(root)}"
    )


def _pair_files(folder: Path, faults: list[Fault]) -> list[tuple[Path, Path]]:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    points_files = {path.stem: path for path in files if path.suffix.lower() == ".pts"}
    images: dict[str, Path] = {}
    for path in files:
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        if path.stem in images:
            problem = f"shares its .pts file with {images[path.stem].name}; one image each"
            faults.append(Fault("layout", path, problem))
        elif path.stem not in points_files:
            faults.append(Fault("layout", path, f"has no {path.stem}.pts beside it"))
        images[path.stem] = path
    for stem, path in points_files.items():
        if stem not in images:
            suffixes = ", ".join(IMAGE_SUFFIXES)
            problem = f"has no image beside it ({stem} with {suffixes})"
            faults.append(Fault("image", path, problem))
    return [(images[stem], points_files[stem]) for stem in images if stem in points_files]


def _parse_headers(lines: Iterator[tuple[int, str]], path: Path, last: int, landmarks: int) -> None:
    """Reads up to the opening brace."""
    counted = False
    for number, line in lines:
        place = f"{path}:{number}"
        if line == "{":
            if not counted:
                raise Fault("layout", place, f"'{{' before 'n_points: {landmarks}'")
            return
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or name not in _HEADERS:
            problem = f"{line!r} where 'version: 1', 'n_points: {landmarks}' or '{{' belongs"
            raise Fault("layout", place, problem)
        if name == "n_points":
            counted = True
            if value != str(landmarks):
                problem = f"n_points is {value!r}; the scheme has {landmarks}"
                raise Fault("fields", place, problem)
    raise Fault("layout", f"{path}:{last}", "ends without the '{' before the points")


def _parse_body(lines: Iterator[tuple[int, str]], path: Path, last: int) -> list[list[float]]:
    points: list[list[float]] = []
    for number, line in lines:
        if line == "}":
            if extra := next(lines, None):
                problem = f"{extra[1]!r} after the closing '}}'"
                raise Fault("layout", f"{path}:{extra[0]}", problem)
            return points
        points.append(_parse_point(line, f"{path}:{number}"))
    raise Fault("layout", f"{path}:{last}", "ends without the '}' after the points")


def _parse_point(line: str, place: str) -> list[float]:
    point = finite_numbers(line.split())
    if point is None or len(point) != 2:
        problem = f"{line!r} is no point; a point is two finite numbers: x y"
        raise Fault("number", place, problem)
    return point
