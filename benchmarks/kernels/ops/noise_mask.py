"""Masking of a batch. Eager draws its noise from the global generator."""

from collections.abc import Iterator
from itertools import product

import torch
from sesame_kernels import noise_mask
from torch import Tensor

from benchmarks.kernels.case import Case
from benchmarks.kernels.peers import compiled

__all__ = ["cases"]


def ours(images: Tensor, anchors: Tensor, sigma: Tensor, counts: Tensor, ids: Tensor) -> Tensor:
    return noise_mask(images, anchors, sigma, counts, 1234, ids)[0]


def eager(images: Tensor, anchors: Tensor, sigma: Tensor, counts: Tensor, ids: Tensor) -> Tensor:
    height, width = images.shape[2:]
    x = (torch.arange(width, device=images.device) + 0.5) / width
    y = (torch.arange(height, device=images.device) + 0.5) / height
    dx, dy = x - anchors[:, :, :1], y - anchors[:, :, 1:]
    squares = (dx**2)[:, :, None, :] + (dy**2)[:, :, :, None]
    bumps = torch.exp(-squares / (2 * sigma**2)[:, :, None, None])
    valid = torch.arange(sigma.shape[1], device=images.device) < counts[:, None]
    lam = (bumps * valid[:, :, None, None]).amax(1, keepdim=True)
    return (1 - lam) * images + lam * (0.5 + 0.25 * torch.randn_like(images))


def cases(device: torch.device) -> Iterator[Case]:
    """On a GPU also with channels-last images."""
    layouts = {"": torch.contiguous_format}
    if device.type != "cpu":
        layouts[" nhwc"] = torch.channels_last
    for side, (layout, memory_format) in product((96, 256), layouts.items()):
        batch = 64
        images = torch.rand(batch, 3, side, side, device=device).to(memory_format=memory_format)
        anchors = torch.rand(batch, 9, 2, device=device)
        sigma = torch.rand(batch, 9, device=device) * 0.07 + 0.03
        counts = torch.randint(3, 10, (batch,), device=device)
        ids = torch.arange(batch, device=device)
        coverage = images.nbytes // 3
        yield Case(
            "noise_mask",
            f"{batch}x3x{side}x{side}{layout}",
            (images, anchors, sigma, counts, ids),
            {"ours": ours, "eager": eager} | compiled(eager, device),
            forward_bytes=2 * images.nbytes + coverage,
            backward_bytes=2 * images.nbytes + coverage,
        )
