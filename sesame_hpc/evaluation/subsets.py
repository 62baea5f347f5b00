"""Figures of some of the faces or points: by attribute, by data set, by visibility.

There may be few of them, so each has intervals that hold for few: `few_face_intervals` of means,
and of failure rates the Wilson interval, which is not empty where no face failed.
"""

import math
from typing import Any

import numpy as np

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.evaluation.bootstrap import few_face_intervals
from sesame_hpc.evaluation.curves import auc, auc_of_faces, failure_rate
from sesame_hpc.evaluation.known import mean_known

__all__ = ["LIMITS", "by_attribute", "by_source", "by_visibility", "of_curve", "wilson_interval"]

LIMITS = {"8": 0.08, "10": 0.10}
"""The NME, as fractions, above which a face is a failure."""

_Z = 1.959964

_VISIBILITIES = {"visible": 2, "occluded": 1}


def of_curve(face_nme: np.ndarray) -> dict[str, float]:
    """Failure rates in percent and AUC in [0, 1], from NME of faces as fractions, float64 [N]."""
    rates = {f"fr{name}": 100.0 * failure_rate(face_nme, at) for name, at in LIMITS.items()}
    return rates | {f"auc{name}": auc(face_nme, at) for name, at in LIMITS.items()}


def by_attribute(face_nme: np.ndarray, faces: Annotations) -> dict[str, dict[str, Any]]:
    """The faces of each attribute, as WFLW's subsets; without empty ones."""
    columns = enumerate(faces.attribute_names)
    return _parts(face_nme, {name: faces.attributes[:, column] for column, name in columns})


def by_source(face_nme: np.ndarray, faces: Annotations) -> dict[str, dict[str, Any]]:
    """The faces of each data set, where several were read together."""
    names = np.array(faces.datasets)
    return _parts(face_nme, {name: names == name for name in dict.fromkeys(faces.datasets)})


def _parts(face_nme: np.ndarray, parts: dict[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    figures = {}
    for name, rows in parts.items():
        chosen = face_nme[rows]
        if len(chosen):
            nme = 100.0 * float(chosen.mean())
            figures[name] = {
                "faces": len(chosen),
                "nme": nme,
                **of_curve(chosen),
                "intervals": _intervals(chosen),
            }
    return figures


def _intervals(face_nme: np.ndarray) -> dict[str, list[float] | None]:
    """95 % intervals of the figures of some faces by name, in their units; None for one face."""
    areas = {f"auc{name}": auc_of_faces(face_nme, at) for name, at in LIMITS.items()}
    means = {"nme": 100.0 * face_nme, **areas}
    bounds = few_face_intervals(np.column_stack(list(means.values())))
    failed = {f"fr{name}": int((face_nme > at).sum()) for name, at in LIMITS.items()}
    rates = {name: wilson_interval(count, len(face_nme)) for name, count in failed.items()}
    return dict(zip(means, bounds, strict=True)) | {
        name: [100.0 * low, 100.0 * high] for name, (low, high) in rates.items()
    }


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """95 % interval of a share, `hits` of `count` (at least 1), in [0, 1].

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927.
    """
    share, square = hits / count, _Z**2 / count
    centre = share + square / 2
    half = _Z * math.sqrt(share * (1 - share) / count + square / (4 * count))
    low, high = ((centre - half) / (1 + square), (centre + half) / (1 + square))
    return max(low, 0.0) if hits else 0.0, min(high, 1.0) if hits < count else 1.0


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
            (bounds,) = few_face_intervals(100.0 * having[:, None])
            figures[name] = {
                "points": int(chosen.sum()),
                "faces": len(having),
                "nme": nme,
                "intervals": {"nme": bounds},
            }
    return figures
