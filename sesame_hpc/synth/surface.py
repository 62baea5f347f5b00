"""The head as a radius over (angle, height): maps for rendering and the landmarks in 3D.

The axis is vertical through the skull; x right, y down, z towards the viewer, face units. Columns
are equidistant in the diamond angle t = x / (|x| + |z|), continued to [-2, 2] around the back,
which needs no trigonometry per pixel. Rows are equidistant in y.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from .shape import EYE_LINE, OUTLINE, Expression, Identity, feature_points, half_width

__all__ = [
    "COLUMNS",
    "ROWS",
    "THETA",
    "Surface",
    "Y",
    "build_surface",
    "map_coordinates",
    "smoothstep",
]

COLUMNS, ROWS = 208, 176
Y_TOP, Y_BOTTOM = -1.55, 2.35
_T = np.linspace(-2.0, 2.0, COLUMNS)
_FOLDED = np.where(np.abs(_T) <= 1, _T, np.sign(_T) * (2 - np.abs(_T)))
THETA = np.arctan2(_FOLDED, np.where(np.abs(_T) <= 1, 1 - np.abs(_FOLDED), np.abs(_FOLDED) - 1))
THETA = THETA.astype(np.float32)[None, :]
Y = np.linspace(Y_TOP, Y_BOTTOM, ROWS, dtype=np.float32)[:, None]
_SIN, _COS = np.sin(THETA), np.cos(THETA)
_FRONT = slice(COLUMNS // 4, COLUMNS - COLUMNS // 4)
_FACE_CENTRE_Y = 0.35
_MARCH = np.linspace(0.3, 0.985, 36)
_RIM = 0.985


def smoothstep(low: float, high: float, value: np.ndarray) -> np.ndarray:
    s = np.clip((value - low) / (high - low), 0.0, 1.0)
    return s * s * (3 - 2 * s)


def map_coordinates(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Column and row, as for `cv2.remap`, of head points; float32 arrays."""
    ratio = x / (np.abs(x) + np.abs(z) + np.float32(1e-6))
    back = np.copysign(np.float32(2.0), x) - ratio
    t = np.where(z >= 0, ratio, back)
    column = (t + np.float32(2.0)) * np.float32((COLUMNS - 1) / 4)
    row = (y - np.float32(Y_TOP)) * np.float32((ROWS - 1) / (Y_BOTTOM - Y_TOP))
    return column, row


def _front_depth(identity: Identity, chin: float, y: np.ndarray) -> np.ndarray:
    knots = np.array([identity.top, -0.9, -0.6, -0.25, 0.0, 0.4, 0.75, 1.0, chin])
    depth = np.interp(y, knots, np.array([0.5, 0.6, 0.68, 0.73, 0.68, 0.72, 0.77, 0.77, 0.74]))
    below = np.clip((y - EYE_LINE) / (chin - EYE_LINE), 0.0, 1.0)
    above = np.clip((EYE_LINE - y) / (EYE_LINE - identity.top), 0.0, 1.0)
    closing = np.sqrt(np.maximum((1 - below**20) * (1 - above**3.2), 0.0))
    return identity.depth * depth * closing


def _skull(identity: Identity, chin: float) -> np.ndarray:
    wide = np.maximum(half_width(identity, chin, Y), 1e-3)
    front = np.maximum(_front_depth(identity, chin, Y), 1e-3)
    above = np.clip((EYE_LINE - Y) / (EYE_LINE - identity.top), 0.0, 1.0)
    back = 0.95 * np.sqrt(np.maximum(1 - above**3, 0.0)) * (1 - 0.55 * smoothstep(0.1, 1.0, Y))
    deep = np.where(_COS >= 0, front, np.maximum(back, 1e-3))
    return 1.0 / np.sqrt((_SIN / wide) ** 2 + (_COS / deep) ** 2)


def _with_neck(identity: Identity, chin: float, skull: np.ndarray) -> np.ndarray:
    wide = identity.neck + 0.9 * smoothstep(1.4, 2.5, Y)
    deep = np.where(_COS >= 0, 0.33 + 0.1 * smoothstep(1.4, 2.2, Y), 0.5)
    neck = 1.0 / np.sqrt((_SIN / wide) ** 2 + (_COS / deep) ** 2)
    neck = neck * smoothstep(0.2, 0.6, Y)
    jaw = np.interp(np.degrees(np.abs(THETA)), [0, 55, 90, 120, 160], [9, chin, 0.98, 0.6, 0.4])
    skull = skull - (skull - 0.8 * neck) * smoothstep(0.0, 0.12, Y - jaw)
    return 0.5 * (skull + neck + np.sqrt((skull - neck) ** 2 + 0.0012))


def _relief(identity: Identity, expression: Expression, x: np.ndarray) -> np.ndarray:
    """Relief added to the radius of the front: nose, brow ridge, sockets, cheeks, lips, chin."""

    def bump(cx: float, cy: float, sx: float, sy: float, height: float) -> np.ndarray:
        across = np.exp(-0.5 * ((np.abs(x) - cx) / sx) ** 2)
        return height * across * np.exp(-0.5 * ((Y - cy) / sy) ** 2)

    tip, ridge = identity.nose_tip, identity.nose_height
    run = smoothstep(-0.22, tip, Y) ** 1.3 * (1 - smoothstep(tip, tip + 0.13, Y))
    spread = 0.055 + 0.045 * smoothstep(0.1, tip, Y)
    relief = ridge * run * np.exp(-0.5 * (x / spread) ** 2)
    opened, line = expression.mouth_open, identity.mouth_y
    half = 0.62 * identity.mouth_width
    cheek = 0.035 + 0.03 * max(expression.smile, 0.0)
    for args in (
        (0.8 * identity.nose_width, tip + 0.01, 0.045, 0.05, 0.07),
        (identity.eye_x, -0.01, 0.13, 0.08, -0.06),
        (identity.eye_x, 0.0, 0.1, 0.05, 0.025),
        (0.33, identity.brow_y, 0.2, 0.06, 0.025),
        (0.42, 0.33, 0.15, 0.15, cheek),
        (0.0, line - 0.5 * identity.upper_lip - 0.1 * opened, half, 0.03, 0.045),
        (0.0, line + opened + 0.5 * identity.lower_lip, half * 0.9, 0.035, 0.05),
        (0.0, line + opened + identity.lower_lip + 0.07, half, 0.04, -0.03),
        (0.0, 0.5 * (line + identity.chin) + 0.12 + 0.8 * opened, 0.17, 0.1, 0.04),
    ):
        relief = relief + bump(*args)
    return relief


@dataclass(frozen=True)
class Surface:
    """`radius` is skin, `outer` skin with hair on it, both float32 [ROWS, COLUMNS]."""

    identity: Identity
    expression: Expression
    radius: np.ndarray
    chin: float

    @cached_property
    def features(self) -> np.ndarray:
        return feature_points(self.identity, self.expression)

    def on_front(self, points: np.ndarray) -> np.ndarray:
        """Frontal points [N, 2] lifted onto the front of the skin, [N, 3]."""
        front = np.flatnonzero(np.abs(THETA[0]) < 1.45)
        row = (points[:, 1] - Y_TOP) * (ROWS - 1) / (Y_BOTTOM - Y_TOP)
        low = np.clip(np.floor(row).astype(int), 0, ROWS - 2)
        share = (row - low)[:, None]
        radius = self.radius[low][:, front] * (1 - share) + self.radius[low + 1][:, front] * share
        x, z = radius * _SIN[:, front], radius * _COS[:, front]
        middle = len(front) // 2
        x[:, middle:] = np.maximum.accumulate(x[:, middle:], axis=1)
        x[:, :middle] = np.minimum.accumulate(x[:, :middle][:, ::-1], axis=1)[:, ::-1]
        depth = [np.interp(p[0], xs, zs) for p, xs, zs in zip(points, x, z, strict=True)]
        return np.column_stack([points, depth])

    def at_angle(self, theta: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Skin points at angles and heights of one shape, [..., 3]."""
        x, z = np.sin(theta).astype(np.float32), np.cos(theta).astype(np.float32)
        flat_x, flat_z = x.reshape(1, -1), z.reshape(1, -1)
        column, row = map_coordinates(flat_x, y.reshape(1, -1).astype(np.float32), flat_z)
        radius = cv2.remap(self.radius, column, row, cv2.INTER_LINEAR).reshape(theta.shape)
        return np.stack([radius * np.sin(theta), y, radius * np.cos(theta)], -1)

    def landmarks(self, rotation: np.ndarray) -> np.ndarray:
        """The 98 points in head coordinates as seen through `rotation` [3, 3], [98, 3].

        A point of the outline moves from the jaw towards the middle of the face, to the contour of
        the turned face.
        """
        inner = self.on_front(self.features[OUTLINE:])
        centre = np.array([0.0, _FACE_CENTRE_Y])
        rays = centre + _MARCH[None, :, None] * (self.features[:OUTLINE, None] - centre)
        x, y = rays[..., 0], rays[..., 1]
        wide = np.maximum(half_width(self.identity, self.chin, y), 1e-3)
        deep = np.maximum(_front_depth(self.identity, self.chin, y), 1e-3)
        excentric = np.arcsin(np.clip(x / wide, -_RIM, _RIM))
        theta = np.arctan2(wide * np.sin(excentric), deep * np.cos(excentric))
        candidates = self.at_angle(theta, y)
        outward = self.features[:OUTLINE] - centre
        outward = outward / np.linalg.norm(outward, axis=1, keepdims=True)
        roll = np.arctan2(-rotation[0, 1], rotation[1, 1])
        turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
        seen = candidates @ rotation[:2].T
        reach = np.einsum("ijk,ik->ij", seen, outward @ turn.T)
        best = np.argmax(reach, axis=1)
        return np.concatenate([candidates[np.arange(OUTLINE), best], inner])


def build_surface(identity: Identity, expression: Expression) -> Surface:
    chin = identity.chin + expression.jaw_drop()
    skull = _skull(identity, chin)
    bare = _with_neck(identity, chin, skull)
    radius = bare.astype(np.float32)
    front = radius[:, _FRONT]
    front += _relief(identity, expression, front * _SIN[:, _FRONT])
    radius = np.where(identity.top > Y, -0.2, radius)
    return Surface(identity, expression, radius.astype(np.float32), chin)
