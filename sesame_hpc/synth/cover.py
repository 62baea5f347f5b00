"""What covers the face: glasses, hands, objects, scarves; drawn and recorded together."""

from dataclasses import dataclass

import numpy as np

from .canvas import Canvas, dense, ellipse
from .cast import Light, Look
from .head import Camera
from .scene import muted
from .surface import Surface

__all__ = ["Cover", "draw_glasses", "draw_occluder"]


@dataclass(frozen=True)
class Cover:
    """Draws occluders on the image and on a mask of what they cover."""

    image: Canvas
    record: Canvas

    @classmethod
    def over(cls, image: np.ndarray) -> "Cover":
        return cls(Canvas(image), Canvas(np.zeros_like(image)))

    def fill(
        self, polygon: np.ndarray, colour: np.ndarray, alpha: float = 1.0, soft: float = 0.0
    ) -> None:
        self.image.fill(polygon, colour, alpha, soft)
        self.record.fill(polygon, np.ones(3), alpha, soft)

    def stroke(self, line: np.ndarray, colour: np.ndarray, width: float) -> None:
        self.image.stroke(line, colour, width)
        self.record.stroke(line, np.ones(3), width)

    def covers(self, points: np.ndarray) -> np.ndarray:
        """Whether each pixel position [N, 2] is covered, bool [N]."""
        height, width = self.record.image.shape[:2]
        cell = np.floor(points).astype(int)
        inside = ((cell >= 0) & (cell < (width, height))).all(1)
        cell = np.clip(cell, 0, (width - 1, height - 1))
        return inside & (self.record.image[cell[:, 1], cell[:, 0], 0] > 0.5)


def draw_glasses(
    cover: Cover, camera: Camera, surface: Surface, look: Look, rng: np.random.Generator
) -> None:
    half, tall = rng.uniform(0.22, 0.27), rng.uniform(0.14, 0.2)
    power = rng.uniform(0.5, 1.0)
    frame = rng.uniform(0.02, 0.3, 3) * rng.choice([0.3, 1.0, 2.0])
    width = camera.scale * rng.uniform(0.015, 0.04)
    front = surface.on_front(np.array([[0.0, 0.06]]))[0, 2] + 0.06
    turn = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    bend = [np.sign(f(turn)) * np.abs(f(turn)) ** power for f in (np.cos, np.sin)]
    gain = 0.6

    def place(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return camera.project(np.stack([x, y, front - 0.35 * x**2], -1))

    centre = surface.identity.eye_x + 0.01
    for side in (-1.0, 1.0):
        rim = place(side * centre + half * bend[0], 0.03 + tall * bend[1])
        if look.glasses == "sun":
            cover.fill(rim, np.array([0.05, 0.04, 0.04]), 0.94)
            glare = place(
                side * centre + half * np.array([-0.5, 0.1]), 0.03 + tall * np.array([0.2, -0.6])
            )
            cover.image.stroke(glare, np.full(3, 0.5), width * 2, 0.3, width)
        else:
            cover.image.fill(rim, np.array([0.95, 0.92, 0.9]) * gain, 0.08)
        cover.image.stroke(np.concatenate([rim, rim[:1]]), frame, width)
        arm = np.array(
            [
                [side * (centre + half), 0.0, front - 0.35 * (centre + half) ** 2],
                [0.97 * side * surface.identity.width, -0.02, 0.0],
            ]
        )
        if (camera.rotation @ np.array([side, 0.0, 0.0]))[2] > 0.08:
            cover.image.stroke(camera.project(arm), frame, width)
    inner = centre - half
    cover.image.stroke(
        place(np.array([-inner, 0.0, inner]), np.array([0.0, -0.02, 0.0])), frame, width
    )


def _hand(
    cover: Cover, at: np.ndarray, unit: float, skin: np.ndarray, rng: np.random.Generator
) -> None:
    angle = rng.uniform(0.1, 0.9) * np.pi
    along, across = (
        np.array([np.cos(angle), np.sin(angle)]),
        np.array([-np.sin(angle), np.cos(angle)]),
    )
    tone = skin * rng.uniform(0.75, 1.05)
    wrist = at + along * 1.1 * unit
    cover.stroke(
        np.stack([at + along * 0.45 * unit, wrist + along * 4.0 * unit]), tone * 0.9, 0.42 * unit
    )
    cover.fill(
        ellipse(at + along * 0.3 * unit, 0.34 * unit, 0.3 * unit, angle), tone, 1.0, 0.01 * unit
    )
    spread = rng.uniform(0.02, 0.12)
    for finger, length in zip((-1.5, -0.5, 0.5, 1.5), (0.42, 0.52, 0.48, 0.36), strict=True):
        root = at + across * finger * 0.15 * unit + along * 0.15 * unit
        tip = root - along * length * unit + across * finger * spread * unit
        line = np.stack([root, tip])
        cover.stroke(line, tone * 0.72, 0.17 * unit)
        cover.stroke(line, tone, 0.135 * unit)
        cover.image.fill(ellipse(tip, 0.04 * unit, 0.035 * unit), np.clip(tone * 1.12, 0, 1), 0.7)


def _object(
    cover: Cover, at: np.ndarray, unit: float, gain: float, rng: np.random.Generator
) -> None:
    tone = muted(rng) * gain
    if rng.random() < 0.5:
        box = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * rng.uniform(0.25, 0.6, 2)
        angle = rng.uniform(-0.6, 0.6)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        shape = box @ turn.T
    else:
        shape = ellipse((0, 0), rng.uniform(0.25, 0.6), rng.uniform(0.25, 0.6), rng.uniform(0, 3))
    cover.fill(at + shape * unit, tone)
    cover.image.fill(at + shape * 0.7 * unit, np.clip(tone * 1.25, 0, 1), 0.7, 0.04 * unit)


def _scarf(cover: Cover, landmarks: np.ndarray, gain: float, rng: np.random.Generator) -> None:
    tone = muted(rng) * gain
    low = landmarks[rng.choice([2, 5, 8]) :][:1], landmarks[: 33 - rng.choice([2, 5, 8])][-1:]
    edge = landmarks[rng.choice([53, 57, 79])][None] + (0, 1)
    down = (landmarks[16] - landmarks[51]) * 0.45
    middle = landmarks[[6, 11, 16, 21, 26]]
    grown = middle + (middle - landmarks[57]) * 0.12
    shape = np.concatenate([low[0], grown[:1], grown + down * 0.3, grown[-1:], low[1], edge])
    cover.fill(shape, tone)
    for share in (0.3, 0.6):
        fold = shape[[0, 3, -2]] * (1 - share) + landmarks[16] * share
        cover.image.stroke(dense(fold), tone * 0.65, 3.0, 0.5, 2.0)


def draw_occluder(
    cover: Cover,
    landmarks: np.ndarray,
    unit: float,
    look: Look,
    light: Light,
    rng: np.random.Generator,
) -> None:
    """A hand, an object or a scarf somewhere over the face; `unit` is pixels per face unit."""
    kind = rng.choice(["hand", "object", "scarf"], p=[0.45, 0.35, 0.2])
    gain = light.ambient + 0.6 * light.key
    at = landmarks[rng.integers(0, len(landmarks))] + rng.normal(0, 0.1, 2) * unit
    if kind == "hand":
        _hand(cover, at, unit, look.skin * gain, rng)
    elif kind == "object":
        _object(cover, at, unit, gain, rng)
    else:
        _scarf(cover, landmarks, gain, rng)
