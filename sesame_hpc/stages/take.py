"""Taking a finished stage from another run instead of training it again."""

from os.path import normpath

from sesame_hpc.run.shared import finish_taking, link_stage, source_of
from sesame_hpc.stages.preliminary import write_distribution
from sesame_hpc.stages.session import Session
from sesame_hpc.training.records import MetricsLog

__all__ = ["take_stage"]


def take_stage(session: Session, stage: str) -> bool:
    """Whether `stage` was taken from the run that `shared.json` names. Collective.

    The weights, predictions, records and result are that run's, bit for bit; the masking
    distribution follows from this run's own settings.
    """
    world, folder, identity = session.world, session.folder, session.faces.identity
    source = source_of(folder, stage, session.config, identity) if world.is_main else None
    if not world.share(source is not None):
        return False
    if source is not None:
        folder.lease.check()
        link_stage(source, folder, stage)
        records = MetricsLog.read(source.metrics_file)
        session.monitor.adopt(stage, [each for each in records if each["stage"] == stage])
        if stage == "preliminary":
            result = source.result(stage)
            assert result is not None
            write_distribution(session, result["heldout"]["regions"])
        finish_taking(source, folder, stage)
        session.monitor.message(
            f"{stage}: taken from {normpath(source.path)}, which trained the same"
        )
    return True
