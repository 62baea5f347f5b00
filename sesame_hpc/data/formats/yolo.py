"""YOLO-pose: a `.txt` file of labels for each image, in a folder `labels` beside `images`.

Labels of a split lie in `labels/<split>` or `<split>/labels`, for train also in `labels`, with the
images in the folder of the same path with `images` for `labels`. A line is an object:
class, centre x, centre y, width, height of its box, then x, y or x, y, v of each point, all as
fractions of the image's width and height (v: 0 not labelled, 1 occluded, 2 visible). Without v a
point at 0, 0 or below is not labelled. Objects without points are left out.
"""

import math
from operator import itemgetter
from pathlib import Path, PurePosixPath

from sesame_hpc.data.findings import Finding
from sesame_hpc.data.formats.faults import Fault, folder_entries, read_lines
from sesame_hpc.data.formats.format import AnnotationFormat, Split
from sesame_hpc.data.formats.hidden_files import hidden_files_ignored
from sesame_hpc.data.formats.numbers import finite_numbers
from sesame_hpc.data.formats.parsed import Missing, Parsed, ParsedFace, left_out, parse_result
from sesame_hpc.data.formats.sidecars import pair_sidecars
from sesame_hpc.data.image_files import files_below, is_hidden, is_image_name
from sesame_hpc.data.image_header import upright_size
from sesame_hpc.schemes import Scheme

__all__ = ["FORMAT", "parse_yolo"]

_BOX_FIELDS = 5
_FARTHEST = 10.0
"""No point of a face lies farther than so many widths or heights of its image from it."""


def parse_yolo(root: Path, split: Split, scheme: Scheme, missing: Missing) -> Parsed:
    """The faces of a split, by image.

    Raises:
        FileNotFoundError: no such split.
    """
    folders = _folders(root, split)
    if folders is None:
        raise FileNotFoundError(
            f"no {split} split: looked for labels/{split} and {split}/labels with .txt files in "
            f"{root}; {folder_entries(root)}"
        )
    images, labels = folders
    faces: list[ParsedFace] = []
    faults: list[Fault] = []
    findings: list[Finding] = []
    everything = list(files_below(images))
    findings += hidden_files_ignored(images, everything, ".txt")
    found = pair_sidecars(
        [path for path in everything if is_image_name(path.name) and not is_hidden(path)],
        _texts(labels),
    )
    findings += found.findings(labels)
    for image in found.lone_images:
        message = f"has no {image.stem}.txt in {labels}: left out"
        findings.append(Finding("note", "unlabelled", str(images / image), message))
    for rival, other in found.rivals:
        problem = f"shares its .txt file with {other.name}; one image each"
        faults.append(Fault("layout", images / rival, problem))
    for text, image in sorted(found.images.items(), key=itemgetter(1)):
        try:
            size = upright_size(images / image)
            lines = read_lines(labels / text)
        except (OSError, ValueError) as error:
            fault = (
                error if isinstance(error, Fault) else Fault("image", images / image, str(error))
            )
            faults.append(fault)
            continue
        for number, line in enumerate(lines, start=1):
            place = f"{labels / text}:{number}"
            try:
                if (
                    face := _parse_line(line, place, str(image), size, scheme, findings)
                ) is not None:
                    faces.append(face)
            except Fault as fault:
                faults.append(fault)
    for text in found.lone_labels:
        problem = f"has no image {text.stem} in {images}"
        faults.append(Fault("image", labels / text, problem))
    what = f"faces of {labels}"
    return parse_result(what, scheme, images, faces, faults, findings=findings, missing=missing)


def _parse_line(
    line: str,
    place: str,
    image: str,
    size: tuple[int, int],
    scheme: Scheme,
    findings: list[Finding],
) -> ParsedFace | None:
    fields = line.split()
    if not fields:
        return None
    numbers = finite_numbers(fields)
    if numbers is None:
        raise Fault("number", place, "takes finite numbers, separated by blanks")
    if (most := max(map(abs, numbers[1:]), default=0.0)) > _FARTHEST:
        problem = f"has {most:g}: all but the class are fractions of the image's width and height "
        problem += "(0 to 1), and this looks like pixels or percent"
        raise Fault("number", place, problem)
    if len(numbers) == _BOX_FIELDS:
        findings.append(left_out(place, "the object has no points"))
        return None
    count, points = scheme.num_landmarks, numbers[_BOX_FIELDS:]
    if len(points) not in (2 * count, 3 * count):
        problem = (
            f"has {len(fields)} fields; scheme {scheme.name} takes {_BOX_FIELDS + 2 * count} or "
            f"{_BOX_FIELDS + 3 * count}: class, four of the box, x, y or x, y, v of each point"
        )
        raise Fault("fields", place, problem)
    step = len(points) // count
    coordinates: list[float] = []
    seen: list[int] = []
    for x, y, *rest in (points[i : i + step] for i in range(0, len(points), step)):
        if rest and rest[0] not in (0, 1, 2):
            problem = f"v is {rest[0]:g}; it is 0 (not labelled), 1 (occluded) or 2 (visible)"
            raise Fault("number", place, problem)
        labelled = rest[0] > 0 if rest else x > 0 or y > 0
        coordinates += [x * size[0], y * size[1]] if labelled else [math.nan, math.nan]
        seen.append(int(rest[0]) if rest else 2 * int(labelled))
    _, x, y, width, height = numbers[:_BOX_FIELDS]
    low, high = (x - width / 2, y - height / 2), (x + width / 2, y + height / 2)
    box = [low[0] * size[0], low[1] * size[1], high[0] * size[0], high[1] * size[1]]
    return ParsedFace(place, image, coordinates, box, (), seen, size)


def _folders(root: Path, split: str) -> tuple[Path, Path] | None:
    """The folders of images and of labels of a split."""
    below = [("images", split), (split, "images"), *([("images",)] if split == "train" else [])]
    for parts in below:
        images = root.joinpath(*parts)
        labels = root.joinpath(*("labels" if part == "images" else part for part in parts))
        if images.is_dir() and labels.is_dir() and _texts(labels):
            return images, labels
    return None


def _texts(labels: Path) -> list[PurePosixPath]:
    files = (path for path in files_below(labels) if path.suffix.lower() == ".txt")
    return [path for path in files if path.name != "classes.txt" and not is_hidden(path)]


def _has_split(root: Path, split: Split, scheme: Scheme | None) -> bool:
    return _folders(root, split) is not None


FORMAT = AnnotationFormat("yolo", parse_yolo, _has_split, "images and labels of YOLO-pose (.txt)")
