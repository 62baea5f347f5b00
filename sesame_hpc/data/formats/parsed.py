"""What the readers of all formats share: a face as parsed, its checks, and the table of faces."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.findings import Finding
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
    faces: Sequence[ParsedFace],
    faults: Sequence[Fault],
    attribute_names: tuple[str, ...] = (),
    *,
    findings: Sequence[Finding] = (),
    shift: float = 0.0,
    missing: Missing = None,
) -> Parsed:
    """The table of those `faces` that can be used, in their order and numbered by it.

    `folder` is what image names are relative to. `shift` moves the files' coordinates to
    corner-based pixels; a point that equals `missing` before that is not labelled.
    """
    faults, findings = list(faults), list(findings)
    names = resolve_images(folder, [face.image for face in faces])
    if names.respelled and faces:
        findings.append(_respelled(faces, names))
    rows: list[tuple[ParsedFace, Float, Float, NDArray[np.uint8]]] = []
    for face in faces:
        points, visibility = _points(face, shift, missing)
        if not visibility.any():
            findings.append(left_out(face.source, "no point is labelled"))
            continue
        try:
            _check_normaliser(points, scheme, face.source)
            box = _box(face, points)
            _check_image(face, folder, names)
        except Fault as fault:
            faults.append(fault)
        else:
            rows.append((face, points, box, visibility))
    if not rows and not faults:
        problem = f"holds no face of scheme {scheme.name}"
        if findings:
            problem += f"; {len(findings)} objects: {findings[0].message}"
        faults.append(Fault("empty", what.removeprefix("faces of "), problem))
    count, landmarks = len(rows), scheme.num_landmarks
    table = Annotations(
        scheme=scheme,
        root=folder,
        images=tuple(names.found[face.image] for face, *_ in rows),
        boxes=np.array([box for _, _, box, _ in rows], np.float64).reshape(count, 4),
        landmarks=np.array([points for _, points, _, _ in rows]).reshape(count, landmarks, 2),
        attributes=np.array([face.attributes for face, *_ in rows], np.bool_).reshape(
            count, len(attribute_names)
        ),
        attribute_names=attribute_names,
        sources=tuple(face.source for face, *_ in rows),
        sample_ids=np.arange(count, dtype=np.int64),
        visibility=np.array([seen for *_, seen in rows], np.uint8).reshape(count, landmarks),
    )
    sizes = {names.found[face.image]: face.size for face, *_ in rows if face.size is not None}
    return Parsed(what, table, tuple(faults), tuple(findings), sizes, shift)


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


def _check_image(face: ParsedFace, folder: Path, names: ResolvedNames) -> None:
    if face.image not in names.found:
        hint = names.missing[face.image]
        problem = f"no image {folder / face.image}" + f"; {hint}" * bool(hint)
        raise Fault("image", face.source, problem)


def _respelled(faces: Sequence[ParsedFace], names: ResolvedNames) -> Finding:
    face = next(face for face in faces if face.image in names.respelled)
    count = len(names.respelled)
    message = (
        f"{face.image!r} was read as {names.respelled[face.image]!r}; {count} image "
        f"name{'s are' if count > 1 else ' is'} spelled differently from the file"
    )
    return Finding("note", "respelled", face.source, message, value=float(count))
