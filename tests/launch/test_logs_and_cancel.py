"""`sesame logs` and `sesame cancel`, on runs with SLURM jobs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from launched_runs import fake_command, sacct_line, squeue_line, submitted

from sesame_hpc.launch.cancel import cancel_jobs
from sesame_hpc.launch.ledger import Ledger, Submission
from sesame_hpc.launch.local_chain import is_chain_of
from sesame_hpc.launch.logs import find_log, follow
from sesame_hpc.launch.sweep import sweep_points, write_sweep
from sesame_hpc.process import command_of, identity


@pytest.fixture
def run(tmp_path: Path, commands: Path) -> Path:
    folder = tmp_path / "run"
    submitted(folder)
    (folder / "logs").mkdir()
    (folder / "logs/11_0_log.out").write_text("of preliminary\n", encoding="utf-8")
    (folder / "logs/12_0_log.out").write_text("of pretrain\n", encoding="utf-8")
    snapshot(commands, "RUNNING")
    fake_command(commands, "scancel")
    return folder


def snapshot(commands: Path, pretrain: str) -> None:
    lines = [squeue_line("11", "COMPLETED"), squeue_line("12", pretrain)]
    fake_command(
        commands, "squeue", [*lines, squeue_line("13", "PENDING"), squeue_line("14", "PENDING")]
    )


def test_the_log_is_that_of_the_latest_stage_that_began(run):
    assert find_log(run).path == run / "logs/12_0_log.out"
    assert find_log(run, "preliminary").path.read_text() == "of preliminary\n"
    assert find_log(run, rank=1).path == run / "logs/12_1_log.out"


def test_logs_that_there_are_not_are_named(run, tmp_path):
    with pytest.raises(ValueError, match="--rank 2: pretrain has ranks 0 to 1"):
        find_log(run, rank=2)
    with pytest.raises(ValueError, match="has no jobs"):
        find_log(tmp_path)
    write_sweep(tmp_path, sweep_points(["seed=1,2"]))
    with pytest.raises(ValueError, match=r"is a sweep; name one of its runs, such as .*seed=1"):
        find_log(tmp_path)


def test_logs_of_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"mne is not a directory; give a run folder"):
        find_log(tmp_path / "mne")


def test_following_ends_with_the_job(run, commands):
    """Text that is appended is shown, also the last of it after the job has ended."""
    log = find_log(run)

    def write(text: str) -> None:
        with log.path.open("a", encoding="utf-8") as file:
            file.write(text)

    def end() -> None:
        snapshot(commands, "COMPLETED")
        write("the end\n")

    events = iter([(0, lambda: None), (10, lambda: write("more\n")), (20, end)])

    def clock() -> float:
        now, happens = next(events)
        happens()
        return now

    assert "".join(follow(log, clock)) == "of pretrain\nmore\nthe end\n"


def test_cancel_ends_what_is_active_and_says_which(run, commands):
    ended = [(each.stage, each.job, each.state) for each in cancel_jobs([run])]
    assert ended == [
        ("pretrain", "12", "RUNNING"),
        ("finetune", "13", "PENDING"),
        ("report", "14", "PENDING"),
    ]
    assert (commands / "bin/scancel.asked").read_text() == "12 13 14\n"


def test_cancelling_a_stage_ends_those_that_wait_for_it(run, commands):
    assert [each.stage for each in cancel_jobs([run], "finetune")] == ["finetune", "report"]
    assert (commands / "bin/scancel.asked").read_text() == "13 14\n"


def test_nothing_active_nothing_cancelled(run, commands):
    fake_command(commands, "squeue")
    fake_command(commands, "sacct", [sacct_line(str(job), "FAILED") for job in range(11, 15)])
    assert cancel_jobs([run]) == []
    assert not (commands / "bin/scancel.asked").exists()


def test_a_refusal_of_scancel_is_told(run, commands):
    fake_command(commands, "scancel", error="scancel: error: Access/permission denied", code=1)
    with pytest.raises(ValueError, match=r"scancel: .*denied"):
        cancel_jobs([run])


def test_cancel_never_signals_a_process_that_is_not_the_runs(run):
    """Host, number and start time are right, as anyone on that machine can read them."""
    (run / "jobs.json").unlink()
    waiting = [sys.executable, "-c", "input()"]
    with subprocess.Popen(waiting, stdin=subprocess.PIPE) as bystander:
        jobs = [{"stage": "pretrain", "job": str(bystander.pid), "nodes": 1, "ranks": 1}]
        jobs[0]["logs"] = None
        about = {"executor": "local", "profile": None, "directory": "/", "command": "", "time": ""}
        ledger = {**about, "jobs": jobs, "process": identity(bystander.pid)}
        (run / "jobs.json").write_text(json.dumps({"submissions": [ledger]}))
        with pytest.raises(ValueError, match=rf"process {bystander.pid} does not run the jobs of"):
            cancel_jobs([run])
        assert bystander.poll() is None
        bystander.kill()


def test_a_chain_is_known_by_its_command_line(tmp_path):
    """Blocked on its standard input, as until its jobs.json is written."""
    command = [sys.executable, "-m", "sesame_hpc.launch.local_chain", "a", str(tmp_path / "b")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=tmp_path) as chain:
        while command_of(chain.pid) in (None, ([""], tmp_path)):  # exec has begun, not ended
            assert chain.poll() is None
        assert is_chain_of(chain.pid, tmp_path / "a")
        assert is_chain_of(chain.pid, tmp_path / "b")
        assert not is_chain_of(chain.pid, tmp_path)
        chain.kill()
    assert not is_chain_of(os.getpid(), tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("process", None),
        ("process", {"pid": -1, "started": 1, "host": "h"}),
        ("process", {"pid": "self", "started": 1, "host": "h"}),
        ("process", {"pid": 2}),
        ("job", "--me"),
        ("job", "1,2"),
        ("job", 7),
        ("stage", "other"),
        ("name", "someone elses"),
        ("logs", "/etc/passwd"),
        ("logs", "../../../.ssh/id_%t"),
        ("ranks", "many"),
    ],
)
def test_a_ledger_of_a_stranger_is_refused_by_name(run, key, value):
    submission = json.loads((run / "jobs.json").read_text())["submissions"][0]
    (submission if key == "process" else submission["jobs"][1])[key] = value
    submission["executor"] = "local" if key == "process" else "slurm"
    (run / "jobs.json").write_text(json.dumps({"submissions": [submission]}))
    for read in (cancel_jobs, lambda runs: find_log(runs[0])):
        with pytest.raises(ValueError, match=r"jobs\.json: not a list of jobs \("):
            read([run])


def test_a_ledger_nested_too_deeply_is_refused_by_name(run):
    (run / "jobs.json").write_text('{"submissions": ' + "[" * 9000)
    with pytest.raises(ValueError, match=r"jobs\.json: not a list of jobs"):
        cancel_jobs([run])


def test_what_is_recorded_is_read_again(run):
    ledger = Ledger(run)
    jobs = ledger.submissions()[0].jobs
    ledger.add(Submission.now("local", None, jobs, process=identity(os.getpid())))
    assert ledger.submissions()[1].process == identity(os.getpid())
    assert ledger.submissions()[1].jobs == jobs
