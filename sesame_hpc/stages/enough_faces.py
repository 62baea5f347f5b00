"""Whether a run has the faces that its batches take."""

from collections.abc import Sequence

from sesame_hpc.config import Config
from sesame_hpc.plural import counted
from sesame_hpc.run.faces import Faces

__all__ = ["check_enough_faces"]


def check_enough_faces(config: Config, stages: Sequence[str], faces: Faces) -> None:
    """Raise ValueError where an epoch of one of `stages` has fewer faces than one batch.

    Where `data.unlabelled` was not read, nothing is known of pretrain.
    """
    further = sum(len(each) for each in (faces.rest, faces.unlabelled) if each is not None)
    not_counted = config.data.unlabelled is not None and faces.unlabelled is None
    for stage in stages:
        if stage == "pretrain" and not_counted:
            continue
        settings = getattr(config.stages, stage)
        there = len(faces.train) + (further if stage == "pretrain" else 0)
        if settings.batch_size > (settings.epoch_samples or there):
            raise ValueError(
                f"stages.{stage}.batch_size: {settings.batch_size} faces per step, but an epoch "
                f"has {counted(settings.epoch_samples or there, 'face')}: lower it, or hold out "
                "fewer (data.heldout)"
            )
