"""All figures of a set of predictions, for `sesame eval` and the results of a run."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.evaluation.bootstrap import intervals
from sesame_hpc.evaluation.curves import auc_of_faces
from sesame_hpc.evaluation.known import mean_known, or_none
from sesame_hpc.evaluation.nme import measured_faces, nme_table, point_errors, region_errors
from sesame_hpc.evaluation.normalisers import other_normalisers
from sesame_hpc.evaluation.subsets import (
    LIMITS,
    by_attribute,
    by_source,
    by_visibility,
    of_curve,
)
from sesame_hpc.plural import counted

__all__ = ["Figures", "figures"]


@dataclass(frozen=True)
class Figures:
    """NME and failure rates in percent, AUC in [0, 1], intervals of 95 % over faces.

    `nme`, `regions`, `landmarks` and the curves are normalised by the outer eye corners
    (inter-ocular, Eq. 4); `normalised_by` has the NME with other normalisers by name. `faces`
    counts those that have both eye corners labelled; the others, `counted_out`, are in
    `normalised_by` alone, as `protocol` then says. A region or landmark that no face has labelled
    is None. `subsets` are of attributes, `sources` of data sets that were read together,
    `visibility` of points; they are empty where the labels tell no such thing, and each has
    intervals of its own.
    """

    nme: float
    fr8: float
    fr10: float
    auc8: float
    auc10: float
    regions: dict[str, float | None]
    landmarks: list[float | None]
    subsets: dict[str, dict[str, Any]]
    sources: dict[str, dict[str, Any]]
    visibility: dict[str, dict[str, Any]]
    normalised_by: dict[str, float]
    intervals: dict[str, Any]
    faces: int
    counted_out: int
    protocol: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


def figures(
    predicted: np.ndarray, faces: Annotations, protocol: dict[str, str] | None = None
) -> Figures:
    """Figures of predictions [N, K, 2] in original pixels against the unclamped labels of N faces.

    The rows are in the order of `faces`. `protocol`, how the crops were made, is only recorded.
    Raises ValueError for shapes that do not match, if the outer eye corners coincide, and if no
    face has them labelled.
    """
    errors = point_errors(predicted, faces.landmarks, faces.scheme)
    others = other_normalisers(predicted, faces)
    measured = measured_faces(errors, faces.scheme)
    recorded = {"normaliser": "inter_ocular", **(protocol or {}), **_not_labelled(faces, measured)}
    if not measured.all():
        errors, faces = errors[measured], faces.select(measured)
    face_nme = mean_known(errors, 1)
    table = nme_table(errors, faces.scheme)
    return Figures(
        nme=table.nme,
        **of_curve(face_nme),
        regions={name: or_none(nme) for name, nme in table.regions.items()},
        landmarks=[or_none(nme) for nme in 100.0 * mean_known(errors, 0)],
        subsets=by_attribute(face_nme, faces),
        sources=by_source(face_nme, faces),
        visibility=by_visibility(errors, faces),
        normalised_by={"inter_ocular": table.nme, **others},
        intervals=_intervals(errors, face_nme, faces),
        faces=len(faces),
        counted_out=int((~measured).sum()),
        protocol=recorded,
    )


def _not_labelled(faces: Annotations, measured: np.ndarray) -> dict[str, str]:
    """What is not labelled and how it counts, for the protocol; nothing if all is labelled."""
    missing = int((~faces.labelled).sum())
    if not missing:
        return {}
    of = counted(faces.labelled.size, "point")
    words = {"points": f"{missing:,} of {of} are not labelled; means are over the labelled ones"}
    if unmeasured := int((~measured).sum()):
        first, second = faces.scheme.normaliser
        words["counted out"] = (
            f"{counted(unmeasured, 'face')} without both points of the normaliser "
            f"({first} and {second}), except in the NME by box"
        )
    return words


def _intervals(errors: np.ndarray, face_nme: np.ndarray, faces: Annotations) -> dict[str, Any]:
    columns: dict[str, np.ndarray] = {"nme": 100.0 * face_nme}
    for name, at in LIMITS.items():
        columns[f"fr{name}"] = 100.0 * (face_nme > at)
        columns[f"auc{name}"] = auc_of_faces(face_nme, at)
    regions = 100.0 * region_errors(errors, faces.scheme)
    bounds = intervals(np.column_stack([*columns.values(), regions]))
    by_region = dict(zip(faces.scheme.regions, bounds[len(columns) :], strict=True))
    return {**dict(zip(columns, bounds, strict=False)), "regions": by_region}
