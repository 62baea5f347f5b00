"""Gaussian masks and the blend with Philox noise in plain PyTorch, in chunks."""

import torch
from torch import Tensor

from sesame_kernels.constants import CUTOFF
from sesame_kernels.layout import accumulation_dtype, empty_gradient
from sesame_kernels.reference.chunks import chunks
from sesame_kernels.reference.philox import normals, philox

__all__ = ["noise_mask", "noise_mask_backward"]

_CHUNK = 1 << 18
"""Pixels of a chunk: enough for several threads, few enough for the cache."""


def _coverage(
    anchors: Tensor, sigma: Tensor, counts: Tensor, size: tuple[int, int], dtype: torch.dtype
) -> Tensor:
    """lambda [B, H, W]: exp of minus the least r^2 / (2 sigma^2) over the valid anchors."""
    height, width = size
    batch, num_anchors = sigma.shape
    x = (torch.arange(width, dtype=dtype, device=sigma.device) + 0.5) / width
    y = (torch.arange(height, dtype=dtype, device=sigma.device) + 0.5) / height
    anchors, sigma = anchors.to(dtype), sigma.to(dtype)
    absent = torch.arange(num_anchors, device=sigma.device) >= counts[:, None]
    scale = (2.0 * sigma.square()).reciprocal()[:, :, None]
    along_x = (x - anchors[:, :, 0, None]).square() * scale
    along_y = (y - anchors[:, :, 1, None]).square() * scale
    along_x.masked_fill_((absent | (sigma <= 0.0))[:, :, None], torch.inf)
    along_y.masked_fill_((absent | (sigma <= 0.0))[:, :, None], torch.inf)
    least = torch.full((batch, height, width), torch.inf, dtype=dtype, device=sigma.device)
    distance = torch.empty_like(least)
    for anchor in range(num_anchors):
        torch.add(along_y[:, anchor, :, None], along_x[:, anchor, None, :], out=distance)
        torch.minimum(least, distance, out=least)
    return torch.neg(least, out=distance).exp_().masked_fill_(least > CUTOFF, 0.0)


def _blend(
    masked: Tensor,
    images: Tensor,
    coverage: Tensor,
    seed: int,
    ids: Tensor,
    first_pixel: int,
    noise: tuple[float, float],
) -> None:
    """Fill `masked` [S, C, P], pixels `first_pixel` on of the samples `ids` [S]."""
    mean, std = noise
    pixels = torch.arange(first_pixel, first_pixel + images.shape[2], device=images.device)
    low, high = (ids & 0xFFFFFFFF)[:, None], (ids >> 32 & 0xFFFFFFFF)[:, None]
    for start in range(0, images.shape[1], 4):
        lanes = min(4, images.shape[1] - start)
        group = torch.full_like(low, start // 4)
        words = philox(seed, pixels[None, :], group, low, high)
        for lane, normal in enumerate(normals(words, lanes)):
            blend = normal.mul_(std).add_(mean).to(coverage.dtype)
            image = images[:, start + lane].to(coverage.dtype)
            masked[:, start + lane] = torch.lerp(image, blend, coverage, out=blend)


def noise_mask(
    images: Tensor,
    anchors: Tensor,
    sigma: Tensor,
    counts: Tensor,
    seed: int,
    sample_ids: Tensor,
    noise_mean: float,
    noise_std: float,
) -> tuple[Tensor, Tensor]:
    """(masked images [B, C, H, W] in the images' dtype and format, lambda [B, 1, H, W])."""
    batch, _, height, width = images.shape
    dtype = accumulation_dtype(images.dtype)
    coverage = images.new_empty((batch, height, width), dtype=dtype)
    masked = empty_gradient(images)
    source, result, weights = images.flatten(2), masked.flatten(2), coverage.flatten(1)
    num_pixels = height * width
    samples, span = max(1, _CHUNK // max(1, num_pixels)), min(_CHUNK, max(1, num_pixels))
    for sample in range(0, batch, samples):
        rows = slice(sample, sample + samples)
        coverage[rows] = _coverage(anchors[rows], sigma[rows], counts[rows], (height, width), dtype)
        for pixel in range(0, num_pixels, span):
            part = slice(pixel, pixel + span)
            _blend(
                result[rows, :, part],
                source[rows, :, part],
                weights[rows, part],
                seed,
                sample_ids[rows],
                pixel,
                (noise_mean, noise_std),
            )
    return masked, coverage[:, None]


def noise_mask_backward(grad_masked: Tensor, coverage: Tensor) -> Tensor:
    """The gradient of the images: (1 - lambda) times that of the masked images."""
    result = empty_gradient(grad_masked)
    for rows in chunks(grad_masked):
        torch.mul(grad_masked[rows], 1.0 - coverage[rows], out=result[rows])
    return result
