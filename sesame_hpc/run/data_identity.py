"""Which data set a run is of: digests of its names, labels, division and scheme, not of its place.

`data.json` of the run folder holds them from the first start on. Images are not read for it.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np

from sesame_hpc.config import BoxConfig
from sesame_hpc.data.annotations import Annotations

__all__ = [
    "PARTS",
    "data_identity",
    "fingerprint",
    "identity_differences",
    "without_unlabelled",
]

PARTS = {
    "train": "training faces",
    "rest": "training faces without labels",
    "heldout": "held-out faces",
    "test": "test faces",
    "unlabelled": "unlabelled faces",
}
_ASPECTS = ("images", "landmarks", "visibility", "boxes", "attributes", "rows")
_IN_WORDS = {"images": "image names", "rows": "rows in the data set's files"}


def data_identity(
    parts: dict[str, Annotations | None], box: BoxConfig, format: str
) -> dict[str, Any]:
    """{"format", "scheme", "crops", and for each of `parts` its number of faces and digests}.

    A part that the data set does not have is None. The parts `rest` (training faces whose labels
    are not kept) and `unlabelled` are there only if there are any.
    """
    scheme = next(table.scheme for table in parts.values() if table is not None)
    crops = {"protocol": box.protocol, "scale": box.scale}
    identity: dict[str, Any] = {
        "format": format,
        "scheme": {"name": scheme.name, "sha256": _of_json(asdict(scheme))},
        "crops": crops,
    }
    return identity | {
        name: None if table is None else _of_table(table) for name, table in parts.items()
    }


def fingerprint(value: dict[str, Any]) -> str:
    """Sixteen hexadecimal digits of an identity, or of one part of it: equal for equal data."""
    return _of_json(value)[:16]


def _of_table(table: Annotations) -> dict[str, Any]:
    attributes = {
        name: _of_array(table.attributes[:, column])
        for column, name in enumerate(table.attribute_names)
    }
    return {
        "faces": len(table),
        "images": _of_texts(table.images),
        "landmarks": _of_blocks(table),
        "visibility": _of_array(table.seen),
        "boxes": _of_array(table.boxes),
        "attributes": _of_json(attributes),
        "rows": _of_array(table.sample_ids),
    }


def _of_array(array: np.ndarray) -> str:
    """The same on every machine: little-endian, one kind of zero and of NaN."""
    return hashlib.sha256(str(array.shape).encode() + _canonical(array).tobytes()).hexdigest()


def _of_blocks(table: Annotations) -> str:
    """`_of_array` of the landmarks, which are never in memory as a whole."""
    digest = hashlib.sha256(str((len(table), table.scheme.num_landmarks, 2)).encode())
    for _, points in table.blocks():
        digest.update(_canonical(points).data)
    return digest.hexdigest()


def _canonical(array: np.ndarray) -> np.ndarray:
    canonical = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    if canonical.dtype.kind == "f":
        canonical = np.where(np.isnan(canonical), np.nan, canonical + 0.0)
    return canonical


def _of_texts(texts: Iterable[str]) -> str:
    """`_of_json` of a list of many texts."""
    digest = hashlib.sha256(b"[")
    for number, text in enumerate(texts):
        digest.update((", " * (number > 0) + json.dumps(text)).encode())
    digest.update(b"]")
    return digest.hexdigest()


def _of_json(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def without_unlabelled(identity: dict[str, Any]) -> dict[str, Any]:
    """That of the data set alone, which stages that do not pretrain depend on."""
    return {name: part for name, part in identity.items() if name != "unlabelled"}


def identity_differences(
    recorded: dict[str, Any], found: dict[str, Any], parts: Iterable[str] = PARTS
) -> list[str]:
    """How a data set differs from the one that a run began with, a phrase for each difference.

    Of a data set in another format, which may round its labels, only the names count.
    """
    phrases = []
    for key in ("scheme", "crops"):
        if recorded[key] != found[key]:
            phrases.append(f"{key} {_brief(recorded[key])} -> {_brief(found[key])}")
    same_format = recorded["format"] == found["format"]
    for part in parts:
        before, after = recorded.get(part), found.get(part)
        if before is None or after is None:
            if before is not after:
                phrases.append(f"{PARTS[part]}: {_count(before)} -> {_count(after)}")
            continue
        aspects = _ASPECTS if same_format else ("images",)
        changed = [_IN_WORDS.get(name, name) for name in aspects if _differs(before, after, name)]
        if before["faces"] != after["faces"]:
            phrases.append(f"{PARTS[part]}: {_count(before)} -> {_count(after)}")
        elif changed:
            phrases.append(f"{PARTS[part]}: other {', '.join(changed)}")
    return phrases


def _differs(before: dict[str, Any], after: dict[str, Any], aspect: str) -> bool:
    """Not where a run of an earlier version has no digest of that."""
    return aspect in before and before[aspect] != after[aspect]


def _brief(value: dict[str, Any]) -> str:
    if "sha256" in value:
        return f"{value['name']} ({value['sha256'][:8]})"
    return f"{value['protocol']} x {value['scale']}"


def _count(part: dict[str, Any] | None) -> str:
    return "none" if part is None else str(part["faces"])
