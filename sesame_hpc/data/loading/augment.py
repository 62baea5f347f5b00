"""The augmentations of the paper's section IV.C as parameters: drawn here, applied by the graph.

Every sample draws the same number of uniform numbers in the same order, so switching one
augmentation off does not change the others.
"""

from dataclasses import dataclass
from enum import IntEnum, auto
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.config.schema import AugmentConfig, BoxConfig
from sesame_hpc.data.geometry import crop_matrix
from sesame_hpc.data.rng import keyed_generator
from sesame_hpc.data.windows import content_limits

__all__ = ["Appearance", "Augmentation", "appearance_config", "draw_augmentation"]

Appearance = Literal["full", "mild"]

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in the grey value (ITU-R BT.601)."""

NO_PATCH = np.zeros((1, 1, 3), dtype=np.uint8)


class _Draw(IntEnum):
    """The index of each uniform number."""

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[int]) -> int:
        return count

    SCALE = auto()
    ROTATION = auto()
    SHIFT_X = auto()
    SHIFT_Y = auto()
    FLIP = auto()
    BRIGHTNESS = auto()
    CONTRAST = auto()
    SATURATION = auto()
    GRAYSCALE = auto()
    JPEG = auto()
    QUALITY = auto()
    OCCLUSION = auto()
    PATCH_HEIGHT = auto()
    PATCH_WIDTH = auto()
    PATCH_TOP = auto()
    PATCH_LEFT = auto()
    PATCH_SOLID = auto()
    PATCH_RED = auto()
    PATCH_GREEN = auto()
    PATCH_BLUE = auto()


@dataclass(frozen=True)
class Augmentation:
    """The parameters of B samples.

    Attributes:
        matrices: float64 [B, 2, 3], image pixels -> crop pixels, flip included.
        flip: bool [B], whether the matrix mirrors.
        limits: float64 [B, 4], the visible region of the image, or None for all (`windows`).
        colour: float32 [B, 3, 4], out = colour @ (r, g, b, 1) with intensities in 0..255.
        jpeg: bool [B], whether to compress, with `quality` int32 [B] in 1..100.
        occlude: bool [B], whether to paste `patches` (uint8 [h, w, 3] each) with their first
            corner at `corners` int32 [B, 2] (row, column).
        streams: the B generators of `data.augment.extra`; empty without it.
    """

    matrices: NDArray[np.float64]
    flip: NDArray[np.bool_]
    limits: NDArray[np.float64] | None
    colour: NDArray[np.float32]
    jpeg: NDArray[np.bool_]
    quality: NDArray[np.int32]
    occlude: NDArray[np.bool_]
    corners: NDArray[np.int32]
    patches: list[NDArray[np.uint8]]
    streams: tuple[np.random.Generator, ...] = ()


def appearance_config(augment: AugmentConfig, appearance: Appearance) -> AugmentConfig:
    """The configuration for an appearance: "mild" has no JPEG, grayscale, occlusion or extra."""
    if appearance == "full":
        return augment
    if appearance == "mild":
        without = {"jpeg": 0.0, "grayscale": 0.0, "occlusion": 0.0, "extra": None}
        return augment.model_copy(update=without)
    raise ValueError(f'appearance is {appearance!r}; takes "full" or "mild"')


def draw_augmentation(
    boxes: NDArray[np.float64],
    sample_ids: NDArray[np.int64],
    size: int,
    augment: AugmentConfig,
    box: BoxConfig,
    *,
    seed: int,
    stage: str,
    epoch: int,
) -> Augmentation:
    """Draw the parameters of B samples, each from its own stream (seed, stage, epoch, sample id).

    Args:
        boxes: [B, 4] in image pixels.
        sample_ids: [B].
        size: side of the crop in pixels.

    Raises:
        ValueError: a degenerate box.
    """
    streams = [keyed_generator(seed, stage, epoch, int(i), "augment") for i in sample_ids]
    u = np.stack([stream.random(len(_Draw)) for stream in streams]).T
    flip = u[_Draw.FLIP] < augment.flip
    scale = _between(u[_Draw.SCALE], box.train_scale)
    matrices = crop_matrix(
        boxes,
        size,
        scale=scale,
        degrees=_around(u[_Draw.ROTATION], augment.rotation),
        shift=_around(u[[_Draw.SHIFT_X, _Draw.SHIFT_Y]].T, augment.translation),
        flip=flip,
    )
    occlude, corners, patches = _draw_patches(u, streams, size, augment)
    lowest, highest = augment.jpeg_quality
    return Augmentation(
        matrices=matrices,
        flip=flip,
        limits=content_limits(boxes, scale, box.protocol),
        colour=_colour_matrices(u, augment),
        jpeg=u[_Draw.JPEG] < augment.jpeg,
        quality=_integer_between(u[_Draw.QUALITY], lowest, highest),
        occlude=occlude,
        corners=corners,
        patches=patches,
        streams=tuple(
            keyed_generator(seed, stage, epoch, int(i), "augment.extra") for i in sample_ids
        )
        if augment.extra is not None
        else (),
    )


def _between(u: NDArray[np.float64], bounds: tuple[float, float]) -> NDArray[np.float64]:
    return bounds[0] + u * (bounds[1] - bounds[0])


def _around(u: NDArray[np.float64], amplitude: float) -> NDArray[np.float64]:
    return (2 * u - 1) * amplitude


def _integer_between(
    u: NDArray[np.float64], lowest: int, highest: int | NDArray[np.int32]
) -> NDArray[np.int32]:
    return (lowest + np.floor(u * (highest - lowest + 1))).astype(np.int32)


def _colour_matrices(u: NDArray[np.float64], augment: AugmentConfig) -> NDArray[np.float32]:
    """Saturation around the grey value, contrast around mid-grey, then the brightness shift.

    Grayscale is saturation 0. All three are linear, so one matrix [3, 4] applies them.
    """
    saturation = 1 + _around(u[_Draw.SATURATION], augment.saturation)
    saturation = np.where(u[_Draw.GRAYSCALE] < augment.grayscale, 0.0, saturation)[:, None, None]
    contrast = 1 + _around(u[_Draw.CONTRAST], augment.contrast)
    brightness = _around(u[_Draw.BRIGHTNESS], augment.brightness)
    to_grey = np.broadcast_to(LUMA, (3, 3))
    mix = contrast[:, None, None] * (saturation * np.eye(3) + (1 - saturation) * to_grey)
    offset = 255 * (0.5 * (1 - contrast) + brightness)
    columns = [mix, np.broadcast_to(offset[:, None, None], (len(offset), 3, 1))]
    return np.concatenate(columns, axis=2).astype(np.float32)


def _draw_patches(
    u: NDArray[np.float64],
    streams: list[np.random.Generator],
    size: int,
    augment: AugmentConfig,
) -> tuple[NDArray[np.bool_], NDArray[np.int32], list[NDArray[np.uint8]]]:
    """Rectangles inside the crop, of uniform noise or of one colour with equal probability."""
    fractions = _between(u[[_Draw.PATCH_HEIGHT, _Draw.PATCH_WIDTH]].T, augment.occlusion_size)
    extents = np.rint(fractions * size).astype(np.int32)
    occlude = (u[_Draw.OCCLUSION] < augment.occlusion) & (extents > 0).all(axis=1)
    corners = _integer_between(u[[_Draw.PATCH_TOP, _Draw.PATCH_LEFT]].T, 0, size - extents)
    colours = (256 * u[[_Draw.PATCH_RED, _Draw.PATCH_GREEN, _Draw.PATCH_BLUE]].T).astype(np.uint8)
    solid = u[_Draw.PATCH_SOLID] < 0.5
    patches = [NO_PATCH] * len(streams)
    for i in np.flatnonzero(occlude).tolist():
        height, width = extents[i].tolist()
        if solid[i]:
            patches[i] = np.full((height, width, 3), colours[i])
        else:
            noise = np.frombuffer(streams[i].bytes(3 * height * width), dtype=np.uint8)
            patches[i] = noise.reshape(height, width, 3)
    return occlude, corners, patches
