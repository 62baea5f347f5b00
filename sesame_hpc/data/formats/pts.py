"""300-W's `.pts` files: folders of images with one file of landmarks for each image.

Folders are read with all below them (`pts_layout` says which files belong to a split). Boxes are
those of `boxes.csv` in the split's folder, else the tight ones of the landmarks. There are no
attributes.

Coordinates in the files are 1-based pixel centres: the centre of the first pixel is (1, 1), which
is (0.5, 0.5) in corner-based pixels.
"""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.formats.box_table import read_box_table
from sesame_hpc.data.formats.faults import Fault, folder_entries
from sesame_hpc.data.formats.format import AnnotationFormat, Split, Writer
from sesame_hpc.data.formats.parsed import Missing, Parsed, ParsedFace, parse_result
from sesame_hpc.data.formats.pts_file import TO_CORNERS, points_as_written, pts_text
from sesame_hpc.data.formats.pts_layout import has_pts, pair_files
from sesame_hpc.data.image_files import IMAGE_SUFFIXES
from sesame_hpc.schemes import Scheme

__all__ = ["FORMAT", "parse_pts_split"]


def parse_pts_split(root: Path, split: Split, scheme: Scheme, missing: Missing) -> Parsed:
    """The faces of a split by file name, and all faults.

    Raises:
        FileNotFoundError: no such split.
    """
    files = pair_files(root, split)
    folder, faults, findings = files.folder, files.faults, files.findings
    boxes = read_box_table(folder, [str(image) for image, _ in files.pairs], faults, findings)
    faces: list[ParsedFace] = []
    for image, points_file in files.pairs:
        path = folder / points_file
        try:
            points = points_as_written(path, scheme.num_landmarks).ravel().tolist()
        except Fault as fault:
            faults.append(fault)
        else:
            faces.append(ParsedFace(f"{path}:1", str(image), points, boxes.get(str(image))))
    if not faces and not faults:
        problem = (
            f"no face: an image ({', '.join(IMAGE_SUFFIXES)}) with a .pts file of the "
            f"same name beside it; {folder_entries(folder)}"
        )
        faults.append(Fault("empty", folder, problem))
    return parse_result(
        f"faces of {folder}",
        scheme,
        folder,
        faces,
        faults,
        findings=findings,
        shift=TO_CORNERS,
        missing=missing,
    )


def _has_split(root: Path, split: Split, scheme: Scheme | None) -> bool:
    return has_pts(root, split)


def _files(
    table: Annotations, split: Split, images: Sequence[str], missing: Missing
) -> dict[str, str]:
    """A `.pts` file beside each image."""
    return {
        PurePosixPath(image).with_suffix(".pts").as_posix(): pts_text(table.landmarks[row], missing)
        for row, image in enumerate(images)
    }


def _left_out(table: Annotations) -> list[str]:
    occluded = ["which points are occluded"] * bool((table.seen == 1).any())
    return ["boxes"] + ["attributes"] * bool(table.attribute_names) + occluded


FORMAT = AnnotationFormat(
    "pts",
    parse_pts_split,
    _has_split,
    "images with .pts files of the same names",
    "ibug68",
    Writer(_files, None, _left_out),
)
