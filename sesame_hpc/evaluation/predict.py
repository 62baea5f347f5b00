"""Predictions of a landmark network for a set of faces, in original pixels, on any world size."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sesame_hpc.data import geometry
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.loading.loader import Batch, EvalLoader
from sesame_hpc.models.heads import LandmarkNet
from sesame_hpc.models.prediction import flip_average

__all__ = ["predict", "predict_with_spread"]

Gather = Callable[[Any], list[Any]]
Progress = Callable[[int, int], None]
Step = Callable[[Tensor], tuple[Tensor, Tensor | None]]


def predict(
    network: nn.Module,
    loader: EvalLoader,
    faces: Annotations,
    gather: Gather | None = None,
    *,
    flip: bool = False,
    progress: Progress | None = None,
) -> tuple[np.ndarray, Annotations]:
    """Coordinates of the last stack for `faces`, which `loader` yields; in the order of `faces`.

    Returns float64 [N, K, 2] in original pixels, and the N faces: all but those whose images the
    loader skipped (`data.on_error` skip). `gather` collects a picklable value from every rank;
    None for a single rank. `flip` averages with the prediction for the mirrored crop. `progress`
    is called with the number of this rank's batches that are done, and of all. The network's mode
    is restored. Raises ValueError if `loader` yields other faces.
    """
    mirror = torch.tensor(faces.scheme.mirror)

    def step(images: Tensor) -> tuple[Tensor, None]:
        coordinates = network(images)[-1]
        if flip:
            mirrored = network(images.flip(-1))[-1]
            coordinates = flip_average(coordinates, mirrored, mirror.to(mirrored.device))
        return coordinates, None

    return _predict(network, step, loader, faces, gather, progress, 2)


def predict_with_spread(
    network: LandmarkNet, loader: EvalLoader, faces: Annotations, gather: Gather | None = None
) -> tuple[np.ndarray, np.ndarray, Annotations]:
    """As `predict`, and between the two results the spread of each heat map.

    That is float32 [N, K], in fractions of the crop side (see `LandmarkNet.with_spread`).
    """
    found, faces = _predict(network, network.with_spread, loader, faces, gather, None, 3)
    return np.ascontiguousarray(found[..., :2]), found[..., 2].astype(np.float32), faces


@torch.no_grad()
def _predict(
    network: nn.Module,
    step: Step,
    loader: EvalLoader,
    faces: Annotations,
    gather: Gather | None,
    progress: Progress | None,
    channels: int,
) -> tuple[np.ndarray, Annotations]:
    """float64 [N, K, channels], 2 or with a spread 3, and the faces that could be read."""
    was_training = network.training
    network.eval()
    rows, sample_ids = [np.empty((0, len(faces.scheme.mirror), channels))], [np.empty(0, np.int64)]
    for done, batch in enumerate(loader):
        if progress is not None:
            progress(done, len(loader))
        coordinates, spread = step(batch.images)
        values = _to_pixels(coordinates, batch)
        if spread is not None:
            values = np.concatenate([values, spread.double().cpu().numpy()[..., None]], axis=2)
        rows.append(values)
        sample_ids.append(batch.sample_ids.numpy())
    network.train(was_training)
    mine = np.concatenate(rows), np.concatenate(sample_ids)
    rows.clear()
    shares = _all(mine, gather)
    predicted = shares[0][0] if len(shares) == 1 else np.concatenate([each[0] for each in shares])
    found = np.concatenate([ids for _, ids in shares])
    skipped = [each for share in _all(loader.images.skipped, gather) for each in share]
    faces = faces.select(~np.isin(faces.sample_ids, skipped)) if skipped else faces
    if not np.array_equal(np.sort(found), np.sort(faces.sample_ids)):
        raise ValueError(f"{len(found)} predictions do not match {len(faces)} faces")
    if not np.array_equal(found, faces.sample_ids):
        places = np.empty(len(faces), np.int64)
        places[np.argsort(faces.sample_ids)] = np.argsort(found)
        predicted = predicted[places]
    return predicted, faces


def _all(mine: Any, gather: Callable[[Any], list[Any]] | None) -> list[Any]:
    return gather(mine) if gather else [mine]


def _to_pixels(coordinates: Tensor, batch: Batch) -> np.ndarray:
    """[B, K, 2] in [0, 1] of the crop -> float64 [B, K, 2] in pixels of the original images."""
    crop = coordinates.double().cpu().numpy() * batch.images.shape[-1]
    return geometry.apply(geometry.invert(batch.matrices.numpy()), crop)
