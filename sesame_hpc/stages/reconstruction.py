"""The objective of the pretrain stage: reconstruct masked images (section III.B)."""

from pathlib import Path

import torch
from sesame_kernels import masked_mse
from torch import Tensor, nn
from torch.nn import functional as F

from sesame_hpc.data.loading.loader import Batch, EvalLoader
from sesame_hpc.distributed.world import World
from sesame_hpc.masking.masker import Masker
from sesame_hpc.stages.images import save_reconstructions
from sesame_hpc.tracking import Image
from sesame_hpc.training.task import Forward

__all__ = ["ReconstructionTask", "reconstruction_loss"]


def reconstruction_loss(
    reconstructions: list[Tensor], images: Tensor, lam: Tensor, outside_weight: float
) -> Tensor:
    """Eq. 2, averaged over stacks; a scalar.

    Each reconstruction [B, 3, s, s] is compared with the area-downsampled crop; lambda
    [B, 1, S, S] is downsampled in the same way.
    """
    factor = images.shape[-1] // reconstructions[0].shape[-1]
    target, mask = F.avg_pool2d(images, factor), F.avg_pool2d(lam, factor)
    losses = [masked_mse(each, target, mask, outside_weight) for each in reconstructions]
    return torch.stack(losses).mean()


class ReconstructionTask:
    """Masked reconstruction; validates by Eq. 2 on the held-out faces under a fixed masking."""

    def __init__(
        self,
        network: nn.Module,
        masker: Masker,
        heldout_loader: EvalLoader,
        images: Path,
        world: World,
    ) -> None:
        self.network = network
        self.masker = masker
        self.heldout_loader = heldout_loader
        self.images = images
        self.world = world
        self._drawn: dict[str, Image] = {}

    def loss(self, forward: Forward, batch: Batch, epoch: int) -> Tensor:
        masked, lam = self.masker(batch, "pretrain", epoch)
        return self._loss(forward(masked), batch, lam)

    def _loss(self, reconstructions: list[Tensor], batch: Batch, lam: Tensor) -> Tensor:
        weight = self.masker.masking.outside_weight
        return reconstruction_loss(reconstructions, batch.images, lam, weight)

    def _reconstruct(self, masked: Tensor) -> list[Tensor]:
        return self.network(masked)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        self.world.share_buffers(self.network)
        self.network.eval()
        total, faces = 0.0, 0
        for batch in self.heldout_loader:
            masked, lam = self.masker(batch, "heldout", 0)
            loss = self._loss(self._reconstruct(masked), batch, lam)
            total += float(loss) * len(batch.images)
            faces += len(batch.images)
        self.network.train()
        sums = self.world.gather((total, faces))
        return {"heldout_loss": sum(part for part, _ in sums) / sum(count for _, count in sums)}

    @torch.no_grad()
    def save_images(self, epoch: int) -> None:
        if not self.world.is_main:
            return
        batch = next(iter(self.heldout_loader))
        masked, lam = self.masker(batch, "heldout", 0)
        self.network.eval()
        reconstructed = self._reconstruct(masked)[-1]
        self.network.train()
        path = self.images / f"pretrain-epoch-{epoch + 1:04d}.png"
        self._drawn = save_reconstructions(path, batch.images, lam, masked, reconstructed)

    def draw(self) -> dict[str, Image]:
        """Masks and reconstructions, as they were saved last."""
        return self._drawn
