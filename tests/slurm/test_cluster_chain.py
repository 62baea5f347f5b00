"""`sesame submit` on two nodes: a chain that is left alone, and one that everything happens to."""

import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from slurm_cluster_helpers import LocalCluster, until
from slurm_runs import TrainingRun, assert_same_end, resumed_steps, task_processes

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(900)]

PROFILE = """
nodes: 2
gpus_per_node: 1
cpus_per_task: 1
time: 60
signal_delay: 30
stages: {report: {time: 10}}
"""
STAGES = ("preliminary", "pretrain", "finetune")


class Submitted:
    """A run whose four jobs are in the queue."""

    def __init__(self, cluster: LocalCluster, run: TrainingRun, profile: str) -> None:
        self.cluster, self.run = cluster, run
        file = run.config.with_suffix(".profile.yaml")
        file.write_text(profile)
        shown = cluster.run("sesame", "submit", str(run.config), "--profile", str(file))
        self.jobs = {stage: int(job) for stage, job in re.findall(r"(\w+) +job (\d+)", shown)}

    def log(self, stage: str) -> str:
        return (self.run.folder / "logs" / f"{self.jobs[stage]}_0_log.out").read_text()

    def restarts(self, stage: str) -> int:
        return int(self.cluster.job(self.jobs[stage])["Restarts"])

    def disturb(self, stage: str, after: int, disturb: Callable[[int], object]) -> tuple[int, int]:
        """Do `disturb` to the stage's job `after` steps more; when it trains again: its last step
        before, and the step from which it went on."""
        start = (resumed_steps(self.log(stage), stage) or [0])[-1] if self.restarts(stage) else 0
        restarts = self.restarts(stage)
        reached = self.run.wait_for_step(stage, start + after)
        disturb(self.jobs[stage])
        until(lambda: self.restarts(stage) == restarts + 1, 120, f"{stage} to be requeued")
        last = self.run.last_step(stage)
        assert last >= reached
        until(lambda: len(resumed_steps(self.log(stage), stage)) > restarts, 120, "it to go on")
        return last, resumed_steps(self.log(stage), stage)[-1]

    def wait(self) -> None:
        for job in self.jobs.values():
            self.cluster.wait(job, "COMPLETED", seconds=240)


def assert_arrived(cluster: LocalCluster, job: int) -> None:
    """Two nodes, two tasks and two GPUs were asked for; this is what the tasks see."""
    until(lambda: len(task_processes(job)) == 2, 60, "two tasks")
    tasks = sorted(task_processes(job).values(), key=lambda task: task["SLURM_PROCID"])
    assert [task["SLURMD_NODENAME"] for task in tasks] == ["n0", "n1"]
    assert all(re.fullmatch("[01]", task["CUDA_VISIBLE_DEVICES"]) for task in tasks)
    assert cluster.job(job)["NumNodes"] == "2"
    assert cluster.job(job)["NumTasks"] == "2"


def test_a_chain_survives_everything_with_the_same_bits(
    cluster: LocalCluster, faces: Path, tmp_path: Path
) -> None:
    for node in ("n0", "n1"):
        with pytest.raises(OSError, match="name|known|resolve"):
            socket.getaddrinfo(node, None)
    quiet = Submitted(cluster, TrainingRun(tmp_path / "left alone", faces), PROFILE)
    struck = Submitted(
        cluster, TrainingRun(tmp_path / "struck", faces), f"{PROFILE}partition: low\n"
    )
    assert_arrived(cluster, quiet.jobs["preliminary"])

    def signal(job: int) -> None:
        cluster.run("scancel", "--signal=USR2", str(job))

    def preempt(job: int) -> None:
        urgent = cluster.batch("--partition=high", "--nodes=2", "--gpus-per-node=1", "--wrap=true")
        cluster.wait(urgent, "COMPLETED")

    def requeue(job: int) -> None:
        cluster.run("scontrol", "requeue", str(job))

    def lose_node(job: int) -> None:
        cluster.manage("fail", "n1")
        until(lambda: cluster.state(job) == "PENDING", 90, "the job to leave the dead node")
        cluster.manage("restore", "n1")

    for stage in STAGES:
        last, resumed = struck.disturb(stage, 30, signal)
        assert last - resumed <= 1
        if stage == "preliminary":
            last, resumed = struck.disturb(stage, 30, preempt)
            assert last - resumed <= 1
        else:
            if stage == "finetune":
                quiet.wait()
            last, resumed = struck.disturb(stage, 30, requeue if stage == "pretrain" else lose_node)
            assert last - resumed <= TrainingRun.every_steps
    struck.wait()
    assert_same_end(struck.run, quiet.run)
    assert quiet.run.summary()["faces"] == 8
