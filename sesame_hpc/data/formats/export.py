"""Data sets written in another format: annotations rewritten, images linked or copied."""

import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from sesame_hpc.choices import SPLITS, WRITTEN_FORMATS, Split
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.formats.format import Writer
from sesame_hpc.data.formats.parsed import Missing, OnError
from sesame_hpc.data.formats.readers import has_split, read_annotations
from sesame_hpc.data.formats.registry import format_named
from sesame_hpc.data.image_files import IMAGE_SUFFIXES
from sesame_hpc.data.outside import refuse_foreign_files
from sesame_hpc.files import new_folder, write_text_atomic
from sesame_hpc.schemes import Scheme

__all__ = ["export_annotations", "left_out"]

_BY_SENTINEL = ("wflw", "pts")
"""Formats that can say only by a number that a point is not labelled."""


def export_annotations(
    root: str | Path,
    out: str | Path,
    to: str,
    format: str,
    scheme: Scheme | None = None,
    copy: bool = False,
    missing: Missing = None,
    on_error: OnError | None = None,
    allow_outside: bool = False,
) -> dict[Split, Annotations]:
    """Write the parts of a data set to the new folder `out` in the format `to`.

    What is read from `out` has the same landmarks, and the same boxes and attributes where the
    format has them: to the bit for wflw and csv, to 1e-9 px for pts and coco. A pts folder has one
    image for each face, in the order of their names. `out` appears whole or not at all. Images are
    links to the originals, or `copy`. `missing` are the coordinates of points that are not
    labelled, in what is read and in what is written where the format has no other way.
    `on_error` says what happens to faces that cannot be read. `allow_outside` copies images outside
    `root` as well.

    Returns the exported parts.

    Raises:
        FileExistsError: `out` is there and not empty.
        FileNotFoundError: there is nothing to export.
        ValueError: faults of the data set, something that the format cannot hold, or an image to
            `copy` that is outside `root` or is not an image.
    """
    out = Path(out)
    writer = _writer(to)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"{out} is there already; export to a folder that is new or empty")
    found = [split for split in SPLITS if has_split(root, format, split, scheme)]
    tables: dict[Split, Annotations] = {
        split: read_annotations(root, format, split, scheme, missing, on_error)
        for split in found or SPLITS[:1]
    }
    whole = all(table.labelled.all() for table in tables.values())
    if to in _BY_SENTINEL and missing is None and not whole:
        raise ValueError(
            f"some points are not labelled, and {to} writes numbers for all: say which it writes "
            "for such points, for example --missing=-1,-1"
        )
    if copy:
        refuse_foreign_files(Path(root), tables.values(), allow_outside)
    with new_folder(out) as partial:
        _write_parts(partial, tables, writer, copy, missing)
    return tables


def left_out(table: Annotations, to: str) -> list[str]:
    """What of a table the format cannot store, as text."""
    return _writer(to).left_out(table)


def _writer(to: str) -> Writer:
    writer = format_named(to, WRITTEN_FORMATS).writer
    if writer is None:
        raise ValueError(f"format {to} is only read; {', '.join(WRITTEN_FORMATS)} are written")
    return writer


def _write_parts(
    out: Path, tables: dict[Split, Annotations], writer: Writer, copy: bool, missing: Missing
) -> None:
    names = {} if writer.image_folder is None else _image_names(tables.values())
    for path, name in names.items():
        _place_image(path, out / (writer.image_folder or "") / name, copy)
    for split, table in tables.items():
        if writer.image_folder is None:
            images = _place_each(out, split, table, copy)
        else:
            paths = [table.image_path(row) for row in range(len(table))]
            images = [f"{writer.image_folder}/{names[path]}" for path in paths]
        for file, text in writer.files(table, split, images, missing).items():
            write_text_atomic(out / file, text)


def _place_each(out: Path, split: Split, table: Annotations, copy: bool) -> list[str]:
    """An image for each face in the folder of the split: their paths relative to `out`."""
    taken: set[str] = set()
    images = []
    for row in range(len(table)):
        path = table.image_path(row)
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            raise ValueError(
                f"{table.sources[row]}: {path} is not named as an image; "
                f"images there end in {', '.join(IMAGE_SUFFIXES)}"
            )
        name = _plain_name(table.images[row]).replace("/", "__")
        images.append(f"{split}/{_free(PurePosixPath(name).stem, taken)}{path.suffix}")
        _place_image(path, out / images[-1], copy)
    return images


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
