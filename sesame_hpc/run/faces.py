"""The faces of a run: its scheme, its training, held-out and test parts."""

from dataclasses import dataclass

from sesame_hpc.config import Config
from sesame_hpc.data.annotations import Annotations, split_heldout
from sesame_hpc.data.check.look_alikes import image_groups
from sesame_hpc.data.formats.readers import format_scheme, has_split, read_annotations
from sesame_hpc.data.pack.read import SCHEME_FILE
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.schemes import Scheme, load_scheme

__all__ = ["Faces", "read_faces", "run_scheme"]


@dataclass(frozen=True)
class Faces:
    train: Annotations
    heldout: Annotations
    test: Annotations | None

    @property
    def scheme(self) -> Scheme:
        return self.train.scheme


def run_scheme(config: Config, folder: RunFolder) -> Scheme:
    """The run's scheme: the copy in its folder, else that of its config, pack or format."""
    if folder.scheme_file.exists():
        return load_scheme(folder.scheme_file)
    if config.data.scheme is not None:
        return load_scheme(config.data.scheme)
    if config.data.format == "pack":
        return load_scheme(config.data.root / SCHEME_FILE)
    return format_scheme(config.data.format)


def read_faces(config: Config, folder: RunFolder) -> Faces:
    """Read and split the data set of `config`; the held-out part is drawn with `config.seed`."""
    data, scheme = config.data, run_scheme(config, folder)
    everything = read_annotations(data.root, data.format, "train", scheme)
    groups = None
    if data.heldout_group == "look_alike":
        groups = image_groups(everything, folder.groups_file, data.threads)
    train, heldout = split_heldout(everything, data.heldout, config.seed, groups)
    test = None
    if has_split(data.root, data.format, "test", scheme):
        test = read_annotations(data.root, data.format, "test", scheme)
    return Faces(train, heldout, test)
