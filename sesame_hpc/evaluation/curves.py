"""The cumulative error distribution (CED), failure rate and AUC.

NME of faces here is a fraction of the normaliser, float64 [N]; 0.1 is 10 %.
"""

import numpy as np

__all__ = ["auc", "auc_of_faces", "ced", "failure_rate"]

_STEP = 1e-4


def ced(face_nme: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Fraction of faces whose NME is at most each threshold; float64 in [0, 1]."""
    return np.searchsorted(np.sort(face_nme), thresholds, side="right") / len(face_nme)


def failure_rate(face_nme: np.ndarray, limit: float) -> float:
    """Fraction of faces whose NME is above `limit`; in [0, 1]."""
    return float((face_nme > limit).mean())


def auc(face_nme: np.ndarray, limit: float) -> float:
    """Area under the CED from 0 to `limit`, over `limit`: Simpson's rule in steps of 1e-4.

    `limit` is an even number of steps. In [0, 1] up to the error of the rule.
    """
    return float(auc_of_faces(face_nme, limit).mean())


def auc_of_faces(face_nme: np.ndarray, limit: float) -> np.ndarray:
    """The `auc` of each face, float64 [N]; their mean is that of all faces, since the CED is."""
    intervals = round(limit / _STEP)
    assert intervals % 2 == 0
    weights = np.ones(intervals + 1)
    weights[1:-1:2], weights[2:-1:2] = 4.0, 2.0
    from_here = np.append(np.cumsum(weights[::-1])[::-1], 0.0) * _STEP / 3.0 / limit
    return from_here[np.searchsorted(np.arange(intervals + 1) * _STEP, face_nme)]
