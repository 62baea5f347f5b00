"""What changes a batch's appearance after DALI, on the batch's device: patches, then colours.

The same operations in the same order as `cpu_crops` applies to one image at a time.
"""

import numpy as np
import torch
from torch import Tensor

from sesame_hpc.data.loading.augment import Augmentation

__all__ = ["recoloured", "with_patches"]


def with_patches(images: Tensor, drawn: Augmentation) -> Tensor:
    """uint8 [B, S, S, 3] with the patches of `drawn`: a copy, or `images` if it has none."""
    rows = np.flatnonzero(drawn.occlude).tolist()
    if not rows:
        return images
    images = images.clone()
    flat = np.concatenate([drawn.patches[row].ravel() for row in rows])
    pixels = torch.from_numpy(flat).to(images.device)  # one transfer for all patches
    start = 0
    for row in rows:
        height, width, _ = drawn.patches[row].shape
        top, left = drawn.corners[row].tolist()
        patch = pixels[start : start + height * width * 3].view(height, width, 3)
        images[row, top : top + height, left : left + width] = patch
        start += height * width * 3
    return images


def recoloured(images: Tensor, drawn: Augmentation) -> Tensor:
    """float32 [B, S, S, 3] in 0..255: `drawn.colour` applied, rounded and clipped."""
    matrices = torch.from_numpy(drawn.colour).to(images.device)[:, None, None]
    red, green, blue = images.to(torch.float32).split(1, dim=3)
    mixed = red * matrices[..., 0] + green * matrices[..., 1] + blue * matrices[..., 2]
    return (mixed + matrices[..., 3]).round_().clamp_(0, 255)
