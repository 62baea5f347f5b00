"""A node whose GPU fails, and a Python environment that each node gets a copy of."""

import json
import subprocess
import sys
import sysconfig
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

ROOT = Path(__file__).resolve().parents[2]
FAULT = """
import os

if os.environ.get("SLURMD_NODENAME") == "n1":
    import torch

    def fail(self, images):
        raise RuntimeError("CUDA error: uncorrectable ECC error encountered")

    torch.nn.Conv2d.forward = fail
"""


def test_a_job_whose_gpu_fails_runs_again_on_another_node(
    cluster: LocalCluster, faces: Path, tmp_path: Path
) -> None:
    """On n1, every convolution fails as CUDA does on a GPU with a broken memory."""
    (tmp_path / "fault").mkdir()
    (tmp_path / "fault" / "sitecustomize.py").write_text(FAULT)
    setup = f"export PYTHONPATH={tmp_path}/fault:${{PYTHONPATH:-}}"
    profile = f"time: 60\nexclude_bad_nodes: 1\nsetup: ['{setup}']\n"
    cluster.run("scontrol", "update", "NodeName=n0", "State=DRAIN", "Reason=first on n1")
    chain = Submitted(cluster, one_stage(TrainingRun(tmp_path / "run", faces)), profile)
    first = chain.jobs["preliminary"]
    assert cluster.wait(first, "RUNNING")["NodeList"] == "n1"
    cluster.run("scontrol", "update", "NodeName=n0", "State=RESUME")
    cluster.wait(first, "FAILED")
    cluster.run("scontrol", "update", "NodeName=n1", "State=DRAIN", "Reason=ECC")
    successors = chain.run.folder / "logs" / "successors.txt"
    until(successors.exists, 240, "a job that continues it")
    old, new = successors.read_text().split()
    assert old == str(first)
    assert cluster.job(int(new))["ExcNodeList"] == "n1"
    cluster.wait(int(new), "COMPLETED")
    cluster.wait(chain.jobs["report"], "COMPLETED")
    log = (chain.run.folder / "logs" / f"{first}_0_log.out").read_text()
    assert f"sesame: faulty: n1; submitting job {first} again without" in log
    shown = cluster.run("sesame", "status", "--json", str(chain.run.folder))
    (status,) = json.loads(shown)["runs"]
    assert (status["failed"], status["stages"][0]["job"]) == (False, new)


def test_every_node_runs_the_environment_that_was_unpacked_on_it(
    cluster: LocalCluster, faces: Path, tmp_path: Path
) -> None:
    """As in docs/cluster/containers.md. The nodes share a machine here, hence a folder each."""
    made = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(made)], check=True)
    (packages,) = made.glob("lib/python*/site-packages")
    paths = (sysconfig.get_path("purelib"), ROOT, ROOT / "kernels")
    (packages / "those.pth").write_text("".join(f"{path}\n" for path in paths))
    archive = tmp_path / "environment.tar"
    subprocess.run(["tar", "-cf", str(archive), "-C", str(made), "."], check=True)
    place = f"{tmp_path}/local-$SLURM_JOB_ID-$SLURMD_NODENAME"
    (tmp_path / "python").write_text(f'#!/bin/sh\nexec {place}/bin/python "$@"\n')
    (tmp_path / "python").chmod(0o755)
    unpack = f"mkdir {place} && tar -xf {archive} -C {place}"
    setup = f"srun --ntasks=$SLURM_NNODES --ntasks-per-node=1 bash -c '{unpack}'"
    profile = f"nodes: 2\ncpus_per_task: 1\ntime: 60\npython: {tmp_path}/python\n"
    profile += f"setup:\n  - {json.dumps(setup)}\n"
    chain = Submitted(cluster, one_stage(TrainingRun(tmp_path / "run", faces)), profile)
    job = chain.jobs["preliminary"]
    until(lambda: len(cluster.tasks(job)) == 2, 240, "two tasks")
    used = {
        Path(f"/proc/{task}/cmdline").read_bytes().split(b"\0")[0] for task in cluster.tasks(job)
    }
    places = {f"{tmp_path}/local-{job}-{node}/bin/python".encode() for node in ("n0", "n1")}
    assert used == places
    cluster.wait(job, "COMPLETED")
