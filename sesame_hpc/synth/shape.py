"""The parametric frontal face: 98 points in the WFLW order from identity and expression.

Unit: the distance of the outer eye corners of an average face; x points to the right of the image,
y down, and the origin is between the eyes. All points except the outline are fixed here in the
frontal plane; the outline depends on the view and is found on the 3D surface (`surface.py`).
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["EYE_LINE", "OUTLINE", "Expression", "Identity", "feature_points", "half_width"]

OUTLINE = 33
EYE_LINE = -0.05
_OUTLINE_TOP = -0.24


@dataclass(frozen=True)
class Identity:
    """Lengths in face units; `taper` and `square` shape the jaw."""

    width: float = 0.80
    top: float = -1.14
    chin: float = 1.30
    taper: float = 2.2
    square: float = 1.6
    depth: float = 1.0
    eye_x: float = 0.325
    eye_width: float = 0.168
    eye_height: float = 0.062
    eye_tilt: float = 0.0
    brow_y: float = -0.19
    brow_height: float = 0.05
    brow_arch: float = 0.045
    nose_tip: float = 0.44
    nose_width: float = 0.17
    nose_height: float = 0.26
    mouth_y: float = 0.77
    mouth_width: float = 0.26
    upper_lip: float = 0.055
    lower_lip: float = 0.085
    neck: float = 0.48


@dataclass(frozen=True)
class Expression:
    """Pairs are (image left, image right); `mouth_open` is a length, the rest are about [-1, 1]."""

    mouth_open: float = 0.0
    smile: float = 0.0
    pucker: float = 0.0
    brow_raise: tuple[float, float] = (0.0, 0.0)
    frown: float = 0.0
    eye_open: tuple[float, float] = (1.0, 1.0)
    gaze: tuple[float, float] = (0.0, 0.0)

    def jaw_drop(self) -> float:
        return 0.7 * self.mouth_open


def half_width(identity: Identity, chin: float, y: np.ndarray) -> np.ndarray:
    """Half of the head's width at heights `y`; zero above the skull and below the chin."""
    below = np.clip((y - EYE_LINE) / (chin - EYE_LINE), 0.0, 1.0)
    above = np.clip((EYE_LINE - y) / (EYE_LINE - identity.top), 0.0, 1.0)
    lower = np.maximum(1.0 - below**identity.taper, 0.0) ** (1.0 / identity.square)
    upper = np.sqrt(np.maximum(1.0 - above**2.6, 0.0))
    return identity.width * lower * upper


def frontal_outline(identity: Identity, chin: float) -> np.ndarray:
    """The frontal contour at equal arc lengths, image left to right, [33, 2]."""
    y = chin - (chin - _OUTLINE_TOP) * np.linspace(1.0, 0.0, 240) ** 2
    x = half_width(identity, chin, y)
    arc = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    at = np.linspace(0.0, arc[-1], OUTLINE // 2 + 1)
    right = np.stack([np.interp(at, arc, x), np.interp(at, arc, y)], 1)
    return np.concatenate([right * (-1.0, 1.0), right[-2::-1]])


def _eye(identity: Identity, expression: Expression, side: int) -> np.ndarray:
    """Eye of one side from the outer corner over the top to the inner corner and back, [8, 2]."""
    opening = max(expression.eye_open[side], 0.03) * identity.eye_height
    inward = np.array([-1.0, -0.5, 0.0, 0.5, 1.0, 0.5, 0.0, -0.5])
    lift = np.array([0.0, -0.74, -1.0, -0.78, 0.0, 0.58, 0.72, 0.56])
    lid = 0.3 * (identity.eye_height - opening)
    y = lift * opening + np.where(lift == 0.0, 0.0, lid) + identity.eye_tilt * inward
    return np.stack([identity.eye_x - identity.eye_width * inward, y], 1)


def _brow(identity: Identity, expression: Expression, side: int) -> np.ndarray:
    """Brow of one side: upper edge from the tail to the inner end, lower edge back, [9, 2]."""
    outward = np.array([1.0, 0.62, 0.3, -0.05, -0.52])
    arch = identity.brow_arch * np.array([-0.9, 0.62, 1.0, 0.8, 0.1])
    rise = 0.09 * expression.brow_raise[side]
    pull = expression.frown * np.array([-0.1, 0.0, 0.1, 0.4, 0.7]) * 0.07
    x = identity.eye_x + 0.02 + outward * 0.27 - 0.025 * expression.frown * (outward < 0)
    upper = np.stack([x, identity.brow_y - identity.brow_height / 2 - arch - rise + pull], 1)
    lower = upper[[4, 3, 2, 1]] + np.stack(
        [np.array([0.02, 0.0, 0.0, 0.0]), identity.brow_height * np.array([1.1, 1.15, 1.05, 0.75])],
        1,
    )
    return np.concatenate([upper, lower])


def _nose(identity: Identity) -> np.ndarray:
    tip, half = identity.nose_tip, identity.nose_width
    bridge = np.stack([np.zeros(4), np.linspace(-0.01, tip, 4)], 1)
    base_x = half * np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    base_y = tip + np.array([0.02, 0.075, 0.095, 0.075, 0.02])
    return np.concatenate([bridge, np.stack([base_x, base_y], 1)])


def _mouth(identity: Identity, expression: Expression) -> np.ndarray:
    """Outer lips 76-87 then inner lips 88-95, [20, 2]."""
    opened, smile = expression.mouth_open, expression.smile
    half = identity.mouth_width * (1 + 0.22 * smile - 0.28 * expression.pucker - 0.35 * opened)
    line = identity.mouth_y
    corner = line - 0.055 * smile + 0.42 * opened
    sag = 0.03 * max(smile, 0.0)
    upper_y = line - 0.1 * opened - identity.upper_lip * (1 + 0.25 * expression.pucker)
    lower_y = line + opened + identity.lower_lip * (1 + 0.25 * expression.pucker) + sag
    inner_up, inner_low = line - 0.1 * opened + sag, line + opened + sag
    blend = np.array([0.0, 0.72, 1.0])
    top = [corner + (upper_y + d - corner) * w for w, d in zip(blend, (0, 0, 0), strict=True)]
    outer_x = half * np.array([-1, -0.62, -0.24, 0, 0.24, 0.62, 1, 0.66, 0.34, 0, -0.34, -0.66])
    dip = upper_y + 0.012
    low = [corner + (lower_y - corner) * w for w in (0.68, 0.94, 1.0)]
    outer_y = [*top, dip, *top[::-1], *low, *low[-2::-1]]
    inset = 0.93
    inner_x = half * inset * np.array([-1, -0.55, 0, 0.55, 1, 0.55, 0, -0.55])
    up = corner + (inner_up - corner) * 0.8
    down = corner + (inner_low - corner) * 0.8
    inner_y = [corner, up, inner_up, up, corner, down + 0.002, inner_low + 0.002, down + 0.002]
    return np.stack([np.concatenate([outer_x, inner_x]), np.array([*outer_y, *inner_y])], 1)


def _pupils(identity: Identity, expression: Expression) -> np.ndarray:
    gaze_x, gaze_y = expression.gaze
    opening = np.asarray(expression.eye_open)
    y = 0.3 * identity.eye_height * (1 - opening) + gaze_y * 0.012 * opening - 0.008 * opening
    x = np.array([-identity.eye_x, identity.eye_x]) + gaze_x * 0.06
    return np.stack([x, y], 1)


def feature_points(identity: Identity, expression: Expression) -> np.ndarray:
    """All 98 points of the frontal face, [98, 2]; rows 0-32 are the frontal contour."""
    flip = np.array([-1.0, 1.0])
    brow_left, brow_right = (_brow(identity, expression, side) for side in (0, 1))
    eye_left, eye_right = (_eye(identity, expression, side) for side in (0, 1))
    return np.concatenate(
        [
            frontal_outline(identity, identity.chin + expression.jaw_drop()),
            brow_left * flip,
            brow_right[[4, 3, 2, 1, 0, 8, 7, 6, 5]],
            _nose(identity),
            eye_left * flip,
            eye_right[[4, 3, 2, 1, 0, 7, 6, 5]],
            _mouth(identity, expression),
            _pupils(identity, expression),
        ]
    )
