"""`sesame submit` on two nodes: a chain that is left alone, and one that everything happens to."""

import re
import socket
from pathlib import Path

import pytest
from slurm_chains import Submitted, stopped
from slurm_cluster_helpers import LocalCluster, until
from slurm_runs import TrainingRun, assert_same_end

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(2700)]

PROFILE = """
nodes: 2
gpus_per_node: 1
cpus_per_task: 1
time: 60
signal_delay: 30
stages: {report: {time: 10}}
"""


def assert_arrived(cluster: LocalCluster, job: int) -> None:
    """Two nodes, two tasks and two GPUs were asked for; this is what the tasks see."""
    tasks = sorted(cluster.tasks(job).values(), key=lambda task: task["SLURM_PROCID"])
    assert [task["SLURMD_NODENAME"] for task in tasks] == ["n0", "n1"]
    assert all(re.fullmatch("[01]", task["CUDA_VISIBLE_DEVICES"]) for task in tasks)
    assert cluster.job(job)["NumNodes"] == "2"
    assert cluster.job(job)["NumTasks"] == "2"


def test_a_chain_survives_everything_with_the_same_bits(
    cluster: LocalCluster, faces: Path, tmp_path: Path
) -> None:
    for node in ("n0", "n1"):
        with pytest.raises(OSError, match=r"name|known|resolve"):
            socket.getaddrinfo(node, None)
    quiet = Submitted(cluster, TrainingRun(tmp_path / "left alone", faces), PROFILE)
    first = quiet.jobs["preliminary"]
    until(lambda: len(cluster.tasks(first)) == 2, 240, "two tasks")
    with stopped(cluster, first):
        assert_arrived(cluster, first)
        shown = cluster.run("sesame", "status", "--once", str(quiet.run.folder))
    assert re.search(rf"preliminary {first} +running +n\[0-1\]", shown)
    struck = Submitted(
        cluster, TrainingRun(tmp_path / "struck", faces), f"{PROFILE}partition: low\n"
    )

    def send_usr2(job: int) -> None:
        cluster.run("scancel", "--signal=USR2", str(job))

    def preempt(job: int) -> None:
        urgent = cluster.batch("--partition=high", "--nodes=2", "--gpus-per-node=1", "--wrap=true")
        cluster.wait(urgent, "COMPLETED")

    def requeue(job: int) -> None:
        cluster.run("scontrol", "requeue", str(job))

    def cut_power(job: int) -> None:
        cluster.manage("fail", "n1")
        cluster.manage("restore", "n1")

    def kill_daemon(job: int) -> None:
        cluster.manage("fail", "n1", "--daemon-only")
        cluster.manage("restore", "n1")

    struck.disturb("preliminary", send_usr2, loses=1)
    struck.disturb("preliminary", preempt, loses=1)
    struck.disturb("pretrain", send_usr2, loses=1)
    struck.disturb("pretrain", requeue, loses=TrainingRun.every_steps)
    struck.disturb("finetune", send_usr2, loses=1)
    quiet.wait()
    struck.disturb("finetune", kill_daemon, loses=TrainingRun.every_steps)
    struck.disturb("finetune", cut_power, loses=TrainingRun.every_steps)
    struck.wait()
    assert_same_end(struck.run, quiet.run)
    summary = quiet.run.summary()
    assert (summary["faces"], summary["test"]["faces"]) == (8, 10)
    assert set(quiet.run.result("finetune")) >= {"heldout", "test", "seconds"}
    assert summary["stages"]["finetune"]["nme"] == quiet.run.result("finetune")["heldout"]["nme"]
    assert sum(summary["masking"].values()) == pytest.approx(1.0)
    assert "This run is not finished" not in (quiet.run.folder / "report.html").read_text()
