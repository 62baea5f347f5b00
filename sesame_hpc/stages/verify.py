"""`verify`: whether the files of a run, an export or a pack are as they were written."""

from dataclasses import dataclass, field
from pathlib import Path

from sesame_hpc.checksums import SUMS, damage, read_sums
from sesame_hpc.choices import STAGES
from sesame_hpc.data.pack.layout import open_shard
from sesame_hpc.data.pack.read import has_pack, read_manifest, read_pack
from sesame_hpc.files import read_json
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.run.results import stage_damage
from sesame_hpc.training.records import MetricsLog

__all__ = ["Verification", "verify"]


@dataclass
class Verification:
    """How many files were held against their checksums, and what is wrong, a sentence each."""

    files: int = 0
    faults: list[str] = field(default_factory=list)


def verify(path: Path) -> Verification:
    """Read every file below `path` that has a checksum, and what a run keeps besides.

    Raises FileNotFoundError where `path` is not a run, an export or a pack.
    """
    found = Verification()
    if has_pack(path):
        _verify_pack(path, found)
        return found
    folder = RunFolder(path)
    sums = sorted(path.rglob(SUMS)) if path.is_dir() else []
    if not sums and not folder.config_file.exists():
        raise FileNotFoundError(f"{path} is not a run, an export or a pack: it has no {SUMS}")
    for each in sums:
        if not any(part.startswith(".") for part in each.relative_to(path).parts):
            _verify_folder(each.parent, found)
    if folder.config_file.exists():
        _verify_run(folder, found)
    found.faults = list(dict.fromkeys(found.faults))
    return found


def _verify_folder(folder: Path, found: Verification) -> None:
    found.faults += damage(folder)
    try:
        found.files += len(read_sums(folder))
    except ValueError:
        return


def _verify_run(folder: RunFolder, found: Verification) -> None:
    for stage in STAGES:
        found.faults += stage_damage(folder, stage)
        found.faults += _unreadable(folder.stage(stage) / "latest.json")
        for checkpoint in folder.stage(stage).glob("step-*"):
            if not (checkpoint / SUMS).exists():
                found.faults.append(f"{checkpoint / SUMS}: is missing")
    for name in ("environment.json", "jobs.json", "evaluation.json", "requeues.json"):
        found.faults += _unreadable(folder.path / name)
    if folder.metrics_file.exists():
        found.faults += [
            f"{folder.metrics_file}:{number}: is damaged, and left out of curves and tables"
            for number in MetricsLog.damaged_lines(folder.metrics_file)
        ]


def _unreadable(path: Path) -> list[str]:
    try:
        read_json(path)
    except FileNotFoundError:
        return []
    except ValueError as error:
        return [str(error)]
    return []


def _verify_pack(root: Path, found: Verification) -> None:
    """Packs have checksums of their own, one per image."""
    try:
        splits = read_manifest(root)["parts"]
    except ValueError as error:
        found.faults.append(str(error))
        return
    found.files += 1
    for split, part in splits.items():
        try:
            read_pack(root, split)
            found.files += 1
        except (FileNotFoundError, ValueError) as error:
            found.faults.append(str(error))
        for name in part["shards"]:
            try:
                open_shard(root / name).verify()
                found.files += 1
            except (FileNotFoundError, ValueError) as error:
                found.faults.append(str(error))
    found.faults = list(dict.fromkeys(found.faults))
