"""The objective of the preliminary and finetune stages, landmark coordinates, and their loop."""

from torch import Tensor, nn

from sesame_hpc.config import HeadConfig, LossConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.loading.loader import Batch, EvalLoader
from sesame_hpc.distributed.world import World
from sesame_hpc.evaluation.validation import Validation, validate_landmarks
from sesame_hpc.models.heads import LandmarkNet
from sesame_hpc.stages.coordinate_losses import landmark_loss, point_weights
from sesame_hpc.stages.extra_loss import ExtraLoss, extra_loss
from sesame_hpc.stages.session import Session
from sesame_hpc.stages.worst_faces import worst_faces
from sesame_hpc.tracking import Image
from sesame_hpc.training.ema import ModelEMA
from sesame_hpc.training.loop import TrainingLoop
from sesame_hpc.training.task import Forward

__all__ = ["CoordinateTask", "coordinate_stage", "landmark_network"]


class CoordinateTask:
    """Minimises `landmark_loss`; validates by held-out NME.

    `labelled_share` is the labelled part of all points of the training faces, in (0, 1].
    """

    def __init__(
        self,
        network: nn.Module,
        head: HeadConfig,
        loss: LossConfig,
        heldout: Annotations,
        heldout_loader: EvalLoader,
        world: World,
        labelled_share: float = 1.0,
        extra: ExtraLoss | None = None,
    ) -> None:
        self.network = network
        self.head = head
        self.settings = loss
        self.heldout = heldout
        self.heldout_loader = heldout_loader
        self.world = world
        self.labelled_share = labelled_share
        self.extra = extra
        self._last: Validation | None = None

    def loss(self, forward: Forward, batch: Batch, epoch: int) -> Tensor:
        labels = batch.landmarks
        outputs = forward(batch.images)
        weight = point_weights(batch.labelled, self.labelled_share, labels.device)
        return landmark_loss(outputs, labels, self.head, self.settings, weight, self.extra)

    def validate(self) -> dict[str, float]:
        self.world.share_buffers(self.network)
        gather = self.world.gather
        self._last = validate_landmarks(self.network, self.heldout_loader, self.heldout, gather)
        return {"heldout_nme": self._last.nme}

    def save_images(self, epoch: int) -> None:
        """Does nothing."""

    def draw(self) -> dict[str, Image]:
        """The worst held-out faces of the last validation."""
        if self._last is None or not self.world.is_main:
            return {}
        sheet = worst_faces(self._last)
        return {} if sheet is None else {"worst_faces": sheet}


def landmark_network(session: Session, name: str) -> LandmarkNet:
    """A fresh network for stage `name`, whose weights depend on (seed, stage) alone."""
    session.seed_weights(name)
    config = session.config
    return LandmarkNet(
        config.model,
        config.head,
        session.faces.scheme.num_landmarks,
        maps_for_losses=config.head.impl == "conv",
    )


def coordinate_stage(session: Session, name: str, network: nn.Module) -> TrainingLoop:
    """The loop that trains `network` for coordinates in stage `name`, with its EMA if any."""
    config, heldout = session.config, session.faces.heldout
    loader = session.train_loader(name, "full")
    engine = session.engine(name, network, loader)
    stage = session.stage_config(name)
    heldout_loader = session.eval_loader(heldout, stage.batch_size)
    task = CoordinateTask(
        engine.module,
        config.head,
        config.loss,
        heldout,
        heldout_loader,
        session.world,
        loader.labelled_share,
        extra_loss(config.loss, session.faces.scheme),
    )
    ema = ModelEMA(engine.module, stage.ema) if stage.ema else None
    return session.loop(name, task, engine, loader, ema)
