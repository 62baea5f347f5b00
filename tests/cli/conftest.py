import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess]


@pytest.fixture
def sesame(tmp_path: Path) -> Run:
    """Runs the command line in a process of its own, in an empty folder, 80 columns wide."""

    def run(*arguments: object, **variables: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "sesame_hpc", *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1", **variables},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run
