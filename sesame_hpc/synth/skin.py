"""The painted skin: a frontal image of brows, eyes, nose, lips and make-up, without light."""

import numpy as np

from .canvas import Canvas, dense, ellipse, lattice_noise
from .cast import Look
from .shape import Expression

__all__ = ["SKIN_ORIGIN", "paint_skin"]

SKIN_ORIGIN = (-1.1, -1.3)
_SKIN_EXTENT = (2.2, 3.0)
_BLACK = np.array([0.02, 0.02, 0.03])


def _closed(points: np.ndarray, corners: tuple[int, int], steps: int = 6) -> np.ndarray:
    """A closed outline through `points` that is smooth except at the two corners."""
    first, second = corners
    upper = dense(points[first : second + 1], steps)
    lower = dense(
        np.concatenate([points[second:], points[:first], points[first : first + 1]]), steps
    )
    return np.concatenate([upper[:-1], lower[:-1]])


def _base(look: Look, scale: float, rng: np.random.Generator) -> Canvas:
    width, height = (round(side * scale) for side in _SKIN_EXTENT)
    blotch = lattice_noise(rng, 9, 7, height, width) * 0.012
    blotch += lattice_noise(rng, 60, 44, height, width) * 0.008
    image = look.skin.astype(np.float32) * (1 + blotch[..., None])
    return Canvas(image, SKIN_ORIGIN, scale)


def _paint_cheeks(canvas: Canvas, points: np.ndarray, look: Look) -> None:
    red = np.clip(look.skin * np.array([0.8, 0.74, 1.06]), 0, 1)
    rouge = np.clip(look.skin * np.array([0.75, 0.6, 1.1]), 0, 1)
    for side in (-1.0, 1.0):
        spot = ellipse((side * 0.46, 0.36), 0.17, 0.13)
        canvas.fill(spot, red, look.redness, 0.09)
        if look.blush:
            canvas.fill(ellipse((side * 0.5, 0.3), 0.2, 0.08, -side * 0.5), rouge, look.blush, 0.06)
    canvas.fill(ellipse((0, points[54, 1]), 0.1, 0.08), red, 0.8 * look.redness, 0.04)
    crease = np.array([[0.2, 0.45], [0.29, 0.56], [0.34, 0.72]])
    dark = look.skin * 0.55
    for side in (-1.0, 1.0):
        canvas.stroke(dense(crease * (side, 1.0)), dark, 0.03, 0.55 * look.wrinkles, 0.018)


def _paint_beard(canvas: Canvas, points: np.ndarray, look: Look, rng: np.random.Generator) -> None:
    grain = 0.75 + 0.25 * np.clip(lattice_noise(rng, 150, 110, *canvas.image.shape[:2]), -1.0, 1.0)
    colour = look.brow * 0.6 + look.skin * 0.12
    if look.beard:
        outline = points[:33].copy()
        jaw = outline[5:28] * (1.06, 1.04)
        top = np.array(
            [[0.6, 0.5], [0.42, 0.66], [0.3, 0.92], [-0.3, 0.92], [-0.42, 0.66], [-0.6, 0.5]]
        )
        top[2:4, 1] = points[85, 1] + 0.1
        canvas.fill(np.concatenate([jaw, top]), colour, 0.85 * look.beard, 0.05, grain)
    if look.moustache:
        lip, nose = points[79, 1] - 0.008, points[57, 1] + 0.02
        half = 1.0 * points[82, 0]
        shape = np.array(
            [[-half, lip + 0.05], [-0.12, nose], [0.12, nose], [half, lip + 0.05], [0, lip]]
        )
        canvas.fill(shape, colour, 0.85 * look.moustache, 0.022, grain)


def _paint_brow(canvas: Canvas, brow: np.ndarray, look: Look, rng: np.random.Generator) -> None:
    outline = np.concatenate([dense(brow[:5])[:-1], dense(brow[[4, 5, 6, 7, 8, 0]])[:-1]])
    canvas.fill(outline, look.brow, look.brow_density, 0.008)
    upper, lower = dense(brow[:5]), dense(brow[[0, 8, 7, 6, 5]])
    roots = rng.uniform(2, len(upper) - 2, (14, 1))
    index = np.arange(len(upper))
    lean = roots - rng.uniform(0.5, 3.0, (14, 1))
    starts, ends = (
        np.stack([np.interp(at[:, 0], index, edge[:, k]) for k in (0, 1)], 1)
        for at, edge in ((roots, lower), (lean, upper))
    )
    hairs = list(np.stack([starts, starts + 0.85 * (ends - starts)], 1))
    canvas.strokes(hairs, look.brow * 0.55, 0.009, 0.6)


def _paint_eye(
    canvas: Canvas, eye: np.ndarray, pupil: np.ndarray, opening: float, look: Look
) -> None:
    left, right = eye[0], eye[4]
    outline = _closed(eye, (0, 4))
    centre = (left + right) / 2
    half = 0.5 * (right[0] - left[0])
    socket = ellipse((centre[0], centre[1] - 0.02), half * 1.15, 0.105)
    canvas.fill(socket, look.skin * np.array([0.74, 0.72, 0.8]), 0.45, 0.045)
    upper, lower = dense(eye[:5]), dense(eye[[0, 7, 6, 5, 4]])
    lid_rise = np.array([0.0, 0.025 + 0.012 * opening])
    if look.shadow is not None:
        band = np.concatenate([upper, (upper - (0, 0.085))[::-1]])
        canvas.fill(band, look.shadow, 0.75, 0.018)
    arc = np.sin(np.linspace(0, np.pi, len(upper)))[:, None]
    canvas.stroke(upper - lid_rise * (0.4 + 0.9 * arc), look.skin * 0.5, 0.014, 0.7, 0.006)
    canvas.fill(outline, np.array([0.87, 0.88, 0.9]))
    inside = canvas.coverage(outline)
    radius = 0.072
    for share, colour in ((1.0, look.iris * 0.45), (0.86, look.iris), (0.5, look.iris * 0.7)):
        canvas.fill(ellipse(pupil, radius * share, radius * share), colour, 1.0, 0.0, inside)
    canvas.fill(ellipse(pupil, 0.034, 0.034), _BLACK, 1.0, 0.0, inside)
    canvas.fill(_upper_shadow(upper), look.skin * 0.25, 0.55, 0.008, inside)
    glint = np.add(pupil, (0.02, -0.022))
    canvas.fill(ellipse(glint, 0.013, 0.013), np.ones(3), 0.9, 0.0, inside)
    pink = look.skin * np.array([0.7, 0.68, 0.95])
    inner = left if abs(left[0]) < abs(right[0]) else right
    canvas.fill(ellipse(inner * (1.04, 1), 0.016, 0.012), pink, 0.8, 0.004, inside)
    canvas.stroke(upper, np.array([0.06, 0.07, 0.09]), 0.02 + 0.022 * look.liner, 0.9)
    canvas.stroke(lower, look.skin * (0.5 - 0.35 * look.liner), 0.013, 0.75)


def _upper_shadow(upper: np.ndarray) -> np.ndarray:
    return np.concatenate([upper, np.add(upper, (0, 0.022))[::-1]])


def _paint_nose(canvas: Canvas, points: np.ndarray, look: Look) -> None:
    dark = look.skin * np.array([0.42, 0.4, 0.5])
    wing = abs(points[59, 0])
    tip = points[54, 1]
    for side in (-1.0, 1.0):
        nostril = ellipse((side * 0.52 * wing, tip + 0.068), 0.3 * wing, 0.019, side * 0.25)
        canvas.fill(nostril, dark * 0.4, 0.85, 0.01)
        edge = np.array([[0.93, -0.055], [1.03, 0.0], [0.93, 0.05], [0.62, 0.085]])
        edge = edge * (side * wing, 1.0) + (0, tip + 0.005)
        canvas.stroke(dense(edge), dark, 0.018, 0.65, 0.008)
        flank = np.array([[0.36, 0.08], [0.42, tip - 0.15], [0.72, tip - 0.06]]) * (side * wing, 1)
        canvas.stroke(dense(flank), look.skin * 0.7, 0.05, 0.28, 0.03)
    canvas.stroke(points[56:59], dark, 0.016, 0.5, 0.01)
    base = np.stack([points[57] + (0, 0.02), points[79] - (0, 0.012)])
    canvas.stroke(base, look.skin * 0.75, 0.05, 0.3, 0.02)


def _paint_mouth(canvas: Canvas, points: np.ndarray, expression: Expression, look: Look) -> None:
    outer, inner = points[76:88], points[88:96]
    lip = look.lip if look.lipstick is None else look.lipstick
    shape = _closed(outer, (0, 6))
    canvas.fill(ellipse((0, outer[9, 1] + 0.035), 0.13, 0.022), look.skin * 0.6, 0.5, 0.02)
    canvas.fill(shape, lip, 0.95, 0.006)
    inside_lips = canvas.coverage(shape)
    upper = np.concatenate([dense(outer[:7]), dense(inner[[4, 3, 2, 1, 0]])])
    canvas.fill(upper, lip * 0.8, 0.6, 0.01, inside_lips)
    shine = (0.0, 0.55 * outer[9, 1] + 0.45 * inner[6, 1])
    canvas.fill(
        ellipse(shine, 0.09, 0.016), np.clip(lip * 1.4 + 0.05, 0, 1), 0.45, 0.012, inside_lips
    )
    opening = _closed(inner, (0, 4))
    if expression.mouth_open > 0.015:
        canvas.fill(opening, np.array([0.08, 0.06, 0.14]))
        within = canvas.coverage(opening)
        tongue = ellipse((0, inner[6, 1] - 0.01), 0.13, 0.42 * expression.mouth_open)
        canvas.fill(tongue, np.array([0.3, 0.28, 0.58]), 0.8, 0.02, within)
        drop = min(0.085, 0.2 * expression.mouth_open + 0.03)
        teeth = np.concatenate([dense(inner[:5]), np.add(dense(inner[:5]), (0, drop))[::-1]])
        canvas.fill(teeth, np.array([0.8, 0.86, 0.9]), 0.95, 0.006, within)
        canvas.stroke(np.concatenate([opening, opening[:1]]), lip * 0.45, 0.012, 0.6)
    else:
        canvas.stroke(dense((inner[:5] + inner[[0, 7, 6, 5, 4]]) / 2), lip * 0.3, 0.017, 0.9)
    for corner in (inner[0], inner[4]):
        canvas.fill(ellipse(corner, 0.018, 0.014), lip * 0.4, 0.7, 0.008)


def paint_skin(
    points: np.ndarray,
    expression: Expression,
    look: Look,
    scale: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Frontal skin colours, BGR float32 [3 * scale, 2.2 * scale, 3]; its corner is SKIN_ORIGIN."""
    canvas = _base(look, scale, rng)
    _paint_cheeks(canvas, points, look)
    if look.beard or look.moustache:
        _paint_beard(canvas, points, look, rng)
    _paint_nose(canvas, points, look)
    _paint_mouth(canvas, points, expression, look)
    left_brow, right_brow = points[33:42], points[42:51]
    _paint_brow(canvas, left_brow, look, rng)
    _paint_brow(canvas, right_brow[[4, 3, 2, 1, 0, 8, 7, 6, 5]], look, rng)
    _paint_eye(canvas, points[60:68], points[96], expression.eye_open[0], look)
    _paint_eye(canvas, points[68:76], points[97], expression.eye_open[1], look)
    return canvas.image
