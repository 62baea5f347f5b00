"""`AnnotationFormat`: what one format's file tells the registry."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sesame_hpc.choices import Split
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.formats.parsed import Missing, Parsed
from sesame_hpc.schemes import Scheme

__all__ = ["AnnotationFormat", "Split", "Writer"]


def _keeps_all(table: Annotations) -> list[str]:
    return []


@dataclass(frozen=True)
class Writer:
    """How a format is written.

    `files` returns the text of each file by its path relative to the data set's folder, from the
    faces, their split, the images as paths relative to that folder, and the coordinates to write
    for a point that is not labelled. Images are placed in `image_folder`; None places one for each
    face in the folder of the split. `left_out` names what of a table the format cannot store.
    """

    files: Callable[[Annotations, Split, Sequence[str], Missing], dict[str, str]]
    image_folder: str | None = "images"
    left_out: Callable[[Annotations], list[str]] = _keeps_all


@dataclass(frozen=True)
class AnnotationFormat:
    """A data set format.

    Attributes:
        name: as in `data.format` and `--format`.
        parse: the faces of a split of a data set's folder, and what is wrong with it; raises
            FileNotFoundError where there is no such split, ValueError where it is not clear which
            file is meant.
        has_split: whether the folder has that split, without reading it. The scheme is that of a
            format whose file names tell the number of points; None is `scheme`.
        looks_like: the files by which a folder of the format is known, for messages.
        scheme: the scheme of such files where nothing else is said; None: they do not say.
        writer: None where the format is only read.
        packed: whether the images lie in files of the format's own.
    """

    name: str
    parse: Callable[[Path, Split, Scheme, Missing], Parsed]
    has_split: Callable[[Path, Split, Scheme | None], bool]
    looks_like: str
    scheme: str | None = None
    writer: Writer | None = None
    packed: bool = False
