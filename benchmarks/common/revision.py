"""The code of another git revision, to run beside the present one."""

import subprocess
from pathlib import Path

from benchmarks.common.paths import ROOT

__all__ = ["unpack_revision"]


def unpack_revision(revision: str, folder: Path, *paths: str) -> None:
    """Write these files and folders of a revision under `folder`, which is made if missing.

    Raises CalledProcessError where git knows no such revision, or it has no such path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / "revision.tar"
    command = ["git", "archive", "-o", str(archive), revision, *paths]
    subprocess.run(command, cwd=ROOT, check=True)
    subprocess.run(["tar", "-xf", str(archive), "-C", str(folder)], check=True)
    archive.unlink()
