"""The objective of the preliminary and finetune stages, landmark coordinates, and their loop."""

from torch import Tensor, nn

from sesame_hpc.config import HeadConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.loading.loader import Batch, EvalLoader
from sesame_hpc.distributed.world import World
from sesame_hpc.evaluation.nme import nme_table, point_errors
from sesame_hpc.evaluation.predict import predict
from sesame_hpc.stages.session import Session
from sesame_hpc.training.ema import ModelEMA
from sesame_hpc.training.loop import TrainingLoop
from sesame_hpc.training.task import Forward

__all__ = ["CoordinateTask", "coordinate_stage", "l1_coord"]


def l1_coord(coordinates: Tensor, landmarks: Tensor, head: HeadConfig) -> Tensor:
    """Mean absolute coordinate error, in fractions of the crop side; a scalar.

    coordinates [T, B, K, 2] of T stacks, landmarks [B, K, 2]; all stacks have the same weight, or
    only the last counts (`head.supervision`). The paper's "MAE loss" (section IV.A).
    """
    supervised = coordinates if head.supervision == "all" else coordinates[-1:]
    return (supervised - landmarks).abs().mean()


class CoordinateTask:
    """L1 on coordinates; validates by NME on the held-out faces."""

    def __init__(
        self,
        network: nn.Module,
        head: HeadConfig,
        heldout: Annotations,
        heldout_loader: EvalLoader,
        world: World,
    ) -> None:
        self.network = network
        self.head = head
        self.heldout = heldout
        self.heldout_loader = heldout_loader
        self.world = world

    def loss(self, forward: Forward, batch: Batch, epoch: int) -> Tensor:
        return l1_coord(forward(batch.images), batch.landmarks, self.head)

    def validate(self) -> dict[str, float]:
        self.world.share_buffers(self.network)
        gather = self.world.gather
        predicted, faces = predict(self.network, self.heldout_loader, self.heldout, gather)
        errors = point_errors(predicted, faces.landmarks, faces.scheme)
        return {"heldout_nme": nme_table(errors, faces.scheme).nme}

    def save_images(self, epoch: int) -> None:
        """Does nothing."""


def coordinate_stage(session: Session, name: str, network: nn.Module) -> TrainingLoop:
    """The loop that trains `network` for coordinates in stage `name`, with its EMA if any."""
    config, heldout = session.config, session.faces.heldout
    loader = session.train_loader(name, "full")
    engine = session.engine(name, network, loader)
    stage = session.stage_config(name)
    heldout_loader = session.eval_loader(heldout, stage.batch_size)
    task = CoordinateTask(engine.module, config.head, heldout, heldout_loader, session.world)
    ema = ModelEMA(engine.module, stage.ema) if stage.ema else None
    return session.loop(name, task, engine, loader, ema)
