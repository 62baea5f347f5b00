"""Stages that a run may take from another run, which has trained them with the same settings.

`shared.json` of a run folder: {stage: {"from": run folder, relative to this one, "taken": when, or
null while it has not been}}. A stage is taken only if every setting that it depends on is equal,
and the data set too; if the other run has not finished it, or differs, or what it left is damaged,
the stage is trained here, to the same bits.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sesame_hpc.choices import STAGES
from sesame_hpc.config import Config
from sesame_hpc.files import link_or_copy, read_json, write_json_atomic
from sesame_hpc.run.data_identity import without_unlabelled
from sesame_hpc.run.folder import RunFolder, read_verified_json
from sesame_hpc.run.results import finish_stage, stage_damage

__all__ = [
    "finish_taking",
    "link_stage",
    "note_source",
    "source_of",
    "stage_settings",
    "taken_from",
]

_FILE = "shared.json"
_OF_PRETRAIN = ("unlabelled", "unlabelled_boxes", "unlabelled_rest")


def stage_settings(config: Config, stage: str) -> dict[str, Any]:
    """Everything in `config` that the result of `stage` depends on.

    That is all of it but the output folder, the trackers, the stages that come later, and the
    masking and the unlabelled faces if no stage up to this one masks. Two configs with equal
    settings train the stage to equal bits.
    """
    settings = config.model_dump(mode="json")
    del settings["output"], settings["track"]
    own = _up_to(config, stage)
    settings["stages"] = {name: settings["stages"][name] for name in own}
    if "pretrain" not in own:
        del settings["masking"]
        for key in _OF_PRETRAIN:
            del settings["data"][key]
    return settings


def _up_to(config: Config, stage: str) -> tuple[str, ...]:
    """The run's stages up to `stage`."""
    return tuple(name for name in config.stages.run if STAGES.index(name) <= STAGES.index(stage))


def note_source(folder: RunFolder, sources: dict[str, RunFolder]) -> None:
    """Note that the run in `folder` may take stages from others: {stage: the other's folder}.

    A stage that was taken before keeps its note. A damaged `shared.json` is rewritten.
    """
    notes = {stage: note for stage, note in _notes(folder).items() if note["taken"]}
    for stage, source in sources.items():
        place = os.path.relpath(source.path, folder.path)
        notes.setdefault(stage, {"from": place, "taken": None})
    if notes != _notes(folder):
        write_json_atomic(folder.path / _FILE, notes)


def source_of(
    folder: RunFolder, stage: str, config: Config, identity: dict[str, Any]
) -> RunFolder | None:
    """The run that is noted for `stage`, if it has finished it with the settings of `config`.

    `identity` is that of the data set (`Faces.identity`), which must be the same too. None if there
    is no such run, or if what the stage left there is damaged.
    """
    note = _notes(folder).get(stage)
    if note is None:
        return None
    source = RunFolder(folder.path / note["from"])
    theirs = source.config_or_none()
    if theirs is None or not source.is_finished(stage) or stage_damage(source, stage):
        return None
    if stage_settings(theirs, stage) != stage_settings(config, stage):
        return None
    theirs_read = _identity(source)
    if "pretrain" not in _up_to(config, stage):
        identity = without_unlabelled(identity)
        theirs_read = theirs_read and without_unlabelled(theirs_read)
    return source if theirs_read == identity else None


def _identity(folder: RunFolder) -> Any:
    try:
        return read_verified_json(folder.data_file)
    except ValueError:
        return None


def taken_from(folder: RunFolder) -> dict[str, Path]:
    """{stage: the run folder it was taken from} of the stages that were not trained here."""
    return {
        stage: Path(os.path.normpath(folder.path / note["from"]))
        for stage, note in _notes(folder).items()
        if note["taken"]
    }


def link_stage(source: RunFolder, folder: RunFolder, stage: str) -> None:
    """Link or copy what `stage` left in `source` into `folder`, but for its records and result."""
    files = [
        *source.stage(stage).glob("weights*.safetensors"),
        *(source.path / "predictions").glob(f"{stage}-*.npz"),
        *source.images.glob(f"{stage}-*.png"),
        *(source.path / "profile").glob(f"{stage}.*"),
    ]
    for file in files:
        link_or_copy(file, folder.path / file.relative_to(source.path))


def finish_taking(source: RunFolder, folder: RunFolder, stage: str) -> None:
    """Record where `stage` is from, then mark it as finished with the source's result."""
    result = source.result(stage)
    assert result is not None
    notes = _notes(folder)
    notes[stage]["taken"] = datetime.now(UTC).isoformat(timespec="seconds")
    write_json_atomic(folder.path / _FILE, notes)
    finish_stage(folder, stage, result)


def _notes(folder: RunFolder) -> dict[str, dict[str, Any]]:
    try:
        return dict(read_json(folder.path / _FILE))
    except (FileNotFoundError, ValueError):
        return {}
