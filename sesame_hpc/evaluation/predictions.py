"""Files of predictions: those of a run, and those of other tools."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sesame_hpc.checksums import check_file
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.delimited import DelimitedRow, read_delimited, shortened
from sesame_hpc.data.image_names import resolve_names
from sesame_hpc.data.string_column import StringColumn
from sesame_hpc.files import replacing

__all__ = ["read_predictions", "read_sample_ids", "read_spread", "write_predictions"]


def write_predictions(
    path: Path, predicted: np.ndarray, faces: Annotations, spread: np.ndarray | None = None
) -> None:
    """Write `image` [N], `points` [N, K, 2] in original pixels and `sample_ids` [N] as npz.

    Also `spread` [N, K], if given: that of each heat map, in fractions of the crop side.
    """
    images, more = np.array(faces.images), {} if spread is None else {"spread": spread}
    with replacing(path) as partial:
        np.savez(partial, image=images, points=predicted, sample_ids=faces.sample_ids, **more)  # type: ignore[arg-type]


def read_predictions(path: Path, faces: Annotations) -> np.ndarray:
    """Predictions float64 [N, K, 2] in original pixels, one row per face in the order of `faces`.

    npz with `image` [N] and `points` [N, K, 2], or CSV with the columns image, x0, y0, x1, y1 ...
    A row's image may be spelt otherwise than in the annotations (see `resolve_names`).
    Raises ValueError naming file and row if they do not match the faces or are not finite.
    """
    if not path.exists():
        raise FileNotFoundError(f"no predictions at {path}")
    wanted = faces.landmarks.shape
    if path.suffix.lower() == ".json":
        raise ValueError(
            f"{path}: predictions are read from npz or CSV files; `sesame predict --format csv` "
            "writes such a landmarks.csv"
        )
    if path.suffix.lower() == ".npz":
        images, points = _read_npz(path)
        places = None
    else:
        images, points, places = _read_csv(path, wanted[1])
    if points.shape != wanted or len(images) != len(points):
        raise ValueError(
            f"{path}: points are {points.shape} of {len(images)} images; these faces need {wanted}"
        )
    if (other := _other_image(images, faces)) is not None:
        raise ValueError(
            f"{_place(path, places, other)} is for {shortened(images[other])}, but face {other} is "
            f"in {faces.images[other]} ({faces.sources[other]}); rows must be in the order of the "
            "annotations"
        )
    bad = np.flatnonzero(~np.isfinite(points).all(axis=(1, 2)))
    if len(bad):
        place = _place(path, places, int(bad[0]))
        raise ValueError(f"{place} ({images[bad[0]]}) has numbers that are not finite")
    return points


def _place(path: Path, places: list[str] | None, row: int) -> str:
    return f"{path}: row {row}" if places is None else places[row]


def _other_image(images: Sequence[str], faces: Annotations) -> int | None:
    """The first row whose image is not that of the face; spellings count only where they differ."""
    pairs = zip(images, faces.images, strict=True)
    if all(found == expected for found, expected in pairs):
        return None
    meant = resolve_names(images, list(dict.fromkeys(faces.images)))
    for row, (found, expected) in enumerate(zip(images, faces.images, strict=True)):
        if meant.found.get(found, found) != expected:
            return row
    return None


def read_sample_ids(path: Path) -> np.ndarray:
    """The sample ids [N] of the faces that predictions of a run's own (npz) are for."""
    if not path.exists():
        raise FileNotFoundError(f"no predictions at {path}")
    return _arrays(path, "sample_ids")["sample_ids"]


def read_spread(path: Path, faces: Annotations) -> np.ndarray | None:
    """The spreads float64 [N, K] beside a run's own predictions (npz) for `faces`.

    None where there are none: runs of version 0.1 kept none. Raises ValueError naming the file for
    those of other faces.
    """
    if not path.exists():
        raise FileNotFoundError(f"no predictions at {path}")
    arrays = _arrays(path, optional=("spread",))
    if "spread" not in arrays:
        return None
    spread = arrays["spread"]
    if spread.shape != faces.landmarks.shape[:2] or spread.dtype.kind != "f":
        raise ValueError(
            f"{path}: spread is {spread.dtype} {spread.shape}; these faces need "
            f"{faces.landmarks.shape[:2]} floats"
        )
    return spread.astype(np.float64)


def _read_npz(path: Path) -> tuple[Sequence[str], np.ndarray]:
    arrays = _arrays(path, "image", "points")
    images, points = arrays["image"], arrays["points"]
    if images.ndim != 1 or images.dtype.kind not in "US":
        raise ValueError(f"{path}: image is {images.dtype} {images.shape}; takes names [N]")
    if points.ndim != 3 or points.dtype.kind not in "fiu":
        raise ValueError(f"{path}: points are {points.dtype} {points.shape}; takes [N, K, 2]")
    names = (os.fsdecode(name) if isinstance(name, bytes) else str(name) for name in images)
    return StringColumn(names), points.astype(np.float64, copy=False)


def _arrays(path: Path, *wanted: str, optional: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    check_file(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = archive.files
            arrays = {name: archive[name] for name in (*wanted, *optional) if name in names}
    except Exception as error:  # zipfile and numpy raise errors of many kinds on broken files.
        raise ValueError(f"{path}: not an npz file of plain arrays ({error})") from error
    missing = set(wanted) - set(names)
    if missing:
        raise ValueError(f"{path}: no array {sorted(missing)}; it has {sorted(names)}")
    return arrays


def _read_csv(path: Path, landmarks: int) -> tuple[list[str], np.ndarray, list[str]]:
    """Names, points and places of the rows. Other columns than those of the points may be there."""
    columns = [f"{axis}{point}" for point in range(landmarks) for axis in "xy"]
    form = f"the columns image,x0,y0,x1,y1,... of {landmarks} landmarks"
    images: list[str] = []
    points: list[list[float]] = []
    places: list[str] = []
    for row in read_delimited(path, ["image", *columns], form):
        if row.problem:
            raise ValueError(f"{row.place}: {row.problem}")
        if not places:
            _check_last_point(path, row, columns)
        points.append([_number(row, name) for name in columns])
        images.append(row.cells["image"])
        places.append(row.place)
    return images, np.array(points, dtype=np.float64).reshape(-1, landmarks, 2), places


def _check_last_point(path: Path, row: DelimitedRow, columns: list[str]) -> None:
    """The first points of another scheme are not those of this one."""
    others = (name for name in row.cells if re.fullmatch(r"[xy]\d+", name))
    if (beyond := next((name for name in others if name not in columns), None)) is not None:
        raise ValueError(
            f"{path}:1: has a column {beyond}, and the faces have {len(columns) // 2} landmarks, "
            f"{columns[0]} to {columns[-1]}; predictions and faces need one scheme"
        )


def _number(row: DelimitedRow, column: str) -> float:
    try:
        return float(row.cells[column])
    except ValueError:
        cell = shortened(row.cells[column])
        raise ValueError(f"{row.place}: {column} is {cell}; takes a number of pixels") from None
