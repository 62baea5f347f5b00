"""Soft, subpixel drawing onto a float image in user units (corner-based coordinates)."""

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

__all__ = ["Canvas", "Colour", "dense", "ellipse", "lattice_noise"]

Colour = np.ndarray
_SHIFT = 4
_MAX_SOFT = 64.0


@lru_cache
def _spline_basis(steps: int) -> np.ndarray:
    """Catmull-Rom weights of four neighbours at `steps` places of a segment, [steps, 4]."""
    s = np.arange(steps) / steps
    powers = np.stack([np.ones_like(s), s, s**2, s**3], 1)
    return powers @ (0.5 * np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]]))


def dense(points: np.ndarray, steps: int = 6) -> np.ndarray:
    """An open Catmull-Rom curve through `points` [N, 2] -> [(N - 1) * steps + 1, 2]."""
    count = len(points) - 1
    padded = np.empty((count + 3, 2))
    padded[1:-1] = points
    padded[0] = 2 * points[0] - points[1]
    padded[-1] = 2 * points[-1] - points[-2]
    neighbours = np.array([padded[k : k + count] for k in range(4)])
    curve = np.empty((count * steps + 1, 2))
    curve[:-1] = (
        np.tensordot(neighbours, _spline_basis(steps), (0, 1)).swapaxes(1, 2).reshape(-1, 2)
    )
    curve[-1] = points[-1]
    return curve


@lru_cache
def _unit_circle(steps: int) -> np.ndarray:
    turn = np.linspace(0.0, 2 * np.pi, steps, endpoint=False)
    return np.stack([np.cos(turn), np.sin(turn)], 1)


def ellipse(
    centre: np.ndarray | tuple[float, float],
    rx: float,
    ry: float,
    angle: float = 0.0,
    steps: int = 24,
) -> np.ndarray:
    """A closed polygon [steps, 2]; `angle` in radians."""
    c, s = math.cos(angle), math.sin(angle)
    return _unit_circle(steps) @ np.array([[rx * c, rx * s], [-ry * s, ry * c]]) + centre


def lattice_noise(
    rng: np.random.Generator, rows: int, columns: int, height: int, width: int
) -> np.ndarray:
    """Smooth noise of about unit deviation, float32 [height, width]."""
    coarse = rng.standard_normal((rows, columns), dtype=np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def _fixed(pixels: np.ndarray, corner: tuple[int, int] = (0, 0), shrink: int = 1) -> np.ndarray:
    """Corner-based positions as OpenCV's fixed-point pixel centres, int32 [N, 2]."""
    unit = (1 << _SHIFT) / shrink
    shift = np.array(corner) * unit + 0.5 * (1 << _SHIFT)
    return np.rint(pixels * unit - shift).astype(np.int32)


@dataclass(frozen=True)
class Canvas:
    """`image` float32 [H, W, 3] in [0, 1]; point p lies at pixel (p - origin) * scale."""

    image: np.ndarray
    origin: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0

    def corner_pixels(self, points: np.ndarray) -> np.ndarray:
        return (np.asarray(points, np.float64) - self.origin) * self.scale

    def fill(
        self,
        polygon: np.ndarray,
        colour: Colour,
        alpha: float = 1.0,
        soft: float = 0.0,
        within: np.ndarray | None = None,
    ) -> None:
        """Blends `colour` inside `polygon`; `soft` is the blur of its edge, in user units."""
        self._blend([polygon], colour, alpha, soft, 0.0, within)

    def stroke(
        self, line: np.ndarray, colour: Colour, width: float, alpha: float = 1.0, soft: float = 0.0
    ) -> None:
        """Blends `colour` along the open `line`; `width` in user units."""
        self.strokes([line], colour, width, alpha, soft)

    def strokes(
        self,
        lines: list[np.ndarray],
        colour: Colour,
        width: float,
        alpha: float = 1.0,
        soft: float = 0.0,
    ) -> None:
        self._blend(lines, colour, alpha, soft, width, None)

    def coverage(self, polygon: np.ndarray) -> np.ndarray:
        """Antialiased inside share of every pixel, float32 [H, W] in [0, 1]."""
        mask = np.zeros(self.image.shape[:2], np.uint8)
        cv2.fillPoly(mask, [_fixed(self.corner_pixels(polygon))], 255, cv2.LINE_AA, _SHIFT)
        return mask.astype(np.float32) / 255

    def _blend(
        self,
        polygons: list[np.ndarray],
        colour: Colour,
        alpha: float,
        soft: float,
        width: float,
        within: np.ndarray | None,
    ) -> None:
        blur = min(soft * self.scale, _MAX_SOFT)
        pixels = [self.corner_pixels(p) for p in polygons]
        cloud = pixels[0] if len(pixels) == 1 else np.concatenate(pixels)
        (left, top), (right, bottom) = (tuple(f(axis=0).tolist()) for f in (cloud.min, cloud.max))
        margin = 2.5 * blur + width * self.scale + 2
        height, breadth = self.image.shape[:2]
        x0, y0 = max(int(left - margin), 0), max(int(top - margin), 0)
        x1, y1 = min(int(right + margin) + 1, breadth), min(int(bottom + margin) + 1, height)
        if x0 >= x1 or y0 >= y1:
            return
        shrink = 1 << max(0, int(np.log2(max(blur, 1.0) / 1.2)))
        x1, y1 = (low + -(-(high - low) // shrink) * shrink for low, high in ((x0, x1), (y0, y1)))
        fixed = [_fixed(p, (x0, y0), shrink) for p in pixels]
        mask = np.zeros(((y1 - y0) // shrink, (x1 - x0) // shrink), np.uint8)
        if width:
            wanted = width * self.scale / shrink
            alpha *= min(1.0, wanted)
            cv2.polylines(mask, fixed, False, 255, max(1, round(wanted)), cv2.LINE_AA, _SHIFT)
        else:
            cv2.fillPoly(mask, fixed, 255, cv2.LINE_AA, _SHIFT)
        if blur > 0.3:
            mask = cv2.GaussianBlur(mask, (0, 0), blur / shrink)
        if shrink > 1:
            mask = cv2.resize(mask, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
            x1, y1 = min(x1, breadth), min(y1, height)
            mask = mask[: y1 - y0, : x1 - x0]
        weight = mask.astype(np.float32) * np.float32(alpha / 255)
        if within is not None:
            weight *= within[y0:y1, x0:x1]
        part = self.image[y0:y1, x0:x1]
        part += (np.asarray(colour, np.float32) - part) * weight[..., None]
