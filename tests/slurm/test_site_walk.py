"""slurm/local_cluster/site_walk.py, as it is."""

import subprocess
import sys
from pathlib import Path

import pytest
from slurm_cluster_helpers import LocalCluster

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.cluster_slow]

SCRIPT = Path(__file__).resolve().parents[2] / "slurm/local_cluster/site_walk.py"


@pytest.mark.timeout(2700)
def test_a_run_outlives_the_walk(cluster: LocalCluster, tmp_path: Path) -> None:
    """`cluster` skips where there is no SLURM."""
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path / "walk")], capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for incident in ("time limit", "preemption", "dead node", "controller away", "refused requeue"):
        assert f"== {incident}\n" in ended.stdout
    assert ended.stdout.count("it continues from step") == 5
    assert "cancelled" in ended.stdout
    assert ended.stdout.endswith("done: the run survived everything\n")
