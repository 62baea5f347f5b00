"""Losses of landmarks, as functions of maps or of what `soft_argmax` makes of them."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sesame_kernels.checks import (
    refuse_gradient,
    require_floating,
    require_maps,
    require_number,
    require_same_device,
    require_shape,
    require_tensor,
)
from sesame_kernels.functional import Distribution
from sesame_kernels.penalties import Penalty, require_penalty
from sesame_kernels.registry import call

__all__ = ["gaussian_divergence", "soft_argmax_loss", "star_loss"]

_L1 = Penalty()


def soft_argmax_loss(
    logits: Tensor | Sequence[Tensor],
    target: Tensor,
    weight: Tensor | None = None,
    beta: float = 1.0,
    penalty: Penalty = _L1,
) -> tuple[Tensor, Tensor]:
    """A loss of `soft_argmax`, and the coordinates; of the maps of all stacks of a network at once.

    The mean over B, K and (x, y), and over the stacks if there are several, of
    weight * phi(soft_argmax(logits, beta) - target), where phi is the penalty: |e| by default. If
    the logits require a gradient, forward writes it too; backward multiplies it by that of the
    loss, which costs nothing if it is 1.

    Args:
        logits: [B, K, H, W] as of `soft_argmax`, or a list of T such tensors, all of one shape,
            dtype and device. On a GPU up to 8 stacks with contiguous pixels take one launch; maps
            whose strides are not those of the first are copied.
        target: [B, K, 2], floating, in the units of the coordinates; the same for all stacks.
        weight: [B, K], floating, a factor for each landmark's error, or None for 1. The mean
            divides by the number of coordinates, not by the sum of weights.
        beta: inverse temperature, above 0.
        penalty: of each coordinate's error.

    Returns:
        (a scalar loss, NaN for an empty batch; coordinates [B, K, 2], or [T, B, K, 2] of a list,
        which have no gradient). Both float32, or float64 for float64 logits.

    Raises:
        ValueError: as `soft_argmax`, for an empty list, for shapes, dtypes or devices that do not
            match, or a target or weight that requires a gradient.
    """
    stacks = [logits] if isinstance(logits, Tensor) else _require_stacks(logits)
    first = stacks[0]
    require_maps("logits", first)
    require_number("beta", beta)
    require_penalty(penalty)
    _require_landmarks(target, weight, "logits", first)
    with_gradient = torch.is_grad_enabled() and any(maps.requires_grad for maps in stacks)
    settings = (beta, penalty.name, penalty.width, penalty.curvature)
    loss, coordinates, _ = call(
        "soft_argmax_loss", stacks, target, weight, *settings, with_gradient, True
    )
    if isinstance(logits, Tensor):
        return loss, coordinates
    return loss, coordinates.unflatten(0, (len(stacks), first.shape[0]))


def _require_stacks(logits: object) -> list[Tensor]:
    """At least one tensor, all of one shape, dtype and device."""
    if not isinstance(logits, Sequence) or not logits:
        kind = "an empty list" if isinstance(logits, Sequence) else type(logits).__name__
        raise ValueError(f"logits must be a tensor or a list of at least one, got {kind}")
    for index, maps in enumerate(logits):
        require_tensor(f"logits[{index}]", maps)
    for index, maps in enumerate(logits[1:], 1):
        require_shape(f"logits[{index}]", maps, tuple(logits[0].shape))
        require_same_device(f"logits[{index}]", maps, "logits[0]", logits[0])
        if maps.dtype != logits[0].dtype:
            raise ValueError(f"logits[{index}] is {maps.dtype}, logits[0] {logits[0].dtype}")
    return list(logits)


def star_loss(
    coordinates: Tensor,
    moments: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    penalty: Penalty = _L1,
    restriction: float = 1.0,
    floor: float = 1e-5,
) -> Tensor:
    """Errors along the principal axes of each landmark's distribution, over its extent there.

    With eigenvalues lambda_i and unit eigenvectors v_i of the covariance, e = coordinates - target:
    the mean over B and K of weight * (sum_i phi(v_i . e) / sqrt(lambda_i + floor) + restriction *
    sum_i lambda_i). An error along a contour, where annotators differ and the map is wide, costs
    less than one across it; the last term keeps the maps from growing wide to lower the first.
    Zhou et al., "STAR Loss: Reducing Semantic Ambiguity in Facial Landmark Detection", CVPR 2023,
    with eigenvectors in closed form and taken as constants: their derivative has no bound where
    the eigenvalues meet.

    Args:
        coordinates: [B, K, 2], float32 or float64.
        moments: [B, K, 3] of the same dtype: variances of x and y, and covariance. Both as
            `soft_argmax` returns them.
        target: [B, K, 2], floating.
        weight: [B, K], floating, a factor for each landmark, or None for 1.
        penalty: phi, of the error along one axis.
        restriction: the weight of the eigenvalues' sum, at least 0.
        floor: added to the eigenvalues, above 0.

    Returns:
        A scalar of the coordinates' dtype, NaN for an empty batch. Coordinates and moments have a
        gradient.

    Raises:
        ValueError: for shapes, dtypes or devices that do not match, a target or weight that
            requires a gradient, or a factor out of range.
    """
    require_tensor("coordinates", coordinates)
    if coordinates.ndim != 3 or coordinates.shape[2] != 2:
        raise ValueError(f"coordinates must be [B, K, 2], got {list(coordinates.shape)}")
    if coordinates.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"coordinates must be float32 or float64, got {coordinates.dtype}")
    require_shape("moments", moments, (*coordinates.shape[:2], 3))
    if moments.dtype != coordinates.dtype:
        raise ValueError(f"moments are {moments.dtype}, coordinates {coordinates.dtype}: cast one")
    require_same_device("moments", moments, "coordinates", coordinates)
    _require_landmarks(target, weight, "coordinates", coordinates)
    require_penalty(penalty)
    require_number("restriction", restriction, least=0.0)
    require_number("floor", floor)
    settings = (penalty.name, penalty.width, penalty.curvature, restriction, floor)
    return call("star_loss", coordinates, moments, target, weight, *settings)[0]


def gaussian_divergence(
    distribution: Distribution,
    target: Tensor,
    sigma: float,
    size: Sequence[int],
    weight: Tensor | None = None,
) -> Tensor:
    """Kullback-Leibler divergence of each map's softmax from a Gaussian around its label.

    For p on cells of area 1 / (H W) and a round Gaussian q with standard deviation sigma,
    KL(p || q) = -entropy(p) + ln(2 pi sigma^2 H W) + E_p |c - target|^2 / (2 sigma^2), where
    E_p |c - target|^2 = var_x + var_y + |mean - target|^2. So it needs no map, and all that it
    computes is [B, K]. q is normalised over the plane: the result is that over the cells where
    sigma is at least one cell and the label more than 3 sigma inside of the map. Sides of one cell
    count as no dimension.

    Args:
        distribution: of `soft_argmax_distribution`.
        target: [B, K, 2], floating, in the units of the coordinates.
        sigma: in the same units, above 0.
        size: (H, W) of the maps.
        weight: [B, K], floating, a factor for each landmark, or None for 1.

    Returns:
        The mean over B and K, in nats: a scalar.

    Raises:
        ValueError: for shapes or devices that do not match, a target or weight that requires a
            gradient, or sigma or a size out of range.
    """
    if not isinstance(distribution, Distribution):
        kind = type(distribution).__name__
        raise ValueError(f"distribution must be that of soft_argmax_distribution, got {kind}")
    coordinates, moments, entropy, _ = distribution
    _require_landmarks(target, weight, "coordinates", coordinates)
    require_number("sigma", sigma)
    if not isinstance(size, Sequence) or len(size) != 2 or not all(_is_side(n) for n in size):
        raise ValueError(f"size must be (H, W), integers of at least 1, got {size!r}")
    height, width = size
    squares = moments[..., :2] + (coordinates - target.to(coordinates.dtype)).square()
    divergence = -entropy
    for axis, cells in enumerate((width, height)):
        if cells > 1:
            constant = math.log(math.sqrt(2 * math.pi) * sigma * cells)
            divergence = divergence + squares[..., axis] / (2 * sigma**2) + constant
    return (divergence if weight is None else divergence * weight).mean()


def _is_side(value: object) -> bool:
    return isinstance(value, int | torch.SymInt) and value >= 1


def _require_landmarks(target: Tensor, weight: Tensor | None, name: str, like: Tensor) -> None:
    """A target [B, K, 2] and a weight [B, K] or None, beside a tensor [B, K, ...]."""
    pairs = [("target", target, (*like.shape[:2], 2))]
    if weight is not None:
        pairs.append(("weight", weight, tuple(like.shape[:2])))
    for label, tensor, shape in pairs:
        require_shape(label, tensor, shape)
        require_floating(label, tensor)
        require_same_device(label, tensor, name, like)
        refuse_gradient(label, tensor)
