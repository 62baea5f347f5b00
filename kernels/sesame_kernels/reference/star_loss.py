"""The STAR loss and its gradients in plain PyTorch."""

import torch
from torch import Tensor

from sesame_kernels.reference.penalties import penalty_slopes, penalty_values

__all__ = ["principal_axes", "star_loss"]


def principal_axes(moments: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues [..., 2], the larger first, and eigenvectors [..., 2, 2] as rows.

    moments [..., 3] are xx, yy and xy of a covariance. In closed form; of equal eigenvalues, the
    vectors are the axes.
    """
    xx, yy, xy = moments.unbind(-1)
    half_difference = (xx - yy) / 2
    radius = torch.hypot(half_difference, xy)
    larger = (xx + yy) / 2 + radius
    safe = radius.where(radius != 0, 1.0)
    cosine = (half_difference / safe).where(radius != 0, 1.0)
    sine = (xy / safe).where(radius != 0, 0.0)
    # Half of the angle, by the formula that divides by the larger of its sine and cosine.
    longer = ((1 + cosine.abs()) / 2).sqrt()
    shorter = sine / (2 * longer)
    x, y = longer.where(cosine >= 0, shorter), shorter.where(cosine >= 0, longer)
    determinant = (xx * yy - xy * xy).clamp_min(0)
    smaller = (determinant / larger.where(larger != 0, 1.0)).where(larger != 0, 0.0)
    values = torch.stack((larger, smaller), -1)
    return values, torch.stack((x, y, -y, x), -1).unflatten(-1, (2, 2))


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
    """(loss, the coordinates' gradient, the moments'), for an upstream gradient of 1."""
    values, vectors = principal_axes(moments)
    errors = (coordinates - target.to(coordinates.dtype))[..., None, :]
    along = (vectors * errors).sum(-1)
    scale = (values + floor).rsqrt()
    costs = penalty_values(along, penalty, width, curvature)
    importance = torch.ones_like(along[..., 0]) if weight is None else weight.to(along.dtype)
    unit = (importance / max(1, importance.numel()))[..., None]
    loss = ((costs * scale).sum(-1) + restriction * values.sum(-1)) * importance
    slopes = penalty_slopes(along, penalty, width, curvature) * scale * unit
    grad_values = (restriction - costs * scale**3 / 2) * unit
    x, y = vectors.unbind(-1)
    products = torch.stack((x * x, y * y, 2 * x * y), -1)
    grad_moments = (grad_values[..., None] * products).sum(-2)
    return loss.mean(), (slopes[..., None] * vectors).sum(-2), grad_moments
