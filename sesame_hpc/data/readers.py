"""One door to every data set format: `read_annotations` and `has_split`."""

from pathlib import Path
from typing import Literal

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.pack.read import has_pack_split, read_pack
from sesame_hpc.data.pts import has_pts_split, read_pts
from sesame_hpc.data.wflw import has_wflw_list, read_wflw
from sesame_hpc.schemes import Scheme, load_scheme

__all__ = ["Format", "Split", "format_scheme", "has_split", "read_annotations"]

Format = Literal["wflw", "pts", "pack"]
Split = Literal["train", "test"]

_READERS = {"wflw": read_wflw, "pts": read_pts}
_SCHEMES = {"wflw": "wflw98", "pts": "ibug68"}
_SPLITS = ("train", "test")


def read_annotations(
    root: str | Path, format: Format, split: Split = "train", scheme: Scheme | None = None
) -> Annotations:
    """The validated faces of a data set's split. `scheme` None takes the format's own.

    `wflw`: official folders, of wflw98 unless a scheme of K points is given (then the list is
    named list_<K>pt...). `pts`: images with 300-W `.pts` files, of ibug68, in `root/<split>` or,
    for train, in `root` itself. `pack`: a folder that `sesame data pack` wrote, of its own scheme.

    Raises:
        FileNotFoundError: no such root or split; the message says what exists instead.
        ValueError: an unknown format or split, or faults, each with file and line.
    """
    _check_choice("format", format, (*_READERS, "pack"))
    _check_choice("split", split, _SPLITS)
    if not Path(root).is_dir():
        raise FileNotFoundError(f"data root {root} is no folder")
    if format == "pack":
        return read_pack(Path(root), split, scheme)
    return _READERS[format](Path(root), split, scheme or format_scheme(format))


def has_split(root: str | Path, format: Format, split: Split, scheme: Scheme | None = None) -> bool:
    """Whether the data set has that split, without reading it.

    Raises:
        ValueError: an unknown format or split.
    """
    _check_choice("format", format, (*_READERS, "pack"))
    _check_choice("split", split, _SPLITS)
    if format == "pack":
        return has_pack_split(Path(root), split)
    if format == "pts":
        return has_pts_split(Path(root), split)
    return has_wflw_list(Path(root), split, scheme or format_scheme(format))


def format_scheme(format: Format) -> Scheme:
    """The scheme that a format's files are of where nothing else is said."""
    return load_scheme(_SCHEMES[format])


def _check_choice(key: str, value: str, valid: tuple[str, ...]) -> None:
    if value not in valid:
        raise ValueError(f"{key} is {value!r}; takes {' or '.join(valid)}")
