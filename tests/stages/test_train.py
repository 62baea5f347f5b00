"""Whole runs through the command line: what they leave, and how they continue."""

import csv
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file
from training_process import clean_environment

from sesame_hpc.choices import STAGES
from sesame_hpc.config import load_config
from sesame_hpc.schemes import files as scheme_files
from sesame_hpc.schemes import load_scheme
from sesame_hpc.stages.evaluate import evaluate_file, evaluate_run
from sesame_hpc.stages.source import Source
from sesame_hpc.stages.train import train as train_here
from sesame_hpc.training.records import MetricsLog

REGIONS = list(load_scheme("wflw98").regions)


def test_the_run_folder_holds_what_the_documents_promise(finished) -> None:
    _, run, _ = finished
    for name in ("config.yaml", "environment.json", "metrics.jsonl", "masking.json"):
        assert (run / name).stat().st_size > 0, name
    for stage in STAGES:
        assert (run / "checkpoints" / stage / "weights.safetensors").exists()
    assert len(list((run / "images").glob("pretrain-epoch-*.png"))) == 3


def test_the_run_ends_with_its_report(finished) -> None:
    _, run, output = finished
    assert f"Report: {run / 'report.html'}" in output
    page = (run / "report.html").read_text("utf-8")
    assert "This run is not finished" not in page
    assert "Not everything is shown" not in page


def test_the_summary_has_the_documented_keys(finished) -> None:
    _, run, _ = finished
    summary = json.loads((run / "summary.json").read_text())
    assert summary["scheme"] == "wflw98"
    assert summary["faces"] == 8
    for part in (summary["stages"], summary["test"]["stages"]):
        assert list(part) == ["preliminary", "finetune"]
        for figures in part.values():
            assert list(figures["regions"]) == REGIONS
            points = load_scheme("wflw98").regions
            weighted = sum(len(points[r]) * nme for r, nme in figures["regions"].items()) / 98
            assert figures["nme"] == pytest.approx(weighted)
    assert summary["test"]["faces"] == 10
    assert math.fsum(summary["masking"].values()) == pytest.approx(1.0)
    assert list(summary["seconds"]) == list(STAGES)
    assert min(summary["seconds"].values()) > 0


def test_the_masking_distribution_follows_the_preliminary_error(finished) -> None:
    _, run, _ = finished
    summary = json.loads((run / "summary.json").read_text())
    regions = summary["stages"]["preliminary"]["regions"]
    total = sum(regions.values())
    for region, share in summary["masking"].items():
        assert share == pytest.approx(regions[region] / total, rel=1e-6), region


def test_metrics_record_every_step_once(finished) -> None:
    _, run, _ = finished
    records = MetricsLog.read(run / "metrics.jsonl")
    for stage in STAGES:
        steps = [r["step"] for r in records if r["stage"] == stage and "loss" in r]
        assert steps == list(range(1, 16)), stage
        validated = [r["epoch"] for r in records if r["stage"] == stage and "loss" not in r]
        assert validated == [1, 2, 3]


def test_even_fifteen_steps_lower_the_reconstruction_loss(finished) -> None:
    _, run, _ = finished
    records = MetricsLog.read(run / "metrics.jsonl")
    losses = [r["loss"] for r in records if r["stage"] == "pretrain" and "loss" in r]
    assert sum(losses[-5:]) < sum(losses[:5])


def test_finetune_starts_from_the_pretrained_backbone(finished) -> None:
    _, _, output = finished
    assert "finetune starts from pretrain" in output


def test_the_table_shows_preliminary_beside_finetune_in_80_columns(finished) -> None:
    _, _, output = finished
    heading = next(line for line in output.splitlines() if "preliminary" in line and "┃" in line)
    assert "finetune" in heading
    assert max(len(line) for line in output.splitlines() if "│" in line) <= 80
    assert all(any(line.startswith(f"│ {r} ") for line in output.splitlines()) for r in REGIONS)


def test_a_finished_run_says_so_and_changes_nothing(finished, capsys) -> None:
    config, run, _ = finished
    before = (run / "environment.json").read_bytes()
    train_here(load_config(config))
    assert "This run is complete" in capsys.readouterr().out
    assert (run / "environment.json").read_bytes() == before


def test_eval_of_the_run_repeats_its_test_figures(finished, faces: Path) -> None:
    _, run, _ = finished
    figures = evaluate_run(run, Source(faces))
    result = json.loads((run / "checkpoints/finetune/result.json").read_text())["test"]
    assert figures["faces"] == 10
    assert figures["nme"] == pytest.approx(result["nme"], abs=1e-4)
    assert figures["regions"] == pytest.approx(result["regions"], abs=1e-4)
    weights = run / "checkpoints/preliminary/weights.safetensors"
    assert evaluate_run(weights, Source(faces)) == evaluate_run(run, Source(faces), "preliminary")


def test_eval_of_the_kept_predictions_gives_the_same_figures(finished, faces: Path) -> None:
    _, run, _ = finished
    figures = evaluate_file(run / "predictions/finetune-test.npz", Source(faces))
    result = json.loads((run / "checkpoints/finetune/result.json").read_text())["test"]
    assert result.pop("ema")
    assert {**figures, "protocol": None} == {**result, "protocol": None}


def test_eval_prints_and_writes_one_set_of_figures(finished, faces: Path, tmp_path: Path) -> None:
    _, run, _ = finished
    preliminary = run / "checkpoints/preliminary/weights.safetensors"
    command = [sys.executable, "-m", "sesame_hpc", "eval", str(run), "--data", str(faces)]
    command += ["--flip", "--compare", str(preliminary)]
    command += ["--json", str(tmp_path / "e.json"), "--csv", str(tmp_path / "e.csv")]
    ended = subprocess.run(command, env=clean_environment(), capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    figures = json.loads((tmp_path / "e.json").read_text())
    rows = list(csv.DictReader((tmp_path / "e.csv").open()))
    overall = {row["name"]: float(row["value"]) for row in rows if row["kind"] == "overall"}
    assert overall == {key: figures[key] for key in ("nme", "fr8", "fr10", "auc8", "auc10")}
    regions = {row["name"]: float(row["value"]) for row in rows if row["kind"] == "nme_of_region"}
    assert regions == figures["regions"]
    assert f"{figures['regions']['outline']:.3f}" in ended.stdout
    assert figures["flip_test"]["nme"] != figures["nme"]
    assert max(map(len, ended.stdout.splitlines())) <= 80 + len(str(run)) + len(str(faces))
    before = json.loads((run / "checkpoints/preliminary/result.json").read_text())["test"]["nme"]
    change = figures["compared"]["nme"]["difference"]
    assert figures["nme"] + change == pytest.approx(before, abs=1e-4)


def test_eval_names_what_is_wrong(finished, faces: Path, tmp_path: Path) -> None:
    _, run, _ = finished
    with pytest.raises(ValueError, match="predicts no landmarks"):
        evaluate_run(run, Source(faces), "pretrain")
    with pytest.raises(FileNotFoundError, match="not a run folder"):
        evaluate_run(tmp_path, Source(faces))


def test_weights_of_the_stages_differ(finished) -> None:
    _, run, _ = finished
    key = "backbone.stacks.0.hourglass.up.conv2.weight"
    weights = [load_file(run / f"checkpoints/{s}/weights.safetensors")[key] for s in STAGES]
    assert not weights[0].equal(weights[1])
    assert not weights[1].equal(weights[2])


def test_another_config_does_not_overwrite_a_run(finished) -> None:
    config, run, _ = finished
    with pytest.raises(ValueError, match=r"another config: .*seed"):
        train_here(load_config(config, ["seed=9"]))
    assert (run / "summary.json").exists()


def test_a_run_keeps_its_own_scheme(write_config, tmp_path: Path) -> None:
    builtin = Path(scheme_files.__file__).parent / "wflw98.yaml"
    mine = tmp_path / "mine.yaml"
    mine.write_text(builtin.read_text().replace("name: wflw98", "name: mine"))
    config = load_config(write_config("own", f"data.scheme={mine}"))
    train_here(config, "preliminary")
    mine.write_text(mine.read_text().replace("name: mine", "name: other"))
    with pytest.raises(ValueError, match=r"mine\.yaml differs from .*scheme\.yaml"):
        train_here(config, "pretrain")
    mine.unlink()
    train_here(config, "pretrain")


def test_a_stage_asks_for_its_predecessor(write_config) -> None:
    with pytest.raises(ValueError, match="pretrain needs preliminary"):
        train_here(load_config(write_config("early")), "pretrain")


def test_a_loss_that_is_no_number_names_its_samples(write_config) -> None:
    config = load_config(write_config("nan", "stages.preliminary.lr=1e30"))
    with pytest.raises(FloatingPointError, match=r"epoch 1, step \d+; .*sample ids \[\d+"):
        train_here(config)


def test_a_second_run_that_is_not_there_is_found_out_before_the_work(finished, faces, tmp_path):
    _, run, _ = finished
    said: list[str] = []
    for other, words in ((tmp_path, "is not a run folder"), (run / "checkpoints", "not a run")):
        with pytest.raises(FileNotFoundError, match=words):
            evaluate_run(
                run, Source(faces), other=other, progress=lambda what, *_: said.append(what)
            )
    assert said == []
