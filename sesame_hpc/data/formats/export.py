"""Data sets written in another format: annotations anew, images linked or copied."""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.check.encoded import read_header
from sesame_hpc.data.formats.csv_table import csv_path
from sesame_hpc.data.formats.pts import IMAGE_SUFFIXES
from sesame_hpc.data.formats.readers import SPLITS, FileFormat, Split, has_split, read_annotations
from sesame_hpc.data.formats.wflw import ATTRIBUTES, IMAGES, list_path
from sesame_hpc.data.formats.wflw_subsets import subset_path
from sesame_hpc.data.formats.writers import coco_text, csv_text, pts_text, subset_texts, wflw_text
from sesame_hpc.files import new_folder, write_text_atomic
from sesame_hpc.schemes import Scheme

__all__ = ["export_annotations", "left_out"]

_FOLDERS = {"wflw": IMAGES, "coco": "images", "csv": "images"}


def export_annotations(
    root: str | Path,
    out: str | Path,
    to: FileFormat,
    format: FileFormat,
    scheme: Scheme | None = None,
    copy: bool = False,
) -> dict[Split, Annotations]:
    """Write the parts of a data set to the new folder `out` in the format `to`.

    What is read from `out` has the same landmarks, and the same boxes and attributes where the
    format has them: to the bit for wflw and csv, to 1e-9 px for pts and coco. A pts folder has one
    image for each face, in the order of their names. `out` appears whole or not at all. Images are
    links to the originals, or `copy`.

    Returns the exported parts.

    Raises:
        FileExistsError: `out` is there and not empty.
        FileNotFoundError: there is nothing to export.
        ValueError: faults of the data set, or something that the format cannot hold.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"{out} is there already; export to a folder that is new or empty")
    found = [split for split in SPLITS if has_split(root, format, split, scheme)]
    tables: dict[Split, Annotations] = {
        split: read_annotations(root, format, split, scheme) for split in found or SPLITS[:1]
    }
    with new_folder(out) as partial:
        _write_parts(partial, tables, to, copy)
    return tables


def left_out(table: Annotations, to: FileFormat) -> list[str]:
    """What of a table the format has no place for, in words."""
    if to == "pts":
        return ["boxes"] + ["attributes"] * bool(table.attribute_names)
    if to == "wflw":
        return [f"attribute {name}" for name in table.attribute_names if name not in ATTRIBUTES]
    return []


def _write_parts(out: Path, tables: dict[Split, Annotations], to: FileFormat, copy: bool) -> None:
    if to == "pts":
        for split, table in tables.items():
            _write_pts(out / split, table, copy)
        return
    names = _image_names(tables.values())
    for path, name in names.items():
        _place_image(path, out / _FOLDERS[to] / name, copy)
    for split, table in tables.items():
        images = [names[table.image_path(row)] for row in range(len(table))]
        _write_part(out, split, table, images, to)


def _write_part(
    out: Path, split: Split, table: Annotations, images: Sequence[str], to: FileFormat
) -> None:
    landmarks = table.scheme.num_landmarks
    if to == "wflw":
        write_text_atomic(out / list_path(split, landmarks), wflw_text(table, images))
        if split == "test":
            for name, text in subset_texts(table, images).items():
                write_text_atomic(out / subset_path(name, landmarks), text)
    elif to == "csv":
        below = [f"{_FOLDERS[to]}/{image}" for image in images]
        write_text_atomic(csv_path(out, split), csv_text(table, below))
    else:
        sizes = {image: _image_size(table.image_path(row)) for row, image in enumerate(images)}
        path = out / "annotations" / f"{split}.json"
        write_text_atomic(path, coco_text(table, images, sizes))


def _write_pts(folder: Path, table: Annotations, copy: bool) -> None:
    taken: set[str] = set()
    for row in range(len(table)):
        path = table.image_path(row)
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            raise ValueError(
                f"{table.sources[row]}: {path} cannot stand in a pts folder; "
                f"images there end in {', '.join(IMAGE_SUFFIXES)}"
            )
        name = _plain_name(table.images[row]).replace("/", "__")
        stem = _free(PurePosixPath(name).stem, taken)
        _place_image(path, folder / f"{stem}{path.suffix}", copy)
        write_text_atomic(folder / f"{stem}.pts", pts_text(table.landmarks[row]))


def _image_names(tables: Iterable[Annotations]) -> dict[Path, str]:
    """A name for each image file: as it was called, as far as lists can hold that, and unique."""
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for table in tables:
        for row in range(len(table)):
            path = table.image_path(row)
            if path not in names:
                plain = PurePosixPath(_plain_name(table.images[row]))
                stem = _free(str(plain.with_suffix("")), taken)
                names[path] = f"{stem}{plain.suffix}"
    return names


def _plain_name(image: str) -> str:
    """Without white space, and inside the folder."""
    name = PurePosixPath("_".join(image.split()))
    return name.name if name.is_absolute() or ".." in name.parts else str(name)


def _free(stem: str, taken: set[str]) -> str:
    """`stem`, or the first of `stem`_2, `stem`_3, ... that is not taken; it is taken then."""
    free, number = stem, 1
    while free in taken:
        number += 1
        free = f"{stem}_{number}"
    taken.add(free)
    return free


def _place_image(path: Path, target: Path, copy: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if copy:
        shutil.copyfile(path, target)
    else:
        target.symlink_to(path.resolve())


def _image_size(path: Path) -> tuple[int, int]:
    header = read_header(path.read_bytes())
    if header is None:
        raise ValueError(f"{path} is no JPEG or PNG; a COCO file gives the size of each image")
    return header.upright_size
