"""All data set formats, each loaded from its file as `sesame_hpc.choices` lists it."""

from importlib import import_module

from sesame_hpc.choices import BUILT_IN_FORMATS, DATA_FORMATS, BuiltInFormat
from sesame_hpc.config.schema import DataConfig
from sesame_hpc.data.formats.format import AnnotationFormat
from sesame_hpc.data.formats.plugin import KIND, format_of_plugin
from sesame_hpc.plugins import is_installed

__all__ = ["FORMATS", "format_named", "format_of", "load_format"]


def load_format(listed: BuiltInFormat) -> AnnotationFormat:
    """The format of a line in `sesame_hpc.choices`.

    Raises:
        TypeError: its file says something else.
    """
    own: AnnotationFormat = import_module(f"sesame_hpc.data.formats.{listed.module}").FORMAT
    if (own.name, own.writer is not None) != (listed.name, listed.is_written):
        raise TypeError(f"{listed} in sesame_hpc/choices.py does not fit its FORMAT: {own}")
    return own


FORMATS = {each.name: load_format(each) for each in BUILT_IN_FORMATS}
"""Formats by name, in the order in which a folder is tried for them."""


def format_named(
    name: str | AnnotationFormat, expected: tuple[str, ...] = DATA_FORMATS
) -> AnnotationFormat:
    """The format of that name, built in or a plugin with the settings it has by default.

    A format itself is returned as it is. A message about another name lists those `expected`.

    Raises:
        ValueError: there is none, or the plugin cannot be loaded (`load_plugin`).
    """
    if isinstance(name, AnnotationFormat):
        return name
    if name in FORMATS:
        return FORMATS[name]
    if ":" in name or is_installed(KIND, name):
        return format_of_plugin(name, {})
    raise ValueError(f"format is {name!r}; takes {', '.join(expected)}, or a plugin")


def format_of(data: DataConfig) -> AnnotationFormat:
    """The format that `data.format` names, with its settings. Errors as of `format_named`."""
    if data.format not in FORMATS and data.format_settings:
        return format_of_plugin(data.format, data.format_settings)
    return format_named(data.format)
