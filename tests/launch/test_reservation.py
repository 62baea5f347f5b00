"""One of two processes that submit a run at the same moment has it; the other is told so."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import submitting_at_once
from launched_runs import fake_command, squeue_line, tiny_config

from sesame_hpc.launch.local_chain import start_chain
from sesame_hpc.launch.plan import make_plan
from sesame_hpc.launch.profile import load_profile
from sesame_hpc.launch.submit import submit_plan
from sesame_hpc.lease import Lease

TRIES = 25


def test_one_of_two_wins_and_the_other_is_told(tmp_path: Path, commands: Path) -> None:
    for name in ("srun", "scancel"):
        fake_command(commands, name)
    fake_command(commands, "sinfo", ["gpu"])
    # SLURM knows every job, as pending, under the name that its run gave it.
    jobs = [
        squeue_line(str(job), "PENDING", name=f"sesame-run{job // 1000}-{stage}")
        for job in range(1000 * TRIES + 1000)
        for stage in ("preliminary", "pretrain", "finetune", "report")
        if job % 1000 == ("preliminary", "pretrain", "finetune", "report").index(stage)
    ]
    fake_command(commands, "squeue", jobs)
    stages = "preliminary) i=0;; pretrain) i=1;; finetune) i=2;; *) i=3;;"
    (commands / "bin/sbatch").write_text(
        "#!/bin/sh\n"
        'name=$(/bin/grep -o "job-name=.*" "$2"); name=${name#job-name=sesame-run}\n'
        f"case ${{name#*-}} in {stages} esac\n"
        'echo x >> "${0%/*}/count"\n'
        "echo Submitted batch job $((1000 * ${name%%-*} + i))\n"
    )
    (commands / "bin/sbatch").chmod(0o755)
    for number in range(TRIES):
        run = tmp_path / "runs" / f"run{number}"
        shutil.copy(tiny_config(tmp_path, f"output={run}"), tmp_path / f"{number}.yaml")
    command = [sys.executable, submitting_at_once.__file__, str(tmp_path), str(TRIES)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run(command, env=environment, check=True, timeout=300)
    for number in range(TRIES):
        said = [(tmp_path / f"{number}-{process}.txt").read_text() for process in (0, 1)]
        winner, loser = sorted(said, key=lambda text: "exit code 2" in text)
        assert winner.endswith("exit code 0\n"), said
        assert loser.endswith("exit code 2\n"), said
        assert "another process is submitting jobs of" in loser or "queued or running" in loser
        assert len(loser.splitlines()) == 2
        content = json.loads((tmp_path / "runs" / f"run{number}" / "jobs.json").read_text())
        assert len(content["submissions"]) == 1
        assert not list((tmp_path / "runs" / f"run{number}").glob(".*"))
    assert (commands / "bin/count").read_text().count("x") == 4 * TRIES


@pytest.mark.parametrize("here", [True, False])
def test_who_comes_second_leaves_nothing(tmp_path: Path, commands: Path, here: bool) -> None:
    for name in ("srun", "scancel", "sbatch"):
        fake_command(commands, name)
    plan = make_plan(str(tiny_config(tmp_path)), (), ["seed=1,2"])
    name, profile = load_profile("local", required=True)
    busy = tmp_path / "runs/tiny/seed=2"
    said = rf"another process is submitting jobs of {busy}"
    with Lease(busy, "submitting jobs of", ".submit.lock"):
        if here:
            with pytest.raises(ValueError, match=said):
                start_chain(plan, None, profile)
        else:
            with pytest.raises(ValueError, match=said):
                submit_plan(plan, name, profile, None, tell=lambda stage, job: None)
    assert [path.name for path in (tmp_path / "runs/tiny").iterdir()] == ["seed=2"]
    assert not list(busy.iterdir())
