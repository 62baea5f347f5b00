"""What is said about a directory that is not there."""

import difflib
from pathlib import Path

__all__ = ["no_directory"]

_ENTRIES = 5000
_CLOSE = 0.6


def no_directory(path: Path) -> str:
    """ "PATH is not a directory", with what it is or the directory beside it that may be meant."""
    text = f"{path} is not a directory"
    try:
        if path.exists():
            return f"{text} but a file"
        beside = [
            each.name for each, _ in zip(path.parent.iterdir(), range(_ENTRIES), strict=False)
        ]
        near = difflib.get_close_matches(path.name, beside, n=5, cutoff=_CLOSE)
        meant = next((path.parent / name for name in near if (path.parent / name).is_dir()), None)
    except OSError:
        return text
    return text if meant is None else f"{text} (did you mean {meant}?)"
