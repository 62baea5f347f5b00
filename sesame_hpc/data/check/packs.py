"""Checks of what only packs have: their index, and crops that must hold what training asks for."""

from collections.abc import Iterator

import numpy as np

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.check.inventory import Inventory
from sesame_hpc.data.findings import Finding
from sesame_hpc.data.pack.images import StoredImages
from sesame_hpc.data.pack.read import MANIFEST, check_stored, read_settings

__all__ = ["check_pack_crops", "check_pack_index", "check_pack_reach", "unchecked_of_pack"]


def check_pack_index(inventory: Inventory) -> Iterator[Finding]:
    """Images of no face, two of one face, and crops that are no part of their image."""
    for split, table, pack in _packed(inventory):
        place, ids = str(inventory.root / MANIFEST), pack.sample_ids
        for what, strange in (
            ("of no face", np.setdiff1d(ids, table.sample_ids)),
            ("stored twice", np.unique(ids[1:][ids[1:] == ids[:-1]])),
        ):
            if len(strange):
                message = f"{split}: {len(strange)} images {what}, first sample {strange[0]}"
                yield Finding("error", "pack-index", place, message)
        rows = _indexed_rows(table, pack)
        for row, record in zip(rows, pack.records(table.sample_ids[rows]), strict=True):
            low, high, extent = record["region"][:2], record["region"][2:], record["image"]
            if not record["original"] and ((low < 0) | (low >= high) | (high > extent)).any():
                message = (
                    f"the stored region {_numbers(record['region'])} is not part of an "
                    f"image of {extent[0]} x {extent[1]}"
                )
                yield Finding("error", "pack-index", table.sources[row], message)


def check_pack_crops(inventory: Inventory) -> Iterator[Finding]:
    """Landmarks that the image shows and the stored crop does not."""
    for _, table, pack in _packed(inventory):
        rows = _indexed_rows(table, pack)
        for row, record in zip(rows, pack.records(table.sample_ids[rows]), strict=True):
            points, region = table.landmarks[row], record["region"]
            within = ((points >= 0) & (points <= record["image"])).all(axis=1)
            missed = within & ((points < region[:2]) | (points > region[2:])).any(axis=1)
            if missed.any() and not record["original"]:
                count = int(missed.sum())
                message = (
                    f"{count} landmark{'s' * (count > 1)} of the image outside the stored crop "
                    f"{_numbers(region)}; a larger --margin would keep them"
                )
                yield Finding("warning", "pack-crop", table.sources[row], message, value=count)


def check_pack_reach(inventory: Inventory) -> Iterator[Finding]:
    """Crops too small for the box protocol and the augmentation that the pack was made for."""
    for split, table, pack in _packed(inventory):
        settings = read_settings(inventory.root)
        box = settings.box.model_copy(update={"protocol": inventory.box.protocol})
        rows = _indexed_rows(table, pack)
        if pack.size is None or not len(rows):
            continue
        try:
            check_stored(table.select(rows), box, settings.augment, pack.size)
        except ValueError as error:
            message = f"{split}, {box.protocol} boxes: {error}"
            yield Finding("warning", "pack-reach", str(inventory.root / MANIFEST), message)


def unchecked_of_pack(inventory: Inventory) -> tuple[str, ...]:
    """What the checks of a folder examine and a pack does not have, as text."""
    if inventory.format != "pack":
        return ()
    missing = ["annotation files", "subset lists", "WFLW's official sizes"]
    if read_settings(inventory.root).size is not None:
        missing.append("kinds, colours and EXIF turns of the original images")
    return tuple(missing)


def _numbers(region: np.ndarray) -> str:
    return f"({', '.join(map(str, region.tolist()))})"


def _packed(inventory: Inventory) -> Iterator[tuple[str, Annotations, StoredImages]]:
    for split, table in inventory.tables():
        if table.pack is not None:
            yield split, table, table.pack


def _indexed_rows(table: Annotations, pack: StoredImages) -> np.ndarray:
    """The rows of faces that have an image; the others are found where it is read."""
    return np.flatnonzero(np.isin(table.sample_ids, pack.sample_ids))
