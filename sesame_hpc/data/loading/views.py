"""Crops of faces without other augmentation: that of evaluation, or one drawn for each face."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.config.schema import AugmentConfig, BoxConfig
from sesame_hpc.data.rng import keyed_generator

__all__ = ["Views", "draw_views", "upright_views"]

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Views:
    """One for each of N faces, as `crop_matrix` takes them.

    `scale` float64 [N], `degrees` float64 [N], `shift` float64 [N, 2].
    """

    scale: Float
    degrees: Float
    shift: Float


def upright_views(faces: int, box: BoxConfig) -> Views:
    """The crops of evaluation."""
    return Views(np.full(faces, box.scale), np.zeros(faces), np.zeros((faces, 2)))


def draw_views(
    sample_ids: NDArray[np.int64],
    augment: AugmentConfig,
    box: BoxConfig,
    *,
    seed: int,
    stage: str,
    number: int,
) -> Views:
    """The `number`-th views of faces: scale, rotation and translation in the ranges of training.

    Each face's is keyed by (seed, stage, number, sample id).
    """
    streams = [keyed_generator(seed, stage, number, int(each), "view") for each in sample_ids]
    u = np.array([stream.random(4) for stream in streams]).reshape(-1, 4)
    low, high = box.train_scale
    return Views(
        scale=low + u[:, 0] * (high - low),
        degrees=(2 * u[:, 1] - 1) * augment.rotation,
        shift=(2 * u[:, 2:] - 1) * augment.translation,
    )
