"""Images of masked inputs and their reconstructions (Fig. 4 of the paper)."""

from pathlib import Path

import cv2
import numpy as np
from torch import Tensor
from torch.nn import functional as F

from sesame_hpc.data.viewing.sheet import write_png

__all__ = ["save_reconstructions"]

_FACES = 8
_SIDE = 192
_GAP = 4


def save_reconstructions(
    path: Path, images: Tensor, lam: Tensor, masked: Tensor, reconstructed: Tensor
) -> dict[str, np.ndarray]:
    """One column per face; rows: crop, lambda, masked input, reconstruction, blend of both.

    Returns the first three rows as "masks" and the first with the last two as "reconstructions",
    uint8 RGB [H, W, 3].

    images and masked [B, 3, S, S], lam [B, 1, S, S], reconstructed [B, 3, s, s]; values in [0, 1].
    The last row is (1 - lambda) x + lambda y: the reconstruction where the input was masked.
    """
    count = min(_FACES, len(images))
    images, lam, masked = images[:count], lam[:count], masked[:count]
    full = F.interpolate(
        reconstructed[:count], size=images.shape[-2:], mode="bilinear", align_corners=False
    )
    blended = (1 - lam) * images + lam * full
    rows = [images, lam.expand_as(images), masked, full, blended]
    drawn = [_row(row) for row in rows]
    write_png(np.concatenate(drawn), path)
    return {
        "masks": np.concatenate(drawn[:3]),
        "reconstructions": np.concatenate([drawn[0], *drawn[3:]]),
    }


def _row(images: Tensor) -> np.ndarray:
    pixels = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    tiles = [cv2.resize(tile, (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR) for tile in pixels]
    framed = [cv2.copyMakeBorder(tile, 0, _GAP, 0, _GAP, cv2.BORDER_CONSTANT) for tile in tiles]
    return np.concatenate(framed, axis=1)
