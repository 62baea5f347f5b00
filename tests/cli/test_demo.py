"""`sesame demo`, on few faces and for one epoch a stage."""

import json

import pytest

QUICK = (
    *("--train", 24, "--test", 4, "--size", 64),
    *("data.heldout=8", "model.width=8", "model.levels=1"),
    *("model.image_size=32", "model.map_size=8"),
    *(
        f"stages.{stage}={{epochs: 1, batch_size: 8}}"
        for stage in ("preliminary", "pretrain", "finetune")
    ),
)


@pytest.mark.slow
def test_demo_trains_names_a_next_command_that_works_and_is_complete_the_second_time(
    sesame, tmp_path
):
    first = sesame("demo", *QUICK)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "runs/demo/summary.json" in first.stdout
    assert "runs/demo/report.html" in first.stdout
    assert (tmp_path / "runs" / "demo" / "report.html").exists()
    summary = json.loads((tmp_path / "runs" / "demo" / "summary.json").read_text())
    assert summary["stages"]["finetune"]["nme"] > 0
    next_line = next(line for line in first.stdout.splitlines() if line.startswith("  next"))
    evaluated = sesame(*next_line.split()[2:], "--json", "eval.json")
    assert evaluated.returncode == 0, evaluated.stderr
    assert json.loads((tmp_path / "eval.json").read_text())["faces"] == 4
    second = sesame("demo", *QUICK)
    assert second.returncode == 0
    assert "complete" in second.stdout


def test_demo_refuses_a_folder_of_something_else(sesame, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").touch()
    failed = sesame("demo", "data.root=mine")
    assert failed.returncode == 2
    assert "mine is not empty and not a set of synthetic faces" in failed.stderr
