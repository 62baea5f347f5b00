"""The local cluster does what the tests of training rely on."""

import subprocess
import sys
from pathlib import Path

import pytest
from slurm_cluster_helpers import CLUSTER, LocalCluster, local_cluster, until

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(2700)]


def processes_of(folder: Path) -> list[str]:
    """Command lines of the processes that have to do with a cluster's folder, zombies left out."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            texts = [(entry / name).read_bytes() for name in ("cmdline", "environ")]
        except OSError:
            continue
        if texts[0] and any(str(folder).encode() in text for text in texts):
            found.append(texts[0].replace(b"\0", b" ").decode())
    return found


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_all_nodes_are_idle(cluster: LocalCluster) -> None:
    assert cluster.run("sinfo", "--noheader", "--partition=main", "--format=%D %T %G").split() == [
        "2",
        "idle",
        "gpu:2",
    ]
    assert "running" in cluster.manage("status")


def test_each_task_gets_its_gpu_on_each_node(cluster: LocalCluster) -> None:
    shown = cluster.run(
        *("srun", "--nodes=2", "--ntasks-per-node=2", "--gpus-per-node=2", "--gpus-per-task=1"),
        *("sh", "-c", "echo $SLURMD_NODENAME $SLURM_PROCID $SLURM_LOCALID $CUDA_VISIBLE_DEVICES"),
    )
    assert sorted(shown.splitlines()) == ["n0 0 0 0", "n0 1 1 1", "n1 2 0 0", "n1 3 1 1"]


def test_a_requeued_job_runs_again_and_keeps_its_log(cluster: LocalCluster, tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = 'echo start $SLURM_RESTART_COUNT; test -n "$SLURM_RESTART_COUNT" || sleep 100'
    job = cluster.batch("--requeue", "--open-mode=append", f"--output={log}", f"--wrap={script}")
    until(lambda: lines(log) == ["start"], 240, "the first start")
    cluster.run("scontrol", "requeue", str(job))
    assert cluster.wait(job, "COMPLETED")["Restarts"] == "1"
    assert lines(log)[-1] == "start 1"


def test_a_higher_partition_sends_usr2_and_goes_first(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    log, task = tmp_path / "log", tmp_path / "task.sh"
    task.write_text("trap 'echo saved; exit 0' USR2\necho start\nwhile :; do sleep 0.1; done\n")
    job = cluster.batch(
        *("--partition=low", "--exclusive", "--nodes=2", "--signal=USR2@60", "--requeue"),
        *(
            "--open-mode=append",
            f"--output={log}",
            f"--wrap=srun --ntasks=1 --nodes=1 sh {task}; sleep 60",
        ),
    )
    until(lambda: lines(log) == ["start"], 240, "the start")
    urgent = cluster.batch("--partition=high", "--exclusive", "--nodes=2", "--wrap=true")
    until(lambda: "saved" in lines(log), 240, "the signal")
    cluster.run("scontrol", "requeue", str(job))
    cluster.wait(urgent, "COMPLETED")
    until(lambda: lines(log).count("start") == 2, 240, "the second start")
    assert [line for line in lines(log) if line in ("start", "saved")] == [
        "start",
        "saved",
        "start",
    ]
    cluster.run("scancel", str(job))
    cluster.wait(job, "CANCELLED")


@pytest.mark.slow
@pytest.mark.cluster_slow
def test_a_drained_node_that_loses_its_slurmd_is_down_and_comes_back(cluster: LocalCluster) -> None:
    cluster.run("scontrol", "update", "NodeName=n1", "State=DRAIN", "Reason=Kill task failed")
    cluster.manage("fail", "n1", "--daemon-only")
    assert " State=DOWN" in cluster.run("scontrol", "--oneliner", "show", "node", "n1")
    cluster.manage("restore", "n1")
    shown = cluster.run("srun", "--nodelist=n1", "sh", "-c", "echo $SLURMD_NODENAME")
    assert shown.split() == ["n1"]


def test_a_second_cluster_with_accounting_in_a_folder_with_spaces(cluster: LocalCluster) -> None:
    options = ("--nodes=1", "--gpus=0", "--accounting")
    with local_cluster(*options, name="a second cluster") as second:
        job = second.batch("--wrap=true")
        second.wait(job, "COMPLETED")
        until(lambda: "COMPLETED" in second.run("sacct", "-n", "-j", str(job)), 240, "sacct")
        assert second.run("squeue", "--noheader", "--states=all") != cluster.run(
            "squeue", "--noheader", "--states=all"
        )
        state = Path(second.environment["SLURM_CONF"]).parent
        second.batch("--wrap=setsid sleep 1000 & sleep 1000")
        until(lambda: any("sleep 1000" in each for each in processes_of(state)), 240, "the job")
        assert len([each for each in processes_of(state) if "mariadbd" in each]) == 1
        second.manage("stop")
        until(lambda: processes_of(state) == [], 60, "what was killed to end")
    assert "running" in cluster.manage("status")


def test_missing_programs_are_named_with_their_packages(tmp_path: Path) -> None:
    script = f"import sys; sys.path.insert(0, {str(CLUSTER.parent)!r}); import programs, cluster\n"
    script += "programs._ADMINISTRATORS = programs._PLUGINS = ()\n"
    script += (
        f"sys.argv[1:] = ['start', {str(tmp_path)!r}, '--accounting']; sys.exit(cluster.main())"
    )
    finished = subprocess.run(
        [sys.executable, "-c", script], env={"PATH": "/nonexistent"}, capture_output=True, text=True
    )
    assert finished.returncode == 2
    for package in (
        "slurmctld",
        "slurmd",
        "slurm-client",
        "munge",
        "slurmdbd",
        "mariadb-server-core",
    ):
        assert f" {package}" in finished.stderr
