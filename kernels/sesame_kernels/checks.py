"""Argument validation: ValueError with what is wrong and what is valid."""

import math
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "refuse_gradient",
    "require_floating",
    "require_images",
    "require_maps",
    "require_number",
    "require_same_device",
    "require_shape",
    "require_tensor",
]


def require_tensor(name: str, value: Any) -> None:
    if not isinstance(value, Tensor):
        raise ValueError(f"{name} must be a torch.Tensor, got {type(value).__name__}")


def require_number(name: str, value: Any, least: float | None = None) -> None:
    """A finite number above 0, or at least `least` (any with -inf)."""
    if not hasattr(value, "__float__"):
        raise ValueError(f"{name} must be a number, got {value!r}")
    if not math.isfinite(value) or (value <= 0 if least is None else value < least):
        limit = " and above 0" if least is None else f" and at least {least:g}"
        limit = "" if least == -math.inf else limit
        raise ValueError(f"{name} must be finite{limit}, got {value}")


def require_images(name: str, tensor: Tensor) -> None:
    require_tensor(name, tensor)
    if tensor.ndim != 4:
        raise ValueError(f"{name} must have 4 dimensions [B, C, H, W], got {list(tensor.shape)}")
    _require_floating(name, tensor)


def require_floating(name: str, tensor: Tensor) -> None:
    require_tensor(name, tensor)
    _require_floating(name, tensor)


def _require_floating(name: str, tensor: Tensor) -> None:
    if not tensor.is_floating_point():
        raise ValueError(f"{name} must be of a floating dtype, got {tensor.dtype}")


def require_shape(name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    require_tensor(name, tensor)
    if tensor.shape != shape:
        raise ValueError(f"{name} must have shape {list(shape)}, got {list(tensor.shape)}")


def refuse_gradient(name: str, tensor: Tensor) -> None:
    if tensor.requires_grad and torch.is_grad_enabled():
        raise ValueError(f"this op has no gradient for {name}: pass {name}.detach()")


def require_maps(name: str, tensor: Tensor) -> None:
    require_images(name, tensor)
    if tensor.shape[2] * tensor.shape[3] == 0:
        raise ValueError(f"{name} must have maps of at least 1 x 1, got {list(tensor.shape)}")


def require_same_device(name: str, tensor: Tensor, other_name: str, other: Tensor) -> None:
    if tensor.device != other.device:
        raise ValueError(f"{name} is on {tensor.device}, {other_name} on {other.device}")
