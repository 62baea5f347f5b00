"""Files that systems leave beside the user's: `._one.jpg` of macOS and all others with a dot."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from sesame_hpc.data.findings import Finding
from sesame_hpc.data.image_files import IMAGE_SUFFIXES, is_hidden

__all__ = ["hidden_files_ignored"]


def hidden_files_ignored(
    folder: Path, files: Iterable[PurePosixPath], suffix: str
) -> list[Finding]:
    """One finding about the hidden ones of `files` below `folder` that look like images or labels.

    `suffix` is that of labels, such as ".pts".
    """
    hidden = [file for file in files if is_hidden(file)]
    named = [each for each in hidden if each.suffix.lower() in (suffix, *IMAGE_SUFFIXES)]
    if not named:
        return []
    plural = "s" * (len(named) > 1)
    message = f"{len(named)} hidden file{plural} of the system, such as {named[0]}: ignored"
    place = str(folder / named[0])
    return [Finding("note", "hidden-file", place, message, value=float(len(named)))]
