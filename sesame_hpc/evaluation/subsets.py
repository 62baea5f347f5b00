"""Figures of some of the faces or points: by attribute, by data set, by visibility."""

from typing import Any

import numpy as np

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.evaluation.curves import auc, failure_rate
from sesame_hpc.evaluation.known import mean_known

__all__ = ["LIMITS", "by_attribute", "by_source", "by_visibility", "of_curve"]

LIMITS = {"8": 0.08, "10": 0.10}
"""The NME, as fractions, above which a face is a failure."""

_VISIBILITIES = {"visible": 2, "occluded": 1}


def of_curve(face_nme: np.ndarray) -> dict[str, float]:
    """Failure rates in percent and AUC in [0, 1], from NME of faces as fractions, float64 [N]."""
    rates = {f"fr{name}": 100.0 * failure_rate(face_nme, at) for name, at in LIMITS.items()}
    return rates | {f"auc{name}": auc(face_nme, at) for name, at in LIMITS.items()}


def by_attribute(face_nme: np.ndarray, faces: Annotations) -> dict[str, dict[str, float]]:
    """The faces of each attribute, as WFLW's subsets; without empty ones."""
    columns = enumerate(faces.attribute_names)
    return _parts(face_nme, {name: faces.attributes[:, column] for column, name in columns})


def by_source(face_nme: np.ndarray, faces: Annotations) -> dict[str, dict[str, float]]:
    """The faces of each data set, where several were read together."""
    names = np.array(faces.datasets)
    return _parts(face_nme, {name: names == name for name in dict.fromkeys(faces.datasets)})


def _parts(face_nme: np.ndarray, parts: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    figures = {}
    for name, rows in parts.items():
        chosen = face_nme[rows]
        if len(chosen):
            nme = 100.0 * float(chosen.mean())
            figures[name] = {"faces": len(chosen), "nme": nme, **of_curve(chosen)}
    return figures


def by_visibility(errors: np.ndarray, faces: Annotations) -> dict[str, dict[str, Any]]:
    """NME in percent of the visible and of the occluded points, where some are marked as occluded.

    As in a region: the mean over such points of a face, then over the faces that have one. `points`
    counts them.
    """
    if not (faces.seen == _VISIBILITIES["occluded"]).any():
        return {}
    figures = {}
    for name, value in _VISIBILITIES.items():
        chosen = faces.seen == value
        of_faces = mean_known(np.where(chosen, errors, np.nan), 1)
        having = of_faces[~np.isnan(of_faces)]
        if len(having):
            nme = 100.0 * float(having.mean())
            figures[name] = {"points": int(chosen.sum()), "faces": len(having), "nme": nme}
    return figures
