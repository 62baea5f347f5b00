"""Reading packs: the manifest, annotation tables, and whether crops are within what is stored."""

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from sesame_hpc.choices import Split
from sesame_hpc.config.schema import AugmentConfig, BoxConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.formats.faults import folder_entries
from sesame_hpc.data.pack.images import PackedImages
from sesame_hpc.data.pack.settings import PackSettings
from sesame_hpc.data.pack.table import read_table
from sesame_hpc.data.windows import face_boxes, reach
from sesame_hpc.schemes import Scheme, load_scheme

__all__ = [
    "MANIFEST",
    "SCHEME_FILE",
    "check_stored",
    "has_pack",
    "has_pack_split",
    "read_manifest",
    "read_pack",
    "read_settings",
]

MANIFEST = "pack.json"
SCHEME_FILE = "scheme.yaml"
VERSION = 1

_SPARE_PIXELS = 1.0


ShardName = Annotated[str, Field(pattern=r"^[a-z]+-[0-9]{5,}\.shard$")]


class _PackedSplit(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    faces: int
    attributes: list[str]
    table_crc: int
    shards: Annotated[list[ShardName], Field(min_length=1)]


class _Manifest(BaseModel):
    """The content of `pack.json`."""

    model_config = ConfigDict(extra="forbid", strict=True)
    version: int
    made_from: dict[str, str]
    settings: dict[str, Any]
    parts: dict[Split, _PackedSplit]

    @field_validator("settings")
    @classmethod
    def _readable(cls, settings: dict[str, Any]) -> dict[str, Any]:
        PackSettings.from_json(settings)
        return settings


def has_pack(root: Path) -> bool:
    """Whether `root` is a complete pack."""
    return (root / MANIFEST).is_file()


def has_pack_split(root: Path, split: str) -> bool:
    """Whether the pack has that split."""
    return has_pack(root) and split in read_manifest(root)["parts"]


def read_manifest(root: Path) -> dict[str, Any]:
    """`pack.json`.

    Raises:
        FileNotFoundError: there is none: not a pack, or an incomplete one.
        ValueError: not a manifest of this version.
    """
    path = root / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(
            f"{root} is not a complete pack: no {MANIFEST}; {folder_entries(root)}. "
            f"`sesame data pack` makes one, or completes one that was interrupted"
        )
    try:
        manifest = json.loads(path.read_text())
        if not isinstance(manifest, dict) or manifest.get("version") != VERSION:
            raise ValueError(f"{path}: not a pack of version {VERSION}; pack the data set again")
        return _Manifest.model_validate(manifest).model_dump()
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError, ValidationError) as error:
        reason = str(error).replace("\n", " ")
        raise ValueError(f"{path}: is damaged ({reason}); pack the data set again") from error


def read_settings(root: Path) -> PackSettings:
    """The settings of a pack, as far as its images depend on them. Errors: see `read_manifest`."""
    return PackSettings.from_json(read_manifest(root)["settings"])


def read_pack(root: Path, split: str, scheme: Scheme | None = None) -> Annotations:
    """The faces of a pack's split; their images come from its shards.

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
    table = read_table(root / f"{split}.npy", part["table_crc"])
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
    pack = PackedImages([root / name for name in part["shards"]], size)
    if len(unknown := np.setdiff1d(table["sample_id"], pack.sample_ids)):
        raise ValueError(f"sample {unknown[0]} has no image in {', '.join(part['shards'])}")
    return Annotations(
        scheme=packed,
        root=root,
        images=tuple(table["image"].tolist()),
        boxes=table["box"].copy(),
        landmarks=table["landmarks"].copy(),
        attributes=table["attributes"].reshape(len(table), len(part["attributes"])).copy(),
        attribute_names=tuple(part["attributes"]),
        sources=tuple(table["source"].tolist()),
        sample_ids=table["sample_id"].copy(),
        visibility=table["visibility"].copy() if "visibility" in names else None,
        pack=pack,
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
    records = pack.records(annotations.sample_ids)
    boxes = face_boxes(annotations.boxes, annotations.landmarks, box.protocol)
    wanted = reach(boxes, box, augment)
    region, extent = records["region"], np.tile(records["image"], 2)
    outward = np.array([-1, -1, 1, 1])
    beyond = outward * (np.clip(wanted, 0, extent) - region) > _SPARE_PIXELS
    missing = beyond.any(axis=1) & ~records["original"]
    if missing.any():
        row = int(np.flatnonzero(missing)[0])
        raise ValueError(
            f"{annotations.root}: data.box or data.augment need more than is packed of "
            f"{missing.sum()} of {len(missing)} faces, first sample "
            f"{annotations.sample_ids[row]}: pack again with this config, or a larger --margin"
        )
