"""The finetune stage: landmarks again, starting from the backbone of the reconstruction."""

from sesame_hpc.models.transfer import transfer_backbone
from sesame_hpc.stages.coordinates import coordinate_stage, landmark_network
from sesame_hpc.stages.score import score
from sesame_hpc.stages.session import Session
from sesame_hpc.training.checkpoint import load_weights

__all__ = ["finetune"]


def finetune(session: Session) -> None:
    """Train for coordinates, with the backbone of pretrain and new heads and optimiser."""
    network = landmark_network(session, "finetune")
    report = transfer_backbone(load_weights(session.folder.weights("pretrain")), network)
    session.monitor.message(f"finetune starts from pretrain: {report}")
    loop = coordinate_stage(session, "finetune", network)
    result = loop.run() | score(session, "finetune", loop.learner.network, loop.learner.ema)
    session.finish("finetune", loop.learner.network, result)
