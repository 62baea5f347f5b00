"""Jobs run pickles: who may write the folder where these lie."""

import os
from pathlib import Path
from unittest import mock

import pytest

from sesame_hpc.launch.job import StageJob
from sesame_hpc.launch.private_folder import make_private
from sesame_hpc.launch.slurm import run_here


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize("before", [0o777, 0o775, 0o757, 0o755, 0o700])
def test_only_the_user_writes_the_folder_of_pickles(tmp_path, before):
    folder = tmp_path / "run" / "logs"
    make_private(folder)
    folder.chmod(before)
    make_private(folder)
    assert mode(folder) == before & 0o755


def test_a_run_folder_that_everyone_may_write_is_refused(tmp_path):
    make_private(tmp_path / "run" / "logs")
    (tmp_path / "run").chmod(0o777)
    with pytest.raises(PermissionError, match=r"can be written by everyone.*chmod o-w .*run"):
        make_private(tmp_path / "run" / "logs")
    (tmp_path / "run").chmod(0o1777)
    make_private(tmp_path / "run" / "logs")


def test_a_folder_of_another_user_is_refused(tmp_path):
    (tmp_path / "logs").mkdir()
    with (
        mock.patch("os.geteuid", return_value=os.geteuid() + 1),
        pytest.raises(PermissionError, match="belongs to another user"),
    ):
        make_private(tmp_path / "logs")


def test_a_job_does_not_start_from_such_a_folder(tmp_path):
    (tmp_path / "logs").mkdir()
    tmp_path.chmod(0o777)
    with pytest.raises(PermissionError, match="can be written by everyone"):
        run_here(StageJob(str(tmp_path), "pretrain"), tmp_path / "logs", 1, [])
    assert list((tmp_path / "logs").iterdir()) == []
