"""Masking of a batch: draw places and cover them with noise, the same on any rank."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

import torch
from sesame_kernels import noise_mask
from torch import Tensor

from sesame_hpc.config import MaskingConfig
from sesame_hpc.data.loading.loader import Batch
from sesame_hpc.data.rng import keyed_generator
from sesame_hpc.masking.anchors import draw_plan, place_anchors
from sesame_hpc.masking.patches import draw_patches
from sesame_hpc.schemes import Scheme

__all__ = ["Masker"]


@dataclass(frozen=True)
class Masker:
    """Masks batches, keyed by (seed, stage, epoch, sample id and turn).

    Regions by `probabilities`, one for each of the scheme's, or in mode patches any places.
    """

    probabilities: Mapping[str, float]
    scheme: Scheme
    masking: MaskingConfig
    seed: int

    def __call__(self, batch: Batch, stage: str, epoch: int) -> tuple[Tensor, Tensor]:
        """Masked images [B, 3, S, S] and lambda [B, 1, S, S] in [0, 1], on the images' device."""
        device = batch.images.device
        centres, sigma, counts = self._places(batch, stage, epoch)
        return noise_mask(
            batch.images,
            centres,
            sigma,
            counts,
            _noise_seed(self.seed, stage, epoch),
            batch.random_keys.to(device, non_blocking=True),
            self.masking.noise_mean,
            self.masking.noise_std,
        )

    def _places(self, batch: Batch, stage: str, epoch: int) -> tuple[Tensor, Tensor, Tensor]:
        """Centres [B, A, 2], sigma [B, A], counts [B] of the Gaussians, on the batch's device."""
        device, ids = batch.images.device, batch.random_keys.tolist()
        if self.masking.share < 1:
            masked = _drawn(ids, self.masking.share, self.seed, stage, epoch)
            centres, sigma, counts = self._all_places(batch, stage, epoch)
            return centres, sigma, counts * masked.to(device, non_blocking=True)
        return self._all_places(batch, stage, epoch)

    def _all_places(self, batch: Batch, stage: str, epoch: int) -> tuple[Tensor, Tensor, Tensor]:
        """The same, as if all images were masked."""
        device, ids = batch.images.device, batch.random_keys.tolist()
        if self.masking.mode == "patches":
            places = draw_patches(
                ids,
                len(self.probabilities),
                self.masking,
                seed=self.seed,
                stage=stage,
                epoch=epoch,
            )
            centres, sigma, counts = (each.to(device, non_blocking=True) for each in places)
            return centres, sigma, counts
        plan = draw_plan(
            ids,
            self.probabilities,
            self.scheme,
            self.masking,
            seed=self.seed,
            stage=stage,
            epoch=epoch,
            labelled=None if batch.labelled is None else batch.labelled.numpy(),
        ).to(device)
        return place_anchors(plan, batch.landmarks), plan.sigma, plan.counts


def _drawn(ids: list[int], share: float, seed: int, stage: str, epoch: int) -> Tensor:
    """bool [B]: which samples are masked, each with the probability `share`."""
    draws = [keyed_generator(seed, stage, epoch, key, "masked").random() for key in ids]
    return torch.tensor(draws) < share


def _noise_seed(seed: int, stage: str, epoch: int) -> int:
    """A 63-bit hash of (seed, stage, epoch)."""
    digest = blake2b(f"{seed}/{stage}/{epoch}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
