"""A landmark network over a set of faces: predictions in original pixels, on any world size."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from sesame_hpc.data import geometry
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.loader import Batch, EvalLoader
from sesame_hpc.evaluation.nme import NmeTable, nme_table, point_errors

__all__ = ["evaluate", "predict"]


@torch.no_grad()
def predict(
    network: nn.Module,
    loader: EvalLoader,
    gather: Callable[[object], list[object]] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of the last stack for every face of `loader`, by ascending sample id.

    Returns (sample ids int64 [N], landmarks float64 [N, K, 2] in original pixels). `gather`
    collects a picklable value of every rank; None stands for one rank. The network's mode stays.
    """
    was_training = network.training
    network.eval()
    ids, points = [], []
    for batch in loader:
        ids.append(batch.sample_ids.numpy())
        points.append(_to_pixels(network(batch.images)[-1], batch))
    network.train(was_training)
    mine = (ids, points)
    shares = gather(mine) if gather else [mine]
    all_ids = np.concatenate([part for share in shares for part in share[0]])  # type: ignore[index]
    all_points = np.concatenate([part for share in shares for part in share[1]])  # type: ignore[index]
    order = np.argsort(all_ids)
    return all_ids[order], all_points[order]


def _to_pixels(coordinates: Tensor, batch: Batch) -> np.ndarray:
    """[B, K, 2] in [0, 1] of the crop -> float64 [B, K, 2] in pixels of the original images."""
    crop = coordinates.double().cpu().numpy() * batch.images.shape[-1]
    return geometry.apply(geometry.invert(batch.matrices.numpy()), crop)


def evaluate(
    network: nn.Module,
    loader: EvalLoader,
    annotations: Annotations,
    gather: Callable[[object], list[object]] | None = None,
) -> NmeTable:
    """NME of `network` on `annotations`, which `loader` shows, against unclamped labels.

    Faces that the loader left out (`data.on_error` skip) do not count in it.
    """
    ids, predicted = predict(network, loader, gather)
    mine = loader.pictures.skipped
    skipped = [sample for share in (gather(mine) if gather else [mine]) for sample in share]  # type: ignore[attr-defined]
    annotations = annotations.select(~np.isin(annotations.sample_ids, skipped))
    order = np.argsort(annotations.sample_ids)
    if not np.array_equal(ids, annotations.sample_ids[order]):
        raise ValueError(f"{len(ids)} predictions for {len(annotations)} faces: the sets differ")
    errors = point_errors(predicted, annotations.landmarks[order], annotations.scheme)
    return nme_table(errors, annotations.scheme)
