"""The preliminary stage: landmarks, to find the regions with the largest errors."""

from sesame_hpc.files import write_json_atomic
from sesame_hpc.masking import masking_distribution
from sesame_hpc.stages.coordinates import coordinate_stage, landmark_network
from sesame_hpc.stages.initial_weights import take_initial_weights
from sesame_hpc.stages.score import score
from sesame_hpc.stages.session import Session
from sesame_hpc.stages.summary import print_distribution

__all__ = ["preliminary", "write_distribution"]


def preliminary(session: Session) -> None:
    """Train for coordinates; derive the masking distribution from the held-out NME."""
    network = landmark_network(session, "preliminary")
    take_initial_weights(session, "preliminary", network)
    loop = coordinate_stage(session, "preliminary", network)
    result = loop.run() | score(session, "preliminary", loop.learner.network, loop.learner.ema)
    write_distribution(session, result["heldout"]["regions"])
    session.finish("preliminary", loop.learner.network, result)


def write_distribution(session: Session, regions: dict[str, float]) -> None:
    """Regional held-out NME -> masking.json, also printed."""
    if session.world.is_main:
        probabilities = masking_distribution(regions, session.config.masking)
        write_json_atomic(session.folder.masking_file, probabilities)
        session.monitor.show(lambda console: print_distribution(probabilities, regions, console))
