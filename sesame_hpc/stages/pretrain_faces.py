"""The faces of pretrain: those with labels, and those whose landmarks preliminary predicts."""

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.copies import are_copies
from sesame_hpc.data.loading.loader import TrainLoader
from sesame_hpc.data.loading.order import EpochOrder
from sesame_hpc.data.merge import pool_tables
from sesame_hpc.plural import counted
from sesame_hpc.stages.predicted_landmarks import PredictedLandmarks
from sesame_hpc.stages.session import Session

__all__ = ["pretrain_loader"]

_STAGE = "pretrain"


def pretrain_loader(session: Session) -> tuple[TrainLoader, dict[str, int]]:
    """The loader of pretrain, and how many `labelled` and `unlabelled` faces it has. Collective."""
    parts = _unlabelled_parts(session)
    if not parts:
        counts = {"labelled": len(session.faces.train), "unlabelled": 0}
        return session.train_loader(_STAGE, "mild"), counts
    stage = session.stage_config(_STAGE)
    predicted = PredictedLandmarks(session, pool_tables(parts))
    labelled, unlabelled = session.train_faces, predicted.faces
    if lost := sum(map(len, parts)) - len(unlabelled):
        session.monitor.message(
            f"pretrain: {counted(lost, 'unlabelled face')} left out, whose images cannot be read"
        )
    session.monitor.message(
        f"pretrain: {counted(len(labelled), 'labelled face')} and {len(unlabelled)} unlabelled, "
        "whose landmarks preliminary predicts"
    )
    pool = pool_tables([labelled, unlabelled])

    def landmarks(epoch: int) -> NDArray[np.float64]:
        return np.concatenate([labelled.landmarks, predicted.of_epoch(epoch)])

    order = EpochOrder(
        session.config.seed,
        _STAGE,
        len(pool),
        stage.epoch_samples,
        first_unlabelled=len(labelled),
        share=session.config.stages.pretrain.unlabelled_share,
    )
    counts = {"labelled": len(labelled), "unlabelled": len(unlabelled)}
    return session.train_loader(_STAGE, "mild", pool, order, landmarks), counts


def _unlabelled_parts(session: Session) -> list[Annotations]:
    """The tables of unlabelled faces that the run pretrains on."""
    faces = session.faces
    parts = []
    if session.config.data.unlabelled_rest and faces.rest is not None:
        parts.append(session.cached(faces.rest, "unlabelled"))
    if faces.unlabelled is not None:
        parts.append(session.cached(_not_judged(session, faces.unlabelled), "unlabelled"))
    return [part for part in parts if len(part)]


def _not_judged(session: Session, unlabelled: Annotations) -> Annotations:
    """Without the images that the run is judged on, which it must not learn from."""
    judged = [each for each in (session.faces.heldout, session.faces.test) if each is not None]
    copies = are_copies(unlabelled, judged)
    if copies.any():
        session.monitor.message(
            f"pretrain: {counted(int(copies.sum()), 'unlabelled face')} left out, whose image is "
            "that of a held-out or test face"
        )
    return unlabelled.select(~copies)
