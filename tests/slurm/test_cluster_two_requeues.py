"""A rank that lost the others asks SLURM for a requeue while the batch script does so too."""

import shutil
from pathlib import Path

import pytest
from slurm_cluster_helpers import LocalCluster

from sesame_hpc.launch.batch_script import BATCH_REQUEUE

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(900)]

SCRIPT = """#!/bin/bash
export SESAME_JOB_FOLDER={folder} PATH={folder}:$PATH
source {batch_requeue}
[[ ${{SLURM_RESTART_COUNT:-0}} == 0 ]] || exit 0
touch "$SESAME_REQUEUE_FILE"
sesame_follow_up 75
"""

# Just before the batch script's request, that of a rank.
FASTER_RANK = """#!/bin/bash
[[ $1 != requeue ]] || {scontrol} "$@"
exec {scontrol} "$@"
"""


def test_the_job_runs_once_more_and_none_is_submitted_beside_it(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    scontrol = shutil.which("scontrol", path=cluster.environment["PATH"])
    (tmp_path / "scontrol").write_text(FASTER_RANK.format(scontrol=scontrol))
    (tmp_path / "scontrol").chmod(0o755)
    script, log = tmp_path / "script", tmp_path / "log"
    script.write_text(SCRIPT.format(folder=tmp_path, batch_requeue=BATCH_REQUEUE))
    job = cluster.batch("--requeue", f"--output={log}", "--open-mode=append", str(script))
    assert cluster.wait(job, "COMPLETED")["Restarts"] == "1"
    listed = cluster.run("squeue", "--noheader", "--states=all", "--format=%i").split()
    assert max(map(int, listed)) == job
    assert f"sesame: SLURM ends job {job} itself" in log.read_text()
    assert not (tmp_path / "successors.txt").exists()
