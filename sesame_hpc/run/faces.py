"""The faces of a run: its scheme, its training, held-out, test and unlabelled parts."""

import json
from dataclasses import dataclass, field
from typing import Any

from sesame_hpc.checksums import read_verified
from sesame_hpc.config import Config
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.check.look_alikes import image_groups, look_alikes
from sesame_hpc.data.division import heldout_count, split_heldout, split_labelled
from sesame_hpc.data.formats.readers import has_part, read_part, scheme_of
from sesame_hpc.data.formats.registry import format_of
from sesame_hpc.directories import no_directory
from sesame_hpc.run.data_identity import data_identity, identity_differences, without_unlabelled
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.run.labelled_points import check_points
from sesame_hpc.run.settings import own_scheme, recorded_identity
from sesame_hpc.schemes import Scheme, load_scheme

__all__ = ["Faces", "read_faces", "run_scheme"]


@dataclass(frozen=True)
class Faces:
    """The parts of a run.

    `train` are the training faces that keep their labels, `rest` those that do not (`data.labels`),
    and `unlabelled` those of `data.unlabelled`, if they were read. `look_alikes` are the groups
    that the division was drawn by, None where it was by image.
    """

    train: Annotations
    heldout: Annotations
    test: Annotations | None
    identity: dict[str, Any] = field(default_factory=dict)
    look_alikes: dict[str, str] | None = None
    rest: Annotations | None = None
    unlabelled: Annotations | None = None

    @property
    def scheme(self) -> Scheme:
        return self.train.scheme


def run_scheme(config: Config, folder: RunFolder) -> Scheme:
    """The run's own scheme (its copy in the folder first), its pack's, or its format's."""
    own = own_scheme(folder, config)
    if own is not None:
        read_verified(own)
        return load_scheme(own)
    if config.data.scheme is not None:
        return load_scheme(config.data.scheme)
    return scheme_of(config.data.root, format_of(config.data))


def read_faces(config: Config, folder: RunFolder, unlabelled: Annotations | None = None) -> Faces:
    """Read and split the data set of `config`; the held-out part is drawn by `config.seed`.

    `unlabelled` are faces beside those of the data set. Writes nothing.

    Raises ValueError for faults of the data set, for points that cannot be learned or judged (see
    `check_points`), and where it is not the one that the run in
    `folder` began with, naming what differs; FileNotFoundError where there is none.
    """
    data, scheme = config.data, run_scheme(config, folder)
    for root in data.roots:
        if not root.is_dir():
            raise FileNotFoundError(
                f"data.root: {no_directory(root)}; where the data set has moved, give its "
                "new place (data.root=FOLDER, or --data FOLDER)"
            )
    everything = read_part(data, "train", scheme)
    alike = groups = None
    if data.heldout_group == "look_alike":
        alike = _recorded_groups(folder)
        if alike is None:
            alike = look_alikes(everything, data.threads)
        groups = image_groups(everything, alike)
    count = heldout_count(data.heldout, len(everything))
    train, heldout = split_heldout(everything, count, config.seed, groups)
    rest = None
    if data.labels is not None:
        groups = None if alike is None else image_groups(train, alike)
        train, others = split_labelled(train, data.labels, config.seed, groups)
        rest = others if len(others) else None
    test = None
    if has_part(data, "test", scheme):
        test = read_part(data, "test", scheme)
    check_points(train, heldout, test)
    parts = {"train": train, "heldout": heldout, "test": test}
    parts |= {} if rest is None else {"rest": rest}
    parts |= {} if unlabelled is None else {"unlabelled": unlabelled}
    identity = data_identity(parts, data.box, data.format)
    _check_identity(identity, config, folder)
    return Faces(train, heldout, test, identity, alike, rest, unlabelled)


def _check_identity(identity: dict[str, Any], config: Config, folder: RunFolder) -> None:
    recorded = recorded_identity(folder, identity)
    if recorded and "unlabelled" not in identity:  # only training reads these faces
        recorded = without_unlabelled(recorded)
    changed = identity_differences(recorded, identity) if recorded else []
    if changed:
        own = all(phrase.startswith("unlabelled") for phrase in changed)
        data = config.data
        where = f"data.unlabelled: {data.unlabelled}" if own else f"data.root: {data.root}"
        raise ValueError(
            f"{where} is not the data set that {folder.path} was started with: "
            f"{'; '.join(changed)}. Continue it with its own data set, or give another "
            "output=FOLDER."
        )


def _recorded_groups(folder: RunFolder) -> dict[str, str] | None:
    """The groups of the run; None where it has none yet, or they are damaged."""
    if not folder.has_progress():
        return None
    try:
        known = json.loads(read_verified(folder.groups_file))
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    return known if isinstance(known, dict) else None
