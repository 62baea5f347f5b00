"""What the readers of all formats share: a face as parsed, its checks, and the table of faces."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.findings import Finding
from sesame_hpc.data.formats.face_table import FaceTable
from sesame_hpc.data.formats.faults import Fault, raise_faults
from sesame_hpc.data.image_names import ResolvedNames, resolve_images
from sesame_hpc.schemes import Scheme

__all__ = ["Missing", "OnError", "Parsed", "ParsedFace", "left_out", "parse_result"]

Missing = tuple[float, float] | None
"""The x, y that a file writes for a point that is not labelled, in the file's own numbers."""

_BOX = ("x_min", "y_min", "x_max", "y_max")
Float = NDArray[np.float64]


@dataclass(frozen=True)
class ParsedFace:
    """A face as its file has it.

    `coordinates` are 2K numbers x0, y0, ... in the file's own convention, NaN where a point is not
    labelled. `box` is x_min, y_min, x_max, y_max in corner-based pixels; None is the tight one.
    `visibility` are K numbers, 0 missing, 1 occluded, 2 visible; None where the file says nothing.
    `size` is the image's width and height as the file states them.
    """

    source: str
    image: str
    coordinates: Sequence[float]
    box: Sequence[float] | None = None
    attributes: Sequence[bool] = ()
    visibility: Sequence[int] | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class OnError:
    """What happens to faces that cannot be read: nothing is read, or they are left out.

    At most the share `most` of the faces may be left out.
    """

    skip: bool = False
    most: float = 1.0


@dataclass(frozen=True)
class Parsed:
    """One parse of a split: the faces that can be read (maybe none), and every fault.

    `findings` are about what was skipped, or understood although it was spelled differently.
    `sizes` are width and height of images as the annotations state them, by name. `shift` is what
    was added to the files' coordinates.
    """

    what: str
    faces: Annotations
    faults: tuple[Fault, ...]
    findings: tuple[Finding, ...] = ()
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    shift: float = 0.0

    def require(self, on_error: OnError | None = None) -> Annotations:
        """The faces.

        Raises:
            ValueError: naming the faults, or those that `on_error` does not allow to leave out.
        """
        fatal = [fault for fault in self.faults if fault.fatal]
        if on_error is None or not on_error.skip or fatal or not len(self.faces):
            advice = "" if fatal or not len(self.faces) else _ADVICE
            raise_faults(self.what, fatal or self.faults, advice=advice)
            return self.faces
        total = len(self.faces) + len(self.faults)
        allowed = math.ceil(on_error.most * total)
        if len(self.faults) > allowed:
            advice = (
                f"data.max_skipped ({on_error.most:g}) allows {allowed} of {total} faces "
                "to be left out, and these are more"
            )
            raise_faults(self.what, self.faults, advice=advice)
        return self.faces


_ADVICE = "correct them, or leave out such faces with data.on_error=skip (--on-error skip)"


def left_out(place: str | Path, why: str) -> Finding:
    """The finding about something in a file that is not a face of the scheme."""
    return Finding("note", "not-a-face", str(place), f"{why}: left out")


def parse_result(
    what: str,
    scheme: Scheme,
    folder: Path,
    faces: Iterable[ParsedFace],
    faults: Sequence[Fault],
    attribute_names: tuple[str, ...] = (),
    *,
    findings: Sequence[Finding] = (),
    shift: float = 0.0,
    missing: Missing = None,
) -> Parsed:
    """The table of those `faces` that can be used, in their order and numbered by it.

    `folder` is what image names are relative to. `shift` moves the files' coordinates to
    corner-based pixels; a point that equals `missing` before that is not labelled. `faces` may be
    parsed while they are taken, and then add to `faults`.
    """
    table = FaceTable(scheme.num_landmarks, len(attribute_names))
    own: list[tuple[int, Fault]] = []
    numbers: list[int] = []
    unlabelled: list[Finding] = []
    stated: dict[str, tuple[int, int]] = {}
    for number, face in enumerate(faces):
        table.name(face.image, face.source)
        points, visibility = _points(face, shift, missing)
        if not visibility.any():
            unlabelled.append(left_out(face.source, "no point is labelled"))
            continue
        try:
            _check_normaliser(points, scheme, face.source)
            box = _box(face, points)
        except Fault as fault:
            own.append((number, fault))
            continue
        table.append(face.image, face.source, points, visibility, box, face.attributes)
        numbers.append(number)
        if face.size is not None:
            stated[face.image] = face.size
    names = resolve_images(folder, table.names)
    columns, absent = table.finish(names.found)
    own += [
        (numbers[row], _no_image(folder, image, source, names)) for row, image, source in absent
    ]
    faults = [*faults, *(fault for _, fault in sorted(own, key=itemgetter(0)))]
    findings = [*findings, *_respelled(table, names), *unlabelled]
    count = len(columns["images"])
    if not count and not faults:
        problem = f"holds no face of scheme {scheme.name}"
        if findings:
            problem += f"; {len(findings)} objects: {findings[0].message}"
        faults.append(Fault("empty", what.removeprefix("faces of "), problem))
    annotations = Annotations(
        scheme=scheme,
        root=folder,
        attribute_names=attribute_names,
        sample_ids=np.arange(count, dtype=np.int64),
        **columns,
    )
    sizes = {names.found[image]: size for image, size in stated.items() if image in names.found}
    return Parsed(what, annotations, tuple(faults), tuple(findings), sizes, shift)


def _points(face: ParsedFace, shift: float, missing: Missing) -> tuple[Float, NDArray[np.uint8]]:
    """Points [K, 2] in corner-based pixels, NaN where not labelled, and their visibility [K]."""
    points = np.array(face.coordinates, dtype=np.float64).reshape(-1, 2)
    labelled = np.isfinite(points).all(axis=1)
    if missing is not None:
        labelled &= (points != missing).any(axis=1)
    seen = np.full(len(points), 2) if face.visibility is None else np.array(face.visibility)
    labelled &= seen > 0
    points = points + shift
    points[~labelled] = np.nan
    return points, np.where(labelled, seen, 0).astype(np.uint8)


def _box(face: ParsedFace, points: Float) -> Float:
    if face.box is None:
        low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
        if (high <= low).any():
            problem = "has no box, and its labelled points span no area that could be one"
            raise Fault("box", face.source, problem)
        return np.concatenate([low, high])
    x_min, y_min, x_max, y_max = face.box
    if x_max <= x_min or y_max <= y_min:
        said = ", ".join(f"{name} {value:g}" for name, value in zip(_BOX, face.box, strict=True))
        problem = f"empty box ({said}); x_max > x_min and y_max > y_min in a box"
        if _holds([x_min, y_min, x_min + x_max, y_min + y_max], points):
            problem += "; the last two look like width and height"
        raise Fault("box", face.source, problem)
    return np.array(face.box, dtype=np.float64)


def _holds(box: Sequence[float], points: Float) -> bool:
    """Whether a box holds all labelled points."""
    low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
    return bool((low >= box[:2]).all() and (high <= box[2:]).all())


def _check_normaliser(points: Float, scheme: Scheme, place: str) -> None:
    first, second = scheme.normaliser
    if (points[first] == points[second]).all():
        problem = f"points {first} and {second} coincide; errors are divided by their distance"
        raise Fault("normaliser", place, problem)


def _no_image(folder: Path, image: str, source: str, names: ResolvedNames) -> Fault:
    hint = names.missing[image]
    return Fault("image", source, f"no image {folder / image}" + f"; {hint}" * bool(hint))


def _respelled(table: FaceTable, names: ResolvedNames) -> list[Finding]:
    """One finding about all image names that are spelled differently from their files."""
    image = next((name for name in table.names if name in names.respelled), None)
    if image is None:
        return []
    count = len(names.respelled)
    message = (
        f"{image!r} was read as {names.respelled[image]!r}; {count} image "
        f"name{'s are' if count > 1 else ' is'} spelled differently from the file"
    )
    place = table.named_by(image)
    return [Finding("note", "respelled", place, message, value=float(count))]
