"""One synthetic face: image, landmarks, box and attributes that match the image."""

from dataclasses import dataclass

import cv2
import numpy as np

from .canvas import Canvas
from .cast import Person, cast_person
from .cover import Cover, draw_glasses, draw_occluder
from .hair import grow_hair
from .head import Camera, HeadPixels, render_head
from .scene import EAR_ANGLE, EAR_HEIGHT, background, clothes, draw_ear
from .skin import paint_skin
from .surface import Surface, build_surface, map_coordinates

__all__ = [
    "ATTRIBUTES",
    "BLURRED",
    "OCCLUDED_SHARE",
    "Face",
    "Framing",
    "render_face",
    "render_person",
]

ATTRIBUTES = ("pose", "expression", "illumination", "make-up", "occlusion", "blur")
OCCLUDED_SHARE = 0.15
BLURRED = 0.006
_COLLAR = 1.55
_HAIR_LAYER = 0.02


@dataclass(frozen=True)
class Framing:
    """Image size and the place of the face in pixels; `blur` is a fraction of the image's side."""

    width: int
    height: int
    scale: float
    centre: tuple[float, float]
    blur: float = 0.0
    motion: bool = False
    noise: float = 0.01
    occluder: bool = False
    quality: int = 92


@dataclass(frozen=True)
class Face:
    """`image` BGR uint8 [H, W, 3]; `landmarks` [98, 2] and `box` [4] in corner-based pixels;
    `attributes` in the order of ATTRIBUTES; `covered` is the fraction of occluded landmarks.
    """

    person: Person
    framing: Framing
    image: np.ndarray
    landmarks: np.ndarray
    box: np.ndarray
    attributes: tuple[bool, ...]
    covered: float


def _framing(rng: np.random.Generator, size: int) -> Framing:
    width, height = (2 * round(size * side / 2) for side in rng.uniform(0.92, 1.08, 2))
    scale = size * rng.uniform(0.29, 0.42)
    x = width / 2 + rng.normal(0, 0.035) * size
    y = height * 0.5 - 0.45 * scale + rng.normal(0, 0.03) * size
    blurred = rng.random() < 0.13
    blur = rng.uniform(0.007, 0.013) if blurred else rng.uniform(0.0, 0.003)
    return Framing(
        width=width,
        height=height,
        scale=float(scale),
        centre=(float(x), float(y)),
        blur=float(blur),
        motion=bool(blurred and rng.random() < 0.4),
        noise=float(rng.uniform(0.003, 0.02)),
        occluder=bool(rng.random() < 0.12),
        quality=int(rng.integers(82, 97)),
    )


def _rectangle(landmarks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The landmarks' box, enlarged and jittered by a few percent per side, in whole pixels."""
    low, high = landmarks.min(0), landmarks.max(0)
    side = (high - low).max()
    grow = rng.uniform(0.02, 0.11, 4) * side
    return np.concatenate([np.floor(low - grow[:2]), np.ceil(high + grow[2:])])


def _ear_sides(camera: Camera, hair_mask: np.ndarray) -> list[tuple[float, bool]]:
    """Sides whose ear is not hidden by hair, with whether its root is visible."""
    sides = []
    for side in (-1.0, 1.0):
        root = np.array([np.sin(EAR_ANGLE) * side, EAR_HEIGHT, np.cos(EAR_ANGLE)], np.float32)
        column, row = map_coordinates(*root.reshape(3, 1, 1))
        if cv2.remap(hair_mask, column, row, cv2.INTER_LINEAR)[0, 0] < 0.5:
            sides.append((side, bool(camera.rotation[2] @ (root * (1, 0, 1)) > 0.05)))
    return sides


def _compose(
    person: Person, camera: Camera, surface: Surface, rng: np.random.Generator
) -> tuple[np.ndarray, HeadPixels]:
    light, look = person.light, person.look
    image = background(rng, camera.width, camera.height, look.skin)
    image *= np.float32(light.ambient + 0.45 * light.key)
    top, cloth, cloth_cover = clothes(rng, camera, person.pose.roll, light)
    hair = grow_hair(surface, person.hair, rng)
    skin_scale = float(np.clip(1.1 * camera.scale, 24.0, 420.0))
    skin = paint_skin(surface.features, person.expression, look, skin_scale, rng)
    head = render_head(camera, hair, surface.chin, skin, skin_scale, light, look)
    ears = _ear_sides(camera, hair.mask)
    canvas = Canvas(image)
    for side, in_front in ears:
        if not in_front:
            draw_ear(canvas, camera, surface, side, look, light)
    part = image[head.window]
    part += (head.colour - part) * head.alpha[..., None]
    upper = np.zeros(image.shape[:2], np.float32)
    upper[head.window] = np.maximum(np.clip((_COLLAR - head.y) * 20, 0, 1), head.hair) * head.alpha
    image[top:] += (cloth - image[top:]) * (cloth_cover * (1 - upper[top:]))[..., None]
    for side, in_front in ears:
        if in_front:
            draw_ear(canvas, camera, surface, side, look, light)
    return image, head


def _under_hair(head: HeadPixels, pixels: np.ndarray, depth: np.ndarray) -> np.ndarray:
    rows, columns = head.window
    cell = np.floor(pixels).astype(int) - (columns.start, rows.start)
    size = head.hair.shape[::-1]
    inside = ((cell >= 0) & (cell < size)).all(1)
    cell = np.clip(cell, 0, np.subtract(size, 1))
    at = cell[:, 1], cell[:, 0]
    in_front = head.depth[at] > depth + _HAIR_LAYER
    return inside & in_front & (head.hair[at] > 0.5) & (head.alpha[at] > 0.5)


def _photograph(
    image: np.ndarray, person: Person, framing: Framing, rng: np.random.Generator
) -> np.ndarray:
    image *= np.asarray(person.light.tint, np.float32)
    sigma = framing.blur * max(framing.width, framing.height)
    if framing.motion:
        reach = max(1, round(2.5 * sigma))
        angle = rng.uniform(0, np.pi)
        kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.uint8)
        along = np.array([np.cos(angle), np.sin(angle)]) * reach
        ends = [tuple(int(v) for v in np.rint(reach + s * along)) for s in (-1, 1)]
        cv2.line(kernel, ends[0], ends[1], 255, 1, cv2.LINE_AA)
        image = cv2.filter2D(image, -1, kernel.astype(np.float32) / kernel.sum())
    elif sigma > 0.25:
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    grain = rng.random(image.shape[:2], dtype=np.float32) - np.float32(0.5)
    grain *= np.float32(np.sqrt(12) * framing.noise)
    return np.rint(np.clip(image + grain[..., None], 0.0, 1.0) * 255).astype(np.uint8)


def render_person(person: Person, framing: Framing, rng: np.random.Generator) -> Face:
    rotation = person.pose.rotation()
    camera = Camera(rotation, framing.centre, framing.scale, framing.width, framing.height)
    surface = build_surface(person.identity, person.expression)
    points = surface.landmarks(rotation)
    landmarks = camera.project(points)
    image, head = _compose(person, camera, surface, rng)
    cover = Cover.over(image)
    if person.look.glasses != "none":
        draw_glasses(cover, camera, surface, person.look, rng)
    if framing.occluder:
        draw_occluder(cover, landmarks, framing.scale, person.look, person.light, rng)
    hidden = cover.covers(landmarks) | _under_hair(head, landmarks, camera.depth(points))
    covered = float(hidden.mean())
    attributes = (
        person.pose.large,
        person.strong_expression,
        person.light.strong,
        person.look.makeup,
        covered >= OCCLUDED_SHARE,
        framing.blur >= BLURRED,
    )
    box = _rectangle(landmarks, rng)
    photograph = _photograph(image, person, framing, rng)
    return Face(person, framing, photograph, landmarks, box, attributes, covered)


def render_face(rng: np.random.Generator, size: int) -> Face:
    """A random face in an image of about `size` pixels per side."""
    person = cast_person(rng)
    return render_person(person, _framing(rng, size), rng)
