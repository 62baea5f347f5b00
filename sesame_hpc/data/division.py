"""The division of faces into training and held-out ones, and of the former by their labels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.rng import keyed_generator
from sesame_hpc.data.string_column import StringColumn

__all__ = ["heldout_count", "split_heldout", "split_labelled"]

_MOST_HELD_OUT = 500


def heldout_count(heldout: int | float, faces: int) -> int:
    """The number of held-out faces that `data.heldout` means: a count, or a fraction of `faces`.

    A fraction is at least one face and at most 500.
    """
    if heldout >= 1:
        return int(heldout)
    return max(1, min(round(heldout * faces), _MOST_HELD_OUT))


def split_heldout(
    annotations: Annotations, count: int, seed: int, groups: Sequence[str] | None = None
) -> tuple[Annotations, Annotations]:
    """Training faces and at least `count` held-out faces; all faces of a group stay together.

    `groups` has the name of each face's group; None takes its image. Groups are held out in an
    order drawn from `seed` until `count` faces are reached. The draw depends only on the set of
    names; both parts keep the order of the rows.

    Raises:
        ValueError: `count` is not positive, or would leave no group to train on.
    """
    if count < 1:
        raise ValueError(f"heldout: {count} faces; takes at least 1")
    is_heldout, names, most = _drawn(annotations, count, groups, np.random.default_rng(seed))
    if is_heldout.all():
        raise ValueError(
            f"data.heldout: {count} of {len(annotations)} faces on {names} images leaves none to "
            f"train on; at most {most} can be held out, or a fraction such as 0.1"
        )
    return annotations.select(~is_heldout), annotations.select(is_heldout)


def split_labelled(
    annotations: Annotations,
    labels: int | float,
    seed: int,
    groups: Sequence[str] | None = None,
) -> tuple[Annotations, Annotations]:
    """The faces that keep their labels as `data.labels` says, and the others, without theirs.

    `labels` is a number of faces, or (as a float) a share of them, at least one face. Groups as in
    `split_heldout` are taken whole until there are that many, in an order drawn from `seed`: a
    smaller number takes a part of what a larger one takes.

    Raises:
        ValueError: more than there are.
    """
    share = isinstance(labels, float)
    count = max(1, round(labels * len(annotations))) if share else int(labels)
    if count > len(annotations):
        raise ValueError(
            f"data.labels: {count} of {len(annotations)} training faces cannot keep their labels; "
            "null keeps those of all"
        )
    stream = keyed_generator(seed, "labels", 0, 0, "order")
    is_labelled, _, _ = _drawn(annotations, count, groups, stream)
    return annotations.select(is_labelled), annotations.select(~is_labelled).without_labels()


def _drawn(
    annotations: Annotations,
    count: int,
    groups: Sequence[str] | None,
    generator: np.random.Generator,
) -> tuple[NDArray[np.bool_], int, int]:
    """Which faces are in the first groups, in a drawn order, that have `count` faces together.

    Also the number of groups, and the faces of all but the last in that order.
    """
    named = StringColumn.of(annotations.images if groups is None else groups).as_bytes()
    names, group_of_row = np.unique(named, return_inverse=True)
    order = generator.permutation(len(names))
    reached = np.cumsum(np.bincount(group_of_row, minlength=len(names))[order])
    needed = int(np.searchsorted(reached, count)) + 1
    most = int(reached[-2]) if len(names) > 1 else 0
    return np.isin(group_of_row, order[:needed]), len(names), most
