"""Compilers' caches of jobs are on the node, in a folder that nobody else can write."""

import os
import stat
from pathlib import Path

import pytest

from sesame_hpc.compile_caches import compile_caches, file_system, keep_caches_on_the_node


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_a_job_keeps_them_in_a_private_folder_of_its_own(temporary: Path) -> None:
    environ = {"SLURM_JOB_ID": "17"}
    keep_caches_on_the_node(environ)
    folder = temporary / f"sesame-{os.getuid()}-17"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert environ["TRITON_CACHE_DIR"] == str(folder / "triton")
    assert environ["TORCHINDUCTOR_CACHE_DIR"] == str(folder / "inductor")
    assert set(compile_caches(environ).values()) == {folder / "triton", folder / "inductor"}
    again = {"SLURM_JOB_ID": "17", "TRITON_CACHE_DIR": "/mine"}
    keep_caches_on_the_node(again)
    assert (again["TRITON_CACHE_DIR"], again["TORCHINDUCTOR_CACHE_DIR"]) == (
        "/mine",
        str(folder / "inductor"),
    )


def test_outside_of_jobs_nothing_changes(temporary: Path) -> None:
    environ: dict[str, str] = {}
    keep_caches_on_the_node(environ)
    assert environ == {}
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("trap", ["link", "open", "file"])
def test_a_folder_that_others_can_write_is_not_used(temporary: Path, trap: str) -> None:
    folder = temporary / f"sesame-{os.getuid()}-17"
    if trap == "link":
        (temporary / "other").mkdir()
        folder.symlink_to(temporary / "other")
    elif trap == "open":
        folder.mkdir()
        folder.chmod(0o777)
    else:
        folder.write_text("")
    environ = {"SLURM_JOB_ID": "17"}
    keep_caches_on_the_node(environ)
    assert environ == {"SLURM_JOB_ID": "17"}


def test_the_file_system_of_a_folder_is_that_of_its_longest_mount() -> None:
    mounts = (
        "/dev/sda / ext4 rw 0 0\nsrv:/home /home nfs4 rw 0 0\n"
        "tmpfs /home/me/my\\040ram tmpfs rw 0 0\n"
    )
    for path, kind in {
        "/home/me/.triton": "nfs4",
        "/homely": "ext4",
        "/home/me/my ram/x": "tmpfs",
        "/home": "nfs4",
    }.items():
        assert file_system(Path(path), mounts) == kind
    assert file_system(Path("/proc")) == "proc"
