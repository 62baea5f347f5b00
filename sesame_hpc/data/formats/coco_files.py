"""Where COCO keypoint files and their images lie, under the names that tools give them."""

from pathlib import Path

from sesame_hpc.data.formats.split_files import part_of, require_split_file, split_file
from sesame_hpc.data.image_files import is_hidden

__all__ = ["coco_path", "image_folders", "require_coco_path"]

_MARKS = (b'"images"', b'"annotations"', b'"keypoints"')


def coco_path(root: Path, split: str) -> Path | None:
    """The file of a split, or None where there is none.

    Raises:
        ValueError: several files could be the split's.
    """
    return _named(root, split) or split_file(root, split, (".json",), _is_keypoint_file)


def require_coco_path(root: Path, split: str) -> Path:
    """The file of a split.

    Raises:
        FileNotFoundError: there is none.
        ValueError: several files could be the split's.
    """
    what = f"annotations/{split}.json, {split}.json and other COCO keypoint files (*.json)"
    return _named(root, split) or require_split_file(
        root, split, (".json",), _is_keypoint_file, what
    )


def image_folders(root: Path, path: Path, split: str) -> list[Path]:
    """Where the images of an annotation file may lie, likely places first."""
    below = [root / "images", root / split, root / path.parent.name]
    below += [folder for folder in _folders(root) if part_of(folder.name) == split]
    below += [root / "images" / split, root / "images" / path.parent.name]
    below += [folder for folder in _folders(root / "images") if part_of(folder.name) == split]
    below += [folder for folder in _folders(root) if folder.name.casefold() == "images"]
    return [*below, path.parent, root]


def _folders(folder: Path) -> list[Path]:
    return [each for each in sorted(folder.iterdir()) if each.is_dir()] if folder.is_dir() else []


def _named(root: Path, split: str) -> Path | None:
    """The file whose name alone says that it is the split's, whatever it holds."""
    exact = (root / "annotations" / f"{split}.json", root / f"{split}.json")
    named = sorted((root / "annotations").glob(f"*_{split}.json"))
    several = [path for path in named if not is_hidden(path.relative_to(root))]
    found = next((path for path in exact if path.is_file()), None)
    if found is None and len(several) > 1:
        listed = ", ".join(f"annotations/{each.name}" for each in several)
        raise ValueError(
            f"several {split} splits in {root}: {listed}; name one of them annotations/{split}.json"
        )
    return found or next((path for path in several if path.is_file()), None)


def _is_keypoint_file(path: Path) -> bool:
    try:
        content = path.read_bytes()
    except OSError:
        return False
    return all(mark in content for mark in _MARKS)
