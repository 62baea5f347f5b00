"""Adaptive masking of a batch: draw regions and cover them with noise, the same on any rank."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

from sesame_kernels import noise_mask
from torch import Tensor

from sesame_hpc.config import MaskingConfig
from sesame_hpc.data.loading.loader import Batch
from sesame_hpc.masking.anchors import draw_plan, place_anchors
from sesame_hpc.schemes import Scheme

__all__ = ["Masker"]


@dataclass(frozen=True)
class Masker:
    """Masks batches: regions by `probabilities`, keyed by (seed, stage, epoch, sample id)."""

    probabilities: Mapping[str, float]
    scheme: Scheme
    masking: MaskingConfig
    seed: int

    def __call__(self, batch: Batch, stage: str, epoch: int) -> tuple[Tensor, Tensor]:
        """Masked images [B, 3, S, S] and lambda [B, 1, S, S] in [0, 1], on the images' device."""
        device = batch.images.device
        plan = draw_plan(
            batch.sample_ids.tolist(),
            self.probabilities,
            self.scheme,
            self.masking,
            seed=self.seed,
            stage=stage,
            epoch=epoch,
        ).to(device)
        return noise_mask(
            batch.images,
            place_anchors(plan, batch.landmarks),
            plan.sigma,
            plan.counts,
            _noise_seed(self.seed, stage, epoch),
            batch.sample_ids.to(device, non_blocking=True),
            self.masking.noise_mean,
            self.masking.noise_std,
        )


def _noise_seed(seed: int, stage: str, epoch: int) -> int:
    """A 63-bit hash of (seed, stage, epoch)."""
    digest = blake2b(f"{seed}/{stage}/{epoch}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
