"""slurm/train.sbatch and slurm/chain.sh, as they are."""

import os
import re
import signal
from pathlib import Path

import pytest
from slurm_cluster_helpers import LocalCluster, until
from slurm_runs import TrainingRun, assert_same_end, resumed_steps

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(2700)]

SLURM = Path(__file__).resolve().parents[2] / "slurm"


def requeues(log: Path) -> int:
    """On a busy machine, SLURM's signal may come before the task has a handler for it."""
    text = log.read_text()
    return text.count("requeueing job") + text.count("before the ranks could handle it")


def test_a_job_outlives_its_time_limit_and_ends_like_a_chain(
    cluster: LocalCluster, faces: Path, tmp_path: Path
) -> None:
    limited, chained = (TrainingRun(tmp_path / name, faces) for name in ("limited", "chained"))
    log = tmp_path / "limited.log"
    override = "stages.finetune.lr=0.001"
    job = cluster.batch(
        *("--time=1", "--signal=USR2@30", f"--output={log}", "--nodelist=n0"),
        *(str(SLURM / "train.sbatch"), str(limited.config), override),
    )
    reached = limited.wait_for_step("preliminary", 10)
    (process,) = cluster.tasks(job)
    earlier = requeues(log)  # of signals that came before the tenth step
    os.kill(process, signal.SIGSTOP)  # a machine that is too slow for its minute
    chain = cluster.run(
        *(str(SLURM / "chain.sh"), f"--output={tmp_path}/chained.log", "--nodelist=n1", "--"),
        *(str(chained.config), override),
    )
    until(lambda: requeues(log) > earlier, 90, "SLURM's signal, which also wakes it")
    stopped = limited.last_step("preliminary")
    cluster.run("scontrol", "update", f"JobId={job}", "TimeLimit=60")
    ended = cluster.wait(job, "COMPLETED", seconds=240)
    assert ended["Restarts"] == str(earlier + 1)
    resumed = resumed_steps(log.read_text(), "preliminary")[-1]
    assert reached <= stopped <= resumed <= stopped + 2
    for number in re.findall(r"job (\d+)", chain):
        cluster.wait(int(number), "COMPLETED", seconds=240)
    assert_same_end(limited, chained)
