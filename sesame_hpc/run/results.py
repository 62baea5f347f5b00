"""What a finished stage leaves in the run folder, and whether it is still whole."""

from pathlib import Path
from typing import Any

from sesame_hpc.checksums import add_sums, damage, digest_of, file_digest, forget_sums, read_sums
from sesame_hpc.files import as_json, sync_folder, write_bytes_atomic
from sesame_hpc.run.folder import RunFolder

__all__ = ["finish_stage", "stage_damage", "unfinish_stage"]

_RESULT = "result.json"


def finish_stage(folder: RunFolder, stage: str, result: dict[str, Any]) -> None:
    """List the checksums of all that `stage` left, then write `result`, which ends the stage."""
    content = as_json(result)
    for place, names in _left(folder, stage).items():
        add_sums(place, {name: file_digest(place / name) for name in names})
    add_sums(folder.stage(stage), {_RESULT: digest_of(content)})
    write_bytes_atomic(folder.stage(stage) / _RESULT, content)


def unfinish_stage(folder: RunFolder, stage: str) -> None:
    """What `stage` left is to be made again: from now on it counts as unfinished."""
    forget_sums(folder.stage(stage), [_RESULT])
    for path in (folder.summary_file, folder.stage(stage) / _RESULT):
        if path.exists():
            path.unlink()
            sync_folder(path.parent)


def stage_damage(folder: RunFolder, stage: str) -> list[str]:
    """What is wrong with the files of a finished stage, a sentence each; [] of an unfinished."""
    own = folder.stage(stage)
    if not (own / _RESULT).exists():
        listed = _RESULT in _sums(own)
        return [f"{own / _RESULT}: is missing"] if listed else []
    wanted = {own: {_RESULT, folder.weights(stage).name}}
    if stage == "preliminary":
        wanted[folder.path] = {folder.masking_file.name}
    for place, names in (*_left(folder, stage).items(), *_listed(folder, stage).items()):
        wanted.setdefault(place, set()).update(names)
    return [text for place, names in wanted.items() for text in damage(place, sorted(names))]


def _left(folder: RunFolder, stage: str) -> dict[Path, set[str]]:
    """{folder: names of the stage's files in it}, of those that exist."""
    files = [folder.weights(stage), folder.weights(stage, averaged=True)]
    files += folder.predictions(stage, "heldout").parent.glob(f"{stage}-*.npz")
    if stage == "preliminary":
        files.append(folder.masking_file)
    found: dict[Path, set[str]] = {}
    for path in files:
        if path.exists():
            found.setdefault(path.parent, set()).add(path.name)
    return found


def _listed(folder: RunFolder, stage: str) -> dict[Path, set[str]]:
    """The same of those that have a checksum."""
    predictions = folder.predictions(stage, "heldout").parent
    averaged = folder.weights(stage, averaged=True)
    found = {}
    for place, is_of_stage in (
        (predictions, lambda name: name.startswith(f"{stage}-")),
        (averaged.parent, lambda name: name == averaged.name),
    ):
        names = {name for name in _sums(place) if is_of_stage(name)}
        if names:
            found[place] = names
    return found


def _sums(folder: Path) -> dict[str, str]:
    """{} where the checksums themselves are damaged."""
    try:
        return read_sums(folder)
    except ValueError:
        return {}
