"""What the preliminary and finetune stages minimise, as `LossConfig` puts it together."""

from collections.abc import Sequence

import torch
from sesame_kernels import (
    Penalty,
    soft_argmax,
    soft_argmax_loss,
    soft_argmax_marginals,
    star_loss,
)
from torch import Tensor

from sesame_hpc.config import HeadConfig, LossConfig
from sesame_hpc.models.heads import cell_centres
from sesame_hpc.stages.extra_loss import ExtraLoss

__all__ = ["heatmap_loss", "landmark_loss", "point_weights"]

_LEAST = 1e-6


def landmark_loss(
    outputs: Tensor | Sequence[Tensor],
    labels: Tensor,
    head: HeadConfig,
    loss: LossConfig,
    weight: Tensor | None = None,
    extra: ExtraLoss | None = None,
) -> Tensor:
    """The mean over stacks of their losses: a scalar, float32 or float64.

    `outputs` are the maps [B, K, H, W] of T stacks, or, of a network that writes no maps, their
    coordinates [T, B, K, 2]; labels [B, K, 2] in fractions of the crop side. All stacks have the
    same weight, or only the last counts (`head.supervision`). The coordinates' errors have the
    weight 1: with the L1 penalty they are the paper's "MAE loss" (section IV.A). `weight` [B, K] is
    a factor for each landmark (see `point_weights`), or None for 1; means divide by the number of
    all landmarks. `extra` is a further term of the coordinates of each stack.
    """
    stacks = outputs if head.supervision == "all" else outputs[-1:]
    if isinstance(stacks, Tensor):
        total = _of_coordinates(stacks, labels, _penalty(loss), weight)
    elif not loss.heatmap and not loss.star:
        total = soft_argmax_loss(stacks, labels, weight, head.beta, _penalty(loss))[0]
    else:
        losses = [_of_maps(maps, labels, head.beta, loss, weight) for maps in stacks]
        total = torch.stack(losses).mean()
    if extra is None:
        return total
    coordinates = stacks if isinstance(stacks, Tensor) else _coordinates(stacks, head.beta)
    return total + torch.stack([extra(each, labels, weight) for each in coordinates]).mean()


def _coordinates(stacks: Sequence[Tensor], beta: float) -> list[Tensor]:
    return [soft_argmax(maps, beta) for maps in stacks]


def _penalty(loss: LossConfig) -> Penalty:
    return Penalty(loss.penalty, loss.width, loss.curvature)


def _of_coordinates(
    coordinates: Tensor, labels: Tensor, penalty: Penalty, weight: Tensor | None
) -> Tensor:
    costs = penalty(coordinates - labels)
    return (costs if weight is None else costs * weight[..., None]).mean()


def _of_maps(
    maps: Tensor, labels: Tensor, beta: float, loss: LossConfig, weight: Tensor | None
) -> Tensor:
    """Of one stack, with a heat-map or a STAR loss."""
    penalty, terms = _penalty(loss), []
    if loss.heatmap:
        coordinates, *marginals = soft_argmax_marginals(maps, beta)
        for axis, marginal in enumerate(marginals):
            term = heatmap_loss(marginal, labels[..., axis], loss.heatmap_sigma, weight)
            terms.append(loss.heatmap * term)
    if loss.star:
        coordinates, moments = soft_argmax(maps, beta, second_moments=True)
        term = star_loss(coordinates, moments, labels, weight, penalty, loss.star_restriction)
        terms.append(loss.star * term)
    return _of_coordinates(coordinates, labels, penalty, weight) + sum(terms)


def heatmap_loss(
    marginal: Tensor, labels: Tensor, sigma: float, weight: Tensor | None = None
) -> Tensor:
    """Cross-entropy of marginals [..., B, K, N] against Gaussians around labels [B, K]; a scalar.

    A Gaussian of standard deviation `sigma`, in fractions of the crop side as the labels, is taken
    at the N cell centres and normalised to the sum 1. It is nothing where the label lies far
    outside of the crop. `weight` [B, K] as in `landmark_loss`. As the heat-map regularisation of
    Nibali et al. (arXiv:1801.07372), with the cross-entropy for their divergence.
    """
    centres = cell_centres(marginal.shape[-1], marginal.device)
    target = torch.exp(-(centres - labels[..., None]).square() / (2 * sigma**2))
    target = target / target.sum(dim=-1, keepdim=True).clamp_min(_LEAST)
    entropies = (target * (marginal + _LEAST).log()).sum(dim=-1)
    return -(entropies if weight is None else entropies * weight).mean()


def point_weights(labelled: Tensor | None, share: float, device: torch.device) -> Tensor | None:
    """float32 [B, K] on `device`: 1 / `share` for points that are labelled, 0 for the others.

    `share` in (0, 1] is the labelled part of all points of the training faces, so that a mean over
    all points of a batch is the sum over its labelled points, divided by how many are expected to
    be. Every labelled point of the data set then counts the same, whatever else its face or its
    batch has labelled, and on any number of ranks. None if all are (`labelled` None).
    """
    if labelled is None:
        return None
    return labelled.to(device, non_blocking=True).float() / share
