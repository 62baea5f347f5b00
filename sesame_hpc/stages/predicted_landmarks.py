"""Landmarks of unlabelled faces, which place their masks, as the preliminary network sees them."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.checksums import add_sums, file_digest
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.loading.views import draw_views
from sesame_hpc.evaluation.predict import predict
from sesame_hpc.evaluation.predictions import (
    read_predictions,
    read_sample_ids,
    write_predictions,
)
from sesame_hpc.models.heads import LandmarkNet
from sesame_hpc.stages.session import Session

__all__ = ["PredictedLandmarks"]

_STAGE = "pretrain"

Found = tuple[NDArray[np.float64], NDArray[np.int64]]
"""Points [N, K, 2] in pixels of the images, and sample ids [N]."""


class PredictedLandmarks:
    """Predicts the landmarks of `faces`, and again every `refresh_epochs`; all collective.

    The first time from the crop of evaluation, then from others (`draw_views`). What was predicted
    is kept in the run folder, in `predictions/pretrain-unlabelled-NNNN.npz`, so that a run that is
    resumed goes on with the same.

    `faces` are those whose images could be read (with `data.on_error` skip, not all need be).
    """

    def __init__(self, session: Session, faces: Annotations) -> None:
        self._session = session
        self._every = session.config.stages.pretrain.refresh_epochs
        self._number = 0
        self._points, ids = self._read_or_predict(0, faces)
        self._first = self._points
        self.faces = faces.select(np.isin(faces.sample_ids, ids))

    def of_epoch(self, epoch: int) -> NDArray[np.float64]:
        """Those of `faces` in an epoch of pretrain, float64 [N, K, 2] in pixels of the images."""
        number = epoch // self._every if self._every else 0
        if number != self._number:
            self._points, self._number = self._of(number), number
        return self._points

    def _of(self, number: int) -> NDArray[np.float64]:
        """A face whose image cannot be read any more keeps its first landmarks."""
        if number == 0:
            return self._first
        points, ids = self._read_or_predict(number, self.faces)
        every = self._first.copy()
        every[np.isin(self.faces.sample_ids, ids)] = points
        return every

    def _read_or_predict(self, number: int, faces: Annotations) -> Found:
        world, folder = self._session.world, self._session.folder
        path = folder.predictions(_STAGE, f"unlabelled-{number:04d}")
        found = world.share(_read(path, faces) if world.is_main else None)
        if found is not None:
            return found
        points, seen = self._predict(number, faces)
        if world.is_main:
            folder.lease.check()
            write_predictions(path, points, seen)
            add_sums(path.parent, {path.name: file_digest(path)})
        return points, seen.sample_ids

    def _predict(self, number: int, faces: Annotations) -> tuple[NDArray[np.float64], Annotations]:
        session, config = self._session, self._session.config
        network = LandmarkNet(config.model, config.head, faces.scheme.num_landmarks)
        network.load_state_dict(session.weights_of("preliminary"))
        network.to(session.world.device)
        data = config.data
        views = None
        if number:
            views = draw_views(
                faces.sample_ids,
                data.augment,
                data.box,
                seed=config.seed,
                stage=_STAGE,
                number=number,
            )
        loader = session.eval_loader(faces, session.stage_config(_STAGE).batch_size, views)
        return predict(network, loader, faces, session.world.gather)


def _read(path: Path, faces: Annotations) -> Found | None:
    """What was predicted before; None where it was not, or the file is damaged."""
    try:
        ids = read_sample_ids(path)
        return read_predictions(path, faces.select(np.isin(faces.sample_ids, ids))), ids
    except (FileNotFoundError, ValueError):
        return None
