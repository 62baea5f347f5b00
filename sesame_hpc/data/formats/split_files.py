"""Which annotation file of a folder is that of a split, by its name or its folder's."""

import re
from collections.abc import Callable
from pathlib import Path

from sesame_hpc.data.formats.faults import folder_entries
from sesame_hpc.data.image_files import is_hidden

__all__ = ["part_of", "require_split_file", "split_file"]

_PART_NAMES = {
    "train": "train",
    "training": "train",
    "trainset": "train",
    "test": "test",
    "testing": "test",
    "testset": "test",
}
_OTHER_PARTS = frozenset({"val", "valid", "validation", "dev"})


def split_file(
    root: Path, split: str, suffixes: tuple[str, ...], fits: Callable[[Path], bool]
) -> Path | None:
    """The file of a split that ends in one of `suffixes` and `fits`; None where there is none.

    It lies in the folder, in `annotations`, or in a folder named as a part. A file whose name has
    no part's name in it is that of train.

    Raises:
        ValueError: several files could be the split's.
    """
    found = [
        path
        for folder in _folders(root)
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in suffixes and _part(path, root) == split
        if path.is_file() and not is_hidden(path.relative_to(folder)) and fits(path)
    ]
    if len(found) > 1:
        listed = ", ".join(str(each.relative_to(root)) for each in found[:8])
        name = f"{split}{found[0].suffix}"
        raise ValueError(f"several {split} splits in {root}: {listed}; name one of them {name}")
    return found[0] if found else None


def require_split_file(
    root: Path, split: str, suffixes: tuple[str, ...], fits: Callable[[Path], bool], what: str
) -> Path:
    """As `split_file`, of files that are `what`.

    Raises:
        FileNotFoundError: there is none.
        ValueError: several files could be the split's.
    """
    if (path := split_file(root, split, suffixes, fits)) is not None:
        return path
    folder = root / "annotations" if (root / "annotations").is_dir() else root
    raise FileNotFoundError(
        f"no {split} split: looked for {what} in annotations, {split} and {root}; "
        f"{folder_entries(folder)}"
    )


def part_of(name: str) -> str:
    """The part that a name says: train, test, other (validation), or "" for none."""
    words = re.split(r"[^a-z]+", name.casefold())
    known = [_PART_NAMES.get(word, "other" if word in _OTHER_PARTS else "") for word in words]
    return next((part for part in known if part), "")


def _folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    below = [each for each in sorted(root.iterdir()) if each.is_dir()]
    named = [each for each in below if each.name != "annotations" and part_of(each.name)]
    return [root, *(each for each in below if each.name == "annotations"), *named]


def _part(path: Path, root: Path) -> str:
    part = part_of(path.stem)
    if not part and path.parent != root:
        part = part_of(path.parent.name)
    return part or "train"
