"""`data.format`: an annotation format that is a plugin."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from sesame_hpc.choices import Split
from sesame_hpc.data.formats.format import AnnotationFormat
from sesame_hpc.data.formats.parsed import Missing, Parsed
from sesame_hpc.plugins import load_plugin
from sesame_hpc.schemes import Scheme

__all__ = ["KIND", "FormatPlugin", "format_of_plugin"]

KIND = "data.format"


class FormatPlugin(Protocol):
    """What a plugin of `data.format` is: a class whose instances read a data set's folder.

    Its class is called with `(settings)`, an instance of the class's `Settings`. Such a format is
    only read. `parse_result` (`sesame_hpc.data.formats.parsed`) makes `Parsed` of the faces.

    Attributes:
        looks_like: the files by which a folder of the format is known, for messages.
        scheme: the name or YAML file of the landmark scheme that its files are of; None where they
            do not say, and `data.scheme` must.
    """

    looks_like: str
    scheme: str | None

    def __init__(self, settings: Any) -> None: ...

    def parse(self, root: Path, split: Split, scheme: Scheme, missing: Missing) -> Parsed:
        """The faces of a split (train or test) that can be read, and a fault for everything else.

        Landmarks and boxes are pixels with corners at integers. `missing` is the x, y that the
        files write for a point that is not labelled.

        Raises:
            FileNotFoundError: the data set does not have the split.
        """

    def has_split(self, root: Path, split: Split, scheme: Scheme | None) -> bool:
        """Whether the folder has that split, without reading it."""


def format_of_plugin(name: str, settings: Mapping[str, Any]) -> AnnotationFormat:
    """The format of a plugin with these settings.

    Raises:
        ValueError: the plugin cannot be loaded (`load_plugin`), does not take these settings, or is
            not a format.
    """
    plugin = load_plugin(KIND, name)
    own = plugin.target(plugin.settings(settings, f"{KIND}_settings"))
    lacking = [each for each in ("parse", "has_split", "looks_like") if not hasattr(own, each)]
    if lacking:
        raise ValueError(f"{KIND}: {plugin.path} is not a format: it has no {', '.join(lacking)}")
    scheme = getattr(own, "scheme", None)
    return AnnotationFormat(name, own.parse, own.has_split, own.looks_like, scheme)
