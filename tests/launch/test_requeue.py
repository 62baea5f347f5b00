"""What an interrupted process does: it leaves, or has its job requeued and waits for its end.

SLURM itself is in tests/slurm; here a scontrol of a few lines ends the task that asks, as SLURM
does. It answers as the real one did for these states.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sesame_hpc.launch.requeue import EXIT_SAVED, MAX_REQUEUES, REQUEUE_FILE

SCRIPT = Path(__file__).with_name("interrupted_process.py")
SCONTROL = """#!/bin/sh
echo "$@" >> "$LOG"
if [ "$ANSWER" = away ] && [ "$(grep -c requeue "$LOG")" -lt 2 ]; then
  echo "Unable to contact slurm controller (connect failure)" >&2; exit 1
fi
case "$1 $ANSWER" in
  "requeue refuse") echo "Requested operation is presently disabled for job 17" >&2; exit 1 ;;
  "show done") echo "JobId=17 JobState=REQUEUED PreemptTime=None Requeue=1" ;;
  "show preempting") echo "JobId=17 JobState=RUNNING PreemptTime=2026-11-22T14:24:18" ;;
  "show cancelled") echo "JobId=17 JobState=CANCELLED PreemptTime=None" ;;
  show*) echo "JobId=17 JobState=RUNNING PreemptTime=None Requeue=1" ;;
esac
case "$1 $ANSWER" in
  "requeue ok" | "requeue away" | "requeue preempting" | "show done") kill -TERM $PPID ;;
esac
"""


class Machine:
    """Runs interrupted processes beside that scontrol."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        program = folder / "scontrol"
        program.write_text(SCONTROL)
        program.chmod(0o755)

    def run(self, why: str, step: int = 7, answer: str = "ok", **variables: str):
        keep = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_") and k != "RANK"}
        path = f"{self.folder}{os.pathsep}{os.environ['PATH']}"
        environ = keep | {"PATH": path, "LOG": str(self.log), "ANSWER": answer} | variables
        command = [sys.executable, str(SCRIPT), str(self.folder / "run"), str(step), why]
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)

    @property
    def requeued(self) -> list[str]:
        asked = self.log.read_text().splitlines() if self.log.exists() else []
        return [line.removeprefix("requeue ") for line in asked if line.startswith("requeue")]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


JOB: dict[str, Any] = {"SLURM_JOB_ID": "17"}


@pytest.mark.parametrize("why", ["PAUSE", "END"])
def test_without_slurm_the_exit_code_says_saved(machine: Machine, why: str) -> None:
    ended = machine.run(why)
    assert ended.returncode == EXIT_SAVED == 75
    assert ended.stderr == (
        "sesame: saved at step 7 of stage pretrain; run the same command to resume\n"
    )
    assert machine.run(why, RANK="1").stderr == ""


@pytest.mark.parametrize("why", ["PAUSE", "LOST"])
def test_rank_0_requeues_and_waits_to_be_ended(machine: Machine, why: str) -> None:
    ended = machine.run(why, **JOB)
    assert ended.returncode == -signal.SIGTERM, ended.stderr
    assert "requeueing job 17" in ended.stderr
    assert machine.requeued == ["17"]


def test_a_task_of_an_array_is_requeued_by_its_own_name(machine: Machine) -> None:
    machine.run("PAUSE", **JOB, SLURM_ARRAY_JOB_ID="12", SLURM_ARRAY_TASK_ID="3")
    assert machine.requeued == ["12_3"]


def test_a_job_that_slurm_is_requeueing_already_is_waited_for(machine: Machine) -> None:
    assert machine.run("PAUSE", answer="done", **JOB).returncode == -signal.SIGTERM
    assert machine.requeued == []


def test_a_job_that_slurm_does_not_requeue_is_told_so(machine: Machine) -> None:
    ended = machine.run("PAUSE", answer="refuse", **JOB)
    assert ended.returncode == EXIT_SAVED
    assert "does not requeue job 17 (Requested operation is presently disabled" in ended.stderr


def test_a_controller_that_is_away_is_asked_again(machine: Machine) -> None:
    assert machine.run("PAUSE", answer="away", **JOB).returncode == -signal.SIGTERM
    assert machine.requeued == ["17", "17"]


def test_where_the_batch_script_requeues_rank_0_leaves_it_to_it(machine: Machine) -> None:
    """The container of the ranks has no scontrol; a rank that failed would end the others."""
    asked = machine.folder / "17_requeue"
    script = JOB | {REQUEUE_FILE: str(asked), "PATH": "/nowhere"}
    assert machine.run("PAUSE", RANK="1", **script).returncode == 0
    assert not asked.exists()
    assert machine.run("PAUSE", **script).returncode == EXIT_SAVED
    assert asked.read_text() == "saved at step 7 of stage pretrain\n"
    asked.unlink()
    assert machine.run("END", **script).returncode == EXIT_SAVED
    assert not asked.exists()
    assert machine.run("LOST", **script).returncode == EXIT_SAVED
    assert asked.exists()
    assert machine.requeued == []


def test_a_rank_names_its_node_where_faulty_ones_are_excluded(machine: Machine) -> None:
    asked = machine.folder / "17_requeue"
    script = JOB | {REQUEUE_FILE: str(asked), "SESAME_NODE": "n1", "RANK": "3"}
    assert "uncorrectable ECC error" in machine.run("FAULT", **script).stderr
    assert list(machine.folder.glob("17_*")) == []
    ended = machine.run("FAULT", SESAME_EXCLUDE_BAD_NODES="1", **script)
    assert ended.returncode == 1
    assert "uncorrectable ECC error" in ended.stderr
    assert (machine.folder / "17_requeue.bad.3").read_text() == "n1\n"
    assert not asked.exists()
    assert machine.requeued == []


def test_a_rank_that_cannot_ask_the_batch_script_requeues_itself(machine: Machine) -> None:
    """As where the job was submitted from a folder that is read-only on its node."""
    job = JOB | {REQUEUE_FILE: str(machine.folder / "scontrol" / "file")}
    ended = machine.run("PAUSE", **job)
    assert ended.returncode == -signal.SIGTERM, ended.stderr
    assert machine.requeued == ["17"]
    assert "the batch script cannot be asked to requeue the job" in ended.stderr


def test_a_job_that_continues_another_counts_with_it(machine: Machine) -> None:
    (machine.folder / "successors.txt").write_text("16 17\n17 18\n")
    for job in ("16", "17"):
        machine.run("PAUSE", SLURM_JOB_ID=job, SESAME_JOB_FOLDER=str(machine.folder))
    ended = machine.run("PAUSE", SLURM_JOB_ID="18", SESAME_JOB_FOLDER=str(machine.folder))
    assert "job 18 was requeued 2 times without completing a step" in ended.stderr


def test_scancel_is_not_followed_by_a_requeue(machine: Machine) -> None:
    ended = machine.run("END", answer="cancelled", **JOB)
    assert ended.returncode == EXIT_SAVED
    assert "saved at step 7 of stage pretrain; SLURM ends job 17 (CANCELLED)" in ended.stderr
    assert machine.requeued == []


def test_a_preemption_that_sends_sigterm_is_followed_by_a_requeue(machine: Machine) -> None:
    """By PreemptMode=CANCEL, SLURM would not requeue it."""
    ended = machine.run("END", answer="preempting", **JOB)
    assert ended.returncode == -signal.SIGTERM
    assert machine.requeued == ["17"]


def test_two_restarts_without_a_step_are_the_last(machine: Machine) -> None:
    for _ in range(2):
        assert machine.run("PAUSE", **JOB).returncode == -signal.SIGTERM
    ended = machine.run("PAUSE", **JOB)
    assert "job 17 was requeued 2 times without completing a step" in ended.stderr
    assert len(machine.requeued) == 2
    assert machine.run("PAUSE", step=8, **JOB).returncode == -signal.SIGTERM
    assert machine.run("PAUSE", SLURM_JOB_ID="18").returncode == -signal.SIGTERM


def test_two_restarts_with_too_few_steps_are_the_last(machine: Machine) -> None:
    long = JOB | {"STEPS": "70000"}
    for step in (7, 8):
        assert machine.run("PAUSE", step=step, **long).returncode == -signal.SIGTERM
    ended = machine.run("PAUSE", step=70, **long)
    assert (
        "job 17 was requeued 2 times with less than 0.1 % of a stage's steps each "
        "(SESAME_MIN_PROGRESS), now at {'pretrain': 'step-00000070 of 70000'}"
    ) in ended.stderr
    assert len(machine.requeued) == 2
    for enough in ({"step": 79}, {"step": 9, "SESAME_MIN_PROGRESS": "0.00001"}):
        assert machine.run("PAUSE", **{**long, **enough}).returncode == -signal.SIGTERM


def test_there_is_a_limit_of_requeues(machine: Machine) -> None:
    limited = JOB | {MAX_REQUEUES: "3"}
    assert machine.run("PAUSE", SLURM_RESTART_COUNT="2", **limited).returncode == -signal.SIGTERM
    ended = machine.run("PAUSE", step=8, SLURM_RESTART_COUNT="3", **limited)
    assert "restarted 3 times, and SESAME_MAX_REQUEUES is 3" in ended.stderr
