"""Two networks on the same faces: paired differences with intervals."""

from typing import Any

import numpy as np

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.evaluation.bootstrap import intervals
from sesame_hpc.evaluation.known import mean_known, or_none
from sesame_hpc.evaluation.nme import measured_faces, point_errors, region_errors

__all__ = ["compare"]


def compare(first: np.ndarray, second: np.ndarray, faces: Annotations) -> dict[str, Any]:
    """NME of `second` minus NME of `first`, in percentage points, overall and per region.

    Both [N, K, 2] in original pixels. {"nme": {"difference", "interval"}, "regions": {name: ...}};
    a 95 % interval that excludes 0 indicates a difference of the networks on such faces. Both are
    None for a region that no face has labelled.
    """
    errors = [point_errors(each, faces.landmarks, faces.scheme) for each in (first, second)]
    measured = measured_faces(errors[0], faces.scheme)
    columns = [
        np.column_stack([mean_known(each, 1), region_errors(each, faces.scheme)])[measured]
        for each in errors
    ]
    change = 100.0 * (columns[1] - columns[0])
    rows = [
        {"difference": or_none(mean), "interval": interval}
        for mean, interval in zip(mean_known(change, 0), intervals(change), strict=True)
    ]
    return {"nme": rows[0], "regions": dict(zip(faces.scheme.regions, rows[1:], strict=True))}
