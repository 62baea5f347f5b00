"""slurm/train.sbatch and slurm/chain.sh beside commands of a few lines; on daemons: tests/slurm."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SLURM = Path(__file__).resolve().parents[2] / "slurm"


def run(folder: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {
        key: text for key, text in os.environ.items() if not key.startswith(("SLURM_", "SRUN_"))
    }
    path = f"{folder}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        command,
        env=clean | {"PATH": path} | variables,
        capture_output=True,
        text=True,
        timeout=60,
    )


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/bash\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("variables", "cpus"),
    [
        ({"SLURM_CPUS_ON_NODE": "8"}, "8"),
        ({"SLURM_CPUS_ON_NODE": "8", "SLURM_NTASKS_PER_NODE": "3"}, "2"),
        ({"SLURM_CPUS_ON_NODE": "8", "SLURM_CPUS_PER_TASK": "5"}, "5"),
        ({"SLURM_CPUS_ON_NODE": "1", "SLURM_NTASKS_PER_NODE": "4"}, "1"),
    ],
)
def test_a_task_gets_its_share_of_the_node(
    tmp_path: Path, variables: dict[str, str], cpus: str
) -> None:
    """Of a job with --exclusive, all CPUs of the node. As an option of srun: the variable
    that it reads depends on SLURM's version."""
    program(tmp_path, "srun", 'echo "$*"; exit 3')
    job = {"SLURM_JOB_ID": "17", "SLURM_SUBMIT_DIR": str(tmp_path)}
    ended = run(
        tmp_path, "bash", str(SLURM / "train.sbatch"), "my.yaml", "seed=2", **job, **variables
    )
    options = f"--kill-on-bad-exit=1 --export=ALL --cpus-per-task={cpus}"
    assert ended.stdout == f"{options} sesame train my.yaml seed=2\n"
    assert ended.returncode == 3


def test_a_chain_reads_ids_among_other_words_and_forgets_the_job_it_is_submitted_from(
    tmp_path: Path,
) -> None:
    asked = tmp_path / "asked"
    says = 'echo "Project x: job 24 h"; echo "$((10 + $(wc -l < "$ASKED")));north"'
    program(tmp_path, "sbatch", f'echo "$SLURM_CONF$SLURM_MEM_PER_CPU $2" >> "$ASKED"; {says}')
    inside = {"SLURM_MEM_PER_CPU": "1024", "SLURM_CONF": "/site", "SLURM_JOB_ID": "5"}
    ended = run(tmp_path, str(SLURM / "chain.sh"), "--", "my.yaml", ASKED=str(asked), **inside)
    stages = ("preliminary", "pretrain", "finetune")
    assert ended.stdout.splitlines() == [
        f"{stage}: job {number} on cluster north" for number, stage in enumerate(stages, 11)
    ]
    assert asked.read_text() == (
        "/site --parsable\n/site --dependency=afterok:11\n/site --dependency=afterok:12\n"
    )


def test_a_chain_ends_where_sbatch_says_no_id(tmp_path: Path) -> None:
    program(tmp_path, "sbatch", 'echo "job limits: 24 h"')
    ended = run(tmp_path, str(SLURM / "chain.sh"), "--", "my.yaml")
    assert ended.returncode == 1
    assert "sbatch printed no job id but: job limits: 24 h" in ended.stderr
