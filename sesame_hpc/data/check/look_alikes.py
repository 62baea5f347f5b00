"""Images that show one photograph under several names, and the names that they share."""

from collections.abc import Mapping

import numpy as np

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.check.duplicates import LEAST_LIKENESS
from sesame_hpc.data.check.probe import probe_tables
from sesame_hpc.data.check.thumbnails import similar_pairs

__all__ = ["image_groups", "look_alikes"]


def image_groups(faces: Annotations, alike: Mapping[str, str]) -> tuple[str, ...]:
    """The group of each face's image, by name: its own, or that of the first that looks like it.

    `alike` is what `look_alikes` found.
    """
    return tuple(str(alike.get(image, image)) for image in faces.images)


def look_alikes(faces: Annotations, threads: int) -> dict[str, str]:
    """Of each image that looks like another, the name of the first of these in the alphabet.

    As `sesame data check` finds them, by any face on them; likeness is taken to be transitive. An
    image that cannot be read looks like none.
    """
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
