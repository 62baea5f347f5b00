"""Files of predictions: those of a run, and those of other tools."""

import io
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from sesame_hpc.checksums import read_verified
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.files import replacing

__all__ = ["read_predictions", "read_sample_ids", "write_predictions"]


def write_predictions(path: Path, predicted: np.ndarray, faces: Annotations) -> None:
    """Write `image` [N], `points` [N, K, 2] in original pixels and `sample_ids` [N] as npz."""
    images = np.array(faces.images)
    with replacing(path) as partial:
        np.savez(partial, image=images, points=predicted, sample_ids=faces.sample_ids)


def read_predictions(path: Path, faces: Annotations) -> np.ndarray:
    """Predictions float64 [N, K, 2] in original pixels, one row per face in the order of `faces`.

    npz with `image` [N] and `points` [N, K, 2], or CSV with the columns image, x0, y0, x1, y1 ...
    Raises ValueError naming file and row if they do not match the faces or are not finite.
    """
    if not path.exists():
        raise FileNotFoundError(f"no predictions at {path}")
    images, points = _read_npz(path) if path.suffix == ".npz" else _read_csv(path)
    wanted = faces.landmarks.shape
    if points.shape != wanted:
        raise ValueError(f"{path}: points are {points.shape}; these faces need {wanted}")
    for row, (found, expected) in enumerate(zip(images, faces.images, strict=True)):
        if str(found) != expected:
            raise ValueError(
                f"{path}: row {row} is for {found}, but face {row} is in {expected} "
                f"({faces.sources[row]}); rows must be in the order of the annotations"
            )
    bad = np.flatnonzero(~np.isfinite(points).all(axis=(1, 2)))
    if len(bad):
        raise ValueError(f"{path}: row {bad[0]} ({images[bad[0]]}) has numbers that are not finite")
    return points


def read_sample_ids(path: Path) -> np.ndarray:
    """The sample ids [N] of the faces that predictions of a run's own (npz) are for."""
    if not path.exists():
        raise FileNotFoundError(f"no predictions at {path}")
    return _arrays(path, "sample_ids")["sample_ids"]


def _read_npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    arrays = _arrays(path, "image", "points")
    return arrays["image"], arrays["points"].astype(np.float64)


def _arrays(path: Path, *wanted: str) -> dict[str, np.ndarray]:
    content = read_verified(path)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = dict(archive)
    except (BadZipFile, EOFError, OSError, ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"{path}: not an npz file of plain arrays ({error})") from error
    missing = set(wanted) - arrays.keys()
    if missing:
        raise ValueError(f"{path}: no array {sorted(missing)}; it has {sorted(arrays)}")
    return arrays


def _read_csv(path: Path) -> tuple[np.ndarray, np.ndarray]:
    header, *lines = path.read_text("utf-8").splitlines() or [""]
    names = header.split(",")
    count = (len(names) - 1) // 2
    expected = ["image", *(f"{axis}{point}" for point in range(count) for axis in "xy")]
    if names != expected or not count:
        raise ValueError(f"{path}:1: the columns must be image,x0,y0,x1,y1,... in this order")
    images, points = [], []
    for number, line in enumerate(lines, start=2):
        image, *numbers = line.rsplit(",", 2 * count)
        try:
            points.append([float(value) for value in numbers])
        except ValueError as error:
            raise ValueError(f"{path}:{number}: {error}") from None
        if len(numbers) != 2 * count:
            raise ValueError(f"{path}:{number}: {len(numbers)} numbers, not {2 * count}")
        images.append(image)
    return np.array(images), np.array(points, dtype=np.float64).reshape(-1, count, 2)
