"""The pretrain stage: reconstruct images under adaptive masking."""

from sesame_hpc.masking.masker import Masker
from sesame_hpc.models.heads import ReconstructionNet
from sesame_hpc.models.transfer import transfer_backbone
from sesame_hpc.stages.pretrain_faces import pretrain_loader
from sesame_hpc.stages.reconstruction import ReconstructionTask
from sesame_hpc.stages.session import Session
from sesame_hpc.training.checkpoint import load_weights

__all__ = ["pretrain"]


def pretrain(session: Session) -> None:
    """Train for reconstruction, from new weights or from those of preliminary.

    Raises FileNotFoundError if there is no masking distribution of preliminary.
    """
    config, folder = session.config, session.folder
    probabilities = folder.masking
    if probabilities is None:
        raise FileNotFoundError(f"{folder.masking_file} is missing: rerun preliminary")
    session.seed_weights("pretrain")
    network = ReconstructionNet(config.model, config.head)
    if config.stages.pretrain.start_from == "preliminary":
        report = transfer_backbone(load_weights(folder.weights("preliminary")), network)
        session.monitor.message(f"pretrain starts from preliminary: {report}")
    loader, faces = pretrain_loader(session)
    engine = session.engine("pretrain", network, loader)
    task = ReconstructionTask(
        engine.module,
        Masker(probabilities, session.faces.scheme, config.masking, config.seed),
        session.eval_loader(session.faces.heldout, config.stages.pretrain.batch_size),
        folder.images,
        session.world,
    )
    result = session.loop("pretrain", task, engine, loader).run()
    session.finish("pretrain", engine.module, result | faces | task.validate())
