"""A cancelled stage resumes with other numbers of nodes and ranks."""

import json
import re
from pathlib import Path

import pytest
from slurm_cluster_helpers import LocalCluster
from slurm_runs import TrainingRun

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.slow,
    pytest.mark.cluster_slow,
    pytest.mark.timeout(2700),
]

PROFILE = "cpus_per_task: 1\ntime: 60\nsignal_delay: 30\n"

# Nodes, ranks per node, ZeRO's stage; micro-batches of two faces throughout.
STARTS = ((1, 1, 1), (2, 1, 1), (2, 2, 1), (1, 2, 0), (1, 1, 1))


def test_a_stage_resumes_on_other_nodes(cluster: LocalCluster, faces: Path, tmp_path: Path) -> None:
    run = TrainingRun(tmp_path / "elastic", faces)
    resumed = []
    for number, (nodes, ranks, zero) in enumerate(STARTS):
        profile = tmp_path / f"{number}.yaml"
        profile.write_text(f"{PROFILE}nodes: {nodes}\ngpus_per_node: {ranks}\n")
        settings = [f"runtime.zero_stage={zero}", f"runtime.accumulation={4 // (nodes * ranks)}"]
        command = ["sesame", "submit", str(run.config), *settings, "--profile", str(profile)]
        shown = cluster.run(*command, "--stage", "preliminary")
        job = int(re.findall(r"preliminary +job (\d+)", shown)[0])
        cluster.wait(job, "RUNNING")
        if number + 1 < len(STARTS):
            run.wait_for_step("preliminary", 30 * (number + 1))
            cluster.run("sesame", "cancel", str(run.folder))
            cluster.wait(job, "CANCELLED", "FAILED", "COMPLETED")
        else:
            cluster.wait(job, "COMPLETED")
        log = (run.folder / "logs" / f"{job}_0_log.out").read_text()
        resumed += re.findall(r"preliminary: 40 epochs .* from step (\d+)", log)
    assert len(resumed) == len(STARTS) - 1
    assert all(int(step) >= 30 * (number + 1) for number, step in enumerate(resumed))
    starts = json.loads((run.folder / "environment.json").read_text())["starts"]
    tasks = [(int(s["slurm"]["SLURM_NNODES"]), int(s["slurm"]["SLURM_NTASKS"])) for s in starts]
    assert tasks == [(nodes, nodes * ranks) for nodes, ranks, _ in STARTS]
    records = map(json.loads, (run.folder / "metrics.jsonl").read_text().splitlines())
    assert [r["step"] for r in records if "loss" in r] == list(range(1, 201))
