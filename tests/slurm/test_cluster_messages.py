"""What the user reads where the reason is SLURM's, on the daemons."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from slurm_chains import Submitted
from slurm_cluster_helpers import LocalCluster
from slurm_runs import TrainingRun, one_stage

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(2700)]

WRONG_ACCOUNT = "Invalid account or account/partition combination specified"


def submit(cluster: LocalCluster, run: TrainingRun, profile: str, *options: str, code: int) -> str:
    """What `sesame submit` prints, on both streams, before it ends with `code`."""
    file = run.config.with_suffix(".profile.yaml")
    file.write_text(profile)
    command = ["sesame", "submit", str(run.config), "--profile", str(file), *options]
    shown = cluster.run("bash", "-c", f"{shlex.join(command)} 2>&1", codes=(code,))
    return " ".join(shown.split())


def first_stage(cluster: LocalCluster, run: TrainingRun) -> dict[str, Any]:
    shown = cluster.run("sesame", "status", "--json", str(run.folder), codes=(0, 1))
    return json.loads(shown)["runs"][0]["stages"][0]


def all_jobs(cluster: LocalCluster) -> set[str]:
    return set(cluster.run("squeue", "--noheader", "--states=all", "--format=%i").split())


def test_a_signal_from_the_start_on_which_slurm_would_take_is_refused(
    cluster: LocalCluster, faces: Path, tmp_path: Path
) -> None:
    run = one_stage(TrainingRun(tmp_path / "run", faces))
    taken = cluster.batch("--time=2", "--signal=USR2@120", "--hold", "--wrap=true")
    assert cluster.state(taken) == "PENDING"
    before = all_jobs(cluster)
    said = submit(cluster, run, "time: 2\nsignal_delay: 120\n", code=2)
    assert "signal_delay: 120 s before the time limit of preliminary, 2 minutes" in said
    assert all_jobs(cluster) == before
    assert not run.folder.exists()


def test_a_job_that_slurm_cannot_start_has_slurms_reason(
    cluster: LocalCluster, faces: Path, tmp_path: Path
) -> None:
    """While it waits, somebody removes the folder of its logs."""
    run = one_stage(TrainingRun(tmp_path / "run", faces))
    job = Submitted(cluster, run, "time: 60\nextra: {hold: true}\n").jobs["preliminary"]
    (run.folder / "logs").rename(tmp_path / "removed")
    cluster.run("scontrol", "release", str(job))
    assert cluster.wait(job, "FAILED")["Reason"] == "JobLaunchFailure"
    stage = first_stage(cluster, run)
    assert (stage["state"], stage["message"]) == ("FAILED", "SLURM's reason: JobLaunchFailure")


def test_a_wrong_account_is_answered_by_slurm_and_not_with_partitions(
    accounted: LocalCluster, faces: Path, tmp_path: Path
) -> None:
    run = one_stage(TrainingRun(tmp_path / "run", faces))
    profile = "time: 60\naccount: nosuch\n"
    said = submit(accounted, run, profile, code=2)
    refusal = "sbatch refused job sesame-run-preliminary: Batch job submission failed"
    assert f"{refusal}: {WRONG_ACCOUNT}" in said
    assert "partitions" not in said
    tried = submit(accounted, run, profile, "--dry-run", code=1)
    assert f"preliminary: sbatch would refuse it: allocation failure: {WRONG_ACCOUNT}" in tried
    said = submit(accounted, run, "time: 60\npartition: nosuch\n", code=2)
    assert "This cluster's partitions: cloud, main" in said
    assert not run.folder.exists()


def test_long_node_lists_are_shown_whole(
    accounted: LocalCluster, faces: Path, tmp_path: Path
) -> None:
    """The second is longer than a column of squeue may be; its JSON has it."""
    for nodes, longer_than in ((100, 200), (1000, 4000)):
        run = one_stage(TrainingRun(tmp_path / f"{nodes} nodes", faces))
        size = f"batch_size: {nodes}, epoch_samples: {nodes}"
        run.config.write_text(run.config.read_text().replace("batch_size: 8", size))
        chain = Submitted(accounted, run, f"nodes: {nodes}\ntime: 60\npartition: cloud\n")
        job = accounted.wait(chain.jobs["preliminary"], "CONFIGURING")
        assert len(job["NodeList"]) > longer_than
        assert first_stage(accounted, run)["nodes"] == job["NodeList"]
        shown = accounted.run("sesame", "status", "--once", str(run.folder))
        assert f" configuring {nodes} nodes " in " ".join(shown.split())
        accounted.run("sesame", "cancel", str(run.folder))
