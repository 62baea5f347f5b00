"""Masks that know nothing of the face: patches of a grid drawn at random, the control of anchors.

Random patches are the masking of masked autoencoders (He et al., "Masked Autoencoders Are Scalable
Vision Learners", CVPR 2022, section 3). Here a patch is covered by the same Gaussian as an anchor
of a region, and an image has as many of them, so that two arms differ in the places alone.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sesame_hpc.config import MaskingConfig
from sesame_hpc.data.rng import keyed_generator

__all__ = ["draw_patches"]


def draw_patches(
    sample_ids: Sequence[int],
    number_of_regions: int,
    masking: MaskingConfig,
    *,
    seed: int,
    stage: str,
    epoch: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw patches for each sample, keyed by (seed, stage, epoch, sample id).

    K ~ U{regions} (at most `number_of_regions`, as in mode regions) times `anchors` of the `grid` x
    `grid` patches of the crop, without replacement; each with sigma ~ U(sigma).

    Returns centres float32 [B, A, 2] as x, y in [0, 1] of the crop, sigma float32 [B, A] in
    fractions of the crop side, and int64 [B] counts of those in use. A: most per image.
    """
    most = min(masking.regions[1], number_of_regions)
    centres = np.full((len(sample_ids), most * masking.anchors, 2), 0.5, dtype=np.float32)
    sigma = np.full(centres.shape[:2], masking.sigma[0], dtype=np.float32)
    counts = np.zeros(len(sample_ids), dtype=np.int64)
    for row, sample_id in enumerate(sample_ids):
        generator = keyed_generator(seed, stage, epoch, int(sample_id), "patches")
        number = int(generator.integers(min(masking.regions[0], most), most + 1))
        used = number * masking.anchors
        patches = generator.choice(masking.grid**2, size=used, replace=False)
        places = np.stack([patches % masking.grid, patches // masking.grid], axis=1)
        centres[row, :used] = (places + 0.5) / masking.grid
        sigma[row, :used] = generator.uniform(*masking.sigma, size=used)
        counts[row] = used
    return torch.from_numpy(centres), torch.from_numpy(sigma), torch.from_numpy(counts)
