"""The finetune stage: landmarks again, starting from what the earlier stages learned."""

from sesame_hpc.models.transfer import transfer_backbone, transfer_landmark_heads
from sesame_hpc.stages.coordinates import coordinate_stage, landmark_network
from sesame_hpc.stages.initial_weights import take_initial_weights
from sesame_hpc.stages.score import score
from sesame_hpc.stages.session import Session

__all__ = ["finetune"]


def finetune(session: Session) -> None:
    """Train for coordinates with a new optimiser, starting from what `start_from` says.

    From pretrain, finetune takes the backbone, and the landmark heads where pretrain trained some;
    from preliminary, the whole network.
    """
    network = landmark_network(session, "finetune")
    start = session.config.stages.finetune.start_from
    if start == "pretrain":
        source = session.weights_of(start)
        report = transfer_backbone(source, network)
        heads = ""
        if session.config.stages.pretrain.landmark_weight:
            transfer_landmark_heads(source, network, session.faces.scheme.num_landmarks)
            heads = "; of its heads the landmarks'"
        session.monitor.message(f"finetune starts from pretrain: {report}{heads}")
    elif start == "preliminary":
        network.load_state_dict(session.weights_of(start))
        session.monitor.message("finetune starts from preliminary: the whole network")
    else:
        take_initial_weights(session, "finetune", network)
    loop = coordinate_stage(session, "finetune", network)
    result = loop.run() | score(session, "finetune", loop.learner.network, loop.learner.ema)
    session.finish("finetune", loop.learner.network, result)
