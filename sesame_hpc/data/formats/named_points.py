"""Faces put together of single points with labels, as LabelMe and CVAT have them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from sesame_hpc.data.findings import Finding
from sesame_hpc.data.formats.faults import Fault
from sesame_hpc.data.formats.parsed import left_out
from sesame_hpc.data.formats.point_names import point_named
from sesame_hpc.schemes import Scheme

__all__ = ["NamedFace", "NamedPoint", "gather_faces"]


@dataclass(frozen=True)
class NamedPoint:
    """A labelled point at `place` in a file. `group` says which face it is of; None: not said."""

    place: str
    label: str
    xy: tuple[float, float]
    group: str | None = None
    visibility: int = 2


@dataclass
class NamedFace:
    """A face of named points: 2K coordinates, NaN where there is none, and K visibilities."""

    place: str
    group: str | None
    coordinates: list[float]
    visibility: list[int]
    points: set[int] = field(default_factory=set)


def gather_faces(
    points: Iterable[NamedPoint], scheme: Scheme, findings: list[Finding], faults: list[Fault]
) -> list[NamedFace]:
    """The faces that points of one image make: one for each group.

    A label that is neither a name nor a number of a point of the scheme is left out with a
    finding; a point that a group has twice is a fault of its face.
    """
    faces: dict[str | None, NamedFace] = {}
    broken: set[str | None] = set()
    for point in points:
        number = point_named(point.label, scheme)
        if number is None:
            why = f"label {point.label!r:.60} is not a point of scheme {scheme.name}"
            findings.append(left_out(point.place, why))
            continue
        face = faces.get(point.group)
        if face is None:
            nothing = [math.nan] * (2 * scheme.num_landmarks)
            face = NamedFace(point.place, point.group, nothing, [0] * scheme.num_landmarks)
            faces[point.group] = face
        if number in face.points:
            if point.group not in broken:
                where = f"group {point.group}" if point.group is not None else "the image"
                problem = f"{where} has point {point.label!r:.60} twice; each face has a group"
                faults.append(Fault("layout", point.place, problem + " of its own"))
            broken.add(point.group)
            continue
        face.points.add(number)
        face.coordinates[2 * number : 2 * number + 2] = point.xy
        face.visibility[number] = point.visibility
    return [face for group, face in faces.items() if group not in broken]
