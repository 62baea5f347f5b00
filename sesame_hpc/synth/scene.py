"""The surroundings of the head: background, clothes, ears."""

import cv2
import numpy as np

from .canvas import Canvas, dense, ellipse
from .cast import Light, Look
from .head import Camera
from .surface import Surface

__all__ = ["EAR_ANGLE", "EAR_HEIGHT", "background", "clothes", "draw_ear", "muted"]

EAR_ANGLE, EAR_HEIGHT = float(np.radians(99.0)), 0.1


def muted(rng: np.random.Generator) -> np.ndarray:
    """A random colour near grey, BGR in [0, 1]."""
    return np.clip(rng.uniform(0.04, 0.92) + rng.normal(0, 0.11, 3), 0.02, 0.98)


def background(rng: np.random.Generator, width: int, height: int, skin: np.ndarray) -> np.ndarray:
    """Clutter of soft gradients and shapes, some in tones of skin, BGR float32 [H, W, 3]."""
    base = rng.uniform(0.05, 0.9) + rng.normal(0, 0.09, (3, 3, 3))
    if rng.random() < 0.3:
        base = skin * (1 + rng.normal(0, 0.12, (3, 3, 1)))
    low = cv2.resize(
        base.astype(np.float32), (width // 2, height // 2), interpolation=cv2.INTER_CUBIC
    )
    canvas = Canvas(low, scale=0.5)
    size = min(width, height)
    for _ in range(rng.integers(3, 14)):
        tone = skin * rng.uniform(0.6, 1.2) if rng.random() < 0.25 else muted(rng)
        at = rng.uniform(0, 1, 2) * (width, height)
        if rng.random() < 0.5:
            shape = ellipse(
                at, rng.uniform(0.05, 0.4) * size, rng.uniform(0.05, 0.4) * size, rng.uniform(0, 3)
            )
        else:
            shape = at + rng.normal(0, 0.22, (rng.integers(3, 6), 2)) * size
        canvas.fill(shape, tone, rng.uniform(0.3, 1.0), 0.0)
    focus = rng.uniform(0.0, 6.0) * size / 256
    if focus > 1.0:
        low = cv2.GaussianBlur(low, (0, 0), focus / 2)
    return np.clip(cv2.resize(low, (width, height), interpolation=cv2.INTER_LINEAR), 0.0, 1.0)


def clothes(
    rng: np.random.Generator, camera: Camera, roll: float, light: Light
) -> tuple[int, np.ndarray, np.ndarray]:
    """First row, and below it colour float32 [H', W, 3] and coverage [H', W] of the shoulders."""
    half, drop = rng.uniform(0.52, 0.6), rng.uniform(0.1, 0.55)
    collar = rng.uniform(1.62, 1.78)
    side = np.array([[half, collar], [1.1, 1.95], [1.9, 2.2], [2.3, 4.0]])
    neckline = np.array(
        [[-0.6 * half, collar + 0.7 * drop], [0, collar + drop], [0.6 * half, collar + 0.7 * drop]]
    )
    outline = np.concatenate([side * (-1, 1), side[::-1], neckline[::-1]])
    angle = np.radians(roll) * 0.5
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shape = outline @ turn.T * camera.scale + camera.centre
    top = int(np.clip(np.floor(shape[:, 1].min()) - 1, 0, camera.height - 1))
    colour = muted(rng) * (light.ambient + 0.55 * light.key)
    image = np.empty((camera.height - top, camera.width, 3), np.float32)
    image[:] = colour
    canvas = Canvas(image, origin=(0.0, top))
    for _ in range(rng.integers(0, 5)):
        fold = shape.mean(0) + rng.normal(0, 0.6, (3, 2)) * camera.scale
        canvas.stroke(dense(fold), colour * 0.6, 0.05 * camera.scale, 0.5, 0.03 * camera.scale)
    return top, image, canvas.coverage(shape)


def draw_ear(
    canvas: Canvas, camera: Camera, surface: Surface, side: float, look: Look, light: Light
) -> None:
    root = surface.at_angle(np.array([EAR_ANGLE * side]), np.array([EAR_HEIGHT]))[0]
    back = np.array([0.6 * side, 0.0, -0.8])
    towards = np.asarray(light.direction) / np.linalg.norm(light.direction)
    facing = camera.rotation @ np.array([0.8 * side, 0.0, 0.6])
    gain = light.ambient + light.key * np.clip(0.35 + 0.65 * (facing @ towards), 0, 1)
    turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)

    def ring(wide: float, tall: float, shift: float) -> np.ndarray:
        out = (np.cos(turn) * wide + shift)[:, None] * back
        up = (np.sin(turn) * tall + 0.05 * np.cos(turn) * (np.sin(turn) < 0))[:, None]
        return camera.project(root + out - up * np.array([0.0, 1.0, 0.12]))

    tone = look.skin * np.array([0.9, 0.88, 1.0]) * gain
    unit = camera.scale
    canvas.fill(ring(0.115, 0.21, 0.05), tone * 0.95, 1.0, 0.008 * unit)
    canvas.fill(ring(0.07, 0.145, 0.05), tone * 0.7, 0.8, 0.02 * unit)
    canvas.fill(ring(0.03, 0.07, 0.02), tone * 0.45, 0.7, 0.02 * unit)
