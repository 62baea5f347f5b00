"""Dtypes and memory formats of results, shared by the ops, their fakes and their references."""

import torch
from torch import Tensor

__all__ = [
    "accumulation_dtype",
    "empty_gradient",
    "empty_maps",
    "empty_unit_gradient",
    "flat_pixels",
    "is_channels_last",
    "with_rows_joined",
]


def accumulation_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype of sums and coordinates: float64 for float64, else float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def is_channels_last(tensor: Tensor) -> bool:
    """Whether [B, C, H, W] is channels-last, and not contiguous as well."""
    channels_last = tensor.is_contiguous(memory_format=torch.channels_last)
    return channels_last and not tensor.is_contiguous()


def _memory_format(tensor: Tensor) -> torch.memory_format:
    return torch.channels_last if is_channels_last(tensor) else torch.contiguous_format


def empty_gradient(tensor: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Uninitialised [B, C, H, W] like `tensor`: channels-last if it is, else contiguous.

    Both formats keep rows and columns collapsible, so `flat_pixels` of the result is a view.
    """
    return torch.empty_like(tensor, dtype=dtype, memory_format=_memory_format(tensor))


def empty_maps(features: Tensor, maps: int, dtype: torch.dtype) -> Tensor:
    """Uninitialised [B, maps, H, W] on the device and in the memory format of the features."""
    shape = (features.shape[0], maps, *features.shape[2:])
    return torch.empty(
        shape, dtype=dtype, device=features.device, memory_format=_memory_format(features)
    )


def empty_unit_gradient(logits: Tensor, stacks: int) -> Tensor:
    """Uninitialised [stacks * B, K, H, W], for gradients under an upstream gradient of 1.

    float32 for float16: the factor 1 / (2 B K) of the mean is applied before any loss scale and
    underflows in float16.
    """
    dtype = torch.float32 if logits.dtype == torch.float16 else logits.dtype
    shape = (stacks * logits.shape[0], *logits.shape[1:])
    memory_format = _memory_format(logits)
    return torch.empty(shape, dtype=dtype, device=logits.device, memory_format=memory_format)


def with_rows_joined(tensor: Tensor) -> Tensor:
    """[B, C, H, W] whose rows follow each other in memory, or else `flat_pixels` of it."""
    if tensor.is_contiguous() or tensor.is_contiguous(memory_format=torch.channels_last):
        return tensor  # for which a view would be made for nothing
    return tensor.flatten(2)


def flat_pixels(tensor: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, C, H * W]: a view wherever the strides allow one, else a copy.

    [B, C, P] is returned as it is.
    """
    return tensor.flatten(2)
