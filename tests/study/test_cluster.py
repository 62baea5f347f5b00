"""A study as job arrays: which tasks there are, and what they wait for. SLURM is a script here."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from launched_runs import fake_command, squeue_line

Sesame = Callable[..., subprocess.CompletedProcess[str]]

TEXT = """
output: {output}
base: tiny.yaml
seeds: [0, 1]
arms:
  baseline: {{stages.run: [preliminary]}}
  adaptive:
  slow-finetune: {{stages.finetune.lr: 1.0e-4}}
"""


@pytest.fixture
def sesame(tmp_path: Path) -> Sesame:
    """Runs the command line where SLURM has only the commands in tmp_path/bin."""
    (tmp_path / "bin").mkdir()

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("S")}
        return subprocess.run(
            [sys.executable, "-m", "sesame_hpc", *map(str, arguments)],
            cwd=tmp_path,
            env={**clean, "PATH": str(tmp_path / "bin"), "COLUMNS": "80"},
            capture_output=True,
            text=True,
            timeout=200,
        )

    return run


def slurm(folder: Path, refused: str = "nothing", cluster: str = "") -> None:
    """An sbatch that numbers its jobs from 11, keeps their scripts, and refuses one by its id.

    `cluster` is that of a federation.
    """
    for name in ("srun", "scancel", "squeue"):
        fake_command(folder, name)
    fake_command(folder, "sacct", error="Slurm accounting storage is disabled\n", code=1)
    fake_command(folder, "sinfo", ["debug"])
    count = folder / "bin/count"
    (folder / "bin/sbatch").write_text(
        f"""#!/bin/sh
echo x >> "{count}"
id=$((10 + $(/usr/bin/wc -l < "{count}")))
if [ $id = {refused} ]; then echo "sbatch: error: Invalid account" >&2; exit 1; fi
for script; do :; done
/bin/cp "$script" "{folder}/$id.sh"
echo "$id{f";{cluster}" if cluster else ""}"
"""
    )
    (folder / "bin/sbatch").chmod(0o755)


def dependency(folder: Path, job: int) -> str | None:
    found = re.search(r"#SBATCH --dependency=(\S+)", (folder / f"{job}.sh").read_text())
    return found[1] if found else None


def test_runs_that_take_a_stage_wait_for_those_that_train_it(
    sesame: Sesame, write_study: Callable[..., Path], tmp_path: Path
) -> None:
    slurm(tmp_path)
    done = sesame("study", write_study(TEXT), "--profile", "local")
    assert done.returncode == 0, done.stderr
    jobs = [line.split() for line in done.stdout.splitlines() if " job " in line]
    assert [(job[0], job[2]) for job in jobs] == [
        ("preliminary", "11_[0-1]"),
        ("report", "12_[0-1]"),
        ("preliminary", "13_[0-1]"),
        ("pretrain", "14_[0-1]"),
        ("finetune", "15_[0-1]"),
        ("report", "16_[0-1]"),
        ("preliminary", "17_[0-1]"),
        ("pretrain", "18_[0-1]"),
        ("finetune", "19_[0-1]"),
        ("report", "20_[0-1]"),
    ]
    awaited = {job: dependency(tmp_path, job) for job in range(11, 21)}
    assert awaited[11] is None
    assert awaited[12] == "aftercorr:11"
    assert awaited[13] == "afterany:11"
    assert awaited[14] == "aftercorr:13"
    assert awaited[17] == "afterany:11"
    assert awaited[18] == "aftercorr:17,afterany:14"
    assert awaited[19] == "aftercorr:18"

    out = tmp_path / "out"
    note = json.loads((out / "runs/slow-finetune/seed-1/shared.json").read_text())
    assert {stage: each["from"] for stage, each in note.items()} == {
        "preliminary": "../../baseline/seed-1",
        "pretrain": "../../adaptive/seed-1",
    }
    status = sesame("status", out)
    assert "runs/slow-finetune/seed-1" in status.stdout

    fake_command(
        tmp_path, "squeue", [squeue_line("11_0", "RUNNING", name="sesame-out-preliminary")]
    )
    shown = sesame("study", tmp_path / "two.yaml")
    assert "1 of 6 runs have jobs that are queued or running." in shown.stdout
    assert "0 of 6 runs finished" in shown.stdout
    again = sesame("study", tmp_path / "two.yaml", "--profile", "local")
    assert again.returncode == 2
    assert "has jobs that are queued or running: 11_0 (preliminary)" in again.stderr


def test_a_refusal_takes_all_chains_back(
    sesame: Sesame, write_study: Callable[..., Path], tmp_path: Path
) -> None:
    slurm(tmp_path, refused="14", cluster="north")
    failed = sesame("study", write_study(TEXT), "--profile", "local")
    assert failed.returncode == 2
    assert "sbatch refused job sesame-out-pretrain" in failed.stderr
    asked = (tmp_path / "bin/scancel.asked").read_text().split()
    assert set(asked) >= {"11", "12", "13"}
    assert asked.count("--clusters=north") == 2  # of the chain with job 13, and of the one before


def test_the_scripts_can_be_looked_at(
    sesame: Sesame, write_study: Callable[..., Path], tmp_path: Path
) -> None:
    shown = sesame("study", write_study(TEXT), "--profile", "local", "--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("#!/bin/bash") == 10
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dry-run"], "--dry-run and --parallel need --profile"),
        (["--parallel", "2"], "--dry-run and --parallel need"),
        (["--collect", "--profile", "local"], "--profile and --collect exclude each other"),
    ],
)
def test_options_that_do_not_go_together(
    sesame: Sesame, write_study: Callable[..., Path], options: list[str], message: str
) -> None:
    failed = sesame("study", write_study(TEXT), *options)
    assert failed.returncode == 2
    assert message in failed.stderr
