"""slurm/train.sbatch and slurm/chain.sh, as they are."""

import os
import re
import signal
import time
from datetime import datetime
from pathlib import Path

import pytest
from slurm_cluster_helpers import LocalCluster, until
from slurm_runs import TrainingRun, assert_same_end, resumed_steps

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(2700)]

SLURM = Path(__file__).resolve().parents[2] / "slurm"
SHORT = ["stages.finetune.lr=0.001", "stages.pretrain.epochs=4", "stages.finetune.epochs=4"]


def is_stopped(process: int) -> bool:
    """Whether the process is, as after SIGSTOP, and not ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except FileNotFoundError:
        return False


def limit_soon(cluster: LocalCluster, job: int) -> None:
    """A time limit one to two minutes from now, so that SLURM sends the job's signal."""
    begun = datetime.fromisoformat(cluster.job(job)["StartTime"]).timestamp()
    minutes = int(time.time() - begun) // 60 + 2
    cluster.run("scontrol", "update", f"JobId={job}", f"TimeLimit={minutes}")


def test_a_job_outlives_its_time_limit_and_ends_like_a_chain(
    cluster: LocalCluster, faces: Path, tmp_path: Path
) -> None:
    """The job stands still when SLURM signals it, as on a machine of any speed, and its limit is
    raised as soon as the signal, which also wakes it, has come."""
    limited, chained = (TrainingRun(tmp_path / name, faces) for name in ("limited", "chained"))
    log = tmp_path / "limited.log"
    job = cluster.batch(
        *("--time=60", "--signal=USR2@60", f"--output={log}", "--nodelist=n0"),
        *(str(SLURM / "train.sbatch"), str(limited.config), *SHORT),
    )
    reached = limited.wait_for_step("preliminary", 10)
    (process,) = cluster.tasks(job)
    os.kill(process, signal.SIGSTOP)
    stopped = limited.last_step("preliminary")
    chain = cluster.run(
        *(str(SLURM / "chain.sh"), f"--output={tmp_path}/chained.log", "--nodelist=n1", "--"),
        *(str(chained.config), *SHORT),
    )
    limit_soon(cluster, job)
    until(lambda: not is_stopped(process), 240, "SLURM's signal")
    cluster.run("scontrol", "update", f"JobId={job}", "TimeLimit=60")
    ended = cluster.wait(job, "COMPLETED")
    assert ended["Restarts"] == "1"
    assert "requeueing job" in log.read_text()
    (resumed,) = resumed_steps(log.read_text(), "preliminary")
    assert reached <= stopped <= resumed <= stopped + 2
    for number in re.findall(r"job (\d+)", chain):
        cluster.wait(int(number), "COMPLETED")
    assert_same_end(limited, chained)
