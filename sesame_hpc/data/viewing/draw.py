"""Drawing: a square crop of a face, and landmarks and boxes over an image.

Coordinates are corner-based pixels, as everywhere; for OpenCV (0, 0) is the centre of the first
pixel, so half a pixel is subtracted where it is called.
"""

import colorsys

import cv2
import numpy as np

from sesame_hpc.schemes import Scheme

__all__ = ["crop_square", "draw_box", "draw_face", "region_colours"]

_FRACTION_BITS = 4
_FARTHEST = 2.0**20
_DARK = (16, 16, 16)


def region_colours(scheme: Scheme) -> dict[str, tuple[int, int, int]]:
    """An RGB colour for each region, spread over the hues."""
    return {name: _bright(index / len(scheme.regions)) for index, name in enumerate(scheme.regions)}


def draw_face(
    image: np.ndarray, landmarks: np.ndarray, scheme: Scheme, side: float | None = None
) -> np.ndarray:
    """A copy of `image` (uint8 RGB [H, W, 3]) with `landmarks` ([K, 2], pixels) drawn over it.

    Points and edges have the colour of their region; their widths scale with `side` in pixels, by
    default the image's shorter side. Points that are NaN, not labelled,
    are left out with their edges.

    Raises:
        ValueError: another dtype or shape, or a coordinate is infinite.
    """
    _check_image(image)
    _check_landmarks(landmarks, scheme)
    drawn = np.ascontiguousarray(image).copy()
    side = min(image.shape[:2]) if side is None else side
    colours = _point_colours(scheme)
    labelled = ~np.isnan(landmarks).any(axis=1)
    points = [_to_fixed(point) for point in np.where(labelled[:, None], landmarks, 0)]
    width = max(1, round(side / 320))
    for first, second in scheme.edges:
        if labelled[first] and labelled[second]:
            ends = points[first], points[second]
            cv2.line(drawn, *ends, colours[first], width, cv2.LINE_AA, _FRACTION_BITS)
    for point in np.flatnonzero(labelled):
        _draw_point(drawn, points[point], colours[point], side)
    return drawn


def draw_box(
    image: np.ndarray,
    box: np.ndarray,
    colour: tuple[int, int, int] = (255, 255, 255),
    width: int | None = None,
) -> np.ndarray:
    """A copy of `image` (uint8 RGB [H, W, 3]) with `box` (x_min, y_min, x_max, y_max, pixels).

    `width` of the line in pixels; None follows the image's shorter side.
    """
    _check_image(image)
    drawn = np.ascontiguousarray(image).copy()
    low, high = _to_fixed(box[:2]), _to_fixed(box[2:])
    width = width or max(1, round(min(image.shape[:2]) / 256))
    cv2.rectangle(drawn, low, high, colour, width, cv2.LINE_AA, _FRACTION_BITS)
    return drawn


def crop_square(
    image: np.ndarray, centre: np.ndarray, side: float, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """The square of `side` pixels around `centre`, resized to `size`; grey beyond the image.

    Returns the crop, uint8 [size, size, 3], and the float64 [2, 3] matrix from pixels of the image
    to pixels of the crop, both corner-based.
    """
    scale = size / side
    matrix = np.array(
        [[scale, 0, size / 2 - scale * centre[0]], [0, scale, size / 2 - scale * centre[1]]],
        dtype=np.float64,
    )
    reduced, factors = _reduce(image, int(side / size))
    steps = np.diag([*(1 / factors), 1.0])
    half = np.array([0.5, 0.5])
    centred = matrix @ steps
    centred[:, 2] += centred[:, :2] @ half - half
    crop = cv2.warpAffine(
        reduced, centred, (size, size), flags=cv2.INTER_LINEAR, borderValue=(96, 96, 96)
    )
    return crop, matrix


def _reduce(image: np.ndarray, divisor: int) -> tuple[np.ndarray, np.ndarray]:
    """The image shrunk by area averages, and its size over the original's (x, y)."""
    height, width = image.shape[:2]
    if divisor < 2:
        return image, np.ones(2)
    shape = (max(1, width // divisor), max(1, height // divisor))
    return cv2.resize(image, shape, interpolation=cv2.INTER_AREA), np.divide(shape, (width, height))


def _draw_point(
    image: np.ndarray, point: tuple[int, int], colour: tuple[int, int, int], side: float
) -> None:
    radius = max(1.0, side / 160)
    for extra, fill in ((max(0.5, side / 800), _DARK), (0.0, colour)):
        fixed = round((radius + extra) * 2**_FRACTION_BITS)
        cv2.circle(image, point, fixed, fill, -1, cv2.LINE_AA, _FRACTION_BITS)


def _point_colours(scheme: Scheme) -> list[tuple[int, int, int]]:
    colours = region_colours(scheme)
    region_of = {point: name for name, members in scheme.regions.items() for point in members}
    return [colours[region_of[point]] for point in range(scheme.num_landmarks)]


def _to_fixed(point: np.ndarray) -> tuple[int, int]:
    """Corner-based pixels to OpenCV's fixed-point pixel centres, bounded to fit its integers."""
    x, y = np.clip(np.asarray(point, np.float64) - 0.5, -_FARTHEST, _FARTHEST)
    return round(x * 2**_FRACTION_BITS), round(y * 2**_FRACTION_BITS)


def _bright(hue: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.75, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)


def _check_image(image: np.ndarray) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image: is {image.dtype} {list(image.shape)}; takes uint8 [H, W, 3]")


def _check_landmarks(landmarks: np.ndarray, scheme: Scheme) -> None:
    if landmarks.shape != (scheme.num_landmarks, 2):
        raise ValueError(
            f"landmarks: are {list(landmarks.shape)}; scheme {scheme.name} takes "
            f"[{scheme.num_landmarks}, 2]"
        )
    if np.isinf(landmarks).any():
        raise ValueError("landmarks: some are infinite; takes pixels, or NaN where not labelled")
