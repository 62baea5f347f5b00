"""dlib's imglab XML: `<dataset>`, `<images>`, `<image>`, `<box>` with a `<part>` for each point.

The file of a split is the one imglab file whose name or folder names it
(`training_with_face_landmarks.xml`, `labels_ibug_300W_test.xml`; train where neither does).
`file` of an image is relative to it. Parts are named by numbers from 0 or as the scheme's points;
one that is absent is not labelled. Boxes marked `ignore` are left out.

Parts are 0-based pixel centres, boxes count whole pixels from the first: `left` 26 and `width` 95
are the pixels 26 to 120, which span 26 to 121 in corner-based pixels.
"""

from pathlib import Path

from sesame_hpc.data.findings import Finding
from sesame_hpc.data.formats.faults import Fault
from sesame_hpc.data.formats.format import AnnotationFormat, Split
from sesame_hpc.data.formats.named_points import NamedPoint, gather_faces
from sesame_hpc.data.formats.numbers import finite_numbers
from sesame_hpc.data.formats.parsed import Missing, Parsed, ParsedFace, left_out, parse_result
from sesame_hpc.data.formats.split_files import require_split_file, split_file
from sesame_hpc.data.formats.xml_file import Node, read_xml, root_tag
from sesame_hpc.schemes import Scheme

__all__ = ["FORMAT", "parse_imglab"]

TO_CORNERS = 0.5


def parse_imglab(root: Path, split: Split, scheme: Scheme, missing: Missing) -> Parsed:
    """The faces of a split, one for each box.

    Raises:
        FileNotFoundError: no file of the split.
        ValueError: several files could be the split's.
    """
    path = require_split_file(root, split, (".xml",), _is_imglab, "imglab files (*.xml)")
    faces: list[ParsedFace] = []
    faults: list[Fault] = []
    findings: list[Finding] = []
    try:
        for images in read_xml(path).all("images"):
            for image in images.all("image"):
                _parse_image(image, path, scheme, faces, faults, findings)
    except Fault as fault:
        faults.append(fault)
    return parse_result(
        f"faces of {path}",
        scheme,
        path.parent,
        faces,
        faults,
        findings=findings,
        shift=TO_CORNERS,
        missing=missing,
    )


def _parse_image(
    image: Node,
    path: Path,
    scheme: Scheme,
    faces: list[ParsedFace],
    faults: list[Fault],
    findings: list[Finding],
) -> None:
    name = image.attributes.get("file", "")
    if not name:
        faults.append(Fault("image", f"{path}:{image.line}", "names no image (file)"))
        return
    size = finite_numbers([image.attributes.get(side, "") for side in ("width", "height")])
    stated = (int(size[0]), int(size[1])) if size and min(size) >= 1 else None
    for box in image.all("box"):
        place = f"{path}:{box.line}"
        if box.attributes.get("ignore", "0") not in ("0", ""):
            findings.append(left_out(place, "the box is marked ignore"))
            continue
        try:
            parts = [_parse_part(part, path) for part in box.all("part")]
            own = gather_faces(parts, scheme, findings, faults)
            if not parts:
                findings.append(left_out(place, "the box has no parts"))
            for face in own:
                corners = _parse_box(box, place)
                faces.append(
                    ParsedFace(place, name, face.coordinates, corners, (), face.visibility, stated)
                )
        except Fault as fault:
            faults.append(fault)


def _parse_part(part: Node, path: Path) -> NamedPoint:
    place = f"{path}:{part.line}"
    numbers = finite_numbers([part.attributes.get(axis, "") for axis in "xy"])
    if numbers is None:
        raise Fault("number", place, "a part has a name and finite numbers x and y")
    return NamedPoint(place, part.attributes.get("name", ""), (numbers[0], numbers[1]))


def _parse_box(box: Node, place: str) -> list[float]:
    names = ("left", "top", "width", "height")
    numbers = finite_numbers([box.attributes.get(name, "") for name in names])
    if numbers is None:
        raise Fault("number", place, f"a box has finite numbers {', '.join(names)}")
    left, top, width, height = numbers
    return [left, top, left + width, top + height]


def _is_imglab(path: Path) -> bool:
    return root_tag(path) == "dataset"


def _has_split(root: Path, split: Split, scheme: Scheme | None) -> bool:
    try:
        return split_file(root, split, (".xml",), _is_imglab) is not None
    except ValueError:
        return True


FORMAT = AnnotationFormat("imglab", parse_imglab, _has_split, "an imglab file (.xml) of dlib")
