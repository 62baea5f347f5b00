"""Ray marching of the head: the surface point of every pixel, and its lighting."""

from dataclasses import dataclass

import cv2
import numpy as np

from .cast import Light, Look
from .hair import HairMaps
from .skin import SKIN_ORIGIN
from .surface import THETA, Y, map_coordinates, smoothstep

__all__ = ["Camera", "HeadPixels", "render_head"]

_EDGE = 0.06
_COARSE_STEPS = 23
_FINE_REACH = (0.06, 0.025, 0.01)
_NEAR, _MIN_ADVANCE, _MAX_ADVANCE, _DAMPING = 1.25, 0.05, 0.2, 0.8


@dataclass(frozen=True)
class Camera:
    """Orthographic view; `centre` is the position of the head's origin, in corner-based pixels."""

    rotation: np.ndarray
    centre: tuple[float, float]
    scale: float
    width: int
    height: int

    def project(self, points: np.ndarray) -> np.ndarray:
        """Head points [..., 3] -> pixels [..., 2]."""
        return points @ self.rotation[:2].T * self.scale + self.centre

    def depth(self, points: np.ndarray) -> np.ndarray:
        return points @ self.rotation[2]


@dataclass(frozen=True)
class HeadPixels:
    """The part `window` (rows, columns) of the image that contains the head, float32 [h, w]:
    colour ([h, w, 3]), coverage, fraction of hair, head y and view depth."""

    window: tuple[slice, slice]
    colour: np.ndarray
    alpha: np.ndarray
    hair: np.ndarray
    y: np.ndarray
    depth: np.ndarray


class _Rays:
    """The view rays of a window of the image, one per `step` pixels."""

    def __init__(
        self, camera: Camera, outer: np.ndarray, window: tuple[slice, slice], step: int
    ) -> None:
        rows, columns = (np.arange(w.start, w.stop, step, dtype=np.float32) for w in window)
        right = (columns + np.float32(0.5 * step) - camera.centre[0]) / camera.scale
        down = (rows + np.float32(0.5 * step) - camera.centre[1]) / camera.scale
        turn = camera.rotation.astype(np.float32)
        u, v = right[None, :].astype(np.float32), down[:, None].astype(np.float32)
        self.start = [turn[0, k] * u + turn[1, k] * v for k in range(3)]
        self.along = [turn[2, k] for k in range(3)]
        self.outer = outer

    def at(self, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        x, y, z = (s + a * depth for s, a in zip(self.start, self.along, strict=True))
        return x, y, z

    def outside(self, depth: np.ndarray) -> np.ndarray:
        """Radial distance of the points at `depth` from the surface, negative inside."""
        x, y, z = self.at(depth)
        column, row = map_coordinates(x, y, z)
        radius = cv2.remap(
            self.outer, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return np.subtract(cv2.magnitude(x, z), radius)


def _march(rays: _Rays) -> tuple[np.ndarray, np.ndarray]:
    """Depth of the first surface, and the distance at which rays miss it (-1 for hits).

    Sphere tracing with a bracket, since plain steps oscillate at steep walls of the surface.
    """
    depth = np.full(rays.start[0].shape, _NEAR, np.float32)
    nearest = np.full_like(depth, 9.0)
    closest, last_outside = depth.copy(), depth.copy()
    first_inside = np.full_like(depth, -9.0)
    for _ in range(_COARSE_STEPS):
        gap = rays.outside(depth)
        np.copyto(closest, depth, where=gap < nearest)
        np.minimum(nearest, gap, out=nearest)
        inside = gap < 0
        np.copyto(first_inside, depth, where=inside)
        np.copyto(last_outside, depth, where=~inside)
        between = 0.5 * (first_inside + last_outside)
        gap *= _DAMPING
        advanced = depth - np.where(inside, gap, np.clip(gap, _MIN_ADVANCE, _MAX_ADVANCE))
        depth = np.where(inside, np.minimum(advanced, between), np.maximum(advanced, between))
    missed = first_inside < -8.0
    return np.where(missed, closest, depth), np.where(missed, nearest, np.float32(-1.0))


def _occupied(touched: np.ndarray) -> tuple[slice, slice]:
    """The bounding rows and columns of a half-resolution mask."""
    rows, columns = (np.flatnonzero(touched.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return slice(0, 2), slice(0, 2)
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _doubled(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)


def _refine(rays: _Rays, coarse: np.ndarray) -> np.ndarray:
    """Depth at full resolution, without averaging across depth edges."""
    depth = _doubled(coarse)
    sharp = np.repeat(np.repeat(coarse, 2, axis=0), 2, axis=1)
    np.copyto(depth, sharp, where=np.abs(depth - sharp) > _EDGE)
    for reach in _FINE_REACH:
        depth -= np.clip(_DAMPING * rays.outside(depth), -reach, reach)
    return depth


def _lit_maps(camera: Camera, hair: HairMaps, chin: float, light: Light, look: Look) -> np.ndarray:
    """Per surface cell: diffuse gain, gloss, hair share, strand brightness, [ROWS, COLUMNS, 4]."""
    outer = hair.outer
    x, z = outer * np.sin(THETA), outer * np.cos(THETA)
    y = np.broadcast_to(Y, outer.shape)
    across = [cv2.Sobel(p, -1, 1, 0, ksize=3) for p in (x, z)]
    down = [cv2.Sobel(np.ascontiguousarray(p), -1, 0, 1, ksize=3) for p in (x, y, z)]
    normal = np.stack(
        [
            -across[1] * down[1],
            across[1] * down[0] - across[0] * down[2],
            across[0] * down[1],
        ]
    )
    normal /= np.sqrt((normal**2).sum(0)) + 1e-9
    towards = np.asarray(light.direction) / np.linalg.norm(light.direction)
    incident = np.tensordot((camera.rotation.T @ towards).astype(np.float32), normal, 1)
    halfway = np.add(towards, (0, 0, 1))
    halfway = camera.rotation.T @ (halfway / np.linalg.norm(halfway))
    shine = np.maximum(np.tensordot(halfway.astype(np.float32), normal, 1), 0)
    hollow = cv2.GaussianBlur(outer, (0, 0), 4) - outer
    small = cv2.resize(outer, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    wide = cv2.resize(cv2.GaussianBlur(small, (0, 0), 2.5), outer.shape[::-1])
    hollow += 0.6 * (wide - outer)
    occluded = np.clip(1 - 2.2 * hollow, 0.45, 1.08)
    under = Y - np.interp(np.degrees(np.abs(THETA)), [0, 40, 90, 140], [chin, chin, 1.0, 0.6])
    below = smoothstep(-0.06, 0.14, under) * np.exp(-np.maximum(under, 0) / 0.5)
    neck = 1 - look.neck_shade * below * (1 - hair.mask)
    wrap = np.clip((incident + 0.25) / 1.25, 0, 1)
    diffuse = (light.ambient + light.key * wrap) * occluded * neck
    broad = shine * shine * shine
    broad *= broad
    narrow = np.square(np.square(broad))
    gloss = light.gloss * light.key * (narrow * (1 - 0.6 * hair.mask) + 0.35 * broad)
    maps = np.stack([diffuse, gloss, hair.mask, hair.strands], -1)
    return np.ascontiguousarray(maps, np.float32)


def render_head(
    camera: Camera,
    hair: HairMaps,
    chin: float,
    skin: np.ndarray,
    skin_scale: float,
    light: Light,
    look: Look,
) -> HeadPixels:
    """The lit head, seen by `camera`, whose sides are even numbers of pixels."""
    whole = slice(0, camera.height), slice(0, camera.width)
    coarse, nearest = _march(_Rays(camera, hair.outer, whole, 2))
    miss = np.maximum(nearest * np.float32(camera.scale), -1.0)
    part = _occupied(miss < 1.5)
    window = (
        slice(2 * part[0].start, 2 * part[0].stop),
        slice(2 * part[1].start, 2 * part[1].stop),
    )
    rays = _Rays(camera, hair.outer, window, 1)
    depth = _refine(rays, coarse[part])
    alpha = np.clip(0.5 - _doubled(miss[part]), 0.0, 1.0)
    x, y, z = rays.at(depth)
    column, row = map_coordinates(x, y, z)
    maps = _lit_maps(camera, hair, chin, light, look)
    lit = cv2.remap(maps, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    diffuse, gloss, share, strands = cv2.split(lit)
    skin_x = (x - np.float32(SKIN_ORIGIN[0])) * np.float32(skin_scale) - np.float32(0.5)
    skin_y = (y - np.float32(SKIN_ORIGIN[1])) * np.float32(skin_scale) - np.float32(0.5)
    colour = cv2.remap(skin, skin_x, skin_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    np.multiply(colour, ((1 - share) * diffuse)[..., None], out=colour)
    strands *= share * diffuse
    tone = look.hair_colour.astype(np.float32)
    colour += cv2.merge([strands * c + gloss for c in tone])
    return HeadPixels(window, colour, alpha, share, y, depth)
