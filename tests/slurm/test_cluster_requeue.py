"""A chain in a container, where SLURM is away, refuses a requeue or cancels on preemption."""

import os
import re
import shutil
import signal
import sys
from pathlib import Path

import pytest
from slurm_chains import Submitted
from slurm_cluster_helpers import LocalCluster, until
from slurm_runs import TrainingRun, one_stage

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.slow,
    pytest.mark.cluster_slow,
    pytest.mark.timeout(2700),
]

# MASTER_ADDR: the nodes of the local cluster have no names, and the container has no scontrol that
# would know their addresses.
PROFILE = f"""
nodes: 2
gpus_per_node: 1
cpus_per_task: 1
time: 60
signal_delay: 30
partition: scavenger
setup: [export MASTER_ADDR=127.0.0.1]
container: {{prefix: env PATH=/nowhere}}
python: {sys.executable}
"""

# srun as Pyxis extends it: the command runs in the image, whose PATH has Python and no SLURM.
PYXIS = """#!/bin/bash
options=() command=()
for word in "$@"; do
  case ${#command[@]}:$word in
    0:--container-image=*) image=${word#*=} ;;
    0:--container-mounts=*) echo "${word#*=}" > "$image/mounts" ;;
    0:python | [1-9]*) command+=("$word") ;;
    *) options+=("$word") ;;
  esac
done
exec SRUN "${options[@]}" /usr/bin/env PATH="$image/bin" "${command[@]}"
"""


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(text)
    path.chmod(0o755)


def controller(cluster: LocalCluster) -> int:
    (pid,) = re.findall(r"^slurmctld +running +(\d+)", cluster.manage("status"), re.MULTILINE)
    return int(pid)


def test_a_chain_in_a_container_outlives_what_a_site_does_to_it(
    cluster: LocalCluster, faces: Path, tmp_path: Path
) -> None:
    chain = Submitted(cluster, TrainingRun(tmp_path / "site", faces), PROFILE)

    def signal_while_slurm_is_away(job: int) -> None:
        """The signal of SLURM, whose controller then does not answer for a while."""
        process = controller(cluster)
        os.kill(process, signal.SIGSTOP)
        try:
            for task in cluster.tasks(job):
                os.kill(task, signal.SIGUSR2)
                os.kill(task, signal.SIGCONT)
            until(lambda: "asking again until SLURM answers" in chain.log("preliminary"), 240, "it")
        finally:
            os.kill(process, signal.SIGCONT)

    def preempt(job: int) -> None:
        urgent = cluster.batch("--partition=high", "--nodes=2", "--exclusive", "--wrap=true")
        cluster.wait(urgent, "COMPLETED")

    chain.disturb("preliminary", signal_while_slurm_is_away, loses=1)
    chain.disturb("pretrain", preempt, loses=1)

    first = chain.jobs["finetune"]
    cluster.wait(first, "RUNNING")
    cluster.run("scontrol", "update", f"JobId={first}", "Requeue=0")
    chain.run.wait_for_step("finetune", 30)
    cluster.run("scancel", "--signal=USR2", str(first))
    cluster.wait(first, "FAILED")
    last = chain.run.last_step("finetune")
    status = cluster.run("sesame", "status", "--once", str(chain.run.folder))
    (second,) = re.findall(r"^finetune +(\d+)", status, re.MULTILINE)
    assert int(second) > max(chain.jobs.values())
    chain.jobs["finetune"] = int(second)
    chain.wait()
    assert chain.resumed("finetune")[-1] >= last - 1
    assert (
        f"job {second} continues job {first}"
        in (chain.run.folder / f"logs/{first}_0_log.out").read_text()
    )


def test_a_job_in_an_image_of_pyxis_is_requeued_by_its_batch_script(
    cluster: LocalCluster, faces: Path, tmp_path: Path
) -> None:
    """Pyxis itself is not there; a program in front of srun does what it does for the job."""
    image, srun = tmp_path / "image", shutil.which("srun", path=cluster.environment["PATH"])
    program(image / "bin" / "python", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    program(tmp_path / "pyxis" / "srun", PYXIS.replace("SRUN", str(srun)))
    profile = f"""
nodes: 2
cpus_per_task: 1
time: 60
signal_delay: 30
setup: ['export PATH={tmp_path}/pyxis:$PATH', export MASTER_ADDR=127.0.0.1]
container: {{image: {image}, mounts: ["/shared:/shared", "/data:/data"]}}
"""
    chain = Submitted(cluster, one_stage(TrainingRun(tmp_path / "run", faces), 40), profile)

    def signal_the_job(job: int) -> None:
        cluster.run("scancel", "--signal=USR2", str(job))

    chain.disturb("preliminary", signal_the_job, loses=1)
    chain.wait()
    assert (image / "mounts").read_text() == "/shared:/shared,/data:/data\n"
    assert f"sesame: job {chain.jobs['preliminary']} is requeued" in chain.log("preliminary")
