"""Packs as a format: what `sesame data pack` wrote, read by `data/pack`."""

from pathlib import Path

from sesame_hpc.data.formats.format import AnnotationFormat, Split
from sesame_hpc.data.formats.parsed import Missing, Parsed
from sesame_hpc.data.pack.manifest import MANIFEST, has_pack_split
from sesame_hpc.data.pack.read import read_pack
from sesame_hpc.schemes import Scheme

__all__ = ["FORMAT"]


def _parse(root: Path, split: Split, scheme: Scheme, missing: Missing) -> Parsed:
    """A part of a pack, as it was packed.

    Raises:
        FileNotFoundError, ValueError: as `read_pack`.
    """
    return Parsed(f"faces of {root}, {split}", read_pack(root, split, scheme), ())


def _has_split(root: Path, split: Split, scheme: Scheme | None) -> bool:
    return has_pack_split(root, split)


FORMAT = AnnotationFormat("pack", _parse, _has_split, MANIFEST, packed=True)
