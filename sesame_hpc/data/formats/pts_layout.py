"""Which `.pts` files and images of a folder belong together, and to which split."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from sesame_hpc.choices import SPLITS
from sesame_hpc.data.findings import Finding
from sesame_hpc.data.formats.faults import Fault, folder_entries, read_lines
from sesame_hpc.data.formats.hidden_files import hidden_files_ignored
from sesame_hpc.data.formats.sidecars import pair_sidecars
from sesame_hpc.data.image_files import IMAGE_SUFFIXES, files_below, is_hidden, is_image_name
from sesame_hpc.data.image_names import resolve_names

__all__ = ["PairedFiles", "has_pts", "pair_files"]

_PARTS = {"train": "train", "trainset": "train", "test": "test", "testset": "test"}
_SOURCES = frozenset({"afw", "helen", "lfpw"})
_CHALLENGING = "ibug"


@dataclass
class PairedFiles:
    """The images below `folder` that have a `.pts` file, with it, in sorted order.

    `faults` are files that fit no other or several, `findings` what was skipped.
    """

    folder: Path
    pairs: list[tuple[PurePosixPath, PurePosixPath]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def has_pts(root: Path, split: str) -> bool:
    """Whether there are `.pts` files of a split."""
    if not root.is_dir():
        return False
    folder, below = _folder_of(root, split)
    if folder is None:
        return False
    visible = (path for path in files_below(folder) if not is_hidden(path))
    files = [path for path in visible if path.suffix.lower() == ".pts"]
    return bool(files if below else _of_part(root, files, split))


def pair_files(root: Path, split: str) -> PairedFiles:
    """The files of a split: all below `root/<split>`; else those below `root` that belong to it.

    Below `root`, `train.txt` and `test.txt` list a split's images or `.pts` files; without them
    folders named train, trainset, test and testset tell it. In 300-W's own layout (two of afw,
    helen and lfpw) ibug is test, as is usual; all else is train.

    Raises:
        FileNotFoundError: there is no such split.
    """
    folder, below = _folder_of(root, split)
    if folder is None:
        raise FileNotFoundError(
            f"no {split} split: looked for the folder {root / split}, or folders named {split}set "
            f"with .pts files; {folder_entries(root)}"
        )
    result = PairedFiles(folder)
    everything = list(files_below(folder))
    files = [path for path in everything if not is_hidden(path)]
    if not below:
        files = _of_part(root, files, split)
        _tell_split(root, files, split, result)
    result.findings += hidden_files_ignored(folder, everything, ".pts")
    points = [path for path in files if path.suffix.lower() == ".pts"]
    images = [path for path in files if is_image_name(path.name)]
    _pair(images, points, result)
    return result


def _folder_of(root: Path, split: str) -> tuple[Path | None, bool]:
    """The folder of a split, and whether all of it is the split."""
    if (root / split).is_dir():
        return root / split, True
    if split == "train":
        return root, False
    parts = {_part(path) for path in files_below(root) if path.suffix.lower() == ".pts"}
    known = split in parts or (root / f"{split}.txt").is_file() or _is_300w(root)
    return (root if known else None), False


def _of_part(root: Path, files: Iterable[PurePosixPath], split: str) -> list[PurePosixPath]:
    files = list(files)
    listed: dict[str, set[PurePosixPath] | None]
    listed = {part: _listed(root, files, part) for part in SPLITS}
    if any(each is not None for each in listed.values()):
        own = listed[split]
        if own is not None:
            return [path for path in files if path.with_suffix("") in own]
        other = next(each for each in listed.values() if each is not None)
        return [path for path in files if path.with_suffix("") not in other]
    whole = _is_300w(root)
    return [path for path in files if (_part(path, whole) or "train") == split]


def _listed(root: Path, files: Sequence[PurePosixPath], part: str) -> set[PurePosixPath] | None:
    """The files without suffix that `root/<part>.txt` lists; None where there is no such list."""
    path = root / f"{part}.txt"
    if not path.is_file():
        return None
    names = [line.strip() for line in read_lines(path) if line.strip()]
    stems = [PurePosixPath(name.replace("\\", "/")).with_suffix("").as_posix() for name in names]
    known = list(dict.fromkeys(str(file.with_suffix("")) for file in files))
    return {PurePosixPath(name) for name in resolve_names(stems, known).found.values()}


def _part(path: PurePosixPath, whole: bool = False) -> str:
    folders = [folder.casefold() for folder in path.parts[:-1]]
    part = next((_PARTS[folder] for folder in folders if folder in _PARTS), "")
    return "test" if not part and whole and _CHALLENGING in folders else part


def _is_300w(root: Path) -> bool:
    names = {each.name.casefold() for each in root.iterdir() if each.is_dir()}
    return len(names & _SOURCES) >= 2


def _tell_split(root: Path, files: list[PurePosixPath], split: str, result: PairedFiles) -> None:
    points = [path for path in files if path.suffix.lower() == ".pts"]
    folders = sorted({str(path.parent) for path in points if path.parent != PurePosixPath(".")})
    if folders and not (root / f"{split}.txt").is_file():
        message = f"the {split} split is what lies in {', '.join(folders[:8])}"
        message += f" and {len(folders) - 8} more" * (len(folders) > 8)
        result.findings.append(Finding("note", "split-by-folder", str(root), message))


def _pair(images: list[PurePosixPath], points: list[PurePosixPath], result: PairedFiles) -> None:
    found = pair_sidecars(images, points)
    for rival, other in found.rivals:
        problem = f"shares its .pts file with {other.name}; one image each"
        result.faults.append(Fault("layout", result.folder / rival, problem))
    for path in found.lone_labels:
        problem = f"has no image beside it ({path.stem} with {', '.join(IMAGE_SUFFIXES)})"
        result.faults.append(Fault("image", result.folder / path, problem))
    result.findings += found.findings(result.folder)
    for path in found.lone_images:
        message = f"has no {path.stem}.pts beside it: left out"
        result.findings.append(Finding("note", "unlabelled", str(result.folder / path), message))
    result.pairs = sorted((image, own) for own, image in found.images.items())
