"""`pack.json`: what a pack holds, and how it was made."""

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from sesame_hpc.choices import Split
from sesame_hpc.data.formats.faults import folder_entries
from sesame_hpc.data.pack.settings import PackSettings

__all__ = ["MANIFEST", "VERSION", "has_pack", "has_pack_split", "read_manifest", "read_settings"]

MANIFEST = "pack.json"
VERSION = 1

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
