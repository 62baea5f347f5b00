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
    """How many files were compared with their checksums, and what is wrong, a sentence each."""

    files: int = 0
    problems: list[str] = field(default_factory=list)


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
    found.problems = list(dict.fromkeys(found.problems))
    return found


def _verify_folder(folder: Path, found: Verification) -> None:
    found.problems += damage(folder)
    try:
        found.files += len(read_sums(folder))
    except ValueError:
        return


def _verify_run(folder: RunFolder, found: Verification) -> None:
    for stage in STAGES:
        found.problems += stage_damage(folder, stage)
        found.problems += _unreadable(folder.stage(stage) / "latest.json")
        for checkpoint in folder.stage(stage).glob("step-*"):
            if not (checkpoint / SUMS).exists():
                found.problems.append(f"{checkpoint / SUMS}: is missing")
    for name in ("environment.json", "jobs.json", "evaluation.json", "requeues.json"):
        found.problems += _unreadable(folder.path / name)
    if folder.metrics_file.exists():
        found.problems += [
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
        found.problems.append(str(error))
        return
    found.files += 1
    for split, part in splits.items():
        try:
            read_pack(root, split)
            found.files += 1
        except (FileNotFoundError, ValueError) as error:
            found.problems.append(str(error))
        for name in part["shards"]:
            try:
                open_shard(root / name).verify()
                found.files += 1
            except (FileNotFoundError, ValueError) as error:
                found.problems.append(str(error))
    found.problems = list(dict.fromkeys(found.problems))
