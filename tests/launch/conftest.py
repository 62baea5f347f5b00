from pathlib import Path

import pytest
from batch_job import RUNNING, Job


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder; of SLURM's commands only those in its `bin` are found."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Job 17, which runs."""
    made = Job(tmp_path)
    made.answers("scontrol", "show", RUNNING)
    return made
