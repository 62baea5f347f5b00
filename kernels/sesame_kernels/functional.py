"""The public functions: they validate their arguments, then call the registered ops."""

import math
from typing import Literal, NamedTuple, overload

import torch
from torch import Tensor

from sesame_kernels.checks import (
    refuse_gradient,
    require_floating,
    require_images,
    require_maps,
    require_number,
    require_same_device,
    require_shape,
    require_tensor,
)
from sesame_kernels.registry import call

__all__ = [
    "Distribution",
    "linear_soft_argmax",
    "masked_mse",
    "noise_mask",
    "soft_argmax",
    "soft_argmax_distribution",
    "soft_argmax_marginals",
]


class Distribution(NamedTuple):
    """The softmax of each map, described by a few numbers.

    All are float32, or float64 for float64 logits, and NaN where `soft_argmax` is.

    Attributes:
        coordinates: [B, K, 2], the mean, as of `soft_argmax`.
        moments: [B, K, 3], variances and covariance, as of `soft_argmax`.
        entropy: [B, K], in nats, in [0, ln(H W)].
        peak: [B, K], the largest probability, in [1 / (H W), 1]. It has no gradient.
    """

    coordinates: Tensor
    moments: Tensor
    entropy: Tensor
    peak: Tensor


@overload
def soft_argmax(
    logits: Tensor, beta: float = 1.0, *, second_moments: Literal[False] = False
) -> Tensor: ...


@overload
def soft_argmax(
    logits: Tensor, beta: float = 1.0, *, second_moments: Literal[True]
) -> tuple[Tensor, Tensor]: ...


def soft_argmax(
    logits: Tensor, beta: float = 1.0, *, second_moments: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """The expected position of each map's softmax and, if asked, its covariance.

    Args:
        logits: [B, K, H, W] of any floating dtype, H and W at least 1.
        beta: inverse temperature, above 0; the softmax is of beta * logits.
        second_moments: also return the softmax's second central moments, from the same pass.

    Returns:
        [B, K, 2]: (x, y) in [0, 1], the expectation of the cell centres ((column + 0.5) / W,
        (row + 0.5) / H). float32, or float64 for float64 logits. A map with a NaN or +inf, or
        with only -inf, gives NaN.
        With `second_moments` also [B, K, 3] of the same dtype: the variances of x and of y, each in
        [0, 0.25], and their covariance. All three, since a landmark on a contour is uncertain in
        one direction, which need not be an axis.

    Raises:
        ValueError: for another rank or dtype, an empty map, or beta not above 0.
    """
    require_maps("logits", logits)
    require_number("beta", beta)
    if second_moments:
        coordinates, moments, _ = call("soft_argmax_moments", logits, beta)
        return coordinates, moments
    return call("soft_argmax", logits, beta, True)[0]


def soft_argmax_marginals(logits: Tensor, beta: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and marginals of each map's softmax, from one pass over the logits.

    Args:
        logits: [B, K, H, W] of any floating dtype, H and W at least 1.
        beta: inverse temperature, above 0; the softmax is of beta * logits.

    Returns:
        (coordinates [B, K, 2] as of `soft_argmax`, and as means over the marginals; the softmax
        summed over rows [B, K, W], along x; and summed over columns [B, K, H], along y). All
        float32, or float64 for float64 logits, with a gradient, and NaN where `soft_argmax` is.

    Raises:
        ValueError: for another rank or dtype, an empty map, or beta not above 0.
    """
    require_maps("logits", logits)
    require_number("beta", beta)
    coordinates, along_x, along_y, _ = call("soft_argmax_marginals", logits, beta, True)
    return coordinates, along_x, along_y


def soft_argmax_distribution(logits: Tensor, beta: float = 1.0) -> Distribution:
    """Mean, covariance, entropy and largest probability of each map's softmax, from one pass.

    Args:
        logits: [B, K, H, W] of any floating dtype, H and W at least 1.
        beta: inverse temperature, above 0; the softmax is of beta * logits.

    Raises:
        ValueError: for another rank or dtype, an empty map, or beta not above 0.
    """
    require_maps("logits", logits)
    require_number("beta", beta)
    coordinates, moments, _ = call("soft_argmax_distribution", logits, beta)
    return Distribution(coordinates, moments[..., :3], moments[..., 3], moments[..., 4].detach())


def linear_soft_argmax(features: Tensor, weight: Tensor, beta: float = 1.0) -> Tensor:
    """`soft_argmax` of a 1x1 convolution, without its maps: of the logits weight @ features.

    A bias would add a constant to each map, which cancels in the softmax: the layer's bias can be
    omitted, and would get no gradient.

    Args:
        features: [B, C, H, W] of any floating dtype, C, H and W at least 1.
        weight: [K, C] or, as of `nn.Conv2d`, [K, C, 1, 1], of the features' dtype. Under autocast
            both are cast as by a convolution.
        beta: inverse temperature, above 0.

    Returns:
        [B, K, 2] as of `soft_argmax`, float32, or float64 for float64. Logits, softmax and sums
        are accumulated in that dtype; products take factors in the features' dtype, on GPUs
        float32 as three tf32.

    Raises:
        ValueError: for shapes, dtypes or devices that do not match, or beta not above 0.
    """
    require_maps("features", features)
    require_number("beta", beta)
    require_tensor("weight", weight)
    expected = (weight.shape[0] if weight.ndim else 0, max(1, features.shape[1]))
    if weight.shape != (*expected, 1, 1):
        require_shape("weight", weight, expected)
    require_same_device("weight", weight, "features", features)
    if torch.is_autocast_enabled(features.device.type) and features.dtype != torch.float64:
        dtype = torch.get_autocast_dtype(features.device.type)
        features, weight = features.to(dtype), weight.to(dtype)
    if weight.dtype != features.dtype:
        raise ValueError(f"weight is {weight.dtype}, features are {features.dtype}: cast one")
    return call("linear_soft_argmax", features, weight, beta, True)[0]


def masked_mse(
    prediction: Tensor, target: Tensor, mask: Tensor, outside_weight: float = 0.01
) -> Tensor:
    """Mean squared error with a small weight outside the mask: Eq. 2 of the SESAME paper.

    The mean over B, C, H, W of (mask + outside_weight * (1 - mask)) * (target - prediction) ** 2.

    Args:
        prediction: [B, C, H, W] of a floating dtype.
        target: [B, C, H, W] of a floating dtype, which may be another.
        mask: [B, 1, H, W], floating, in [0, 1].
        outside_weight: the weight where the mask is 0, at least 0.

    Returns:
        A scalar, float32, or float64 for a float64 prediction; NaN for an empty one. Only the
        prediction gets a gradient.

    Raises:
        ValueError: for shapes or dtypes that do not match, tensors on several devices, or a target
            or mask that requires a gradient.
    """
    require_images("prediction", prediction)
    require_images("target", target)
    require_images("mask", mask)
    if target.shape != prediction.shape:
        raise ValueError(
            f"target must have the prediction's shape {list(prediction.shape)}, "
            f"got {list(target.shape)}"
        )
    require_shape("mask", mask, (prediction.shape[0], 1, *prediction.shape[2:]))
    for name, tensor in (("target", target), ("mask", mask)):
        require_same_device(name, tensor, "prediction", prediction)
        refuse_gradient(name, tensor)
    require_number("outside_weight", outside_weight, least=0.0)
    return call("masked_mse", prediction, target, mask, outside_weight)


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

    lambda is the maximum over a sample's valid anchors of exp(-r^2 / (2 sigma^2)), 0 without
    anchors and where it would be below 2^-25; the result is (1 - lambda) * images + lambda * noise.
    The noise depends only on (seed, sample id, channel, pixel), not on batch, device or call.

    Args:
        images: [B, C, H, W] of a floating dtype, H * W below 2^31.
        anchors: [B, A, 2], (x, y) in fractions of W and of H; r is measured in them.
        sigma: [B, A] in the same fractions, above 0 (an anchor with another sigma has no effect).
        counts: [B] integers; the first counts[b] anchors of sample b are valid.
        seed: in [0, 2^63).
        sample_ids: [B] integers, int64 at most.
        noise_mean: the mean of the noise, in units of the images.
        noise_std: its standard deviation, in the same units, at least 0.

    Returns:
        (masked images in the images' dtype; lambda [B, 1, H, W], float32, or float64 for float64).
        The images' gradient is (1 - lambda) times that of the masked ones; the others have none.
        Small tensors on the CPU are copied to the images' device; pass them there to avoid that.

    Raises:
        ValueError: for shapes, dtypes or a seed that are not valid, or anchors or sigma that
            require a gradient.
    """
    require_images("images", images)
    require_tensor("anchors", anchors)
    if anchors.ndim != 3:
        raise ValueError(f"anchors must be [B, A, 2], got {list(anchors.shape)}")
    batch, num_anchors = images.shape[0], anchors.shape[1]
    require_shape("anchors", anchors, (batch, num_anchors, 2))
    require_shape("sigma", sigma, (batch, num_anchors))
    require_shape("counts", counts, (batch,))
    require_shape("sample_ids", sample_ids, (batch,))
    for name, tensor in (("anchors", anchors), ("sigma", sigma)):
        require_floating(name, tensor)
        refuse_gradient(name, tensor)
    for name, tensor in (("counts", counts), ("sample_ids", sample_ids)):
        if tensor.is_floating_point() or tensor.dtype == torch.bool:
            raise ValueError(f"{name} must be of an integer dtype, got {tensor.dtype}")
    if not hasattr(seed, "__index__") or not 0 <= seed < 2**63:
        raise ValueError(f"seed must be an integer in [0, 2^63), got {seed!r}")
    require_number("noise_mean", noise_mean, least=-math.inf)
    require_number("noise_std", noise_std, least=0.0)
    small = (t.to(images.device, non_blocking=True) for t in (anchors, sigma, counts, sample_ids))
    anchors, sigma, counts, sample_ids = small
    return call(
        "noise_mask", images, anchors, sigma, counts, seed, sample_ids, noise_mean, noise_std
    )
