"""A run on two nodes, one of which sees the run's folder late, and whose requeues bring little.

It runs once, for all tests here.
"""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from slurm_chains import Submitted, node_folders
from slurm_cluster_helpers import LocalCluster, until
from slurm_runs import TrainingRun

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(2700)]

PROFILE = """
nodes: 2
cpus_per_task: 1
time: 60
signal_delay: 30
min_progress: 0.9
python: {python}
srun_args: [--task-prolog={prolog}]
extra: {{hold: true}}
"""

# On n1, {late} is in the place of the run's folder, where a process may have mounts of its own.
PYTHON = """#!/bin/bash
if [[ $SLURMD_NODENAME == n1 && -n "{unshare}" ]]; then
  exec {unshare} bash -c 'mount --bind "$1" "$2" && exec "${{@:3}}"' _ {late} {run} {python} "$@"
fi
exec {python} "$@"
"""


def private_mounts() -> str:
    """The command that gives a program mounts of its own; nothing where that is not allowed."""
    command = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    tried = [*command, "mount", "--bind", "/tmp", "/tmp"]
    if shutil.which("unshare") is None or subprocess.run(tried, capture_output=True).returncode:
        return ""
    return " ".join(command)


@dataclass(frozen=True)
class Told:
    """What is left of the run: its jobs, and of pretrain what it had `made` at each interruption
    but the last, at which step it `resumed` after those, and its log.

    `nodes` has the nodes' temporary folders, `late` is what n1 sees of the run in the end.
    """

    jobs: dict[str, int]
    nodes: Path
    late: Path
    made: list[int]
    resumed: list[int]
    log: str
    status: dict[str, Any]


@pytest.fixture(scope="module")
def told(
    started_cluster: LocalCluster, faces: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Told]:
    folder = tmp_path_factory.mktemp("late")
    try:
        yield interrupted(started_cluster, faces, folder)
    finally:
        started_cluster.tidy()


def interrupted(cluster: LocalCluster, faces: Path, folder: Path) -> Told:
    """Preliminary, and three starts of pretrain: each is signalled after its first few steps."""
    run, late = TrainingRun(folder / "run", faces), folder / "as-n1-sees-it"
    settings = run.config.read_text().replace("preliminary: {epochs: 40", "preliminary: {epochs: 1")
    run.config.write_text(settings.replace("pretrain: {epochs: 40", "pretrain: {epochs: 400"))
    python = folder / "python"
    paths = {"late": late, "run": run.folder, "python": sys.executable}
    python.write_text(PYTHON.format(**paths, unshare=private_mounts()))
    python.chmod(0o755)
    profile = PROFILE.format(python=python, prolog=node_folders(folder))
    chain = Submitted(cluster, run, profile)
    shutil.copytree(run.folder, late)
    for job in chain.jobs.values():
        cluster.run("scontrol", "release", str(job))
    job, made = chain.jobs["pretrain"], list[int]()

    def resumed() -> list[int]:
        found = re.findall(r"pretrain: 400 epochs .* from step (\d+)", chain.log("pretrain"))
        return list(map(int, found))

    def soon(ready: Callable[[], bool]) -> None:
        def ready_or_failed() -> bool:
            assert cluster.state(job) != "FAILED", chain.log("pretrain")
            return ready()

        until(ready_or_failed, 300, lambda: chain.log("pretrain"))

    def signal_after_some_steps() -> None:
        enough = max(resumed(), default=0) + 5
        soon(lambda: run.last_step("pretrain") >= enough)
        cluster.run("scancel", "--signal=USR2", str(job))

    for _ in range(2):
        signal_after_some_steps()
        soon(lambda: chain.restarts("pretrain") > len(made))
        made.append(run.last_step("pretrain"))
        soon(lambda: len(resumed()) == len(made))
        see_newest_checkpoint(run.folder, late)
    signal_after_some_steps()
    until(lambda: cluster.state(job) == "FAILED" or chain.restarts("pretrain") > 2, 240, "an end")
    shown = cluster.run("sesame", "status", "--json", str(run.folder), codes=(0, 1))
    stages = {stage["stage"]: stage for stage in json.loads(shown)["runs"][0]["stages"]}
    return Told(chain.jobs, folder, late, made, resumed(), chain.log("pretrain"), stages)


def see_newest_checkpoint(run: Path, late: Path) -> None:
    """From now on n1 sees the one from which rank 0 goes on. It appears as a whole."""
    place = Path("checkpoints/pretrain")
    tag = json.loads((run / place / "latest.json").read_text())["tag"]
    (late / place).mkdir(parents=True, exist_ok=True)
    shutil.copytree(run / place / tag, late / "partial")
    (late / "partial").rename(late / place / tag)


def test_a_node_that_sees_the_folder_late_trains_and_resumes(told: Told) -> None:
    """Without the results of preliminary, and waiting for the checkpoints."""
    if not private_mounts():
        pytest.skip("this machine does not let a process have mounts of its own")
    assert told.status["preliminary"]["state"] == "COMPLETED"
    assert not (told.late / "checkpoints" / "preliminary").exists()
    lost = [step - at for step, at in zip(told.made, told.resumed, strict=True)]
    assert len(lost) == 2
    assert set(lost) <= {0, 1}


def test_a_job_whose_requeues_bring_too_little_is_not_requeued_again(told: Told) -> None:
    pretrain, job = told.status["pretrain"], told.jobs["pretrain"]
    assert (pretrain["state"], pretrain["restarts"]) == ("FAILED", 2), told.log
    assert (
        f"job {job} was requeued 2 times with less than 90 % of a stage's steps each"
        in (pretrain["message"])
    )
    assert told.log.count(f"requeueing job {job}") == 2


def test_compilers_keep_their_files_in_a_folder_of_the_job_on_each_node(told: Told) -> None:
    for node in ("n0", "n1"):
        for stage in ("preliminary", "pretrain"):
            folder = told.nodes / node / f"sesame-{os.getuid()}-{told.jobs[stage]}"
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
