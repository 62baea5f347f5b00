"""NME with normalisers other than the paper's: pupils, and the face's box."""

import numpy as np

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.evaluation.known import mean_known
from sesame_hpc.evaluation.nme import pixel_distances
from sesame_hpc.schemes import Scheme

__all__ = ["other_normalisers"]

_EYES = ("eye_image_left", "eye_image_right")


def _pupils(landmarks: np.ndarray, scheme: Scheme) -> np.ndarray | None:
    """Pupil centres [N, 2, 2]: the pupils, or else the centres of the eyes' landmarks.

    NaN where one of these points is not labelled: a centre of the others would be another place.
    """
    pupils = scheme.regions.get("pupils", ())
    if len(pupils) == 2:
        return landmarks[:, list(pupils)]
    if not all(eye in scheme.regions for eye in _EYES):
        return None
    centres = [landmarks[:, list(scheme.regions[eye])].mean(axis=1) for eye in _EYES]
    return np.stack(centres, axis=1)


def other_normalisers(predicted: np.ndarray, faces: Annotations) -> dict[str, float]:
    """NME in percent by name, each over the faces whose labels have the normaliser.

    `inter_pupil`: distance of the pupils, or of the eyes' centres in schemes without pupils.
    `box`: square root of width x height of the data set's box, which every face has. A normaliser
    that is zero in some face is left out.
    """
    pixels = mean_known(pixel_distances(predicted, faces.landmarks), 1)
    extents = faces.boxes[:, 2:] - faces.boxes[:, :2]
    distances = {"box": np.sqrt(extents.prod(axis=1))}
    pupils = _pupils(faces.landmarks, faces.scheme)
    if pupils is not None:
        distances["inter_pupil"] = np.linalg.norm(pupils[:, 0] - pupils[:, 1], axis=-1)
    return {
        name: float(100.0 * mean_known(pixels / distance, 0))
        for name, distance in sorted(distances.items())
        if not (distance <= 0).any() and not np.isnan(distance).all()
    }
