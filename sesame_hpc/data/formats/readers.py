"""One door to every data set format: `read_annotations`, `parse_annotations` and `has_split`."""

from pathlib import Path

from sesame_hpc.choices import FILE_FORMATS as FORMATS
from sesame_hpc.choices import SPLITS, FileFormat, Split, one_of
from sesame_hpc.choices import DataFormat as Format
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.formats.coco import coco_path, parse_coco
from sesame_hpc.data.formats.csv_table import csv_path, parse_csv
from sesame_hpc.data.formats.pts import has_pts_split, parse_pts_split
from sesame_hpc.data.formats.rows import Parsed
from sesame_hpc.data.formats.wflw import has_wflw_list, parse_wflw
from sesame_hpc.data.pack.read import has_pack, has_pack_split, read_pack
from sesame_hpc.schemes import Scheme, load_scheme

__all__ = [
    "FORMATS",
    "SPLITS",
    "FileFormat",
    "Format",
    "Split",
    "detect_file_format",
    "detect_format",
    "format_scheme",
    "has_split",
    "parse_annotations",
    "read_annotations",
]

_PARSERS = {"wflw": parse_wflw, "pts": parse_pts_split, "coco": parse_coco, "csv": parse_csv}
_SCHEMES: dict[FileFormat, str] = {"wflw": "wflw98", "pts": "ibug68"}


def read_annotations(
    root: str | Path, format: Format, split: Split = "train", scheme: Scheme | None = None
) -> Annotations:
    """The validated faces of a data set's split. `scheme` None takes the format's own.

    `wflw`: official folders, of wflw98 unless a scheme of K points is given (then the list is
    named list_<K>pt...). `pts`: images with 300-W `.pts` files, of ibug68, in `root/<split>` or,
    for train, in `root` itself. `coco`: keypoint JSON as mmpose writes it. `csv`: `<split>.csv`.
    The last two need a scheme. `pack`: what `sesame data pack` wrote, of its own scheme.

    Raises:
        FileNotFoundError: no such root or split; the message says what exists instead.
        ValueError: an unknown format or split, no scheme, or faults, each with file and line.
    """
    if format == "pack":
        _check_choice("split", split, SPLITS)
        return read_pack(Path(root), split, scheme)
    return parse_annotations(root, format, split, scheme).require()


def parse_annotations(
    root: str | Path, format: FileFormat, split: Split = "train", scheme: Scheme | None = None
) -> Parsed:
    """As `read_annotations`, but faults of the files are returned beside the faces without any."""
    _check_choice("format", format, FORMATS)
    _check_choice("split", split, SPLITS)
    if not Path(root).is_dir():
        raise FileNotFoundError(f"data root {root} is no folder")
    return _PARSERS[format](Path(root), split, scheme or format_scheme(format))


def has_split(root: str | Path, format: Format, split: Split, scheme: Scheme | None = None) -> bool:
    """Whether the data set has that split, without reading it.

    Raises:
        ValueError: an unknown format or split.
    """
    _check_choice("format", format, (*FORMATS, "pack"))
    _check_choice("split", split, SPLITS)
    if format == "pack":
        return has_pack_split(Path(root), split)
    if format == "pts":
        return has_pts_split(Path(root), split)
    if format == "coco":
        return coco_path(Path(root), split) is not None
    if format == "csv":
        return csv_path(Path(root), split).is_file()
    return has_wflw_list(Path(root), split, scheme or format_scheme(format))


def detect_format(root: str | Path, scheme: Scheme | None = None) -> Format:
    """The format whose files lie in `root`; pts, whose messages say what was looked for, if none.

    `scheme` is the one that a WFLW list would be of.
    """
    if has_pack(Path(root)):
        return "pack"
    if any(has_split(root, "wflw", split, scheme) for split in SPLITS):
        return "wflw"
    for format in ("coco", "csv"):
        if any(has_split(root, format, split) for split in SPLITS):
            return format
    return "pts"


def detect_file_format(root: str | Path, scheme: Scheme | None = None) -> FileFormat:
    """As `detect_format`, for what needs the files themselves.

    Raises:
        ValueError: `root` is a pack.
    """
    format = detect_format(root, scheme)
    if format == "pack":
        raise ValueError(f"{root} is a pack: give the folder that it was made from")
    return format


def format_scheme(format: FileFormat) -> Scheme:
    """The scheme that a format's files are of where nothing else is said.

    Raises:
        ValueError: the format has none of its own.
    """
    if format not in _SCHEMES:
        raise ValueError(
            f"files of format {format} do not say what their points are: name a scheme, "
            "built in or a YAML file (data.scheme=..., --scheme ...)"
        )
    return load_scheme(_SCHEMES[format])


def _check_choice(key: str, value: str, valid: tuple[str, ...]) -> None:
    if value not in valid:
        raise ValueError(f"{key} is {value!r}; takes {one_of(valid)}")
