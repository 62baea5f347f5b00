"""`sesame submit --wait`, and the exit code of `sesame status`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from launched_runs import fake_command, finish_stage, squeue_line, submitted, tiny_config

from sesame_hpc.cli.main import main
from sesame_hpc.config import load_config
from sesame_hpc.launch.wait import wait_for_end
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.run.settings import write_settings

JOBS = ("11", "12", "13", "14")


@pytest.fixture
def run(tmp_path: Path, commands: Path) -> Path:
    config = load_config(tiny_config(tmp_path))
    write_settings(RunFolder(config.output), config)
    submitted(config.output)
    fake_command(commands, "sacct", error="Slurm accounting storage is disabled\n", code=1)
    return config.output


def queue(commands: Path, *states: str) -> None:
    lines = [squeue_line(job, state) for job, state in zip(JOBS, states, strict=True)]
    fake_command(commands, "squeue", lines)


def test_it_waits_while_jobs_are_active_or_the_queue_is_away(run: Path, commands: Path) -> None:
    later = [
        lambda: fake_command(
            commands, "squeue", error="Unable to contact slurm controller", code=1
        ),
        lambda: queue(commands, "COMPLETED", "COMPLETED", "COMPLETED", "RUNNING"),
        lambda: queue(commands, *4 * ("COMPLETED",)),
    ]
    told: list[str] = []
    queue(commands, "RUNNING", "PENDING", "PENDING", "PENDING")
    (status,) = wait_for_end([run], told.append, sleep=lambda seconds: later.pop(0)())
    assert later == []
    assert not status.has_failed
    assert told[0] == f"{run}: preliminary (job 11) running"
    assert told[-2:] == [f"{run}: report (job 14) running", f"{run}: report (job 14) completed"]
    assert len(told) == 4 + 4 + 1


def exit_code(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["sesame", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    ("state", "code"), [("COMPLETED", 0), ("RUNNING", 0), ("FAILED", 1), ("CANCELLED", 1)]
)
def test_status_ends_with_1_for_a_failed_run(
    run: Path,
    commands: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    state: str,
    code: int,
) -> None:
    queue(commands, "COMPLETED", state, "PENDING", "PENDING")
    assert exit_code(monkeypatch, "status", "--once", run) == code
    capsys.readouterr()
    assert exit_code(monkeypatch, "status", "--json", run) == code
    (shown,) = json.loads(capsys.readouterr().out)["runs"]
    assert (shown["failed"], shown["active"]) == (bool(code), True)


@pytest.mark.parametrize(("end", "code"), [("COMPLETED", 0), ("FAILED", 1), ("CANCELLED", 1)])
def test_submit_ends_as_its_chain_does(tmp_path: Path, commands: Path, end: str, code: int) -> None:
    """sbatch gives the ids 11 to 14, of jobs that have ended when the queue is asked."""
    config = tiny_config(tmp_path)
    for name in ("srun", "scancel", "sinfo"):
        fake_command(commands, name)
    count = commands / "bin/count"
    (commands / "bin/sbatch").write_text(
        f"#!/bin/sh\necho x >> {count}\necho $((10 + $(/usr/bin/wc -l < {count})))\n"
    )
    (commands / "bin/sbatch").chmod(0o755)
    stages = ("preliminary", "pretrain", "finetune", "report")
    states = ("COMPLETED", end, *2 * ("COMPLETED" if end == "COMPLETED" else "CANCELLED",))
    lines = [
        squeue_line(job, state, name=f"sesame-tiny-{stage}")
        for job, stage, state in zip(JOBS, stages, states, strict=True)
    ]
    fake_command(commands, "squeue", lines)
    command = [sys.executable, "-m", "sesame_hpc", "submit", str(config), "--profile", "local"]
    ended = subprocess.run([*command, "--wait"], capture_output=True, text=True, timeout=120)
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert f"pretrain (job 12) {end.lower()}" in ended.stdout


def test_a_finished_run_has_nothing_to_wait_for(run: Path, commands: Path) -> None:
    finish_stage(run, "preliminary")
    queue(commands, *4 * ("COMPLETED",))
    told: list[str] = []
    wait_for_end([run], told.append, sleep=lambda seconds: pytest.fail("waited"))
    assert len(told) == 4
