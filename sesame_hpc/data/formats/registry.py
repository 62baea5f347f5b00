"""All data set formats. A new one is its own file and a line here, and its name in `DataFormat`."""

from typing import get_args

from sesame_hpc.choices import DataFormat
from sesame_hpc.data.formats import (
    coco,
    csv_table,
    cvat,
    hrnet,
    imglab,
    labelme,
    packed,
    pts,
    wflw,
    yolo,
)
from sesame_hpc.data.formats.format import AnnotationFormat

__all__ = ["FORMATS", "WRITTEN", "format_named"]

FORMATS: dict[str, AnnotationFormat] = {
    each.name: each
    for each in (
        packed.FORMAT,
        wflw.FORMAT,
        coco.FORMAT,
        hrnet.FORMAT,
        csv_table.FORMAT,
        yolo.FORMAT,
        imglab.FORMAT,
        cvat.FORMAT,
        labelme.FORMAT,
        pts.FORMAT,
    )
}
"""Formats by name, in the order in which a folder is tried for them."""

WRITTEN = tuple(name for name, each in FORMATS.items() if each.writer is not None)
"""The names of those that can be written."""

if set(FORMATS) != set(get_args(DataFormat)):
    raise TypeError(f"DataFormat names {get_args(DataFormat)}, the registry {tuple(FORMATS)}")


def format_named(name: str) -> AnnotationFormat:
    """The format of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in FORMATS:
        raise ValueError(f"format is {name!r}; takes {', '.join(FORMATS)}")
    return FORMATS[name]
