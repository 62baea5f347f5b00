"""Reading packs: their annotation tables, and whether crops are within what is stored."""

from pathlib import Path
from typing import Any

import numpy as np

from sesame_hpc.config.schema import AugmentConfig, BoxConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.pack.images import PackedImages
from sesame_hpc.data.pack.manifest import read_manifest
from sesame_hpc.data.pack.staging import staged_copy
from sesame_hpc.data.pack.table import read_table
from sesame_hpc.data.string_column import StringColumn
from sesame_hpc.data.windows import face_boxes, reach
from sesame_hpc.schemes import Scheme, load_scheme

__all__ = ["SCHEME_FILE", "check_stored", "read_pack"]

SCHEME_FILE = "scheme.yaml"

_SPARE_PIXELS = 1.0
_ROWS_AT_ONCE = 1 << 14


def read_pack(root: Path, split: str, scheme: Scheme | None = None) -> Annotations:
    """The faces of a pack's split; their images come from its shards, or their copy on this node.

    Raises:
        FileNotFoundError: no pack, or no such split.
        ValueError: another scheme than the pack's, or a damaged file; names it.
    """
    manifest = read_manifest(root)
    if split not in manifest["parts"]:
        raise FileNotFoundError(
            f"{root}: the pack has no split {split}; it has {', '.join(manifest['parts'])}"
        )
    packed = load_scheme(root / SCHEME_FILE)
    if scheme is not None and scheme != packed:
        raise ValueError(f"{root}: is packed with scheme {packed.name}, not {scheme.name}")
    part = manifest["parts"][split]
    table = np.asarray(read_table(staged_copy(root) / f"{split}.npy", part["table_crc"]))
    try:
        return _faces(root, packed, table, part, manifest["settings"]["size"])
    except (ValueError, TypeError) as error:
        if str(error).startswith(str(root)):
            raise
        raise ValueError(f"{root / split}.npy: is not a table of faces ({error})") from None


def _faces(
    root: Path, packed: Scheme, table: np.ndarray, part: dict[str, Any], size: int | None
) -> Annotations:
    names = table.dtype.names or ()
    pack = PackedImages([staged_copy(root) / name for name in part["shards"]], size)
    if len(unknown := np.setdiff1d(table["sample_id"], pack.sample_ids)):
        raise ValueError(f"sample {unknown[0]} has no image in {', '.join(part['shards'])}")
    return Annotations(
        scheme=packed,
        root=root,
        images=_texts(table["image"]),
        boxes=table["box"].copy(),
        landmarks=table["landmarks"],
        attributes=table["attributes"].reshape(len(table), len(part["attributes"])).copy(),
        attribute_names=tuple(part["attributes"]),
        sources=_texts(table["source"]),
        sample_ids=table["sample_id"].copy(),
        visibility=table["visibility"] if "visibility" in names else None,
        pack=pack,
    )


def _texts(column: np.ndarray) -> StringColumn:
    """Of a column of texts, as wide as the longest, some thousand at a time."""
    blocks = range(0, len(column), _ROWS_AT_ONCE)
    return StringColumn(
        text for first in blocks for text in column[first : first + _ROWS_AT_ONCE].tolist()
    )


def check_stored(
    annotations: Annotations, box: BoxConfig, augment: AugmentConfig, size: int
) -> None:
    """Check that crops of `size` pixels with these settings are within what the pack stores.

    Raises:
        ValueError: they are not; says how to pack.
    """
    pack = annotations.pack
    if pack is None or pack.size is None:
        return
    if size > pack.size:
        raise ValueError(
            f"{annotations.root} is packed for crops of {pack.size} pixels, but {size} are "
            f"needed: pack with --size {size}, or without --size"
        )
    boxes = face_boxes(annotations, box.protocol)
    missing = np.zeros(len(annotations), np.bool_)
    for first in range(0, len(annotations), _ROWS_AT_ONCE):
        rows = slice(first, first + _ROWS_AT_ONCE)
        records = pack.records(annotations.sample_ids[rows])
        wanted = reach(boxes[rows], box, augment)
        region, extent = records["region"], np.tile(records["image"], 2)
        outward = np.array([-1, -1, 1, 1])
        beyond = outward * (np.clip(wanted, 0, extent) - region) > _SPARE_PIXELS
        missing[rows] = beyond.any(axis=1) & ~records["original"]
    if missing.any():
        row = int(np.flatnonzero(missing)[0])
        raise ValueError(
            f"{annotations.root}: data.box or data.augment need more than is packed of "
            f"{missing.sum()} of {len(missing)} faces, first sample "
            f"{annotations.sample_ids[row]}: pack again with this config, or a larger --margin"
        )
