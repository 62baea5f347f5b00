"""Batches of crops with their landmarks, for training and for evaluation.

The order of an epoch and every sample's augmentation depend on (seed, stage, epoch, sample id)
only, and on the sample's turn where an epoch has it several times. So any number of ranks processes
the same samples, and an epoch can start at any step.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from sesame_hpc.config.schema import DataConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.geometry import (
    DecodeWindow,
    apply,
    crop_matrix,
    decode_window,
)
from sesame_hpc.data.loading.augment import Appearance, appearance_config, draw_augmentation
from sesame_hpc.data.loading.crops import Batch, CropRunner, PreparedBatch
from sesame_hpc.data.loading.extra_augment import extra_augment
from sesame_hpc.data.loading.image_source import ImageSource
from sesame_hpc.data.loading.order import TURN, EpochOrder
from sesame_hpc.data.loading.pipeline import AugmentOps, Feed
from sesame_hpc.data.loading.stored import as_stored
from sesame_hpc.data.loading.views import Views, upright_views
from sesame_hpc.data.pack.read import check_stored
from sesame_hpc.data.rng import keyed_generator
from sesame_hpc.data.windows import content_limits, face_boxes

__all__ = ["Batch", "EvalLoader", "TrainLoader", "decode_plan"]

SUBSTITUTES = 16
"""Faces drawn in place of an unreadable one; it is practically impossible that all of them are
unreadable while `data.max_skipped` is small."""


class TrainLoader:
    """Augmented crops of the training faces, in another order each epoch.

    With B samples per rank and W ranks, step g of an epoch is order[g W B : (g + 1) W B];
    rank r has its r-th slice of B. An incomplete last step is dropped.

    A face whose image cannot be read (`data.on_error` skip) is replaced by another one, also drawn
    by (seed, stage, epoch, sample id): batches keep their size, on any number of ranks.

    Args:
        annotations: the training faces.
        data: box, augmentation and threads.
        size: side S of the crops in pixels.
        batch_size: samples per rank and step.
        seed: the run's seed.
        stage: name of the stage; each stage has its own random numbers.
        device: the device of the batches.
        rank: 0 <= rank < world_size.
        world_size: number of ranks.
        appearance: "full" for all of section IV.C, "mild" without JPEG, grayscale, occlusion.
        order: which faces an epoch has; None: each once.
        landmarks: those of the faces in an epoch, float64 [N, K, 2] in pixels of the images, where
            they change; called when an epoch begins. None: those of `annotations`.

    Raises:
        ValueError: an epoch does not fill one step, or an argument is out of range.
    """

    def __init__(
        self,
        annotations: Annotations,
        data: DataConfig,
        size: int,
        *,
        batch_size: int,
        seed: int,
        stage: str,
        device: torch.device,
        rank: int = 0,
        world_size: int = 1,
        appearance: Appearance = "full",
        order: EpochOrder | None = None,
        landmarks: Callable[[int], NDArray[np.float64]] | None = None,
    ) -> None:
        _check_shares(batch_size, rank, world_size)
        check_stored(annotations, data.box, data.augment, size)
        self._order = order or EpochOrder(seed, stage, len(annotations))
        self._per_step = batch_size * world_size
        self.steps_per_epoch = self._order.per_epoch // self._per_step
        if self.steps_per_epoch == 0:
            what = "training faces" if self._order.samples is None else "samples of an epoch"
            raise ValueError(
                f"{self._order.per_epoch} {what} do not fill one step of {self._per_step} "
                f"({batch_size} samples x {world_size} ranks): lower the batch size, or set "
                f"stages.{stage}.epoch_samples to at least {self._per_step}"
            )
        self._annotations = annotations
        self._landmarks: NDArray[np.float64] | None = None
        self._landmarks_of = landmarks
        self._boxes = face_boxes(annotations, data.box.protocol)
        self.images = ImageSource(annotations, data)
        self._data = data
        self._size = size
        self._slice = slice(rank * batch_size, (rank + 1) * batch_size)
        self._seed, self._stage = seed, stage
        self._augment = appearance_config(data.augment, appearance)
        extra = extra_augment(self._augment)
        if extra is not None and device.type != "cpu":
            raise ValueError(
                f"data.augment.extra ({self._augment.extra}) changes crops on the CPU, but they "
                f"are made on {device.type}: train with runtime.device=cpu, or without it"
            )
        ops = AugmentOps(
            colour=True,
            jpeg=self._augment.jpeg > 0,
            occlusion=self._augment.occlusion > 0,
            extra=extra,
        )
        self._crops = CropRunner(
            annotations,
            self.images,
            size,
            batch_size=batch_size,
            threads=data.threads,
            device=device,
            ops=ops,
        )

    @property
    def labelled_share(self) -> float:
        """The part of all points of all faces that has a label (in the first epoch), in [0, 1]."""
        if self._landmarks_of is None:
            return float(self._annotations.labelled.mean())
        return float(np.isfinite(self._landmarks_of(0)).all(axis=2).mean())

    def epoch(self, epoch: int, start_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from `start_step` on; they do not depend on where it starts.

        Ends an iteration of this loader that is still running.

        Raises:
            ValueError: `start_step` is not in [0, steps_per_epoch], or (while iterating) an image
                cannot be read, naming its file and annotation line.
            FileNotFoundError: while iterating, an image does not exist.
        """
        if not 0 <= start_step <= self.steps_per_epoch:
            raise ValueError(
                f"start_step is {start_step}; an epoch has {self.steps_per_epoch} steps"
            )
        if self._landmarks_of is not None:
            self._landmarks = self._landmarks_of(epoch)
        draws = self._order.epoch(epoch)[: self.steps_per_epoch * self._per_step]
        steps = draws.reshape(-1, self._per_step, 2)
        return self._crops.start(
            list(steps[start_step:, self._slice]), partial(self._prepare, epoch)
        )

    def _substitutes(self, epoch: int, row: int) -> NDArray[np.int64]:
        """Rows to try in place of an unreadable one, in this order."""
        sample_id = int(self._annotations.sample_ids[row])
        stream = keyed_generator(self._seed, self._stage, epoch, sample_id, "substitute")
        return stream.integers(len(self._annotations), size=SUBSTITUTES)

    def _prepare(self, epoch: int, draws: NDArray[np.int64]) -> PreparedBatch:
        """`draws` are rows and their turns in the epoch, int64 [B, 2]."""
        faces = self._annotations
        rows, encoded = self.images.read(draws[:, 0], partial(self._substitutes, epoch))
        keys = faces.sample_ids[rows] + (draws[:, 1] << TURN)
        drawn = draw_augmentation(
            self._boxes[rows],
            keys,
            self._size,
            self._augment,
            self._data.box,
            seed=self._seed,
            stage=self._stage,
            epoch=epoch,
        )
        points = faces.points(rows) if self._landmarks is None else self._landmarks[rows]
        landmarks = apply(drawn.matrices, points) / self._size
        mirrored = landmarks[:, list(faces.scheme.mirror)]
        window = decode_plan(faces, rows, drawn.matrices, self._size, drawn.limits)
        return PreparedBatch(
            rows=rows,
            matrices=drawn.matrices,
            landmarks=np.where(drawn.flip[:, None, None], mirrored, landmarks),
            feed=Feed(encoded, window, drawn),
            keys=keys,
        )


class EvalLoader:
    """Crops of all faces without augmentation, each once over all ranks.

    Rank r of W has the batches r, r + W, ... The batches, and so a network's figures on them, are
    the same for any number of ranks.

    Can be iterated repeatedly; a new iteration ends one that is still running. The last batch may
    be smaller, and so may batches with unreadable images (`data.on_error` skip). Arguments and
    errors as for `TrainLoader`; `views` are other crops than those of evaluation.
    """

    def __init__(
        self,
        annotations: Annotations,
        data: DataConfig,
        size: int,
        *,
        batch_size: int,
        device: torch.device,
        rank: int = 0,
        world_size: int = 1,
        views: Views | None = None,
    ) -> None:
        _check_shares(batch_size, rank, world_size)
        check_stored(annotations, data.box, data.augment, size)
        self._annotations = annotations
        self._views = views or upright_views(len(annotations), data.box)
        self._boxes = face_boxes(annotations, data.box.protocol)
        self.images = ImageSource(annotations, data)
        self._box = data.box
        self._size = size
        rows = np.arange(len(annotations))
        batches = [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
        self._batches = batches[rank::world_size]
        self._crops = CropRunner(
            annotations,
            self.images,
            size,
            batch_size=batch_size,
            threads=data.threads,
            device=device,
            ops=AugmentOps(),
        )

    def __len__(self) -> int:
        """The number of this rank's batches."""
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        return self._crops.start(self._batches, self._prepare)

    def _prepare(self, rows: NDArray[np.int64]) -> PreparedBatch | None:
        faces = self._annotations
        rows, encoded = self.images.read(rows, lambda row: ())
        if not len(rows):
            return None
        boxes, scale = self._boxes[rows], self._views.scale[rows]
        matrices = crop_matrix(
            boxes,
            self._size,
            scale=scale,
            degrees=self._views.degrees[rows],
            shift=self._views.shift[rows],
        )
        limits = content_limits(boxes, scale, self._box.protocol)
        window = decode_plan(faces, rows, matrices, self._size, limits)
        return PreparedBatch(
            rows=rows,
            matrices=matrices,
            landmarks=apply(matrices, faces.points(rows)) / self._size,
            feed=Feed(encoded, window),
            keys=faces.sample_ids[rows],
        )


def decode_plan(
    faces: Annotations,
    rows: NDArray[np.int64],
    matrices: NDArray[np.float64],
    size: int,
    limits: NDArray[np.float64] | None,
) -> DecodeWindow:
    """What to decode of the stored images; a pack may hold shrunk parts of the originals."""
    to_crops, content = as_stored(faces, rows, matrices, limits)
    return decode_window(to_crops, size, content)


def _check_shares(batch_size: int, rank: int, world_size: int) -> None:
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; takes at least 1 sample per rank and step")
    if not 0 <= rank < world_size:
        raise ValueError(f"rank is {rank} of {world_size}; takes 0 to {world_size - 1}")
