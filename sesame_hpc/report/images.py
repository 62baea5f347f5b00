"""The images of a report, as small JPEGs in the page: faces with landmarks, reconstructions."""

import base64
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from markupsafe import Markup

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.geometry import apply
from sesame_hpc.data.viewing.draw import crop_square
from sesame_hpc.data.viewing.face_image import face_image, read_rgb
from sesame_hpc.report.report_data import EvaluatedPart

__all__ = ["FaceImage", "Strip", "chosen_faces", "chosen_rows", "reconstruction_strips"]

_FACE_SIDE = 240
_FACE_MARGIN = 1.35
_STRIP_HEIGHT = 132
_QUALITY = 80
_ROWS = (
    "Crop",
    "Mask λ",
    "Masked input",
    "Reconstruction",
    "Reconstruction where masked",
)


@dataclass(frozen=True)
class FaceImage:
    """A face's crop with its true and predicted landmarks; NME in percent."""

    drawing: Markup
    name: str
    sample_id: int
    nme: float


@dataclass(frozen=True)
class Strip:
    """One row of the reconstruction sheet as a data URI."""

    title: str
    source: str


def chosen_faces(part: EvaluatedPart, stage: str, count: int) -> tuple[list[FaceImage], ...]:
    """The faces with the highest NME, worst first, those around the median and the lowest.

    At most `count` of each kind, as `chosen_rows` chooses them. Raises ValueError if an image is
    missing or cannot be decoded.
    """
    assert part.faces is not None
    nme, points = part.face_nme[stage], part.points[stage]
    return tuple(
        [_face(part.faces, row, points[row], nme[row]) for row in rows]
        for rows in chosen_rows(nme, count)
    )


def chosen_rows(nme: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of `nme` [N]: the worst first, around the median from low to high, the best first.

    At most `count` of each, none in two of them, and NaN in none.
    """
    order = np.argsort(nme, kind="stable")  # NaN comes last
    order = order[: int((~np.isnan(nme)).sum())]
    each = min(count, -(-len(order) // 3))
    best, others = order[:each], order[each:]
    worst = others[max(len(others) - each, 0) :][::-1]
    between = others[: len(others) - len(worst)]
    start = max(len(order) // 2 - len(best) - each // 2, 0)
    start = min(start, max(len(between) - each, 0))
    return worst, between[start : start + each], best


def _face(faces: Annotations, row: int, predicted: np.ndarray, nme: float) -> FaceImage:
    image, to_stored = face_image(faces, row)
    truth, predicted = apply(to_stored, faces.landmarks[row]), apply(to_stored, predicted)
    low, high = np.nanmin(truth, axis=0), np.nanmax(truth, axis=0)
    side = _FACE_MARGIN * float((high - low).max())
    crop, matrix = crop_square(image, (low + high) / 2, side, _FACE_SIDE)
    name = faces.images[row]
    return FaceImage(
        _overlay(crop, apply(matrix, truth), apply(matrix, predicted), f"{name}: {nme:.2f} %"),
        Path(name).name,
        int(faces.sample_ids[row]),
        float(nme),
    )


def _overlay(crop: np.ndarray, truth: np.ndarray, predicted: np.ndarray, what: str) -> Markup:
    """The crop, a line from each true landmark to its prediction, and a dot at both.

    A landmark that is not labelled (NaN) has its prediction alone.
    """
    labelled = ~np.isnan(truth).any(axis=1)
    truth, found = truth[labelled], predicted[labelled]
    misses = "".join(
        f"M{a:.1f} {b:.1f}L{c:.1f} {d:.1f}" for (a, b), (c, d) in zip(truth, found, strict=True)
    )
    return Markup(
        '<svg class="face" viewBox="0 0 {0} {0}" role="img" aria-label="{1}">'
        '<image width="{0}" height="{0}" href="{2}"/><path class="miss" d="{3}"/>'
        '<path class="true" d="{4}"/><path class="predicted" d="{5}"/></svg>'
    ).format(_FACE_SIDE, what, _jpeg(crop), misses, _dots(truth), _dots(predicted))


def _dots(points: np.ndarray) -> str:
    return "".join(f"M{x:.1f} {y:.1f}h0" for x, y in points)


def reconstruction_strips(sheet: Path) -> list[Strip]:
    """The rows of a sheet of `stages.images`, each as one strip.

    Raises ValueError if the sheet cannot be read, or is not one.
    """
    image = read_rgb(sheet)
    height = image.shape[0] // len(_ROWS)
    if height == 0:
        raise ValueError(f"{sheet} is not a sheet of {len(_ROWS)} rows of images")
    rows = [image[index * height : (index + 1) * height] for index in range(len(_ROWS))]
    return [Strip(title, _jpeg(_shrunk(row))) for title, row in zip(_ROWS, rows, strict=True)]


def _shrunk(row: np.ndarray) -> np.ndarray:
    width = round(row.shape[1] * _STRIP_HEIGHT / row.shape[0])
    return cv2.resize(row, (width, _STRIP_HEIGHT), interpolation=cv2.INTER_AREA)


def _jpeg(rgb: np.ndarray) -> str:
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    assert done
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
