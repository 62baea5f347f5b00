"""The public functions: they check their arguments, then call the registered ops."""

import torch
from torch import Tensor

from sesame_kernels import registry

__all__ = ["masked_mse", "noise_mask", "soft_argmax"]

_OPS = getattr(torch.ops, registry.NAMESPACE)


def soft_argmax(logits: Tensor, beta: float = 1.0) -> Tensor:
    """The expected position of each map's softmax.

    Args:
        logits: [B, K, H, W] of any floating dtype, H and W at least 1.
        beta: inverse temperature, above 0; the softmax is of beta * logits.

    Returns:
        [B, K, 2]: (x, y) in [0, 1], the expectation of the cell centres ((column + 0.5) / W,
        (row + 0.5) / H). float32, or float64 for float64 logits. A map that holds a NaN, +inf or
        nothing but -inf gives NaN.

    Raises:
        ValueError: for another rank or dtype, an empty map, or beta not above 0.
    """
    _require_images("logits", logits)
    if logits.shape[2] * logits.shape[3] == 0:
        raise ValueError(f"logits must have maps of at least 1 x 1, got {list(logits.shape)}")
    if not beta > 0.0:
        raise ValueError(f"beta must be above 0, got {beta}")
    return _OPS.soft_argmax(logits, beta)[0]


def masked_mse(
    prediction: Tensor, target: Tensor, mask: Tensor, outside_weight: float = 0.01
) -> Tensor:
    """Mean squared error that counts little outside the mask: Eq. 2 of the SESAME paper.

    The mean over B, C, H, W of (mask + outside_weight * (1 - mask)) * (target - prediction) ** 2.

    Args:
        prediction, target: [B, C, H, W] of floating dtypes, which may differ.
        mask: [B, 1, H, W], floating, in [0, 1].
        outside_weight: the weight where the mask is 0.

    Returns:
        A scalar, float32, or float64 for a float64 prediction; NaN for an empty one. Only the
        prediction gets a gradient.

    Raises:
        ValueError: for shapes or dtypes that do not fit, tensors on several devices, or a target
            or mask that requires a gradient.
    """
    _require_images("prediction", prediction)
    _require_images("target", target)
    _require_images("mask", mask)
    if target.shape != prediction.shape:
        raise ValueError(
            f"target must have the prediction's shape {list(prediction.shape)}, "
            f"got {list(target.shape)}"
        )
    _require_shape("mask", mask, (prediction.shape[0], 1, *prediction.shape[2:]))
    for name, tensor in (("target", target), ("mask", mask)):
        if tensor.device != prediction.device:
            raise ValueError(f"{name} is on {tensor.device}, prediction on {prediction.device}")
        _refuse_gradient(name, tensor)
    return _OPS.masked_mse(prediction, target, mask, outside_weight)


def noise_mask(
    images: Tensor,
    anchors: Tensor,
    sigma: Tensor,
    counts: Tensor,
    seed: int,
    sample_ids: Tensor,
    noise_mean: float = 0.5,
    noise_std: float = 0.25,
) -> tuple[Tensor, Tensor]:
    """Blend the images with Gaussian noise under soft masks around anchor points.

    lambda is the maximum over a sample's valid anchors of exp(-r^2 / (2 sigma^2)), 0 without any
    and where it would be below 2^-25; the result is (1 - lambda) * images + lambda * noise. The
    noise depends on (seed, sample id, channel, pixel) alone, not on batch, device or call.

    Args:
        images: [B, C, H, W] of a floating dtype, H * W below 2^31.
        anchors: [B, A, 2], (x, y) in fractions of W and of H; r is measured in them.
        sigma: [B, A] in the same fractions, above 0 (an anchor with another sigma covers nothing).
        counts: [B] integers; the first counts[b] anchors of sample b are valid.
        seed: in [0, 2^63).
        sample_ids: [B] integers, int64 at most.
        noise_mean, noise_std: of the noise, in units of the images.

    Returns:
        (masked images in the images' dtype; lambda [B, 1, H, W], float32, or float64 for float64).
        The images' gradient is (1 - lambda) times that of the masked ones; the others have none.
        Small tensors on the CPU are copied to the images' device; pass them there to save that.

    Raises:
        ValueError: for shapes, dtypes or a seed that do not fit, or anchors or sigma that require
            a gradient.
    """
    _require_images("images", images)
    if anchors.ndim != 3:
        raise ValueError(f"anchors must be [B, A, 2], got {list(anchors.shape)}")
    batch, num_anchors = images.shape[0], anchors.shape[1]
    _require_shape("anchors", anchors, (batch, num_anchors, 2))
    _require_shape("sigma", sigma, (batch, num_anchors))
    _require_shape("counts", counts, (batch,))
    _require_shape("sample_ids", sample_ids, (batch,))
    for name, tensor in (("anchors", anchors), ("sigma", sigma)):
        if not tensor.is_floating_point():
            raise ValueError(f"{name} must be of a floating dtype, got {tensor.dtype}")
        _refuse_gradient(name, tensor)
    for name, tensor in (("counts", counts), ("sample_ids", sample_ids)):
        if tensor.is_floating_point() or tensor.dtype == torch.bool:
            raise ValueError(f"{name} must be of an integer dtype, got {tensor.dtype}")
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed must be in [0, 2^63), got {seed}")
    small = (t.to(images.device, non_blocking=True) for t in (anchors, sigma, counts, sample_ids))
    anchors, sigma, counts, sample_ids = small
    return _OPS.noise_mask(images, anchors, sigma, counts, seed, sample_ids, noise_mean, noise_std)


def _require_images(name: str, tensor: Tensor) -> None:
    if tensor.ndim != 4:
        raise ValueError(f"{name} must have 4 dimensions [B, C, H, W], got {list(tensor.shape)}")
    if not tensor.is_floating_point():
        raise ValueError(f"{name} must be of a floating dtype, got {tensor.dtype}")


def _require_shape(name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise ValueError(f"{name} must have shape {list(shape)}, got {list(tensor.shape)}")


def _refuse_gradient(name: str, tensor: Tensor) -> None:
    if tensor.requires_grad and torch.is_grad_enabled():
        raise ValueError(f"{name} gets no gradient from this op: pass {name}.detach()")
