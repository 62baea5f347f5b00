"""Which label file belongs to which image, where each image has a file of its own."""

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from sesame_hpc.data.findings import Finding

__all__ = ["Sidecars", "pair_sidecars"]


@dataclass
class Sidecars:
    """Images by the label files that are theirs, and what is left.

    Attributes:
        images: the image of each label file.
        rivals: images of the same name with another suffix, and the one that has the label file.
        lone_labels: label files without an image.
        lone_images: images without a label file.
        respelled: label files that are spelled differently from their images.
    """

    images: dict[PurePosixPath, PurePosixPath] = field(default_factory=dict)
    rivals: list[tuple[PurePosixPath, PurePosixPath]] = field(default_factory=list)
    lone_labels: list[PurePosixPath] = field(default_factory=list)
    lone_images: list[PurePosixPath] = field(default_factory=list)
    respelled: list[PurePosixPath] = field(default_factory=list)

    def findings(self, labels: Path) -> list[Finding]:
        """One finding about all label files, below `labels`, that are spelled differently."""
        if not self.respelled:
            return []
        first, count = self.respelled[0], len(self.respelled)
        message = f"{first.name!r} was taken for that of {self.images[first].name!r}; {count} file "
        message += f"name{'s are' if count > 1 else ' is'} spelled differently from the image"
        return [Finding("note", "respelled", str(labels / first), message, value=float(count))]


def pair_sidecars(images: Sequence[PurePosixPath], labels: Iterable[PurePosixPath]) -> Sidecars:
    """Pairs by path without suffix; what is left by it without case, then by file name alone.

    Case and Unicode form do not count in the latter two, and only what is unambiguous is paired.
    """
    result = Sidecars()
    free_labels, free_images = list(labels), list(images)
    for key in (_path_key, _folded_path_key, _name_key):
        labels_by_key, images_by_key = _grouped(free_labels, key), _grouped(free_images, key)
        for name, own in labels_by_key.items():
            others = images_by_key.get(name, [])
            if key is _path_key and others:
                result.images[own[0]] = others[0]
                result.rivals += [(rival, others[0]) for rival in others[1:]]
            elif len(own) == len(others) == 1:
                result.images[own[0]] = others[0]
                if own[0].stem != others[0].stem:
                    result.respelled.append(own[0])
        taken = {*result.images.values(), *(rival for rival, _ in result.rivals)}
        free_labels = [path for path in free_labels if path not in result.images]
        free_images = [path for path in free_images if path not in taken]
    result.lone_labels, result.lone_images = free_labels, free_images
    return result


def _grouped(
    paths: Iterable[PurePosixPath], key: Callable[[PurePosixPath], str]
) -> dict[str, list[PurePosixPath]]:
    groups: dict[str, list[PurePosixPath]] = {}
    for path in paths:
        groups.setdefault(key(path), []).append(path)
    return groups


def _path_key(path: PurePosixPath) -> str:
    return str(path.with_suffix(""))


def _folded_path_key(path: PurePosixPath) -> str:
    return unicodedata.normalize("NFC", _path_key(path)).casefold()


def _name_key(path: PurePosixPath) -> str:
    return unicodedata.normalize("NFC", path.stem).casefold()
