"""Images that show one photograph under several names, and the names that they share."""

from collections.abc import Mapping
from hashlib import blake2b

import numpy as np

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.check.duplicates import LEAST_LIKENESS
from sesame_hpc.data.check.probe import probe_tables
from sesame_hpc.data.check.similar import similar_pairs

__all__ = ["image_groups", "look_alikes"]


def image_groups(faces: Annotations, alike: Mapping[str, str]) -> tuple[str, ...]:
    """The group of each face's image, by name: its own, or that of the first that looks like it.

    `alike` is what `look_alikes` found.
    """
    return tuple(str(alike.get(image, image)) for image in faces.images)


def look_alikes(faces: Annotations, threads: int) -> dict[str, str]:
    """Of each image that looks like another, the name of the first of these in the alphabet.

    As `sesame data check` finds them, by any face on them; likeness is taken to be transitive. An
    image that cannot be read looks like none. The last result is kept in memory: all runs of a
    study ask for the same faces, and images that have not changed are not read again.
    """
    key = _fingerprint(faces)
    if key is None or key not in _latest:
        found = _look_alikes(faces, threads)
        _latest.clear()
        _latest[key] = found
    return dict(_latest[key])


_latest: dict[str | None, dict[str, str]] = {}


def _fingerprint(faces: Annotations) -> str | None:
    """The same for faces whose images and labels have not changed; None for those of a pack."""
    if faces.pack is not None:
        return None
    digest = blake2b(faces.landmarks.tobytes())
    digest.update(faces.boxes.tobytes())
    for row in range(len(faces)):
        path = faces.image_path(row)
        try:
            state = path.stat()
            digest.update(f"{path}\0{state.st_size}\0{state.st_mtime_ns}\0".encode())
        except OSError:
            digest.update(f"{path}\0".encode())
    return digest.hexdigest()


def _look_alikes(faces: Annotations, threads: int) -> dict[str, str]:
    images, seen = probe_tables([faces], threads), dict.fromkeys(faces.images, 0)
    names, thumbnails = [], []
    for row, image in enumerate(faces.images):
        thumbnail = images[faces.image_path(row)].thumbnails[seen[image]]
        seen[image] += 1
        if thumbnail is not None:
            names.append(image)
            thumbnails.append(thumbnail)
    if not thumbnails:
        return {}
    first_of = {image: image for image in names}

    def first(image: str) -> str:
        while first_of[image] != image:
            image = first_of[image]
        return image

    firsts, seconds, _ = similar_pairs(np.stack(thumbnails), LEAST_LIKENESS)
    for one, other in zip(firsts.tolist(), seconds.tolist(), strict=True):
        low, high = sorted((first(names[one]), first(names[other])))
        first_of[high] = low
    groups = {image: first(image) for image in sorted(first_of)}
    shared = {group for image, group in groups.items() if image != group}
    return {image: group for image, group in groups.items() if group in shared}
