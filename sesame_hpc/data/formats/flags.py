"""Attributes of faces as files have them: which are yes or no, and which are left out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sesame_hpc.data.findings import Finding
from sesame_hpc.data.formats.faults import Fault
from sesame_hpc.data.formats.parsed import ParsedFace

__all__ = ["attributes_of", "settle_flags"]

_BOOKKEEPING = frozenset({"track_id", "keyframe", "rotation", "outside"})
"""What CVAT writes among the attributes for itself."""

_SPELLED = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}


def attributes_of(value: Any, place: str) -> Mapping[str, Any]:
    """An annotation's `attributes`; none where it has none.

    Raises:
        Fault: it is not a mapping of names.
    """
    if not value:
        return {}
    if not isinstance(value, dict):
        raise Fault("attribute", place, "`attributes` is not a mapping of names to values")
    return {str(name): each for name, each in value.items()}


def settle_flags(
    faces: Sequence[ParsedFace], attributes: Sequence[Mapping[str, Any]]
) -> tuple[list[ParsedFace], tuple[str, ...], list[Fault], list[Finding]]:
    """The faces with those of their attributes that are yes or no, and the names of these.

    An attribute of which most values are something else (texts, angles, CVAT's bookkeeping) is
    left out; a face without one counts as no. A face whose value is neither yes nor no in an
    attribute that is otherwise is a fault and not returned.
    """
    names: list[str] = []
    findings: list[Finding] = []
    for name in dict.fromkeys(name for each in attributes for name in each):
        having = [row for row, each in enumerate(attributes) if name in each]
        other = [row for row in having if _flag(attributes[row][name]) is None]
        place = faces[having[0]].source
        if name in _BOOKKEEPING or 2 * len(other) > len(having):
            row = (other or having)[0]
            message = f"attribute {name} ({attributes[row][name]!r:.40}) is not yes or no: left out"
            findings.append(Finding("note", "attribute-left-out", place, message))
            continue
        names.append(name)
        if absent := len(faces) - len(having):
            message = f"attribute {name} is given for {len(having)} of {len(faces)} faces"
            message += f"; it counts as 0 for the other {absent}"
            findings.append(Finding("note", "attribute-absent", place, message))
    settled, faults = [], []
    for face, each in zip(faces, attributes, strict=True):
        values = [_flag(each.get(name, False)) for name in names]
        if None in values:
            name = names[values.index(None)]
            problem = f"attribute {name} is {each[name]!r:.40}; it is 0 or 1"
            faults.append(Fault("attribute", face.source, problem))
        else:
            settled.append(replace(face, attributes=[bool(value) for value in values]))
    return settled, tuple(names), faults, findings


def _flag(value: Any) -> bool | None:
    if isinstance(value, str):
        return _SPELLED.get(value.strip().casefold())
    if isinstance(value, bool | int | float) and value in (0, 1):
        return bool(value)
    return None
