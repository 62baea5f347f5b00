"""What a job would refuse when it starts is found before it is submitted."""

import json
import re
from pathlib import Path

import pytest
from few_faces import add_few_faces
from launched_runs import finish_stage, tiny_config

from sesame_hpc.launch.plan import make_plan
from sesame_hpc.launch.start_checks import check_starts
from sesame_hpc.run.faces import read_faces


def check(config: Path, *overrides: str, arrays: tuple[str, ...] = ()) -> None:
    plan = make_plan(str(config), overrides, arrays)
    check_starts(plan.runs, plan.jobs)


def test_a_data_set_that_can_be_read_is_fine(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    check(config)
    check(config, "data.heldout_group=look_alike", arrays=("seed=0,1,2",))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 2 3", r"list_98pt_rect_attr_train\.txt:3: "),
        (None, "no train list of 98 points"),
    ],
)
def test_faults_of_annotations_are_found(tmp_path: Path, line: str | None, message: str) -> None:
    config, path = tiny_config(tmp_path), add_few_faces(tmp_path / "faces")
    if line is None:
        path.unlink()
    else:
        lines = path.read_text().splitlines()
        path.write_text("\n".join([*lines[:2], line, *lines[3:]]))
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        check(config)
    if line is not None:
        check(config, "data.on_error=skip", "data.max_skipped=0.1", "data.heldout=7")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.heldout=16", "data.heldout: 16 of 16 faces"),
        ("data.heldout=12", "preliminary.batch_size: 8 faces per step, but an epoch has 4 faces"),
        ("data.format=pts data.scheme=gone.yaml", "gone.yaml"),
        ("stages.preliminary.init_from=gone", "stages.preliminary.init_from: gone does not exist"),
        ("data.unlabelled=faces data.unlabelled_boxes=gone.csv", "gone.csv is not a file"),
    ],
)
def test_what_does_not_fit_the_data_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, override: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=re.escape(message)):
        check(tiny_config(tmp_path), *override.split())


def test_nothing_is_read_for_stages_that_are_finished(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    for stage in ("preliminary", "pretrain", "finetune"):
        finish_stage(tmp_path / "runs/tiny", stage)
    add_few_faces(tmp_path / "faces").unlink()
    check(config)


def test_each_run_that_has_begun_is_compared_with_its_own_data(tmp_path: Path) -> None:
    config, sweep = tiny_config(tmp_path), ("seed=0,1",)
    for run in make_plan(str(config), (), sweep).runs:
        identity = read_faces(run.config, run.folder).identity
        if run.config.seed == 1:
            identity["train"]["landmarks"] = "another"
        finish_stage(run.folder.path, "preliminary")
        run.folder.data_file.write_text(json.dumps(identity))
    with pytest.raises(ValueError, match=r"is not the data set that \S*seed=1 was started with"):
        check(config, arrays=sweep)
