"""Which boxes cannot be those of a face in an image."""

import numpy as np

__all__ = ["box_problem"]

_LEAST_SIDE = 1.0
_LEAST_INSIDE = 0.1


def box_problem(box: np.ndarray, width: int, height: int) -> str | None:
    """What is wrong with a box (x_min, y_min, x_max, y_max) on an image of that size, or None."""
    said = f"box {[float(side) for side in box]}"
    low, high = np.array(box[:2], dtype=np.float64), np.array(box[2:], dtype=np.float64)
    if not np.isfinite(box).all() or (low >= high).any():
        return f"{said} is not finite with x_min < x_max and y_min < y_max"
    extent = high / 2 - low / 2
    if extent.max() < _LEAST_SIDE / 2:
        return f"{said} is smaller than a pixel; boxes are in pixels, not in fractions of the image"
    inside = np.minimum(high, (width, height)) / 2 - np.maximum(low, 0) / 2
    if (inside <= 0).any():
        return f"{said} lies outside the image of {width} x {height} pixels"
    if np.prod(inside / extent) < _LEAST_INSIDE:
        return (
            f"{said} lies outside the image of {width} x {height} pixels with more than nine "
            "tenths of its area"
        )
    return None
