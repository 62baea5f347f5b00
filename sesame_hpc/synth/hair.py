"""Hair on the head: where it grows, its height above the skin, its strands."""

from dataclasses import dataclass

import cv2
import numpy as np

from .canvas import lattice_noise
from .cast import Hair
from .surface import COLUMNS, ROWS, THETA, Surface, Y, smoothstep

__all__ = ["HairMaps", "grow_hair"]

_STRETCH_FROM = -0.3
_TIP = 0.04
_DEGREES = np.degrees(THETA[0])


@dataclass(frozen=True)
class HairMaps:
    """All float32 [ROWS, COLUMNS]: hair fraction, radius with hair, brightness of strands."""

    mask: np.ndarray
    outer: np.ndarray
    strands: np.ndarray


def _hair_line(hair: Hair, rng: np.random.Generator) -> np.ndarray:
    """The lowest y of the hair at each column, [COLUMNS]."""
    angle = np.abs(_DEGREES)
    temple = hair.line + 0.32
    if hair.style == "long":
        edge = hair.curtain + 10 * hair.parting * np.sign(_DEGREES)
        front = np.interp(angle, [0, 30, 62, 95], [hair.line, hair.line + 0.02, temple, 0.0])
        line = np.where(angle > edge, hair.length, np.minimum(front, 0.2))
        line = front + (line - front) * smoothstep(-7, 7, angle - edge)
    else:
        knots = [0, 34, 58, 70, 78, 86, 93, 112, 124, 180]
        heights = [hair.line, hair.line, temple, -0.22, 0.1, 0.12, -0.16, -0.12, 0.5, hair.length]
        line = np.interp(angle, knots, heights)
    if hair.fringe:
        centre = 25 * hair.parting
        line = line + hair.fringe * (1 - smoothstep(34, 58, np.abs(_DEGREES - centre)))
    jagged = np.interp(np.linspace(0, 1, COLUMNS), np.linspace(0, 1, 64), rng.standard_normal(64))
    return line + hair.roughness * jagged


def _grown_skull(radius: np.ndarray, top: float, volume: float) -> np.ndarray:
    """The skull stretched upwards by `volume` above the brows."""
    squeeze = (_STRETCH_FROM - top) / (_STRETCH_FROM - top + volume)
    y = np.where(Y < _STRETCH_FROM, _STRETCH_FROM + (Y - _STRETCH_FROM) * squeeze, Y)
    row = (y - Y[0]) / (Y[1] - Y[0])
    rows = np.broadcast_to(row, radius.shape).astype(np.float32)
    columns = np.broadcast_to(np.arange(COLUMNS, dtype=np.float32), radius.shape)
    return cv2.remap(radius, np.ascontiguousarray(columns), rows, cv2.INTER_LINEAR)


def grow_hair(surface: Surface, hair: Hair, rng: np.random.Generator) -> HairMaps:
    radius = surface.radius
    waves = lattice_noise(rng, 9, 70, ROWS, COLUMNS)
    fine = lattice_noise(rng, 14, COLUMNS // 2, ROWS, COLUMNS)
    lumps = lattice_noise(rng, 16, 20, ROWS, COLUMNS)
    if hair.style == "bald":
        return HairMaps(np.zeros_like(radius), radius, np.ones_like(radius))
    above = _hair_line(hair, rng)[None, :].astype(np.float32) - Y
    mask = smoothstep(-0.02, 0.03, above + 0.012 * fine).astype(np.float32)
    body = cv2.GaussianBlur(smoothstep(-0.03, 0.04, above).astype(np.float32), (0, 0), 1.2)
    grown = _grown_skull(radius, surface.identity.top, hair.volume)
    hanging = grown
    if hair.style == "long":
        hanging = np.maximum(grown, 0.97 * np.maximum.accumulate(radius, axis=0))
        hanging = grown + (hanging - grown) * smoothstep(-0.1, 0.3, Y)
    lift = hair.volume * (0.25 + 0.75 * smoothstep(0.0, 0.4, above))
    lift = lift * (1 + 0.25 * hair.curl * lumps) + 0.008 * waves
    lift = lift * np.clip(grown / 0.35, 0, 1)
    outer = radius + (hanging + lift - radius) * body
    outer = np.where((grown < _TIP) & (Y < 0), -0.2, outer)
    strands = 1 + 0.16 * waves + 0.13 * fine + 0.12 * hair.curl * lumps
    return HairMaps(mask, outer.astype(np.float32), np.clip(strands, 0.5, 1.7).astype(np.float32))
