"""All figures of a set of predictions, for `sesame eval` and the results of a run."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.evaluation.bootstrap import intervals
from sesame_hpc.evaluation.curves import auc, auc_of_faces, failure_rate
from sesame_hpc.evaluation.nme import nme_table, point_errors, region_errors
from sesame_hpc.evaluation.normalisers import other_normalisers

__all__ = ["Figures", "figures"]

_LIMITS = {"8": 0.08, "10": 0.10}


@dataclass(frozen=True)
class Figures:
    """NME and failure rates in percent, AUC in [0, 1], intervals of 95 % over faces.

    `nme`, `regions`, `landmarks` and the curves are normalised by the outer eye corners
    (inter-ocular, Eq. 4); `normalised_by` has the NME with other normalisers by name.
    """

    nme: float
    fr8: float
    fr10: float
    auc8: float
    auc10: float
    regions: dict[str, float]
    landmarks: list[float]
    subsets: dict[str, dict[str, float]]
    normalised_by: dict[str, float]
    intervals: dict[str, Any]
    faces: int
    protocol: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


def figures(
    predicted: np.ndarray, faces: Annotations, protocol: dict[str, str] | None = None
) -> Figures:
    """Figures of predictions [N, K, 2] in original pixels against the unclamped labels of N faces.

    The rows are in the order of `faces`. `protocol`, how the crops were made, is only recorded.
    Raises ValueError for shapes that do not match, or if the outer eye corners coincide.
    """
    errors = point_errors(predicted, faces.landmarks, faces.scheme)
    face_nme = errors.mean(axis=1)
    table = nme_table(errors, faces.scheme)
    return Figures(
        nme=table.nme,
        **_of_curve(face_nme),
        regions=table.regions,
        landmarks=(100.0 * errors.mean(axis=0)).tolist(),
        subsets=_subsets(face_nme, faces),
        normalised_by={"inter_ocular": table.nme, **other_normalisers(predicted, faces)},
        intervals=_intervals(errors, faces),
        faces=len(faces),
        protocol={"normaliser": "inter_ocular", **(protocol or {})},
    )


def _of_curve(face_nme: np.ndarray) -> dict[str, float]:
    rates = {f"fr{name}": 100.0 * failure_rate(face_nme, at) for name, at in _LIMITS.items()}
    return rates | {f"auc{name}": auc(face_nme, at) for name, at in _LIMITS.items()}


def _subsets(face_nme: np.ndarray, faces: Annotations) -> dict[str, dict[str, float]]:
    """The faces of each attribute, as WFLW's subsets; without empty ones."""
    subsets = {}
    for column, name in enumerate(faces.attribute_names):
        chosen = face_nme[faces.attributes[:, column]]
        if len(chosen):
            nme = 100.0 * float(chosen.mean())
            subsets[name] = {"faces": len(chosen), "nme": nme, **_of_curve(chosen)}
    return subsets


def _intervals(errors: np.ndarray, faces: Annotations) -> dict[str, Any]:
    face_nme = errors.mean(axis=1)
    columns = {"nme": 100.0 * face_nme}
    for name, at in _LIMITS.items():
        columns[f"fr{name}"] = 100.0 * (face_nme > at)
        columns[f"auc{name}"] = auc_of_faces(face_nme, at)
    regions = intervals(100.0 * region_errors(errors, faces.scheme))
    overall = intervals(np.column_stack(list(columns.values())))
    by_region = dict(zip(faces.scheme.regions, regions, strict=True))
    return {**dict(zip(columns, overall, strict=True)), "regions": by_region}
