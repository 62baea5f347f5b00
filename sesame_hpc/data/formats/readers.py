"""One door to every data set format: `read_annotations`, `parse_annotations` and `has_split`."""

import logging
from itertools import groupby
from pathlib import Path

from sesame_hpc.choices import SPLITS, Split, one_of
from sesame_hpc.config.schema import DataConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.formats.faults import folder_entries
from sesame_hpc.data.formats.format import AnnotationFormat
from sesame_hpc.data.formats.parsed import Missing, OnError, Parsed
from sesame_hpc.data.formats.registry import FORMATS, format_named, format_of
from sesame_hpc.data.merge import dataset_names, merge_tables
from sesame_hpc.data.pack.manifest import read_manifest
from sesame_hpc.data.pack.read import SCHEME_FILE
from sesame_hpc.directories import no_directory
from sesame_hpc.schemes import Scheme, load_scheme

__all__ = [
    "SPLITS",
    "Split",
    "detect_format",
    "file_format",
    "has_part",
    "has_split",
    "parse_annotations",
    "read_annotations",
    "read_part",
    "scheme_of",
]

_log = logging.getLogger(__name__)

Format = str | AnnotationFormat
"""The name of a format, or the format itself."""


def read_annotations(
    root: str | Path,
    format: Format,
    split: Split = "train",
    scheme: Scheme | None = None,
    missing: Missing = None,
    on_error: OnError | None = None,
) -> Annotations:
    """The validated faces of a data set's split.

    Args:
        root: the data set's folder.
        format: its format, or the name of it (`FORMATS`, or a plugin); each format's file says
            what it looks like.
        split: train or test.
        scheme: the scheme of its landmarks; None takes the format's own.
        missing: the x, y that its files write for a point that is not labelled.
        on_error: what happens to faces that cannot be read; None refuses all.

    Raises:
        FileNotFoundError: no such root or split; the message says what exists instead.
        ValueError: an unknown format or split, no scheme, or faults, each with file and line.
    """
    parsed = parse_annotations(root, format, split, scheme, missing)
    faces = parsed.require(on_error)
    _log_findings(parsed)
    return faces


def read_part(data: DataConfig, split: Split, scheme: Scheme | None = None) -> Annotations:
    """The faces of a split of the data sets that `data` describes, as `read_annotations`.

    Of several, those that have the split; `Annotations.datasets` says which each face is of.
    """
    on_error = OnError(data.on_error == "skip", data.max_skipped)

    def read(root: Path, format: Format) -> Annotations:
        return read_annotations(root, format, split, scheme, data.missing, on_error)

    if not data.more_roots:
        return read(data.root, format_of(data))
    names = dataset_names(data.roots)
    formats = [_format_of(root, data, scheme) for root in data.roots]
    tables = {
        name: read(root, format)
        for name, root, format in zip(names, data.roots, formats, strict=True)
        if has_split(root, format, split, scheme)
    }
    if not tables:
        raise FileNotFoundError(f"no {split} split in {', '.join(map(str, data.roots))}")
    return merge_tables(tables)


def has_part(data: DataConfig, split: Split, scheme: Scheme | None = None) -> bool:
    """Whether one of the data sets that `data` describes has that split."""
    return any(
        has_split(root, _format_of(root, data, scheme), split, scheme) for root in data.roots
    )


def _format_of(root: Path, data: DataConfig, scheme: Scheme | None) -> Format:
    """`data.format`; of one of several data sets that is of another, that."""
    own = format_of(data)
    fits = any(has_split(root, own, split, scheme) for split in SPLITS)
    return own if fits or not data.more_roots else detect_format(root, scheme)


def parse_annotations(
    root: str | Path,
    format: Format,
    split: Split = "train",
    scheme: Scheme | None = None,
    missing: Missing = None,
) -> Parsed:
    """As `read_annotations`, but faults of the files are returned beside the faces without any."""
    own = format_named(format)
    _check_split(split)
    if not Path(root).is_dir():
        raise FileNotFoundError(f"data root {no_directory(Path(root))}")
    try:
        parsed = own.parse(Path(root), split, scheme or scheme_of(root, format), missing)
    except FileNotFoundError as error:
        if (hint := _hint(Path(root), format, scheme)) is None:
            raise
        raise FileNotFoundError(f"{error}. {hint}") from None
    empty = not len(parsed.faces) and [fault.kind for fault in parsed.faults] == ["empty"]
    if empty and (hint := _hint(Path(root), format, scheme)) is not None:
        raise FileNotFoundError(f"{parsed.faults[0]}. {hint}")
    return parsed


def has_split(root: str | Path, format: Format, split: Split, scheme: Scheme | None = None) -> bool:
    """Whether the data set has that split, without reading it.

    Raises:
        ValueError: an unknown format or split.
    """
    own = format_named(format)
    _check_split(split)
    return own.has_split(Path(root), split, scheme)


def detect_format(root: str | Path, scheme: Scheme | None = None) -> str:
    """The format whose files lie in `root`. `scheme` is the one that a WFLW list would be of.

    Raises:
        FileNotFoundError: none; says what was looked for.
    """
    if not Path(root).is_dir():
        raise FileNotFoundError(f"data root {no_directory(Path(root))}")
    for name, own in FORMATS.items():
        if any(own.has_split(Path(root), split, scheme) for split in SPLITS):
            return name
    raise FileNotFoundError(_nothing_found(Path(root)))


def file_format(root: str | Path, format: str | None, scheme: Scheme | None = None) -> str:
    """The format of a data set whose files themselves are needed: `format`, or that of `root`.

    Raises:
        FileNotFoundError: no format.
        ValueError: an unknown format, or a pack's.
    """
    found = format or detect_format(root, scheme)
    if format_named(found).packed:
        raise ValueError(
            f"{root} is read as a {found}, which has no images of its own: give the folder that "
            "it was made from"
        )
    return found


def scheme_of(root: str | Path, format: Format) -> Scheme:
    """The scheme that a data set is of where nothing else is said: its pack's, or its format's.

    Raises:
        FileNotFoundError: the format has none of its own, and the files are of another format.
        ValueError: the format has none of its own.
    """
    own = format_named(format)
    if own.packed:
        read_manifest(Path(root))
        return load_scheme(Path(root) / SCHEME_FILE)
    if own.scheme is None:
        if (hint := _hint(Path(root), format, None)) is not None:
            raise FileNotFoundError(f"{root} has no files of format {own.name}. {hint}")
        raise ValueError(
            f"files of format {own.name} do not say what their points are: name a scheme, "
            "built in or a YAML file (data.scheme=..., --scheme ...)"
        )
    return load_scheme(own.scheme)


def _hint(root: Path, format: Format, scheme: Scheme | None) -> str | None:
    """Which format a folder without any files of `format` looks like; None if it has some."""
    if any(has_split(root, format, split, scheme) for split in SPLITS):
        return None
    try:
        other = detect_format(root, scheme)
    except FileNotFoundError:
        return None
    return f"What is there looks like format {other}: data.format={other}, or --format {other}"


def _nothing_found(root: Path) -> str:
    looked_for = "; ".join(f"{name}: {own.looks_like}" for name, own in FORMATS.items())
    inside = _data_set_inside(root)
    if inside is not None:
        return f"{root} holds no data set, but {inside} does: give that directory"
    return f"{root} holds no data set of a known format ({looked_for}); {folder_entries(root)}"


def _data_set_inside(root: Path) -> Path | None:
    """The first directory right below `root` that holds a data set of some format."""
    for folder in sorted(each for each in root.iterdir() if each.is_dir()):
        for own in FORMATS.values():
            if any(own.has_split(folder, split, None) for split in SPLITS):
                return folder
    return None


def _log_findings(parsed: Parsed) -> None:
    """One line for each kind of thing that was skipped or repaired."""
    by_check = sorted(parsed.findings, key=lambda finding: finding.check)
    for _, group in groupby(by_check, key=lambda finding: finding.check):
        first, *others = group
        more = f" (and {len(others)} more like this)" if others else ""
        _log.warning("%s: %s%s", first.place, first.message, more)
    if parsed.faults:
        count = len(parsed.faults)
        _log.warning("%s: %d that cannot be read are left out", parsed.what, count)
        for fault in parsed.faults[:5]:
            _log.warning("  %s", fault)


def _check_split(split: str) -> None:
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}; takes {one_of(SPLITS)}")
