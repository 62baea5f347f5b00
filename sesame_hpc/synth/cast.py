"""Draws a person, a pose and a light from a random generator: all parameters of an image."""

from dataclasses import dataclass

import numpy as np

from .shape import Expression, Identity

__all__ = ["Hair", "Light", "Look", "Person", "Pose", "cast_person"]

LARGE_YAW, LARGE_PITCH = 35.0, 22.0
_SKINS = np.array(
    [
        [236, 200, 178],
        [226, 184, 156],
        [211, 162, 130],
        [184, 132, 98],
        [148, 100, 72],
        [104, 70, 52],
    ]
)
_HAIRS = np.array(
    [[32, 26, 24], [58, 40, 30], [92, 62, 42], [140, 98, 60], [196, 158, 104], [130, 128, 126]]
)
_IRISES = np.array([[78, 50, 30], [96, 70, 40], [86, 104, 70], [84, 120, 150], [110, 120, 130]])


@dataclass(frozen=True)
class Pose:
    """Degrees; positive yaw turns to the right of the image, positive pitch looks down."""

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0

    @property
    def large(self) -> bool:
        return abs(self.yaw) >= LARGE_YAW or abs(self.pitch) >= LARGE_PITCH

    def rotation(self) -> np.ndarray:
        """Head to view coordinates, [3, 3]."""
        (cy, cp, cr), (sy, sp, sr) = (
            f(np.radians([self.yaw, self.pitch, self.roll])) for f in (np.cos, np.sin)
        )
        turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        nod = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
        tilt = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        return tilt @ nod @ turn


@dataclass(frozen=True)
class Hair:
    """`line` is the height of the front hair line; `length` how far down the hair reaches."""

    style: str = "short"
    line: float = -0.7
    length: float = 0.7
    volume: float = 0.12
    curtain: float = 75.0
    fringe: float = 0.0
    parting: float = 0.0
    roughness: float = 0.03
    curl: float = 0.5


@dataclass(frozen=True)
class Light:
    """`direction` points to the light in view coordinates; the colours are BGR gains."""

    direction: tuple[float, float, float] = (0.2, -0.5, 0.85)
    key: float = 0.5
    ambient: float = 0.58
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gloss: float = 0.12
    strong: bool = False


@dataclass(frozen=True)
class Look:
    """Colours are BGR in [0, 1]; the amounts in [0, 1]."""

    skin: np.ndarray
    brow: np.ndarray
    hair_colour: np.ndarray
    iris: np.ndarray
    lip: np.ndarray
    redness: float = 0.3
    beard: float = 0.0
    moustache: float = 0.0
    wrinkles: float = 0.2
    brow_density: float = 0.8
    makeup: bool = False
    lipstick: np.ndarray | None = None
    shadow: np.ndarray | None = None
    liner: float = 0.0
    blush: float = 0.0
    glasses: str = "none"
    neck_shade: float = 0.15


@dataclass(frozen=True)
class Person:
    identity: Identity
    expression: Expression
    strong_expression: bool
    pose: Pose
    look: Look
    hair: Hair
    light: Light


def _colour(
    rng: np.random.Generator, palette: np.ndarray, jitter: float, lean: float = 1.0
) -> np.ndarray:
    """A BGR colour between two neighbours of an RGB `palette`."""
    at = rng.beta(1.0, lean) * (len(palette) - 1)
    low = int(at)
    rgb = palette[low] + (at - low) * (palette[min(low + 1, len(palette) - 1)] - palette[low])
    rgb = rgb / 255 + rng.normal(0, jitter, 3)
    return np.clip(rgb[::-1], 0.03, 0.95)


def _identity(rng: np.random.Generator) -> Identity:
    def vary(mean: float, deviation: float) -> float:
        return float(mean + deviation * np.clip(rng.normal(), -2.2, 2.2))

    return Identity(
        width=vary(0.79, 0.035),
        top=vary(-1.14, 0.05),
        chin=vary(1.29, 0.06),
        taper=vary(2.25, 0.22),
        square=vary(1.65, 0.17),
        depth=vary(1.0, 0.04),
        eye_x=vary(0.325, 0.013),
        eye_width=vary(0.165, 0.01),
        eye_height=vary(0.064, 0.01),
        eye_tilt=vary(0.012, 0.012),
        brow_y=vary(-0.19, 0.02),
        brow_height=vary(0.055, 0.012),
        brow_arch=vary(0.04, 0.017),
        nose_tip=vary(0.43, 0.035),
        nose_width=vary(0.17, 0.018),
        nose_height=vary(0.25, 0.035),
        mouth_y=vary(0.765, 0.025),
        mouth_width=vary(0.265, 0.022),
        upper_lip=vary(0.058, 0.012),
        lower_lip=vary(0.09, 0.014),
        neck=vary(0.45, 0.035),
    )


def _expression(rng: np.random.Generator) -> tuple[Expression, bool]:
    strong = bool(rng.random() < 0.16)
    gaze = tuple(np.clip(rng.normal(0, 0.4, 2), -1, 1))
    if not strong:
        opening = float(np.clip(rng.normal(0.95, 0.12), 0.6, 1.2))
        raised = rng.normal(0.1, 0.3) + rng.normal(0, 0.1, 2)
        return Expression(
            mouth_open=float(max(rng.normal(0.0, 0.03), 0.0)),
            smile=float(np.clip(rng.normal(0.15, 0.3), -0.5, 0.7)),
            pucker=float(np.clip(rng.normal(-0.1, 0.2), 0.0, 0.3)),
            brow_raise=tuple(np.clip(raised, -0.6, 0.8)),
            frown=float(np.clip(rng.normal(0.0, 0.25), 0.0, 0.5)),
            eye_open=(opening, opening),
            gaze=gaze,
        ), False
    kind = rng.choice(["laugh", "surprise", "shout", "anger", "kiss", "wink", "asleep"])
    spread = rng.uniform(0.0, 1.0)
    table = {
        "laugh": Expression(0.1 + 0.12 * spread, 1.0, 0, (0.3, 0.3), 0, (0.6, 0.6), gaze),
        "surprise": Expression(0.16 + 0.16 * spread, -0.1, 0.4, (1.5, 1.5), 0, (1.4, 1.4), gaze),
        "shout": Expression(0.24 + 0.16 * spread, 0.3, 0, (0.0, 0.0), 0.8, (0.7, 0.7), gaze),
        "anger": Expression(0.04 * spread, -0.8, 0, (-0.7, -0.7), 1.2, (0.75, 0.75), gaze),
        "kiss": Expression(0.02 * spread, -0.1, 1.0, (0.6, 0.6), 0, (0.7, 0.7), gaze),
        "wink": Expression(0.06 * spread, 0.8, 0, (-0.4, 0.8), 0, (0.05, 1.0), gaze),
        "asleep": Expression(0.08 * spread, 0.0, 0, (0.2, 0.2), 0, (0.05, 0.05), (0.0, 0.0)),
    }
    return table[str(kind)], True


def _pose(rng: np.random.Generator) -> Pose:
    yaw = float(np.clip(rng.normal(0, 14), -32, 32))
    pitch = float(np.clip(rng.normal(0, 7), -18, 18))
    if rng.random() < 0.14:
        if rng.random() < 0.8:
            yaw = float(rng.choice([-1.0, 1.0]) * rng.uniform(38, 62))
        else:
            pitch = float(rng.choice([-1.0, 1.0]) * rng.uniform(23, 30))
    return Pose(yaw, pitch, float(np.clip(rng.normal(0, 10), -35, 35)))


def _hair(rng: np.random.Generator) -> Hair:
    style = str(rng.choice(["short", "long", "bald", "crop"], p=[0.45, 0.38, 0.05, 0.12]))
    fringed = style in ("short", "long") and rng.random() < 0.22
    return Hair(
        style=style,
        line=float(rng.uniform(-0.82, -0.56)),
        length=float(rng.uniform(1.2, 2.2)) if style == "long" else float(rng.uniform(0.55, 0.85)),
        volume=0.025 if style == "crop" else float(rng.uniform(0.07, 0.2)),
        curtain=float(rng.uniform(66, 98)),
        fringe=float(rng.uniform(0.2, 0.52)) if fringed else 0.0,
        parting=float(rng.uniform(-0.6, 0.6)),
        roughness=float(rng.uniform(0.015, 0.05)),
        curl=float(rng.uniform(0.0, 1.0)),
    )


def _light(rng: np.random.Generator) -> Light:
    side, height = rng.normal(0, 0.45), rng.normal(-0.4, 0.3)
    tint = tuple(1 + rng.normal(0, 0.025, 3))
    if rng.random() >= 0.15:
        key = rng.uniform(0.3, 0.6)
        fill = rng.uniform(0.95, 1.08) - 0.82 * key
        return Light((side, height, 0.9), key, fill, tint, float(rng.uniform(0.03, 0.2)))
    kind = rng.choice(["side", "dark", "bright", "coloured"])
    edge = float(rng.choice([-1.0, 1.0]))
    if kind == "side":
        return Light((edge * 1.2, -0.2, 0.25), 0.95, 0.17, tint, 0.2, True)
    if kind == "dark":
        return Light((side, height, 0.7), 0.16, float(rng.uniform(0.13, 0.2)), tint, 0.05, True)
    if kind == "bright":
        return Light((side, height, 0.9), 0.85, 0.75, tint, 0.3, True)
    gains = tuple(rng.uniform(0.45, 1.25, 3))
    return Light((edge * 0.8, height, 0.5), 0.7, 0.3, gains, 0.15, True)


def _look(rng: np.random.Generator) -> Look:
    skin = _colour(rng, _SKINS, 0.015)
    hair_colour = _colour(rng, _HAIRS, 0.015, 1.2 + 2.5 * (1 - skin.mean()))
    makeup = bool(rng.random() < 0.15)
    bearded = not makeup and rng.random() < 0.28
    glasses = str(rng.choice(["none", "clear", "sun"], p=[0.8, 0.15, 0.05]))
    lip = np.clip(skin * np.array([0.72, 0.66, 0.88]), 0.05, 0.9)
    return Look(
        skin=skin,
        brow=np.minimum(hair_colour * 0.7, skin * 0.5),
        hair_colour=hair_colour,
        iris=_colour(rng, _IRISES, 0.02),
        lip=lip,
        redness=float(rng.uniform(0.1, 0.5)),
        beard=float(rng.uniform(0.15, 0.8)) if bearded else 0.0,
        moustache=float(rng.uniform(0.0, 0.8)) if bearded else 0.0,
        wrinkles=float(rng.uniform(0.05, 0.6)),
        brow_density=float(rng.uniform(0.6, 0.95)),
        makeup=makeup,
        lipstick=np.array([rng.uniform(0.1, 0.4), rng.uniform(0.02, 0.18), rng.uniform(0.5, 0.8)])
        if makeup
        else None,
        shadow=rng.uniform(0.1, 0.65, 3) if makeup else None,
        liner=float(rng.uniform(0.5, 1.0)) if makeup else 0.0,
        blush=float(rng.uniform(0.3, 0.7)) if makeup else 0.0,
        glasses=glasses,
        neck_shade=float(rng.uniform(0.0, 0.35)),
    )


def cast_person(rng: np.random.Generator) -> Person:
    identity = _identity(rng)
    expression, strong = _expression(rng)
    return Person(identity, expression, strong, _pose(rng), _look(rng), _hair(rng), _light(rng))
