"""Whether the points that are labelled suffice: to learn each one, and to judge each region."""

import numpy as np

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.schemes import Scheme

__all__ = ["check_points"]

_SHOWN = 8


def check_points(train: Annotations, heldout: Annotations, test: Annotations | None) -> None:
    """Raise ValueError where points that are not labelled leave something unknown.

    Each point needs a label in some training face, each region in some held-out face, since its
    error there decides how often it is masked; and each part a face with both points of the
    normaliser. All of this is so where all points are labelled.
    """
    scheme = train.scheme
    unknown = np.flatnonzero(~train.labelled.any(axis=0)).tolist()
    if unknown:
        raise ValueError(
            f"{_points(unknown, scheme)} labelled in none of the {len(train)} training faces, so "
            "nothing can be learned about them: give a landmark scheme without them "
            "(data.scheme=FILE)"
        )
    for name, part in (("held-out", heldout), ("test", test)):
        if part is not None and not _measured(part).any():
            first, second = scheme.normaliser
            raise ValueError(
                f"none of the {len(part)} {name} faces has both points of the normaliser labelled, "
                f"{first} ({scheme.points[first]}) and {second} ({scheme.points[second]}), whose "
                "distance errors are divided by: label them, or name two others in a landmark "
                "scheme of your own (data.scheme=FILE)"
            )
    labelled = heldout.labelled[_measured(heldout)]
    for region, points in scheme.regions.items():
        if not labelled[:, list(points)].any():
            raise ValueError(
                f"no point of region {region} is labelled in the {len(labelled)} held-out faces "
                "that have the normaliser labelled, so its error cannot be known: hold out more "
                "faces (data.heldout), or others (seed)"
            )


def _measured(part: Annotations) -> np.ndarray:
    return np.asarray(part.labelled[:, list(part.scheme.normaliser)].all(axis=1))


def _points(points: list[int], scheme: Scheme) -> str:
    shown = ", ".join(f"{point} ({scheme.points[point]})" for point in points[:_SHOWN])
    more = f", ... ({len(points)} in all)" if len(points) > _SHOWN else ""
    return f"point{'s' * (len(points) > 1)} {shown}{more} {'are' if len(points) > 1 else 'is'}"
