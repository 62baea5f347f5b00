"""All data set formats. A new one is its own file and a line here, and its name in `DataFormat`."""

from typing import get_args

from sesame_hpc.choices import DataFormat
from sesame_hpc.config.schema import DataConfig
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
from sesame_hpc.data.formats.plugin import KIND, format_of_plugin
from sesame_hpc.plugins import is_installed

__all__ = ["FORMATS", "WRITTEN", "format_named", "format_of"]

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


def format_named(name: str | AnnotationFormat) -> AnnotationFormat:
    """The format of that name, built in or a plugin with the settings it has by default.

    A format itself is returned as it is.

    Raises:
        ValueError: there is none, or the plugin cannot be loaded (`load_plugin`).
    """
    if isinstance(name, AnnotationFormat):
        return name
    if name in FORMATS:
        return FORMATS[name]
    if ":" in name or is_installed(KIND, name):
        return format_of_plugin(name, {})
    raise ValueError(f"format is {name!r}; takes {', '.join(FORMATS)}, or a plugin")


def format_of(data: DataConfig) -> AnnotationFormat:
    """The format that `data.format` names, with its settings. Errors as of `format_named`."""
    if data.format not in FORMATS and data.format_settings:
        return format_of_plugin(data.format, data.format_settings)
    return format_named(data.format)
