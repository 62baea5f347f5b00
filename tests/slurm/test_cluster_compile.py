"""What is compiled for a job on two nodes with two ranks each: where it is, and by whom."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from slurm_chains import Submitted, node_folders
from slurm_cluster_helpers import LocalCluster
from slurm_runs import TrainingRun, one_stage

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.slow,
    pytest.mark.cluster_slow,
    pytest.mark.timeout(2700),
]

PROFILE = """
nodes: 2
tasks_per_node: 2
cpus_per_task: 1
time: 60
setup: ["export TORCH_LOGS=inductor,aot TORCHINDUCTOR_COMPILE_THREADS=1"]
srun_args: [--task-prolog={prolog}]
"""


@pytest.mark.skipif(shutil.which("c++") is None, reason="Inductor needs a C++ compiler")
def test_one_rank_of_each_node_compiles_and_the_other_finds_it_there(
    cluster: LocalCluster, faces: Path, tmp_path: Path
) -> None:
    run = one_stage(TrainingRun(tmp_path / "run", faces))
    settings = run.config.read_text().replace("device: cpu", "device: cpu, compile: regions")
    run.config.write_text(settings)
    chain = Submitted(cluster, run, PROFILE.format(prolog=node_folders(tmp_path)))
    job = chain.jobs["preliminary"]
    cluster.wait(job, "COMPLETED", seconds=600)
    logs = [(run.folder / f"logs/{job}_{rank}_log.out").read_text() for rank in range(4)]
    found = [set(re.findall(r"fx graph cache (hit|miss) for", log)) for log in logs]
    assert "miss" in found[0] & found[2]  # the local ranks 0 of n0 and n1
    assert found[1] == found[3] == {"hit"}
    for node in ("n0", "n1"):
        own = tmp_path / node / f"sesame-{os.getuid()}-{job}"
        assert list((own / "inductor").rglob("*.so"))


def test_doctor_says_within_a_job_where_it_is(cluster: LocalCluster, tmp_path: Path) -> None:
    found = tmp_path / "doctor.json"
    step = ("srun", "--nodelist=n1", "--gpus=0", f"--task-prolog={node_folders(tmp_path)}")
    cluster.run(*step, "sesame", "doctor", "--json", str(found), seconds=600)
    checks = {check["name"]: check for check in json.loads(found.read_text())["checks"]}
    (folder,) = (tmp_path / "n1").glob(f"sesame-{os.getuid()}-*")
    wanted = f"Triton: {folder}/triton, Inductor: {folder}/inductor"
    assert checks["compile caches"]["found"] == wanted
