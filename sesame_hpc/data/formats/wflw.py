"""WFLW's official folders, for any scheme of K points.

`WFLW_images/` holds the images; `WFLW_annotations/list_<K>pt_rect_attr_train_test/` holds
`list_<K>pt_rect_attr_train.txt` and `..._test.txt`. A line is a face: K pairs x y, the box
x_min y_min x_max y_max, six attributes 0 or 1, and the image's path below `WFLW_images/`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.formats.faults import Fault, folder_entries, read_lines
from sesame_hpc.data.formats.format import AnnotationFormat, Split, Writer
from sesame_hpc.data.formats.numbers import FARTHEST, finite_numbers, first_bad_number, spelled
from sesame_hpc.data.formats.parsed import Missing, Parsed, ParsedFace, parse_result
from sesame_hpc.schemes import Scheme, load_scheme

__all__ = [
    "ATTRIBUTES",
    "FORMAT",
    "IMAGES",
    "SUBSET_LISTS",
    "list_path",
    "parse_numbers",
    "parse_wflw",
    "subset_path",
    "wflw_folder",
]

ATTRIBUTES = ("pose", "expression", "illumination", "makeup", "occlusion", "blur")
IMAGES = "WFLW_images"
SUBSET_LISTS = {
    "pose": "largepose",
    "expression": "expression",
    "illumination": "illumination",
    "makeup": "makeup",
    "occlusion": "occlusion",
    "blur": "blur",
}
"""Names of the lists of subsets by the name of the attribute that says the same."""

_BOX_FIELDS = 4
_SCHEME = "wflw98"


def list_path(split: str, landmarks: int = 98) -> Path:
    """Where the list of a split lies, relative to the WFLW folder."""
    kind = f"list_{landmarks}pt_rect_attr"
    return Path("WFLW_annotations", f"{kind}_train_test", f"{kind}_{split}.txt")


def subset_path(name: str, landmarks: int = 98) -> Path:
    """Where the list of a subset lies, relative to the WFLW folder."""
    kind = f"list_{landmarks}pt_test"
    return Path("WFLW_annotations", kind, f"{kind}_{SUBSET_LISTS[name]}.txt")


def wflw_folder(root: Path) -> Path:
    """`root`, or the folder WFLW inside it."""
    nested = root / "WFLW"
    return nested if nested.is_dir() and not (root / IMAGES).is_dir() else root


def parse_wflw(root: Path, split: Split, scheme: Scheme, missing: Missing) -> Parsed:
    """The faces of a split and the faults of its list.

    `root` is the folder that holds `WFLW_images`, or its parent. Numbers are taken as they are.
    Lines without text are ignored.

    Raises:
        FileNotFoundError: no list of the split, or no folder of images.
    """
    folder = wflw_folder(root)
    path = _require_list(folder, split, scheme.num_landmarks)
    if not (folder / IMAGES).is_dir():
        raise FileNotFoundError(f"no folder {folder / IMAGES}; {folder_entries(folder)}")
    faces, faults = _parse_list(path, scheme)
    return parse_result(
        f"faces of {path}", scheme, folder / IMAGES, faces, faults, ATTRIBUTES, missing=missing
    )


def parse_numbers(fields: list[str], place: str) -> list[float]:
    """The coordinates that the fields of a line spell.

    Raises:
        Fault: at `place`, naming the first field that is not a finite number.
    """
    numbers = finite_numbers(fields)
    if numbers is None:
        bad = first_bad_number(fields)
        problem = (
            f"field {bad + 1} is {fields[bad]!r}; fields 1 to {len(fields)} (landmarks and box) "
            f"are finite numbers of pixels, at most {FARTHEST:g}"
        )
        raise Fault("number", place, problem)
    return numbers


def _require_list(folder: Path, split: str, landmarks: int) -> Path:
    path = folder / list_path(split, landmarks)
    if path.is_file():
        return path
    existing = next(place for place in (path.parent, *path.parents) if place.is_dir())
    raise FileNotFoundError(
        f"no {split} list of {landmarks} points: looked for {path}; {folder_entries(existing)}"
    )


def _parse_list(path: Path, scheme: Scheme) -> tuple[list[ParsedFace], list[Fault]]:
    try:
        lines = read_lines(path)
    except Fault as fault:
        return [], [fault]
    faces: list[ParsedFace] = []
    faults: list[Fault] = []
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields:
            continue
        try:
            faces.append(_parse_face(fields, scheme, f"{path}:{number}"))
        except Fault as fault:
            faults.append(fault)
    if not faces and not faults:
        faults.append(Fault("empty", path, f"holds no face; each line is one of {_form(scheme)}"))
    return faces, faults


def _parse_face(fields: list[str], scheme: Scheme, place: str) -> ParsedFace:
    coordinates = 2 * scheme.num_landmarks
    first_attribute = coordinates + _BOX_FIELDS
    if len(fields) != first_attribute + len(ATTRIBUTES) + 1:
        raise Fault("fields", place, f"has {len(fields)} fields; a face has {_form(scheme)}")
    numbers = parse_numbers(fields[:first_attribute], place)
    landmarks, box = numbers[:coordinates], numbers[coordinates:]
    attributes = _parse_attributes(fields[first_attribute:-1], place)
    return ParsedFace(place, fields[-1], landmarks, box, attributes)


def _parse_attributes(fields: list[str], place: str) -> list[bool]:
    for name, field in zip(ATTRIBUTES, fields, strict=True):
        if field not in ("0", "1"):
            raise Fault("attribute", place, f"attribute {name} is {field!r}; it is 0 or 1")
    return [field == "1" for field in fields]


def _form(scheme: Scheme) -> str:
    coordinates = 2 * scheme.num_landmarks
    total = coordinates + _BOX_FIELDS + len(ATTRIBUTES) + 1
    return (
        f"{total} fields ({coordinates} coordinates, {_BOX_FIELDS} of the box, "
        f"{len(ATTRIBUTES)} attributes, an image name without spaces)"
    )


def _has_split(root: Path, split: Split, scheme: Scheme | None) -> bool:
    landmarks = (scheme or load_scheme(_SCHEME)).num_landmarks
    return (wflw_folder(root) / list_path(split, landmarks)).is_file()


def _files(
    table: Annotations, split: Split, images: Sequence[str], missing: Missing
) -> dict[str, str]:
    """The list with boxes and attributes and, of test, the six lists of subsets."""
    names = [image.removeprefix(f"{IMAGES}/") for image in images]
    flags, landmarks = _flags(table), table.scheme.num_landmarks
    points = [
        spelled(np.where(table.labelled[row][:, None], table.landmarks[row], missing or np.nan))
        for row in range(len(table))
    ]
    lines = [
        [*points[row], *spelled(table.boxes[row]), *flags[row], name]
        for row, name in enumerate(names)
    ]
    texts = {list_path(split, landmarks).as_posix(): _text(lines)}
    for name in SUBSET_LISTS if split == "test" else ():
        rows = [row for row in range(len(table)) if flags[row][ATTRIBUTES.index(name)] == "1"]
        subset = [[*points[row], names[row]] for row in rows]
        texts[subset_path(name, landmarks).as_posix()] = _text(subset)
    return texts


def _text(lines: Sequence[Sequence[str]]) -> str:
    return "".join(" ".join(line) + "\n" for line in lines)


def _flags(table: Annotations) -> list[list[str]]:
    """ "0" or "1" for each of WFLW's attributes; "0" where the table does not have one."""
    columns = {name: table.attributes[:, i] for i, name in enumerate(table.attribute_names)}
    absent = np.zeros(len(table), dtype=np.bool_)
    flags = np.stack([columns.get(name, absent) for name in ATTRIBUTES], axis=1)
    return [[str(int(flag)) for flag in row] for row in flags]


def _left_out(table: Annotations) -> list[str]:
    names = [f"attribute {name}" for name in table.attribute_names if name not in ATTRIBUTES]
    return names + ["which points are occluded"] * bool((table.seen == 1).any())


FORMAT = AnnotationFormat(
    "wflw",
    parse_wflw,
    _has_split,
    f"{IMAGES} and WFLW_annotations",
    _SCHEME,
    Writer(_files, IMAGES, _left_out),
)
