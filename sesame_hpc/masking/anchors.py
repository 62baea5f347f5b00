"""Where an image is masked: regions drawn from the distribution, anchors spaced along each.

Drawing needs no landmarks and runs on the CPU ahead of the GPU; placing needs the landmarks and
runs on their device, without synchronisation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sesame_hpc.config import MaskingConfig
from sesame_hpc.data.rng import keyed_generator
from sesame_hpc.schemes import Scheme

__all__ = ["AnchorPlan", "draw_plan", "place_anchors"]


@dataclass(frozen=True)
class AnchorPlan:
    """Anchors of a batch, each between two consecutive landmarks of its region, both labelled.

    A is the maximum per image.

    `first`, `second`: int64 [B, A] landmarks; `fraction`: float32 [B, A], 0 at first, 1 at second;
    `sigma`: float32 [B, A], fractions of the crop side; `counts`: int64 [B] anchors in use.
    """

    first: Tensor
    second: Tensor
    fraction: Tensor
    sigma: Tensor
    counts: Tensor

    def to(self, device: torch.device) -> "AnchorPlan":
        fields = (self.first, self.second, self.fraction, self.sigma, self.counts)
        return AnchorPlan(*(field.to(device, non_blocking=True) for field in fields))


def draw_plan(
    sample_ids: Sequence[int],
    probabilities: Mapping[str, float],
    scheme: Scheme,
    masking: MaskingConfig,
    *,
    seed: int,
    stage: str,
    epoch: int,
    labelled: np.ndarray | None = None,
) -> AnchorPlan:
    """Draw regions and anchors for each sample, keyed by (seed, stage, epoch, sample id).

    K ~ U{regions} regions without replacement, by `probabilities` (one per region of the
    scheme); in each, `anchors` positions, one in each equal part of the region's line of
    landmarks, so that a long region is masked by segments; each with sigma ~ U(sigma).

    `labelled`, bool [B, K], says which points a sample has; None: all. Anchors lie on the parts of
    a line between neighbours that are both labelled, or, where there are none, on its labelled
    points; a region without labelled points is not drawn, and the others by their shares of the
    rest. A sample without labelled points gets no anchors.
    """
    names = list(probabilities)
    shares = np.array([probabilities[name] for name in names])
    shares = shares / shares.sum()
    most = min(masking.regions[1], len(names))
    size = most * masking.anchors
    lines = [_pieces(scheme.regions[name]) for name in names]
    first = np.zeros((len(sample_ids), size), dtype=np.int64)
    second = np.zeros_like(first)
    fraction = np.zeros((len(sample_ids), size), dtype=np.float32)
    sigma = np.full((len(sample_ids), size), masking.sigma[0], dtype=np.float32)
    counts = np.zeros(len(sample_ids), dtype=np.int64)
    for row, sample_id in enumerate(sample_ids):
        generator = keyed_generator(seed, stage, epoch, int(sample_id), "masking")
        number = int(generator.integers(min(masking.regions[0], most), most + 1))
        own, own_shares = lines, shares
        if labelled is not None and not labelled[row].all():
            own = [_pieces(scheme.regions[name], labelled[row]) for name in names]
            has = np.array([len(line) > 0 for line in own])
            number = min(number, int(has.sum()))
            if not number:
                continue
            own_shares = np.where(has, shares, 0.0) / shares[has].sum()
        regions = generator.choice(len(names), size=number, replace=False, p=own_shares)
        used = number * masking.anchors
        positions = generator.random((number, masking.anchors)) + np.arange(masking.anchors)
        for place, region in enumerate(regions):
            line = own[region]
            along = positions[place] / masking.anchors * len(line)
            piece = np.minimum(along.astype(np.int64), len(line) - 1)
            columns = slice(place * masking.anchors, (place + 1) * masking.anchors)
            first[row, columns], second[row, columns] = line[piece].T
            fraction[row, columns] = along - piece
        sigma[row, :used] = generator.uniform(*masking.sigma, size=used)
        counts[row] = used
    arrays = (first, second, fraction, sigma, counts)
    return AnchorPlan(*(torch.from_numpy(array) for array in arrays))


def _pieces(points: Sequence[int], labelled: np.ndarray | None = None) -> np.ndarray:
    """Pairs of neighbours along a region, int64 [P, 2]; if there are none, each point with itself.

    With `labelled`, bool [K], pairs of labelled points alone; empty if none is.
    """
    line = np.array(points)
    pairs = np.stack([line[:-1], line[1:]], axis=1)
    if labelled is not None:
        pairs, line = pairs[labelled[pairs].all(axis=1)], line[labelled[line]]
    return pairs if len(pairs) else np.stack([line, line], axis=1)


def place_anchors(plan: AnchorPlan, landmarks: Tensor) -> Tensor:
    """Anchor positions float32 [B, A, 2] from landmarks [B, K, 2], both in [0, 1] of the crop."""

    def points(indices: Tensor) -> Tensor:
        return landmarks.gather(1, indices.unsqueeze(-1).expand(-1, -1, 2))

    return torch.lerp(points(plan.first), points(plan.second), plan.fraction.unsqueeze(-1))
