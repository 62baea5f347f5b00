"""Several tables of one scheme as one: data sets read together, or faces with other labels."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.pack.images import JoinedImages

__all__ = ["dataset_names", "merge_tables", "pool_tables"]


def dataset_names(roots: tuple[Path, ...]) -> list[str]:
    """A short name for each data set's folder: its own, or its whole path where two are alike.

    Raises:
        ValueError: a folder is given twice.
    """
    places = [root.resolve() for root in roots]
    if twice := next((root for n, root in enumerate(roots) if places[n] in places[:n]), None):
        raise ValueError(f"{twice} is among the data sets twice, and its faces would count double")
    names = [place.name for place in places]
    return [
        name if names.count(name) == 1 else str(root)
        for name, root in zip(names, roots, strict=True)
    ]


def merge_tables(tables: Mapping[str, Annotations]) -> Annotations:
    """The faces of all tables, in their order and renumbered; `datasets` has each one's name.

    Attributes are those of any table; a face of one that does not have it counts as no.

    Raises:
        ValueError: tables of several schemes, or a pack among several tables.
    """
    parts = list(tables.values())
    first = parts[0]
    if any(part.scheme != first.scheme for part in parts):
        schemes = ", ".join(f"{name}: {part.scheme.name}" for name, part in tables.items())
        raise ValueError(f"data sets of several schemes ({schemes}) cannot be trained on together")
    if packed := [name for name, part in tables.items() if part.pack is not None]:
        raise ValueError(
            f"{packed[0]} is a pack, which cannot be read together with other data sets; "
            "give the folder that it was made from"
        )
    root = Path(os.path.commonpath([os.path.abspath(part.root) for part in parts]))
    names = tuple(dict.fromkeys(name for part in parts for name in part.attribute_names))
    count = sum(map(len, parts))
    return Annotations(
        scheme=first.scheme,
        root=root,
        images=tuple(
            Path(os.path.abspath(part.root / image)).relative_to(root).as_posix()
            if _is_below(part.root / image, root)
            else os.path.abspath(part.root / image)
            for part in parts
            for image in part.images
        ),
        boxes=np.concatenate([part.boxes for part in parts]),
        landmarks=np.concatenate([part.landmarks for part in parts]),
        attributes=np.concatenate([_attributes(part, names) for part in parts]),
        attribute_names=names,
        sources=tuple(source for part in parts for source in part.sources),
        sample_ids=np.arange(count, dtype=np.int64),
        visibility=np.concatenate([part.seen for part in parts]),
        datasets=tuple(name for name, part in tables.items() for _ in range(len(part))),
    )


def pool_tables(tables: Sequence[Annotations]) -> Annotations:
    """The faces of all tables, in their order, with their sample ids, and without attributes.

    Their images may be files, in packs or in memory.

    Raises:
        ValueError: tables of several schemes, or with the same sample ids.
    """
    first = tables[0]
    if any(table.scheme != first.scheme for table in tables):
        raise ValueError("faces of several schemes cannot be trained on together")
    images = [
        image if table.root == first.root else os.path.abspath(table.root / image)
        for table in tables
        for image in table.images
    ]
    count = len(images)
    stored = [(table.pack, table.sample_ids) for table in tables]
    return Annotations(
        scheme=first.scheme,
        root=first.root,
        images=tuple(images),
        boxes=np.concatenate([table.boxes for table in tables]),
        landmarks=np.concatenate([table.landmarks for table in tables]),
        attributes=np.zeros((count, 0), dtype=np.bool_),
        attribute_names=(),
        sources=tuple(source for table in tables for source in table.sources),
        sample_ids=np.concatenate([table.sample_ids for table in tables]),
        pack=None if all(images is None for images, _ in stored) else JoinedImages(stored),
        visibility=np.concatenate([table.seen for table in tables]),
    )


def _is_below(path: Path, root: Path) -> bool:
    return Path(os.path.abspath(path)).is_relative_to(root)


def _attributes(part: Annotations, names: tuple[str, ...]) -> np.ndarray:
    columns = np.zeros((len(part), len(names)), dtype=np.bool_)
    for position, name in enumerate(part.attribute_names):
        columns[:, names.index(name)] = part.attributes[:, position]
    return columns
