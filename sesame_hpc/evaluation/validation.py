"""The NME of held-out faces, by which landmark stages validate."""

from collections.abc import Callable
from typing import Any

from torch import nn

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.loading.loader import EvalLoader
from sesame_hpc.evaluation.nme import nme_table, point_errors
from sesame_hpc.evaluation.predict import predict

__all__ = ["heldout_nme"]


def heldout_nme(
    network: nn.Module,
    loader: EvalLoader,
    faces: Annotations,
    gather: Callable[[Any], list[Any]] | None = None,
) -> float:
    """The mean NME of `faces` in percent, as `network` predicts them; arguments as of `predict`."""
    predicted, seen = predict(network, loader, faces, gather)
    return nme_table(point_errors(predicted, seen.landmarks, seen.scheme), seen.scheme).nme
