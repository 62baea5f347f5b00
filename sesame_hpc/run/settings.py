"""A run's config, scheme and data set: written at its first start, compared at later ones.

Opening a run folder is here, too: it is what settings are checked and written for.
"""

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from sesame_hpc.checksums import SUMS, add_sums, digest_of, file_digest, read_sums
from sesame_hpc.choices import STAGES
from sesame_hpc.config import Config, differences, dump_config, load_config
from sesame_hpc.files import make_folder, remove_leftovers, write_bytes_atomic, write_json_atomic
from sesame_hpc.run.folder import RunFolder, read_verified_json
from sesame_hpc.run.work import WORK

__all__ = [
    "check_config",
    "open_run",
    "own_scheme",
    "recorded_identity",
    "tidy_run",
    "write_settings",
]

_MAY_CHANGE = (
    "runtime.",
    "profile",
    "log.",
    "track.",
    "checkpoint.",
    "divergence.",
    "data.threads",
    "data.root",
    "data.more_roots",
    "data.unlabelled:",
    "data.unlabelled_boxes:",
    "data.on_error",
    "data.max_skipped",
    "output",
)


def check_config(folder: RunFolder, config: Config) -> None:
    """Raise ValueError where `config` would train something else than this folder's run.

    A folder in which nothing was saved yet may be started again with any config. While another
    process trains there it is FolderBusy, whatever the config.
    """
    if not (folder.config_file.exists() and folder.has_progress()):
        return
    try:
        changed = _changes(folder, config)
    except ValueError as error:
        folder.lease.refuse_if_busy()
        raise ValueError(
            f"{error}. The command that started the run repairs {folder.config_file}"
        ) from None
    if changed:
        folder.lease.refuse_if_busy()
        raise ValueError(
            f"{folder.path} holds a run with another config: {'; '.join(changed)}. "
            "Continue it with its own config, or give another output=FOLDER."
        )


def _changes(folder: RunFolder, config: Config) -> list[str]:
    listed = _listed(folder.config_file)
    changed = _scheme_changes(folder, config)
    if listed == digest_of(dump_config(config).encode()):
        return changed
    known = load_config(folder.config_file)
    changed += [line for line in differences(known, config) if not line.startswith(_MAY_CHANGE)]
    if (known.data.unlabelled is None) != (config.data.unlabelled is None):
        changed.append(f"data.unlabelled: {known.data.unlabelled} -> {config.data.unlabelled}")
    if changed and listed not in (None, file_digest(folder.config_file)):
        changed.append(f"{folder.config_file} is damaged or was changed since it was written")
    return changed


def _scheme_changes(folder: RunFolder, config: Config) -> list[str]:
    """An own scheme whose file is no longer what the run began with."""
    if config.data.scheme is None or not folder.scheme_file.exists():
        return []
    theirs = Path(config.data.scheme)
    began_with = _listed(folder.scheme_file) or file_digest(folder.scheme_file)
    if not theirs.is_file() or file_digest(theirs) == began_with:
        return []
    return [f"data.scheme: {theirs} differs from {folder.scheme_file}"]


def own_scheme(folder: RunFolder, config: Config) -> Path | None:
    """The run's copy of its scheme, where that counts and not what `config` names.

    Before anything is saved, the file that the config names counts as long as it is there.
    """
    if not folder.scheme_file.exists():
        return None
    if folder.has_progress():
        return folder.scheme_file
    if _scheme_source(config).is_file() or not folder.config_file.exists():
        return None
    before = load_config(folder.config_file).data
    same = (before.scheme, before.format) == (config.data.scheme, config.data.format)
    return folder.scheme_file if same else None


def recorded_identity(folder: RunFolder, found: dict[str, Any]) -> dict[str, Any] | None:
    """Which data set the run began with; None where nothing was saved yet.

    `found` is that of the data set at hand: a damaged data.json is known by its checksum to have
    held the same. Raises ValueError where it is damaged and held something else.
    """
    if not folder.has_progress():
        return None
    if _listed(folder.data_file) == digest_of(_as_bytes(found)):
        return found
    return read_verified_json(folder.data_file)


def tidy_run(folder: RunFolder) -> None:
    """Remove what dead processes were writing into the run; nothing where it cannot be written."""
    for place in _places(folder):
        with suppress(OSError):
            remove_leftovers(place)


def open_run(
    folder: RunFolder,
    config: Config,
    environment: dict[str, Any],
    identity: dict[str, Any],
    look_alikes: dict[str, str] | None = None,
    boxes: bytes | None = None,
) -> None:
    """Create the folder or continue in it, and hold its lease until `folder.lease.release()`.

    Rank 0 only. `identity` is the data set's (`data_identity`), `look_alikes` what its division
    was drawn by, and `boxes` the file of those that were detected on unlabelled images.

    Raises ValueError as `check_config`.
    """
    folder.lease.acquire()
    try:
        check_config(folder, config)
        tidy_run(folder)
        if not folder.has_progress():
            _forget(folder, keep_scheme=own_scheme(folder, config) is not None)
        for stage in STAGES:
            make_folder(folder.stage(stage))
        make_folder(folder.images)
        starts = [*folder.starts(), environment]
        write_json_atomic(folder.environment_file, {"starts": starts})
        write_settings(folder, config, identity, look_alikes, boxes)
    except BaseException:
        folder.lease.release()
        raise


def _places(folder: RunFolder) -> list[Path]:
    """Where a run's processes write."""
    stages = [folder.stage(stage) for stage in STAGES]
    predictions = folder.predictions(STAGES[0], "heldout").parent
    return [folder.path, folder.images, folder.profile, predictions, *stages]


def _forget(folder: RunFolder, keep_scheme: bool) -> None:
    """Remove what starts left that saved nothing."""
    files = [folder.metrics_file, folder.masking_file, folder.summary_file, folder.groups_file]
    files += [folder.data_file, folder.boxes_file, folder.path / SUMS, folder.path / WORK]
    files += [folder.trackers_file, *[folder.scheme_file] * (not keep_scheme)]
    for path in files:
        path.unlink(missing_ok=True)
    predictions = folder.predictions(STAGES[0], "heldout").parent
    for place in (folder.tensorboard, folder.images, predictions, folder.stage(STAGES[0]).parent):
        shutil.rmtree(place, ignore_errors=True)


def write_settings(
    folder: RunFolder,
    config: Config,
    identity: dict[str, Any] | None = None,
    look_alikes: dict[str, str] | None = None,
    boxes: bytes | None = None,
) -> None:
    """Write down the config, the user's own scheme, and which data set the run is to have.

    Call it after `check_config`.
    """
    files: dict[Path, bytes] = {}
    source = _scheme_source(config)
    if source.is_file():
        files[folder.scheme_file] = source.read_bytes()
    if identity is not None:
        files[folder.data_file] = _as_bytes(identity)
    if look_alikes is not None:
        files[folder.groups_file] = _as_bytes(look_alikes)
    if boxes is not None:
        files[folder.boxes_file] = boxes
    files[folder.config_file] = dump_config(config).encode()
    add_sums(folder.path, {path.name: digest_of(content) for path, content in files.items()})
    for path, content in files.items():
        write_bytes_atomic(path, content)


def _scheme_source(config: Config) -> Path:
    """Where the run's scheme is written down, if it is in a file of the user's."""
    if config.data.scheme is None and config.data.format == "pack":
        return config.data.root / "scheme.yaml"
    return Path(config.data.scheme or "")


def _as_bytes(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


def _listed(path: Path) -> str | None:
    """The file's checksum; None where there is none, or the checksums are damaged themselves."""
    try:
        return read_sums(path.parent).get(path.name)
    except ValueError:
        return None
