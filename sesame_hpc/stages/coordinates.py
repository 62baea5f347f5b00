"""The objective of the preliminary and finetune stages, landmark coordinates, and their loop."""

import torch
from torch import Tensor, nn

from sesame_hpc.config import HeadConfig, LossConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.loading.loader import Batch, EvalLoader
from sesame_hpc.distributed.world import World
from sesame_hpc.evaluation.nme import nme_table, point_errors
from sesame_hpc.evaluation.predict import predict
from sesame_hpc.models.heads import LandmarkNet, cell_centres
from sesame_hpc.stages.session import Session
from sesame_hpc.training.ema import ModelEMA
from sesame_hpc.training.loop import TrainingLoop
from sesame_hpc.training.task import Forward

__all__ = [
    "CoordinateTask",
    "coordinate_stage",
    "heatmap_loss",
    "l1_coord",
    "landmark_network",
    "point_weights",
]

_LEAST = 1e-6


def l1_coord(
    coordinates: Tensor, landmarks: Tensor, head: HeadConfig, weight: Tensor | None = None
) -> Tensor:
    """Mean absolute coordinate error, in fractions of the crop side; a scalar.

    coordinates [T, B, K, 2] of T stacks, landmarks [B, K, 2]; all stacks have the same weight, or
    only the last counts (`head.supervision`). The paper's "MAE loss" (section IV.A). `weight`
    [B, K] is a factor for each landmark's error (see `point_weights`), or None for 1; as in
    `sesame_kernels.soft_argmax_l1`, the mean divides by the number of coordinates.
    """
    supervised = coordinates if head.supervision == "all" else coordinates[-1:]
    errors = (supervised - landmarks).abs()
    return (errors if weight is None else errors * weight[..., None]).mean()


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


def heatmap_loss(
    marginals: Tensor, labels: Tensor, sigma: float, weight: Tensor | None = None
) -> Tensor:
    """Cross-entropy of marginals [T, B, K, N] against Gaussians around labels [B, K]; a scalar.

    A Gaussian of standard deviation `sigma`, in fractions of the crop side as the labels, is taken
    at the N cell centres and normalised to the sum 1. It is nothing where the label lies far
    outside of the crop. `weight` [B, K] as in `l1_coord`. As the heat-map regularisation of Nibali
    et al. (arXiv:1801.07372), with the cross-entropy for their divergence.
    """
    centres = cell_centres(marginals.shape[-1], marginals.device)
    target = torch.exp(-(centres - labels[..., None]).square() / (2 * sigma**2))
    target = target / target.sum(dim=-1, keepdim=True).clamp_min(_LEAST)
    entropies = (target * (marginals + _LEAST).log()).sum(dim=-1)
    return -(entropies if weight is None else entropies * weight).mean()


class CoordinateTask:
    """L1 on coordinates, and what `loss` asks of the maps; validates by held-out NME.

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
    ) -> None:
        self.network = network
        self.head = head
        self.settings = loss
        self.heldout = heldout
        self.heldout_loader = heldout_loader
        self.world = world
        self.labelled_share = labelled_share

    def loss(self, forward: Forward, batch: Batch, epoch: int) -> Tensor:
        outputs, labels = forward(batch.images), batch.landmarks
        weight = point_weights(batch.labelled, self.labelled_share, labels.device)
        if not self.settings.heatmap:
            return l1_coord(outputs, labels, self.head, weight)
        coordinates, *marginals = outputs
        if self.head.supervision == "last_only":
            marginals = [each[-1:] for each in marginals]
        maps = [
            heatmap_loss(each, labels[..., axis], self.settings.heatmap_sigma, weight)
            for axis, each in enumerate(marginals)
        ]
        return l1_coord(coordinates, labels, self.head, weight) + self.settings.heatmap * sum(maps)

    def validate(self) -> dict[str, float]:
        self.world.share_buffers(self.network)
        gather = self.world.gather
        predicted, faces = predict(self.network, self.heldout_loader, self.heldout, gather)
        errors = point_errors(predicted, faces.landmarks, faces.scheme)
        return {"heldout_nme": nme_table(errors, faces.scheme).nme}

    def save_images(self, epoch: int) -> None:
        """Does nothing."""


def landmark_network(session: Session, name: str) -> LandmarkNet:
    """A fresh network for stage `name`, whose weights depend on (seed, stage) alone."""
    session.seed_weights(name)
    config = session.config
    return LandmarkNet(
        config.model,
        config.head,
        session.faces.scheme.num_landmarks,
        with_marginals=config.loss.heatmap > 0,
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
        float(session.faces.train.labelled.mean()),
    )
    ema = ModelEMA(engine.module, stage.ema) if stage.ema else None
    return session.loop(name, task, engine, loader, ema)
