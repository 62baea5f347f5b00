"""The faces of a run: its scheme, its training, held-out and test parts."""

import json
from dataclasses import dataclass, field
from typing import Any

from sesame_hpc.checksums import read_verified
from sesame_hpc.config import Config
from sesame_hpc.data.annotations import Annotations, split_heldout
from sesame_hpc.data.check.look_alikes import image_groups, look_alikes
from sesame_hpc.data.formats.readers import format_scheme, has_split, read_annotations
from sesame_hpc.data.pack.read import SCHEME_FILE
from sesame_hpc.run.data_identity import data_identity, identity_differences
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.run.settings import own_scheme, recorded_identity
from sesame_hpc.schemes import Scheme, load_scheme

__all__ = ["Faces", "read_faces", "run_scheme"]


@dataclass(frozen=True)
class Faces:
    """`look_alikes` are the groups that the division was drawn by, None where it was by image."""

    train: Annotations
    heldout: Annotations
    test: Annotations | None
    identity: dict[str, Any] = field(default_factory=dict)
    look_alikes: dict[str, str] | None = None

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
    if config.data.format == "pack":
        return load_scheme(config.data.root / SCHEME_FILE)
    return format_scheme(config.data.format)


def read_faces(config: Config, folder: RunFolder) -> Faces:
    """Read and split the data set of `config`; the held-out part is drawn by `config.seed`.

    Writes nothing.

    Raises ValueError for faults of the data set, and where it is not the one that the run in
    `folder` began with, naming what differs; FileNotFoundError where there is none.
    """
    data, scheme = config.data, run_scheme(config, folder)
    if not data.root.is_dir():
        raise FileNotFoundError(
            f"data.root: {data.root} is not a directory; where the data set has moved, give its "
            "new place (data.root=FOLDER, or --data FOLDER)"
        )
    everything = read_annotations(data.root, data.format, "train", scheme)
    alike = groups = None
    if data.heldout_group == "look_alike":
        alike = _remembered(folder)
        if alike is None:
            alike = look_alikes(everything, data.threads)
        groups = image_groups(everything, alike)
    train, heldout = split_heldout(everything, data.heldout, config.seed, groups)
    test = None
    if has_split(data.root, data.format, "test", scheme):
        test = read_annotations(data.root, data.format, "test", scheme)
    parts = {"train": train, "heldout": heldout, "test": test}
    identity = data_identity(parts, data.box, data.format)
    _check_identity(identity, config, folder)
    return Faces(train, heldout, test, identity, alike)


def _check_identity(identity: dict[str, Any], config: Config, folder: RunFolder) -> None:
    recorded = recorded_identity(folder, identity)
    changed = identity_differences(recorded, identity) if recorded else []
    if changed:
        raise ValueError(
            f"data.root: {config.data.root} is not the data set that {folder.path} began with: "
            f"{'; '.join(changed)}. Continue it with its own data set, or give another "
            "output=FOLDER."
        )


def _remembered(folder: RunFolder) -> dict[str, str] | None:
    """The groups of the run; None where it has none yet, or they are damaged."""
    if not folder.has_progress():
        return None
    try:
        known = json.loads(read_verified(folder.groups_file))
    except (FileNotFoundError, ValueError):
        return None
    return known if isinstance(known, dict) else None
