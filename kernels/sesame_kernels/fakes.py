"""Shapes, dtypes and memory formats of the ops' results, for the compiler and fake tensors."""

from collections.abc import Sequence

import torch
from torch import Tensor

from sesame_kernels.dispatch import runs_reference
from sesame_kernels.layout import (
    accumulation_dtype,
    empty_gradient,
    empty_maps,
    empty_unit_gradient,
)

__all__ = [
    "linear_soft_argmax",
    "linear_soft_argmax_backward",
    "masked_mse",
    "masked_mse_backward",
    "noise_mask",
    "noise_mask_backward",
    "soft_argmax",
    "soft_argmax_backward",
    "soft_argmax_distribution",
    "soft_argmax_distribution_backward",
    "soft_argmax_loss",
    "soft_argmax_loss_backward",
    "soft_argmax_loss_rescale_",
    "soft_argmax_marginals",
    "soft_argmax_marginals_backward",
    "soft_argmax_moments",
    "soft_argmax_moments_backward",
    "star_loss",
]


def _per_map(tensor: Tensor, maps: int, *size: int) -> Tensor:
    return tensor.new_empty((tensor.shape[0], maps, *size), dtype=accumulation_dtype(tensor.dtype))


def _coordinates_and_statistics(inputs: Tensor, maps: int) -> tuple[Tensor, Tensor]:
    """The second result is (maximum, sum), of the reference the softmax."""
    coordinates = _per_map(inputs, maps, 2)
    if runs_reference(inputs.device):
        return coordinates, empty_maps(inputs, maps, coordinates.dtype)
    return coordinates, _per_map(inputs, maps, 2)


def soft_argmax(logits: Tensor, beta: float, reuse: bool) -> tuple[Tensor, Tensor]:
    return _coordinates_and_statistics(logits, logits.shape[1])


def soft_argmax_moments(logits: Tensor, beta: float) -> tuple[Tensor, Tensor, Tensor]:
    coordinates, statistics = soft_argmax(logits, beta, False)
    return coordinates, _per_map(logits, logits.shape[1], 3), statistics


def soft_argmax_backward(
    grad_coordinates: Tensor, logits: Tensor, coordinates: Tensor, statistics: Tensor, beta: float
) -> Tensor:
    return empty_gradient(logits)


def soft_argmax_moments_backward(
    grad_coordinates: Tensor,
    grad_moments: Tensor,
    logits: Tensor,
    coordinates: Tensor,
    moments: Tensor,
    statistics: Tensor,
    beta: float,
) -> Tensor:
    return empty_gradient(logits)


def soft_argmax_distribution(logits: Tensor, beta: float) -> tuple[Tensor, Tensor, Tensor]:
    coordinates, statistics = soft_argmax(logits, beta, False)
    return coordinates, _per_map(logits, logits.shape[1], 5), statistics


soft_argmax_distribution_backward = soft_argmax_moments_backward


def soft_argmax_marginals(
    logits: Tensor, beta: float, reuse: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    coordinates, statistics = soft_argmax(logits, beta, reuse)
    maps, height, width = logits.shape[1:]
    along_x, along_y = _per_map(logits, maps, width), _per_map(logits, maps, height)
    return coordinates, along_x, along_y, statistics


def soft_argmax_marginals_backward(
    grad_coordinates: Tensor,
    grad_x: Tensor,
    grad_y: Tensor,
    logits: Tensor,
    coordinates: Tensor,
    along_x: Tensor,
    along_y: Tensor,
    statistics: Tensor,
    beta: float,
) -> Tensor:
    return empty_gradient(logits)


def soft_argmax_loss(
    logits: Sequence[Tensor],
    target: Tensor,
    weight: Tensor | None,
    beta: float,
    penalty: str,
    width: float,
    curvature: float,
    with_gradient: bool,
    reuse: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    first, stacks = logits[0], len(logits)
    dtype = accumulation_dtype(first.dtype)
    coordinates = first.new_empty((stacks * first.shape[0], first.shape[1], 2), dtype=dtype)
    gradient = empty_unit_gradient(first, stacks) if with_gradient else first.new_empty(0)
    return first.new_empty((), dtype=dtype), coordinates, gradient


def soft_argmax_loss_backward(
    grad_loss: Tensor, unit_gradient: Tensor, dtype: torch.dtype
) -> Tensor:
    return empty_gradient(unit_gradient, dtype)


def soft_argmax_loss_rescale_(grad_loss: Tensor, unit_gradient: Tensor) -> None:
    return None


def star_loss(
    coordinates: Tensor,
    moments: Tensor,
    target: Tensor,
    weight: Tensor | None,
    penalty: str,
    width: float,
    curvature: float,
    restriction: float,
    floor: float,
) -> tuple[Tensor, Tensor, Tensor]:
    return (
        coordinates.new_empty(()),
        coordinates.new_empty(coordinates.shape),
        moments.new_empty(moments.shape),
    )


def linear_soft_argmax(
    features: Tensor, weight: Tensor, beta: float, reuse: bool
) -> tuple[Tensor, Tensor]:
    return _coordinates_and_statistics(features, weight.shape[0])


def linear_soft_argmax_backward(
    grad_coordinates: Tensor,
    features: Tensor,
    weight: Tensor,
    coordinates: Tensor,
    statistics: Tensor,
    beta: float,
) -> tuple[Tensor, Tensor]:
    return empty_gradient(features), weight.new_empty(weight.shape)


def masked_mse(prediction: Tensor, target: Tensor, mask: Tensor, outside_weight: float) -> Tensor:
    return prediction.new_empty((), dtype=accumulation_dtype(prediction.dtype))


def masked_mse_backward(
    grad_loss: Tensor, prediction: Tensor, target: Tensor, mask: Tensor, outside_weight: float
) -> Tensor:
    return empty_gradient(prediction)


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
    return empty_gradient(images), _per_map(images, 1, *images.shape[2:])


def noise_mask_backward(grad_masked: Tensor, coverage: Tensor) -> Tensor:
    return empty_gradient(grad_masked)
