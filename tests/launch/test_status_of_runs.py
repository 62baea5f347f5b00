"""`sesame status`: what it finds out about runs, and how it shows it."""

import io
import json
from pathlib import Path

import pytest
from launched_runs import (
    fake_command,
    finish_stage,
    sacct_line,
    squeue_line,
    submitted,
    tiny_config,
)
from rich.console import Console

from sesame_hpc.config import load_config
from sesame_hpc.launch.status import find_runs, run_folders, status_of
from sesame_hpc.launch.status_table import overview_table, run_table, to_json
from sesame_hpc.launch.sweep import sweep_points, write_sweep
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.run.settings import write_settings

NO_ACCOUNTING = "Slurm accounting storage is disabled\n"


@pytest.fixture
def run(tmp_path: Path, commands: Path) -> Path:
    """Preliminary is finished, pretrain runs for the second time, the rest waits."""
    config = load_config(tiny_config(tmp_path))
    write_settings(RunFolder(config.output), config)
    submitted(config.output)
    finish_stage(config.output, "preliminary")
    lines = [
        squeue_line("11", "COMPLETED", "n[0-1]"),
        squeue_line("12", "RUNNING", "n[0-1]", restarts=1),
        squeue_line("13", "PENDING", reason="Dependency"),
        squeue_line("14", "PENDING", reason="Dependency"),
    ]
    fake_command(commands, "squeue", lines)
    fake_command(commands, "sacct", error=NO_ACCOUNTING, code=1)
    records = [
        {
            "stage": "pretrain",
            "epoch": epoch,
            "step": step,
            "time": 100.0 + step,
            "loss": 0.5 / step,
        }
        | {"lr": 1e-3, "images_per_second": 123.4}
        for epoch, step in ((1, 4), (1, 5), (2, 8))
    ]
    text = "".join(json.dumps(record) + "\n" for record in records)
    (config.output / "metrics.jsonl").write_text(text, encoding="utf-8")
    return config.output


def shown(drawn) -> str:
    text = io.StringIO()
    Console(file=text, width=80).print(drawn)
    return text.getvalue()


def table_lines(drawn) -> list[str]:
    """From the headings on: what stands above is a path, of any length."""
    lines = shown(drawn).splitlines()
    return lines[next(at for at, line in enumerate(lines) if " state " in line) :]


def log(run: Path, job: str, text: str, rank: int = 0) -> None:
    (run / "logs").mkdir(exist_ok=True)
    (run / f"logs/{job}_{rank}_log.out").write_text(text, encoding="utf-8")


def failure(run: Path, job: str, rank: int, error: str, time: float, **more) -> None:
    (run / "failures").mkdir(exist_ok=True)
    record = {"time": time, "job": job, "restarts": 0, "rank": rank, "node": f"n{rank}"}
    record |= {"error": error, "lost_others": False} | more
    (run / f"failures/pretrain-{rank}.json").write_text(json.dumps(record), encoding="utf-8")


def pretrain_ended(commands: Path, state: str) -> None:
    lines = [squeue_line("11", "COMPLETED", "n[0-1]"), squeue_line("12", state, "n[0-1]")]
    never = "DependencyNeverSatisfied"
    dependents = [squeue_line(job, "CANCELLED", reason=never) for job in ("13", "14")]
    fake_command(commands, "squeue", lines + dependents)


def test_the_table_says_where_everything_is(run):
    (status,) = status_of([run])
    lines = table_lines(run_table(status))
    assert " ".join(lines[0].split()) == "stage job state nodes restarts epoch loss img/s ETA"
    assert lines[1].split() == ["preliminary", "11", "completed", "n[0-1]", "0"]
    pretrain = ["pretrain", "12", "running", "n[0-1]", "1", "2/2", "0.06250", "123", "0:00:02"]
    assert lines[2].split() == pretrain
    assert lines[3].split() == ["finetune", "13", "pending", "0"]
    assert "finetune: waits for pretrain" in lines
    assert max(map(len, lines)) <= 80
    assert status.is_active
    assert status.current.stage == "pretrain"


@pytest.mark.parametrize("state", ["SUSPENDED", "SIGNALING", "REQUEUED", "REQUEUE_HOLD", "NEW"])
def test_a_job_that_slurm_has_not_ended_has_not_failed(run, commands, state):
    """Also in states of later versions."""
    pretrain_ended(commands, state)
    (status,) = status_of([run])
    assert not status.stages[1].is_bad
    assert status.is_active
    lines = [squeue_line("12", state), squeue_line("13", "CANCELLED")]
    fake_command(commands, "squeue", [squeue_line("11", "COMPLETED"), *lines])
    assert status_of([run])[0].stages[2].message == "cancelled"


def test_json_has_the_same(run):
    value = json.loads(json.dumps(to_json(status_of([run])[0])))
    pretrain = value["stages"][1]
    assert (pretrain["state"], pretrain["restarts"]) == ("RUNNING", 1)
    assert pretrain["progress"]["eta"] == pytest.approx(2.0)
    assert pretrain["log"] == str(run / "logs/12_0_log.out")
    assert value["unknown"] == []


def test_a_stage_that_diverged_says_so_in_table_and_json(run):
    note = {"stage": "pretrain", "epoch": 2, "step": 9, "time": 110.0, "note": "went back from 20"}
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(note) + "\n")
    (status,) = status_of([run])
    assert "pretrain: went back from 20" in shown(run_table(status)).splitlines()
    assert to_json(status)["notes"] == ["pretrain: went back from 20"]
    assert not status.has_failed


def test_a_requeue_is_told(run):
    log(run, "12", "x\nsesame: saved at step 5 of stage pretrain; requeueing job 12\ny\n")
    message = status_of([run])[0].stages[1].message
    assert message == "saved at step 5 of stage pretrain; requeueing job 12"


def test_the_cause_of_a_failure_is_the_rank_that_failed_first(run, commands):
    pretrain_ended(commands, "FAILED")
    failure(run, "12", 1, "out of memory", time=5.0)
    failure(run, "12", 0, "rank 1 went", time=4.0, lost_others=True)
    (status,) = status_of([run])
    assert status.stages[1].message == "rank 1 on n1: out of memory"
    text = shown(run_table(status))
    assert "finetune, report: cancelled, since pretrain did not complete" in text
    assert not status.is_active
    assert status.current.stage == "pretrain"


def test_jobs_that_the_user_cancelled_blame_nothing(run, commands):
    log(run, "12", "sesame: SLURM ends job 12 itself (COMPLETING)\n")
    lines = [squeue_line("12", "CANCELLED")]
    lines += [squeue_line(job, "CANCELLED", reason="Dependency") for job in ("13", "14")]
    fake_command(commands, "squeue", [squeue_line("11", "COMPLETED"), *lines])
    message = [stage.message for stage in status_of([run])[0].stages[1:]]
    assert message == ["cancelled"] * 3


def test_failures_of_earlier_jobs_and_attempts_do_not_count(run, commands):
    pretrain_ended(commands, "FAILED")
    failure(run, "12", 1, "the last attempt's", time=5.0, restarts=2)
    for job, restarts in (("9", 2), ("12", 1)):
        failure(run, job, 0, "long ago", time=1.0, restarts=restarts)
        assert status_of([run])[0].stages[1].message == "rank 1 on n1: the last attempt's"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (
            "sesame: data.root: x is not a directory\nsrun: error: task 0: exit 2\n",
            "data.root: x is not a directory",
        ),
        ("Traceback\n[rank1]: KeyError: 'x'\nsrun: error: n0: task 1\n", "[rank1]: KeyError: 'x'"),
        ("/bin/sh: 1: python: not found\n", "/bin/sh: 1: python: not found"),
        ("srun: error: n1: task 1: Killed\n", "srun: error: n1: task 1: Killed"),
        ("epoch 1\nModuleNotFoundError: No module named 'torch'\nbye\n", "ModuleNotFoundError"),
    ],
)
def test_without_a_record_the_logs_name_the_cause(run, commands, text, cause):
    pretrain_ended(commands, "FAILED")
    log(run, "12", text, rank=1)
    assert cause in status_of([run])[0].stages[1].message


@pytest.mark.parametrize(
    ("state", "message"),
    [("TIMEOUT", "time limit"), ("OUT_OF_MEMORY", "memory"), ("NODE_FAIL", "nodes failed")],
)
def test_ends_without_a_message_are_explained(run, commands, state, message):
    """Also where the batch script has seen that SLURM ends the job."""
    pretrain_ended(commands, state)
    log(run, "12", "sesame: SLURM ends job 12 itself (COMPLETING)\n")
    (status,) = status_of([run])
    assert message in status.stages[1].message
    assert status.stages[1].is_bad


@pytest.mark.parametrize(
    ("state", "reason", "message"),
    [
        ("FAILED", "JobLaunchFailure", "SLURM's reason: JobLaunchFailure"),
        ("PREEMPTED", "None", "preempted, and SLURM does not start it again: submit it again"),
    ],
)
def test_slurm_has_the_last_word_where_the_run_has_none(run, commands, state, reason, message):
    log = run / "logs/12_0_log.out"
    if state == "PREEMPTED":
        log.parent.mkdir(exist_ok=True)
        log.write_text("sesame: saved at step 8 of stage pretrain; requeueing job 12\n")
    fake_command(commands, "squeue", [squeue_line("12", state, reason=reason)])
    assert status_of([run])[0].stages[1].message.startswith(message)


def test_accounting_has_what_the_queue_no_longer_lists(run, commands):
    fake_command(commands, "squeue")
    fake_command(
        commands, "sacct", [sacct_line("11", "COMPLETED", "n0"), sacct_line("12", "TIMEOUT")]
    )
    (status,) = status_of([run])
    assert [stage.state for stage in status.stages] == [
        "COMPLETED",
        "TIMEOUT",
        "UNKNOWN",
        "UNKNOWN",
    ]
    assert status.unknown == ("how finetune, report of tiny ended",)


def test_a_job_of_another_name_is_another_job(run, commands):
    """As on a cluster that was made anew, whose ids begin from 1 again."""
    fake_command(commands, "squeue", [squeue_line("12", "RUNNING", "n0", name="sesame-other")])
    (status,) = status_of([run])
    assert status.stages[1].state == "UNKNOWN"
    assert not status.is_active


def test_what_nobody_knows_is_said(run, commands):
    error = "slurm_load_jobs error: Invalid job id specified\n"
    fake_command(commands, "squeue", error=error, code=1)
    (status,) = status_of([run])
    assert [stage.state for stage in status.stages[:2]] == ["COMPLETED", "UNKNOWN"]
    assert (
        "accounting is not available (sacct: Slurm accounting storage is disabled)"
        in status.unknown[0]
    )
    assert "not known: how jobs ended" in shown(run_table(status))
    assert not status.is_active


def test_restarts_are_recorded_by_the_run(run, commands):
    fake_command(commands, "squeue", error="Invalid job id specified", code=1)
    starts = [{"slurm": {"SLURM_JOB_ID": "11"}}]
    starts += [{"slurm": {"SLURM_JOB_ID": "12", "SLURM_RESTART_COUNT": n}} for n in ("1", "2")]
    (run / "environment.json").write_text(json.dumps({"starts": starts}), encoding="utf-8")
    stages = status_of([run])[0].stages
    assert [stage.restarts for stage in stages] == [0, 2, None, None]


def test_a_run_that_was_trained_without_jobs_has_a_status_too(run):
    (run / "jobs.json").unlink()
    (status,) = status_of([run])
    assert [stage.state for stage in status.stages] == ["COMPLETED", None, None, None]
    assert "preliminary     completed" in shown(run_table(status))


def test_a_sweep_is_a_row_a_point(tmp_path, commands):
    output = tmp_path / "sweep"
    points = sweep_points(["seed=1,2"])
    write_sweep(output, points)
    for task, point in enumerate(points):
        submitted(output / point.name, 21, task)
    fake_command(
        commands, "squeue", [squeue_line("21_0", "RUNNING"), squeue_line("21_1", "PENDING")]
    )
    fake_command(commands, "sacct", error=NO_ACCOUNTING, code=1)
    folders = run_folders(output)
    assert folders == [output / "seed=1", output / "seed=2"]
    statuses = status_of(folders)
    lines = table_lines(overview_table("sweep", statuses, output))
    assert lines[1].split()[:4] == ["seed=1", "preliminary", "21_0", "running"]
    assert lines[2].split()[:4] == ["seed=2", "preliminary", "21_1", "pending"]
    assert len((commands / "bin/squeue.asked").read_text().splitlines()) == 1


def test_runs_with_jobs_are_found(run, tmp_path):
    submitted(tmp_path / "runs/sweep/seed=1")
    (tmp_path / "runs/other").mkdir()
    assert find_runs(tmp_path / "runs") == [tmp_path / "runs/sweep/seed=1", run]
    with pytest.raises(FileNotFoundError, match="is not a run folder"):
        run_folders(tmp_path / "runs/other")


def test_costs_and_the_slowest_rank_are_shown(run: Path, commands: Path):
    path, lines = run / "metrics.jsonl", []
    for line in path.read_text().splitlines():
        ranks = {"rank_seconds": [0.1, 0.1, 0.1, 0.3], "slowest_rank": 3, "slowest_node": "n1"}
        lines.append(json.dumps(json.loads(line) | ranks))
    path.write_text("".join(f"{line}\n" for line in lines))
    start = {"stage": "pretrain", "time": 60.0, "step": 0, "ranks": 4, "gpus": 360}
    start |= {"job": "612", "queue_seconds": 75.0, "lost_steps": 0, "lost_seconds": 0.0}
    again = start | {"time": 100.0, "lost_steps": 3, "lost_seconds": 30.0}
    starts = [start | {"previous_end": None}, again | {"previous_end": 95.0}]
    sacct = "#!/bin/sh\necho '612|sesame-runs-pretrain|2026-11-22T14:24:18|5400000'\n"
    (commands / "bin/sacct").write_text(sacct)
    (commands / "bin/sacct").chmod(0o755)
    (run / "work.jsonl").write_text("".join(json.dumps(each) + "\n" for each in starts))
    (status,) = status_of([run])
    text = " ".join(shown(run_table(status)).split())
    assert (
        "pretrain: rank 3 on node n1 takes 0.3 s per batch before it meets the others, the median "
        "rank 0.1 s"
    ) in text
    assert (
        "cost: pretrain 4.3 GPU-hours in 2 starts, 1.5 kWh, queued for 0:02:30, 3 steps (0:00:30) "
        "trained again"
    ) in text
    (stage,) = [each for each in to_json(status)["stages"] if each["stage"] == "pretrain"]
    assert stage["cost"]["gpu_hours"] == pytest.approx(4.3)
    assert stage["cost"]["energy_joules"] == 5_400_000
    assert stage["progress"]["slowest_rank"] == 3
