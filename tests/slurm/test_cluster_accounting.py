"""A cluster with accounting: a stage that fails, a sweep, and what is known of them afterwards."""

import json
import os
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from slurm_cluster_helpers import LocalCluster, until
from slurm_runs import TrainingRun

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(2700)]

PROFILE = "time: 60\nsignal_delay: 30\nnotify: echo $SESAME_EVENT $SESAME_RUN >> {notices}\n"
SHORT = [f"stages.{stage}.epochs=4" for stage in ("preliminary", "finetune")]


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("profile") / "profile.yaml"
    path.write_text(PROFILE.format(notices=path.with_name("notices")))
    return str(path)


@pytest.fixture(scope="module", autouse=True)
def cancelled_early(
    accounted: LocalCluster,
    faces: Path,
    profile: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[TrainingRun, int]:
    """A run whose job was cancelled so early that squeue no longer lists it in the last test."""
    run = TrainingRun(tmp_path_factory.mktemp("early") / "cancelled", faces)
    jobs = submit(accounted, str(run.config), "--profile", profile, "--stage", "preliminary")
    accounted.run("sesame", "cancel", str(run.folder))
    return run, jobs["preliminary"]


def submit(cluster: LocalCluster, *arguments: str) -> dict[str, int]:
    shown = cluster.run("sesame", "submit", *arguments)
    return {stage: int(job) for stage, job in re.findall(r"(\w+) +job (\d+)", shown)}


def status(cluster: LocalCluster, run: Path) -> dict[str, dict[str, Any]]:
    """What `sesame status` knows of each stage of a run."""
    shown = cluster.run("sesame", "status", "--json", str(run), codes=(0, 1))
    (found,) = json.loads(shown)["runs"]
    return {stage["stage"]: stage for stage in found["stages"]}


def test_a_stage_that_fails_ends_its_dependents_and_is_gone_on_with(
    accounted: LocalCluster, faces: Path, tmp_path: Path, profile: str
) -> None:
    own = Path(shutil.copytree(faces, tmp_path / "faces"))
    run = TrainingRun(tmp_path / "failing", own)
    submission = (str(run.config), "--profile", profile, *SHORT)
    jobs = submit(accounted, *submission)
    result = run.folder / "checkpoints" / "preliminary" / "result.json"
    until(result.exists, 240, "preliminary")
    images = own / "WFLW_images"
    images.rename(own / "hidden")

    accounted.wait(jobs["pretrain"], "FAILED")
    for stage in ("finetune", "report"):
        accounted.wait(jobs[stage], "CANCELLED")
    states = status(accounted, run.folder)
    assert states["pretrain"]["state"] == "FAILED"
    assert "WFLW_images" in states["pretrain"]["message"]
    assert states["preliminary"]["state"] == "COMPLETED"
    notices = Path(profile).with_name("notices").read_text().splitlines()
    assert [each for each in notices if each.endswith(f" {run.folder}")] == [f"failed {run.folder}"]

    (own / "hidden").rename(images)
    again = submit(accounted, *submission)
    assert list(again) == ["pretrain", "finetune", "report"]
    run.wait_for_step("pretrain", 10)
    for process in accounted.tasks(again["pretrain"]):
        os.kill(process, signal.SIGSTOP)  # else it might end before it is cancelled
    assert status(accounted, run.folder)["pretrain"]["state"] == "RUNNING"
    assert "pretrain: 40 epochs" in accounted.run("sesame", "logs", str(run.folder))
    assert accounted.run("sesame", "cancel", str(run.folder)).count("cancelled") == 3
    for job in again.values():
        accounted.wait(job, "CANCELLED")


def test_a_sweep_is_a_job_array(
    accounted: LocalCluster, faces: Path, tmp_path: Path, profile: str
) -> None:
    run = TrainingRun(tmp_path / "sweep", faces)
    options = ("--array", "seed=1,2", "--parallel", "1", "--stage", "preliminary")
    jobs = submit(accounted, str(run.config), "--profile", profile, *options, *SHORT)
    assert list(jobs) == ["preliminary"]

    def ended() -> list[tuple[str, str]]:
        """Begin and end of each completed point, in order."""
        command = ("sacct", "--noheader", "--parsable2", "--allocations")
        options = ("--format=State,Start,End", f"--jobs={jobs['preliminary']}")
        found = [line.split("|") for line in accounted.run(*command, *options).splitlines()]
        return sorted((begin, end) for state, begin, end in found if state == "COMPLETED")

    until(lambda: len(ended()) == 2, 240, "both points")
    (_, first_end), (second_begin, _) = ended()
    assert first_end <= second_begin
    points = [run.folder / f"seed={seed}" for seed in (1, 2)]
    assert all((each / "checkpoints/preliminary/result.json").exists() for each in points)
    shown = json.loads(accounted.run("sesame", "status", "--json", str(run.folder)))["runs"]
    assert [Path(each["run"]).name for each in shown] == ["seed=1", "seed=2"]
    costs = [each["stages"][0]["cost"] for each in shown]
    assert [cost["starts"] for cost in costs] == [1, 1]
    assert [cost["energy_joules"] for cost in costs] == [None, None]  # nothing measures it here
    assert [each["stages"][0]["job"] for each in shown] == [
        f"{jobs['preliminary']}_0",
        f"{jobs['preliminary']}_1",
    ]


def test_a_sweep_beyond_the_largest_array_is_several(
    accounted: LocalCluster, faces: Path, tmp_path: Path, profile: str
) -> None:
    """Three points, and at most two tasks in a job array of this cluster."""
    run = TrainingRun(tmp_path / "long", faces)
    options = ("--array", "seed=1,2,3", "--stage", "preliminary")
    shown = accounted.run("sesame", "submit", str(run.config), "--profile", profile, *options)
    first, second = map(int, re.findall(r"^preliminary +job (\d+)", shown, re.MULTILINE))
    runs = json.loads(accounted.run("sesame", "status", "--json", str(run.folder)))["runs"]
    jobs = [each["stages"][0]["job"] for each in runs]
    assert jobs == [f"{first}_0", f"{first}_1", str(second)]
    states = accounted.run("squeue", "--noheader", "--states=all", "--array", "--format=%i").split()
    assert set(jobs) <= set(states)
    accounted.run("sesame", "cancel", str(run.folder))
    for job in (first, second):
        accounted.wait(job, "CANCELLED")


def test_accounting_has_what_squeue_no_longer_lists(
    accounted: LocalCluster, cancelled_early: tuple[TrainingRun, int]
) -> None:
    run, job = cancelled_early

    def is_purged() -> bool:
        return str(job) not in accounted.run("squeue", "--noheader", "--states=all").split()

    until(is_purged, 240, "squeue to purge the job")
    assert status(accounted, run.folder)["preliminary"]["state"] == "CANCELLED"
