"""The objective of pretrain with `landmark_weight`: reconstruction and landmarks together."""

from pathlib import Path

from torch import Tensor

from sesame_hpc.config import Config
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.loading.loader import Batch, EvalLoader
from sesame_hpc.distributed.world import World
from sesame_hpc.evaluation.validation import heldout_nme
from sesame_hpc.masking.masker import Masker
from sesame_hpc.models.heads import JointLandmarks, JointNet
from sesame_hpc.stages.coordinate_losses import landmark_loss, point_weights
from sesame_hpc.stages.extra_loss import ExtraLoss
from sesame_hpc.stages.reconstruction import ReconstructionTask
from sesame_hpc.training.task import Forward

__all__ = ["JointTask"]


class JointTask(ReconstructionTask):
    """Eq. 2 plus `landmark_weight` times `landmark_loss`, both of the masked images.

    `labelled_share` is the labelled part of all points of the faces to train on, in (0, 1].
    Validates by Eq. 2 and by the NME of the held-out faces without masks.
    """

    def __init__(
        self,
        network: JointNet,
        config: Config,
        masker: Masker,
        heldout: Annotations,
        heldout_loader: EvalLoader,
        images: Path,
        world: World,
        labelled_share: float = 1.0,
        extra: ExtraLoss | None = None,
    ) -> None:
        super().__init__(network, masker, heldout_loader, images, world)
        self.landmarks = JointLandmarks(network)
        self.config = config
        self.heldout = heldout
        self.labelled_share = labelled_share
        self.extra = extra

    def loss(self, forward: Forward, batch: Batch, epoch: int) -> Tensor:
        masked, lam = self.masker(batch, "pretrain", epoch)
        reconstructions, maps = forward(masked)
        labels, config = batch.landmarks, self.config
        weight = point_weights(batch.labelled, self.labelled_share, labels.device)
        landmarks = landmark_loss(maps, labels, config.head, config.loss, weight, self.extra)
        share = config.stages.pretrain.landmark_weight
        return self._loss(reconstructions, batch, lam) + share * landmarks

    def _reconstruct(self, masked: Tensor) -> list[Tensor]:
        reconstructions, _ = self.network(masked)
        return reconstructions

    def validate(self) -> dict[str, float]:
        result = super().validate()
        nme = heldout_nme(self.landmarks, self.heldout_loader, self.heldout, self.world.gather)
        return result | {"heldout_nme": nme}
