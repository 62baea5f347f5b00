"""A batch script whose requeue or submission SLURM has carried out without an answer, or for
another that was faster. Real daemons: tests/slurm/test_cluster_two_requeues.py."""

import pytest
from batch_job import REFUSED, RUNNING, Job


@pytest.mark.parametrize(
    "state",
    ["COMPLETING Restarts=1", "PENDING Restarts=1", "RUNNING Restarts=1", "CANCELLED Restarts=0"],
)
def test_a_job_that_is_being_requeued_is_not_submitted_again(job: Job, state: str) -> None:
    """A rank was faster, or SLURM has requeued it and its answer was lost. It says so at a second
    requeue, as 22.05 does on real daemons."""
    job.answers("scontrol", "show", RUNNING, RUNNING.replace("RUNNING Restarts=0", state))
    timed_out = "slurm_requeue error: Socket timed out on send/recv operation"
    job.answers("scontrol", "requeue", f"!{timed_out}", "!Job is pending execution for job 17")
    ended = job.end(75, asks=True)
    assert ended.returncode == 75
    assert job.asked == ["scontrol requeue 17"] * 2
    wanted = f"sesame: SLURM ends job 17 itself ({state.split()[0]}; Job is pending execution for"
    assert wanted in ended.stderr
    assert not (job.logs / "successors.txt").exists()


def test_a_signal_that_ends_slurms_commands_is_no_refusal(job: Job) -> None:
    """SLURM, which a rank was faster to ask, ends all processes of the job, scontrol among them."""
    leaving = RUNNING.replace("RUNNING Restarts=0", "COMPLETING Restarts=1")
    job.answers("scontrol", "show", RUNNING, "^", leaving)
    job.answers("scontrol", "requeue", "^", "!Job is pending execution for job 17")
    ended = job.end(75, asks=True)
    assert ended.returncode == 75
    assert job.asked == ["scontrol requeue 17"] * 2
    assert "scontrol requeue: ended by a signal; asking again" in ended.stderr
    assert "sesame: SLURM ends job 17 itself (COMPLETING; Job is pending" in ended.stderr


@pytest.mark.parametrize(
    ("waiting", "submissions"),
    [
        (["21 afterany:17(unfulfilled)"], 1),
        (["20 afterok:17(unfulfilled)", "21_[3] afterok:9,afterany:17(unfulfilled)"], 1),
        (["20 afterany:171(unfulfilled)", "23 afterany:16,afterok:17"], 2),
    ],
)
def test_a_successor_whose_submission_timed_out_is_not_submitted_twice(
    job: Job, waiting: list[str], submissions: int
) -> None:
    (job.logs / "17_submitted.pkl").write_text("what to do")
    job.answers("scontrol", "requeue", f"!{REFUSED}")
    (job.place / "sbatch").write_text(
        '#!/bin/sh\necho "sbatch $*" >> $PLACE/asked\n[ -e $PLACE/once ] && echo 21 && exit\n'
        "touch $PLACE/once\n"
        "echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv' >&2\n"
        "exit 1\n"
    )
    (job.place / "squeue..0").write_text("\n".join(waiting) + "\n")
    ended = job.end(75, asks=True)
    assert "sesame: job 21 continues job 17" in ended.stderr
    assert (job.logs / "successors.txt").read_text() == "17 21\n"
    assert (job.logs / "21_submitted.pkl").exists()
    assert len([line for line in job.asked if line.startswith("sbatch")]) == submissions
