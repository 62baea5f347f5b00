"""The pretrain stage: reconstruct images under adaptive masking."""

from sesame_hpc.data.loading.loader import TrainLoader
from sesame_hpc.masking.masker import Masker
from sesame_hpc.models.heads import JointNet, ReconstructionNet
from sesame_hpc.models.transfer import transfer_backbone, transfer_landmark_heads
from sesame_hpc.stages.extra_loss import extra_loss
from sesame_hpc.stages.initial_weights import take_initial_weights
from sesame_hpc.stages.joint import JointTask
from sesame_hpc.stages.pretrain_faces import pretrain_loader
from sesame_hpc.stages.reconstruction import ReconstructionTask
from sesame_hpc.stages.session import Session

__all__ = ["pretrain"]


def pretrain(session: Session) -> None:
    """Train for reconstruction, from new weights or from those of preliminary.

    With `landmark_weight` for landmarks, too.

    Raises FileNotFoundError if there is no masking distribution of preliminary.
    """
    config, folder, world = session.config, session.folder, session.world
    probabilities = world.share(folder.masking if world.is_main else None)
    if probabilities is None:
        raise FileNotFoundError(f"{folder.masking_file} is missing: rerun preliminary")
    masker = Masker(probabilities, session.faces.scheme, config.masking, config.seed)
    network = _network(session)
    loader, faces = pretrain_loader(session)
    engine = session.engine("pretrain", network, loader)
    task = _task(session, network, masker, loader)
    result = session.loop("pretrain", task, engine, loader).run()
    session.finish("pretrain", engine.module, result | faces | task.validate())


def _network(session: Session) -> ReconstructionNet | JointNet:
    config, landmarks = session.config, session.faces.scheme.num_landmarks
    settings = config.stages.pretrain
    session.seed_weights("pretrain")
    network: ReconstructionNet | JointNet
    if settings.landmark_weight:
        network = JointNet(config.model, config.head, landmarks)
    else:
        network = ReconstructionNet(config.model, config.head)
    if settings.start_from == "preliminary":
        source = session.weights_of("preliminary")
        report = transfer_backbone(source, network)
        heads = ""
        if settings.landmark_weight:
            transfer_landmark_heads(source, network, landmarks)
            heads = "; of its heads the landmarks'"
        session.monitor.message(f"pretrain starts from preliminary: {report}{heads}")
    else:
        take_initial_weights(session, "pretrain", network)
    return network


def _task(
    session: Session,
    network: ReconstructionNet | JointNet,
    masker: Masker,
    loader: TrainLoader,
) -> ReconstructionTask:
    heldout = session.faces.heldout
    heldout_loader = session.eval_loader(heldout, session.config.stages.pretrain.batch_size)
    images, world = session.folder.images, session.world
    if not isinstance(network, JointNet):
        return ReconstructionTask(network, masker, heldout_loader, images, world)
    return JointTask(
        network,
        session.config,
        masker,
        heldout,
        heldout_loader,
        images,
        world,
        loader.labelled_share,
        extra_loss(session.config.loss, session.faces.scheme),
    )
