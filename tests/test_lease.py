"""One writer for a folder, whoever tries and whenever."""

import fcntl
import json
import os
import subprocess
import sys
import time

import pytest

from sesame_hpc import lease as lease_module
from sesame_hpc.lease import STALE_SECONDS, FolderBusy, Lease

HOLD = "import sys; from pathlib import Path; from sesame_hpc.lease import Lease; "
HOLD += "lease = Lease(Path(sys.argv[1]), 'training in'); lease.acquire(); "
HOLD += "print('held', flush=True); sys.stdin.read()"


def hold(folder, **variables):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | variables,
    )
    assert process.stdout.readline() == "held\n"
    return process


def elsewhere(folder, age, **record):
    """A lease of another machine, last touched `age` seconds ago."""
    path = folder / ".lock"
    path.write_text(json.dumps({"pid": 7, "host": "n1", "node": "n1_1", "token": "t"} | record))
    now = time.time()
    os.utime(path, (now - age, now - age))


def without_locks(monkeypatch):
    def flock(handle, how):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.parametrize("locks", [True, False])
def test_a_living_process_keeps_others_out_and_a_dead_one_does_not(tmp_path, monkeypatch, locks):
    if not locks:
        without_locks(monkeypatch)
    process = hold(tmp_path, SLURM_JOB_ID="31")
    sentences = set()
    for attempt in (Lease(tmp_path, "training in").acquire,) * 2:
        with pytest.raises(FolderBusy) as refused:
            attempt()
        sentences.add(str(refused.value))
    with pytest.raises(FolderBusy) as refused:
        Lease(tmp_path, "training in").refuse_if_busy()
    assert {str(refused.value)} == sentences
    assert f"another process is training in {tmp_path}: process {process.pid} of job 31" in next(
        iter(sentences)
    )
    process.kill()
    process.communicate()
    with Lease(tmp_path, "training in"):
        pass
    assert os.listdir(tmp_path) == []


def test_another_machine_counts_as_dead_after_the_stated_time(tmp_path):
    elsewhere(tmp_path, STALE_SECONDS - 20)
    with pytest.raises(FolderBusy, match="process 7 on n1"):
        Lease(tmp_path, "training in").acquire()
    elsewhere(tmp_path, STALE_SECONDS + 20)
    with Lease(tmp_path, "training in") as lease:
        lease.check()


def test_ages_are_taken_from_the_file_systems_clock(tmp_path, monkeypatch):
    """The machine's own clock is a day ahead."""
    monkeypatch.setattr(time, "time", lambda: 86_400.0 * 365 * 80)
    elsewhere(tmp_path, 0)
    os.utime(tmp_path / ".lock")
    with pytest.raises(FolderBusy):
        Lease(tmp_path, "training in").acquire()


def test_a_requeued_job_takes_over_from_itself_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "31")
    elsewhere(tmp_path, 0, job="31", restarts=1)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    with pytest.raises(FolderBusy, match="of job 31"):
        Lease(tmp_path, "training in").acquire()
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    with Lease(tmp_path, "training in"):
        pass


def test_signs_of_life_are_given(tmp_path, monkeypatch):
    monkeypatch.setattr(lease_module, "_BEAT_SECONDS", 0.01)
    with Lease(tmp_path, "training in") as lease:
        os.utime(lease.path, (0, 0))
        for _ in range(1000):
            if lease.path.stat().st_mtime > 0:
                break
            time.sleep(0.01)
        assert lease.path.stat().st_mtime > 0


def test_who_lost_the_folder_is_told_and_leaves_the_new_lease_alone(tmp_path):
    with Lease(tmp_path, "training in") as lease:
        lease.path.unlink()
        elsewhere(tmp_path, 0)
        with pytest.raises(FolderBusy, match="process 7 on n1"):
            lease.check()
    assert (tmp_path / ".lock").exists()


def test_a_torn_lease_is_judged_by_its_age(tmp_path):
    (tmp_path / ".lock").write_bytes(b'{"pid"')
    with pytest.raises(FolderBusy):
        Lease(tmp_path, "training in").acquire()
    os.utime(tmp_path / ".lock", (0, 0))
    with Lease(tmp_path, "training in"):
        pass


def test_of_many_at_once_one_gets_it(tmp_path):
    """All find the same dead lease; without locks, as where they hold on one machine only."""
    elsewhere(tmp_path, 2 * STALE_SECONDS)
    program = (
        "import fcntl, sys; from pathlib import Path; from sesame_hpc.lease import Lease\n"
        "def flock(handle, how): raise OSError(38, 'none')\n"
        "fcntl.flock = flock\n"
        "sys.stdin.readline()\n"
        "lease = Lease(Path(sys.argv[1]), 'training in')\n"
        "try: lease.acquire(); print('held', flush=True)\n"
        "except ValueError: print('busy', flush=True)\n"
        "sys.stdin.read()"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [process.stdout.readline().strip() for process in processes]
    for process in processes:
        process.communicate()
    assert answers.count("held") == 1
