"""What a submission is made of, and what stands in its way."""

import json
import os
from pathlib import Path

import pytest
from launched_runs import fake_command, finish_stage, squeue_line, submitted, tiny_config

from sesame_hpc.choices import JOBS
from sesame_hpc.config import load_config
from sesame_hpc.launch.job import StageJob
from sesame_hpc.launch.plan import make_plan
from sesame_hpc.launch.status import status_of
from sesame_hpc.launch.sweep import read_sweep, sweep_points, write_sweep
from sesame_hpc.run.settings import write_settings


def test_relative_paths_are_from_where_it_is_submitted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = tiny_config(tmp_path)
    plan = make_plan(str(config), ["output=out", "data.root=faces"])
    assert plan.runs[0].config.output == tmp_path / "out"
    assert plan.runs[0].config.data.root == tmp_path / "faces"
    frames = ["data.unlabelled=faces", "data.unlabelled_boxes=boxes.csv"]
    data = make_plan(str(config), ["output=out", *frames]).runs[0].config.data
    assert data.unlabelled == tmp_path / "faces"
    assert data.unlabelled_boxes == str(tmp_path / "boxes.csv")
    detected = make_plan(str(config), ["output=out", "data.unlabelled_boxes=yunet"])
    assert detected.runs[0].config.data.unlabelled_boxes == "yunet"


def test_a_missing_data_set_is_found_before_the_queue(tmp_path):
    config = tiny_config(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"data\.unlabelled: .*gone is not a directory"):
        make_plan(str(config), ["data.unlabelled=gone"])
    assert make_plan(str(config), ["data.unlabelled=gone", "stages.run=[preliminary]"]).jobs
    with pytest.raises(FileNotFoundError, match=r"data\.root: .*nowhere is not a directory"):
        make_plan(str(config), ["data.root=nowhere"])


def test_nothing_is_left_of_a_finished_run(tmp_path):
    config, run = tiny_config(tmp_path), tmp_path / "runs/tiny"
    for stage in JOBS[:-1]:
        finish_stage(run, stage)
    assert make_plan(str(config), ()).jobs == ("report",)
    weights = run / "checkpoints/finetune/weights.safetensors"
    weights.touch()
    (run / "evaluation.json").touch()
    assert make_plan(str(config), ()).jobs == ()
    later = weights.stat().st_mtime + 10
    os.utime(weights, (later, later))
    assert make_plan(str(config), ()).jobs == ("report",)


def test_stages_that_a_run_does_not_have_are_no_jobs(tmp_path: Path) -> None:
    run = ["stages.run=[preliminary]"]
    plan = make_plan(str(tiny_config(tmp_path)), run)
    assert plan.jobs == ("preliminary", "report")
    folder = plan.runs[0].folder
    write_settings(folder, plan.runs[0].config)
    StageJob(str(folder.path), "pretrain")._run()
    assert not (folder.path / "checkpoints").exists()
    finish_stage(folder.path, "preliminary")
    assert make_plan(str(tmp_path / "tiny.yaml"), run).jobs == ("report",)
    (folder.path / "checkpoints/preliminary/weights.safetensors").touch()
    (folder.path / "evaluation.json").touch()
    assert make_plan(str(tmp_path / "tiny.yaml"), run).jobs == ()
    (status,) = status_of([folder.path])
    assert [stage.stage for stage in status.stages] == ["preliminary", "report"]


def test_another_config_does_not_continue_a_run(tmp_path):
    config, run = tiny_config(tmp_path), tmp_path / "runs/tiny"
    write_settings(make_plan(str(config), ()).runs[0].folder, load_config(config))
    assert make_plan(str(config), ["log.every_steps=3"]).runs
    assert make_plan(str(config), ["seed=1"]).runs, "there is nothing yet to go on from"
    marker = run / "checkpoints" / "preliminary" / "latest.json"
    marker.parent.mkdir(parents=True)
    marker.write_text('{"tag": "step-00000001"}')
    with pytest.raises(ValueError, match=r"another config: seed: 0 -> 1"):
        make_plan(str(config), ["seed=1"])
    assert load_config(run / "config.yaml").seed == 0


def test_a_run_with_jobs_in_the_queue_is_refused(tmp_path, commands: Path):
    config = tiny_config(tmp_path)
    submitted(tmp_path / "runs/tiny")
    lines = [squeue_line("11", "COMPLETED"), squeue_line("12", "FAILED")]
    fake_command(
        commands, "squeue", [*lines, squeue_line("13", "RUNNING"), squeue_line("14", "PENDING")]
    )
    with pytest.raises(ValueError, match=r"queued or running: 13 \(finetune\), 14 \(report\)"):
        make_plan(str(config), ())
    fake_command(commands, "squeue", [*lines, squeue_line("13", "CANCELLED")])
    fake_command(commands, "sacct", error="Slurm accounting storage is disabled\n", code=1)
    assert make_plan(str(config), ()).jobs == JOBS


def test_where_the_queue_cannot_be_asked_nothing_is_submitted_twice(tmp_path, commands: Path):
    config = tiny_config(tmp_path)
    submitted(tmp_path / "runs/tiny")
    fake_command(commands, "squeue", error="squeue: error: Unable to contact controller\n", code=1)
    with pytest.raises(ValueError, match=r"is not known: .*Unable to contact controller"):
        make_plan(str(config), ())


def test_a_ledger_that_is_none_of_ours_is_named(tmp_path):
    config, run = tiny_config(tmp_path), tmp_path / "runs/tiny"
    run.mkdir(parents=True)
    (run / "jobs.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"jobs\.json: not a list of jobs"):
        make_plan(str(config), ())


def test_points_are_all_pairs_the_last_varying_fastest():
    points = sweep_points(["seed=1,2", "stages.finetune.lr=1e-3,3e-4"])
    assert [point.name for point in points] == [
        "seed=1,stages.finetune.lr=1e-3",
        "seed=1,stages.finetune.lr=3e-4",
        "seed=2,stages.finetune.lr=1e-3",
        "seed=2,stages.finetune.lr=3e-4",
    ]
    assert points[1].overrides == ("seed=1", "stages.finetune.lr=3e-4")


def test_values_may_be_lists_and_paths():
    points = sweep_points(["masking.regions=[1,1],[1,3]", "data.scheme=/a/b.yaml"])
    assert points[1].overrides[0] == "masking.regions=[1,3]"
    assert points[0].name == "masking.regions=[1,1],data.scheme=_a_b.yaml"


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (["seed"], "write it as key"),
        (["seed="], "write it as key"),
        (["seed=1,2", "seed=3"], "given twice"),
        (["output=a,b"], "its own folder"),
        (["seed=1,1"], "both be called 'seed=1'"),
        (["seed=1,[2"], "not valid YAML"),
    ],
)
def test_wrong_arrays_are_named(arrays, message):
    with pytest.raises(ValueError, match=message):
        sweep_points(arrays)


def test_each_point_is_a_run_of_its_own_config(tmp_path):
    plan = make_plan(str(tiny_config(tmp_path)), ["seed=9"], ["model.width=8,16", "seed=1,2"])
    run = plan.runs[2]
    assert run.config.output == tmp_path / "runs/tiny/model.width=16,seed=1"
    assert (run.config.model.width, run.config.seed) == (16, 1)


def test_a_sweep_goes_on_with_the_points_that_are_not_finished(tmp_path):
    config, output = str(tiny_config(tmp_path)), tmp_path / "runs/tiny"
    for stage in JOBS[:-1]:
        finish_stage(output / "seed=1", stage)
    (output / "seed=1/checkpoints/finetune/weights.safetensors").touch()
    (output / "seed=1/evaluation.json").touch()
    finish_stage(output / "seed=3", "preliminary")
    finish_stage(output / "seed=2", "preliminary")
    plan = make_plan(config, (), ["seed=1,2,3"])
    assert [run.config.seed for run in plan.runs] == [2, 3]
    assert plan.jobs == ("pretrain", "finetune", "report")


def test_points_that_come_later_join_the_sweep(tmp_path):
    write_sweep(tmp_path, sweep_points(["seed=1,2"]))
    write_sweep(tmp_path, sweep_points(["seed=2,3"]))
    assert sorted(point.name for point in read_sweep(tmp_path)) == ["seed=1", "seed=2", "seed=3"]


def test_a_folder_is_a_runs_or_a_sweeps(tmp_path):
    config, output = tiny_config(tmp_path), tmp_path / "runs/tiny"
    output.mkdir(parents=True)
    (output / "sweep.json").write_text(json.dumps({"points": []}), encoding="utf-8")
    with pytest.raises(ValueError, match="is a sweep's folder"):
        make_plan(str(config), ())
    (output / "sweep.json").unlink()
    write_settings(make_plan(str(config), ()).runs[0].folder, load_config(config))
    with pytest.raises(ValueError, match="is a run folder"):
        make_plan(str(config), (), ["seed=1,2"])


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5000,
        "{}",
        '{"points": 3}',
        '{"points": [{"name": "../../other", "overrides": []}]}',
        '{"points": [{"name": "..", "overrides": []}]}',
        '{"points": [{"name": ["a"], "overrides": []}]}',
    ],
)
def test_a_sweep_file_of_a_stranger_is_named(tmp_path, text):
    (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(ValueError, match=r"sweep\.json: (not a list|is not JSON)"):
        read_sweep(tmp_path)
