"""What sites put in the way of a submission, on the daemons."""

import json
import os
import re
import shlex
import shutil
from pathlib import Path

import pytest
from slurm_chains import Submitted
from slurm_cluster_helpers import LocalCluster, until
from slurm_runs import TrainingRun, one_stage

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(2700)]

CHAIN = Path(__file__).resolve().parents[2] / "slurm" / "chain.sh"


def program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_a_wrapper_of_sbatch_and_its_variables_do_not_change_a_chain(
    cluster: LocalCluster, faces: Path, tmp_path: Path
) -> None:
    """The wrapper prints a line with a job in it; the variables would give the jobs no
    environment, seven minutes and no requeue."""
    run = one_stage(TrainingRun(tmp_path / "run", faces))
    real = shutil.which("sbatch", path=cluster.environment["PATH"])
    program(tmp_path / "bin", "sbatch", f'echo "Project x: job 24 h"\nexec {real} "$@"')
    path = f"PATH={tmp_path}/bin:{cluster.environment['PATH']}"
    variables = ["SBATCH_EXPORT=NONE", "SBATCH_TIMELIMIT=7", "SBATCH_NO_REQUEUE=1"]
    setup = [
        "export OF_THE_SCRIPT=here",
        f"export PYTHONPATH={shlex.quote(os.environ.get('PYTHONPATH', ''))}",
    ]
    profile = tmp_path / "profile.yaml"
    profile.write_text(f"time: 60\nsignal_delay: 30\nsetup: {json.dumps(setup)}\n")
    submit = ["sesame", "submit", str(run.config), "--profile", str(profile)]
    shown = cluster.run("bash", "-c", shlex.join(["env", path, *variables, *submit]) + " 2>&1")
    for variable in variables[1:]:
        assert f"{variable} has no effect: the profile overrides it" in shown
    jobs = {stage: int(job) for stage, job in re.findall(r"(\w+) +job (\d+)", shown)}
    assert list(jobs) == ["preliminary", "report"]
    first = jobs["preliminary"]
    job = cluster.job(first)
    assert (job["TimeLimit"], job["Requeue"]) == ("01:00:00", "1")
    until(lambda: bool(cluster.tasks(first)), 240, "the task")
    (environment,) = cluster.tasks(first).values()
    assert environment["OF_THE_SCRIPT"] == "here"
    cluster.wait(jobs["report"], "COMPLETED", seconds=360)


def test_a_job_does_not_train_on_the_cpu_in_place_of_its_gpus(
    cluster: LocalCluster, faces: Path, tmp_path: Path
) -> None:
    run = one_stage(TrainingRun(tmp_path / "run", faces))
    run.config.write_text(run.config.read_text().replace("device: cpu", "device: auto"))
    chain = Submitted(cluster, run, "gpus_per_node: 1\ntime: 60\n")
    cluster.wait(chain.jobs["preliminary"], "FAILED")
    shown = cluster.run("sesame", "status", "--json", str(run.folder), codes=(1,))
    (status,) = json.loads(shown)["runs"]
    assert re.search(r"SLURM gave this job GPUs on node n\d \(", status["stages"][0]["message"])


def test_plain_jobs_have_their_nodes_cpus_and_no_options_of_the_job_they_come_from(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    """A chain that is submitted within a job with --mem-per-cpu, which excludes its own --mem."""
    program(tmp_path / "bin", "sesame", 'echo "$SLURM_CPUS_PER_TASK CPUs: $*"')
    log, outer = tmp_path / "chain.log", tmp_path / "outer.log"
    options = f"--mem=1G --exclusive --output={log}"
    submit = f"PATH={tmp_path}/bin:$PATH {CHAIN} {options} -- my.yaml"
    cluster.wait(
        cluster.batch("--mem-per-cpu=100", f"--output={outer}", f"--wrap={submit}"), "COMPLETED"
    )
    jobs = [int(job) for job in re.findall(r": job (\d+)", outer.read_text())]
    assert len(jobs) == 3, outer.read_text()
    cluster.wait(jobs[-1], "COMPLETED")
    stages = ("preliminary", "pretrain", "finetune")
    assert [line for line in log.read_text().splitlines() if "CPUs" in line] == [
        f"8 CPUs: train my.yaml --stage {stage}" for stage in stages
    ]
