"""Inputs, textbook formulas in float64, and measures of error that the tests of ops share."""

import torch
from torch import Tensor

HALVES = [torch.bfloat16, torch.float16]
MAP_SHAPES = [(2, 3, 1, 1), (2, 3, 7, 5), (1, 18, 8, 8), (2, 1, 48, 64), (0, 3, 4, 4)]


def randn(
    shape: tuple[int, ...], device: torch.device, scale: float = 1.0, seed: int = 0
) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(shape, generator=generator) * scale).to(device)


def layouts(images: Tensor) -> dict[str, Tensor]:
    """The same values in memory formats other than contiguous."""
    wide = images.repeat(1, 1, 2, 2)
    return {
        "channels_last": images.contiguous(memory_format=torch.channels_last),
        "transposed": images.transpose(2, 3).contiguous().transpose(2, 3),
        "sliced": wide[:, :, : images.shape[2], : images.shape[3]],
        "every_other_channel": images.repeat_interleave(2, 1)[:, ::2],
        "batch_last": images.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2),
    }


LAYOUTS = list(layouts(torch.zeros(1, 1, 1, 1)))


def textbook(logits: Tensor, beta: float = 1.0) -> Tensor:
    """Products of the softmax with coordinate grids, in float64: [B, K, 2]."""
    return textbook_moments(logits, beta)[0]


def textbook_moments(logits: Tensor, beta: float = 1.0) -> tuple[Tensor, Tensor]:
    """([B, K, 2] means, [B, K, 3] variances of x and y and covariance) in float64."""
    height, width = logits.shape[2:]
    probability = (logits.double() * beta).flatten(2).softmax(2).view(logits.shape)
    x = (torch.arange(width, device=logits.device, dtype=torch.float64) + 0.5) / width
    y = ((torch.arange(height, device=logits.device, dtype=torch.float64) + 0.5) / height)[:, None]

    def mean(values: Tensor) -> Tensor:
        return (probability * values).sum((2, 3), keepdim=True)

    dx, dy = x - mean(x.expand_as(logits)), y - mean(y.expand_as(logits))
    means = torch.stack((mean(x.expand_as(logits)), mean(y.expand_as(logits))), 2)
    moments = torch.stack((mean(dx * dx), mean(dy * dy), mean(dx * dy)), 2)
    return means.flatten(2), moments.flatten(2)


def pixels_off(actual: Tensor, expected: Tensor, size: tuple[int, int]) -> float:
    """The largest error of coordinates [B, K, 2], in cells of maps of `size` (H, W)."""
    cells = torch.tensor([size[1], size[0]], device=actual.device, dtype=torch.float64)
    return ((actual.double() - expected.double()) * cells).abs().amax().item() if len(actual) else 0


def relative_rmse(actual: Tensor, expected: Tensor) -> float:
    expected = expected.double()
    error = (actual.double() - expected).square().sum().sqrt()
    return (error / expected.square().sum().sqrt().clamp_min(1e-300)).item()


def gradient(outputs: Tensor | tuple[Tensor, ...], *inputs: Tensor) -> tuple[Tensor, ...]:
    """Gradients of a sum of the outputs with all different weights."""
    outputs = (outputs,) if isinstance(outputs, Tensor) else outputs
    totals = [
        (output * (torch.arange(output.numel(), device=output.device).view_as(output) + 1.0)).sum()
        for output in outputs
    ]
    return torch.autograd.grad(sum(totals[1:], totals[0]), inputs)
