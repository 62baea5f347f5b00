"""`sesame submit --local`: the chain in the background of this machine."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from launched_runs import tiny_config

from sesame_hpc.launch.cancel import cancel_jobs
from sesame_hpc.launch.evaluation import evaluate_and_report
from sesame_hpc.launch.status import RunStatus, status_of
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.run.settings import write_settings
from sesame_hpc.synth import synthesise

pytestmark = pytest.mark.slow

_PATIENCE = 240.0


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synth") / "faces"
    synthesise(root, train=24, test=8, seed=3, size=96, workers=1)
    return root


def submit(folder: Path, faces: Path, *arguments: str) -> Path:
    """Start the chain of a tiny run; its folder."""
    config = tiny_config(folder, f"data.root={faces}")
    command = [sys.executable, "-m", "sesame_hpc", "submit", str(config), "--local", *arguments]
    drop = ("RANK", "WORLD_SIZE", "TRITON_INTERPRET", "SESAME_PROFILE")
    environment = {key: value for key, value in os.environ.items() if key not in drop}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return folder / "runs/tiny"


def wait(run: Path, until=lambda status: not status.is_active) -> RunStatus:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        (status,) = status_of([run])
        if until(status):
            return status
        time.sleep(0.3)
    raise AssertionError(f"{status_of([run])} after {_PATIENCE} s")


def states(status: RunStatus) -> list[str | None]:
    return [stage.state for stage in status.stages]


def test_the_chain_runs_to_its_report_and_not_again(tmp_path, faces):
    run = submit(tmp_path, faces)
    status = wait(run)
    assert states(status) == ["COMPLETED"] * 4, status
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert evaluation["part"] == "test"
    assert list(evaluation["stages"]) == ["preliminary", "finetune"]
    result = json.loads((run / "checkpoints/finetune/result.json").read_text())
    figures = evaluation["stages"]["finetune"]
    assert figures["nme"] == pytest.approx(result["test"]["nme"], abs=1e-4)
    assert "flip_test" in figures
    assert (run / "report.html").exists()
    submit(tmp_path, faces)
    assert len(json.loads((run / "jobs.json").read_text())["submissions"]) == 1
    check_evaluation_without_test_faces(run, faces, tmp_path / "train only")


def check_evaluation_without_test_faces(run: Path, faces: Path, copy: Path) -> None:
    shutil.copytree(faces, copy)
    for listing in copy.rglob("*_test.txt"):
        listing.unlink()
    folder = RunFolder(run)
    config = folder.config()
    data = config.data.model_copy(update={"root": copy})
    write_settings(folder, config.model_copy(update={"data": data}))
    evaluate_and_report(folder)
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert evaluation["part"] == "heldout"
    assert evaluation["stages"]["finetune"] == folder.result("finetune")["heldout"]


def test_a_stage_that_fails_ends_the_chain_and_is_named(tmp_path, faces):
    wrong = ["stages.preliminary.epochs=1", "stages.pretrain.lr=1e30"]
    status = wait(submit(tmp_path, faces, *wrong))
    assert states(status) == ["COMPLETED", "FAILED", "CANCELLED", "CANCELLED"]
    assert "Diverged: the loss is not finite" in status.stages[1].message
    assert status.stages[2].message == "cancelled, since pretrain did not complete"


def test_cancel_lets_the_stage_save_and_ends_the_rest(tmp_path, faces):
    run = submit(tmp_path, faces, "stages.preliminary.epochs=5000")
    wait(run, lambda status: status.stages[0].progress is not None)
    ended = cancel_jobs([run])
    assert [each.stage for each in ended] == ["preliminary", "pretrain", "finetune", "report"]
    status = wait(run)
    assert states(status) == ["CANCELLED"] * 4
    assert "saved at step" in status.stages[0].message
    assert (run / "checkpoints/preliminary/latest.json").exists()
