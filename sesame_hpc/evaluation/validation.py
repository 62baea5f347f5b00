"""The NME of held-out faces, by which landmark stages validate."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.loading.loader import EvalLoader
from sesame_hpc.evaluation.known import mean_known
from sesame_hpc.evaluation.nme import nme_table, point_errors
from sesame_hpc.evaluation.predict import predict

__all__ = ["Validation", "heldout_nme", "validate_landmarks"]


@dataclass(frozen=True)
class Validation:
    """What was found on N held-out faces.

    Attributes:
        nme: the mean of all, in percent.
        face_nme: of each face [N], in percent; NaN where no point is labelled.
        predicted: [N, K, 2] in pixels of the images.
        faces: those faces.
    """

    nme: float
    face_nme: np.ndarray
    predicted: np.ndarray
    faces: Annotations


def validate_landmarks(
    network: nn.Module,
    loader: EvalLoader,
    faces: Annotations,
    gather: Callable[[Any], list[Any]] | None = None,
) -> Validation:
    """`faces` as `network` predicts them; arguments as of `predict`."""
    predicted, seen = predict(network, loader, faces, gather)
    errors = point_errors(predicted, seen.landmarks, seen.scheme)
    face_nme = 100 * np.asarray(mean_known(errors, 1))
    return Validation(nme_table(errors, seen.scheme).nme, face_nme, predicted, seen)


def heldout_nme(
    network: nn.Module,
    loader: EvalLoader,
    faces: Annotations,
    gather: Callable[[Any], list[Any]] | None = None,
) -> float:
    """The mean NME of `faces` in percent; arguments as of `predict`."""
    return validate_landmarks(network, loader, faces, gather).nme
