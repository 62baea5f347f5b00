"""Training where points are not labelled: losses by their definitions, and a whole run."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_stage
import torch
from loss_terms import heatmap_term
from missing_points import write_missing
from safetensors.torch import load_file
from sesame_kernels import soft_argmax, soft_argmax_loss
from training_process import TINY, train

from sesame_hpc.cli.evaluate import evaluate
from sesame_hpc.config import HeadConfig, LossConfig, RuntimeConfig, load_config
from sesame_hpc.distributed.world import connect
from sesame_hpc.run.faces import read_faces
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.stages.coordinate_losses import heatmap_loss, landmark_loss, point_weights
from sesame_hpc.stages.evaluate import evaluate_file, evaluate_run
from sesame_hpc.stages.source import Source

CPU = torch.device("cpu")
LABELLED = torch.rand(4, 6, generator=torch.Generator().manual_seed(2)) > 0.3
SHARE = float(LABELLED.float().mean())


def test_the_coordinate_loss_is_the_mean_over_labelled_points() -> None:
    torch.manual_seed(0)
    found = torch.rand(2, 4, 6, 2, dtype=torch.float64, requires_grad=True)
    labels = torch.rand(4, 6, 2, dtype=torch.float64)
    weight = point_weights(LABELLED, SHARE, CPU)
    loss = landmark_loss(found, labels, HeadConfig(), LossConfig(), weight)
    errors = [
        float((found.detach()[t, b, k, axis] - labels[b, k, axis]).abs())
        for t in range(2)
        for b, k in LABELLED.nonzero().tolist()
        for axis in range(2)
    ]
    assert float(loss.detach()) == pytest.approx(sum(errors) / len(errors), rel=1e-6)
    loss.backward()
    assert found.grad is not None
    assert (found.grad[:, ~LABELLED] == 0).all()
    assert (found.grad[:, LABELLED].abs() > 0).all()


def test_it_is_that_of_the_kernel_with_the_same_weights() -> None:
    torch.manual_seed(0)
    maps, labels = torch.randn(4, 6, 8, 8), torch.rand(4, 6, 2)
    weight = point_weights(LABELLED, SHARE, CPU)
    ours = landmark_loss(soft_argmax(maps)[None], labels, HeadConfig(), LossConfig(), weight)
    assert float(ours) == pytest.approx(float(soft_argmax_loss(maps, labels, weight)[0]), rel=1e-5)


def test_the_heat_map_loss_leaves_points_without_labels_out() -> None:
    torch.manual_seed(0)
    marginals = torch.softmax(torch.randn(1, 4, 6, 8, dtype=torch.float64), -1)
    labels = torch.rand(4, 6, dtype=torch.float64)
    points = LABELLED.nonzero().tolist()
    terms = [
        heatmap_term(marginals[0, b, k].tolist(), float(labels[b, k]), 0.05) for b, k in points
    ]
    found = heatmap_loss(marginals, labels, 0.05, point_weights(LABELLED, SHARE, CPU))
    assert float(found) == pytest.approx(sum(terms) / len(terms), rel=1e-5)


def test_it_does_not_depend_on_how_a_batch_is_divided_over_ranks() -> None:
    """The mean over ranks of their losses is that of the whole batch, however labels fall."""
    torch.manual_seed(0)
    found, labels = torch.rand(1, 4, 6, 2), torch.rand(4, 6, 2)
    uneven = LABELLED.clone()
    uneven[:2] = True
    uneven[2:, 1:] = False
    share = float(uneven.float().mean())

    def loss(rows: slice) -> float:
        weight = point_weights(uneven[rows], share, CPU)
        return float(
            landmark_loss(found[:, rows], labels[rows], HeadConfig(), LossConfig(), weight)
        )

    halves = (loss(slice(0, 2)) + loss(slice(2, 4))) / 2
    assert halves == pytest.approx(loss(slice(0, 4)), rel=1e-6)


def test_without_missing_points_there_are_no_weights() -> None:
    assert point_weights(None, 1.0, CPU) is None


@pytest.mark.parametrize("heatmap", [0.0, 0.01])
def test_a_step_is_blind_to_what_stands_in_place_of_a_missing_label(heatmap: float) -> None:
    """Weights after some steps: the same, whatever the label of a missing point says."""
    ended = []
    for filling in (0.1, 0.9):
        world = connect(RuntimeConfig(device="cpu", threads=1))
        engine, task = tiny_stage.coordinates(world, heatmap=heatmap)
        batches = tiny_stage.batches(world.device, 3, missing=0.4, filling=filling)
        tiny_stage.train(engine, task, batches)
        ended.append([each.detach().clone() for each in engine.module.parameters()])
    for first, second in zip(*ended, strict=True):
        assert torch.equal(first, second)


@pytest.fixture(scope="module")
def roots(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("missing")
    kinds = enumerate(("coco", "csv"))
    return [write_missing(faces, folder / f"set-{to}", to, seed) for seed, to in kinds]


@pytest.fixture(scope="module")
def run(roots: list[Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run of all stages on two data sets, with a heat-map loss and an EMA; and what it said."""
    folder = tmp_path_factory.mktemp("run")
    where = f"{{root: [{roots[0]}, {roots[1]}], format: coco, scheme: wflw98, heldout"
    text = TINY.replace("{heldout", where).replace("finetune: {", "finetune: {ema: 0.5, ")
    config = folder / "tiny.yaml"
    config.write_text(f"output: {folder / 'run'}\nloss: {{heatmap: 0.01}}\n{text}")
    return folder / "run", train(config)


def result(run: Path, stage: str = "finetune") -> dict[str, Any]:
    found = RunFolder(run).result(stage)
    assert found is not None
    return found


def test_every_stage_trains_to_finite_weights(run: tuple[Path, str]) -> None:
    folder, output = run
    assert "Report: " in output
    for stage in ("preliminary", "pretrain", "finetune"):
        for name, value in load_file(folder / f"checkpoints/{stage}/weights.safetensors").items():
            assert value.isfinite().all(), name
    masking = json.loads((folder / "masking.json").read_text())
    assert sum(masking.values()) == pytest.approx(1.0)


def test_faces_without_the_normaliser_are_counted_out_and_said(run: tuple[Path, str]) -> None:
    folder, output = run
    faces = read_faces(RunFolder(folder).config(), RunFolder(folder))
    assert faces.test is not None
    for name, part in (("heldout", faces.heldout), ("test", faces.test)):
        figures = result(folder)[name]
        has = part.labelled[:, list(part.scheme.normaliser)].all(axis=1)
        assert (figures["faces"], figures["counted_out"]) == (has.sum(), (~has).sum())
        missing = int((~part.labelled).sum())
        assert figures["protocol"]["points"].startswith(f"{missing} of ")
    counted_out = int(
        (~faces.test.labelled[:, list(faces.test.scheme.normaliser)]).any(axis=1).sum()
    )
    assert counted_out == 2
    assert "Not counted, because the normaliser is not labelled: 2 test faces" in output


def test_each_data_set_and_visibility_is_a_row_of_result_and_report(run: tuple[Path, str]) -> None:
    folder, _ = run
    figures = result(folder)["test"]
    assert set(figures["sources"]) == {"set-coco", "set-csv"}
    assert set(figures["visibility"]) == {"visible", "occluded"}
    assert sum(each["faces"] for each in figures["sources"].values()) == figures["faces"]
    html = (folder / "report.html").read_text("utf-8")
    for row, nme in (
        ("data set set-coco", figures["sources"]["set-coco"]["nme"]),
        ("data set set-csv", figures["sources"]["set-csv"]["nme"]),
        ("occluded points", figures["visibility"]["occluded"]["nme"]),
    ):
        cells = html.split(f">{row}</th>")[1].split("</tr>")[0]
        assert f">{nme:.3f}<" in cells, row
    assert not re.search(r"[^A-Za-z0-9+/]nan[^A-Za-z0-9+/]", html, re.IGNORECASE)
    assert "are not labelled; means are over the labelled ones" in html


def test_eval_repeats_them_for_each_data_set_and_for_both(
    run: tuple[Path, str], roots: list[Path]
) -> None:
    folder, _ = run
    expected = result(folder)["test"]
    both = evaluate_run(folder, Source(roots[0]))
    again = evaluate_run(folder, Source(roots[1], more_roots=(roots[0],)))
    for found in (both, again):
        assert found["nme"] == pytest.approx(expected["nme"], abs=1e-4)
        assert found["sources"]["set-csv"]["faces"] == expected["sources"]["set-csv"]["faces"]
    alone = evaluate_run(folder, Source(roots[1]))
    assert alone["nme"] == pytest.approx(expected["sources"]["set-csv"]["nme"], abs=1e-4)
    assert alone["sources"] == {}
    file = folder / "predictions/finetune-test.npz"
    of_file = evaluate_file(file, Source(roots[0], more_roots=(roots[1],)), "wflw98")
    assert of_file["visibility"] == expected["visibility"]
    heldout = evaluate_run(folder, Source(roots[0], part="heldout"))
    assert heldout["nme"] == pytest.approx(result(folder)["heldout"]["nme"], abs=1e-4)


def test_a_sentinel_says_the_same_as_an_empty_cell(
    run: tuple[Path, str], roots: list[Path], tmp_path: Path
) -> None:
    """Points written as (-1, -1) and `missing`, in evaluation and in what training reads."""
    for path in roots[1].iterdir():
        (tmp_path / path.name).symlink_to(path)
    for name in ("train.csv", "test.csv"):
        text = (roots[1] / name).read_text()
        (tmp_path / name).unlink()
        (tmp_path / name).write_text(re.sub(r"(?<=,)(?=,|\n)", "-1", text))
    plain = evaluate_run(run[0], Source(roots[1]))
    sentinel = evaluate_run(run[0], Source(tmp_path, missing=(-1.0, -1.0)))
    assert sentinel == plain
    config = load_config("configs/demo.yaml", [f"data.root={tmp_path}", "data.format=csv"])
    data = config.data.model_copy(update={"scheme": "wflw98", "missing": (-1.0, -1.0)})
    config = config.model_copy(update={"data": data.model_copy(update={"heldout": 8})})
    read = read_faces(config, RunFolder(tmp_path / "none"))
    assert not read.train.labelled.all()
    assert np.isnan(read.train.landmarks[~read.train.labelled]).all()


def test_the_command_evaluates_several_data_sets_together(
    run: tuple[Path, str], roots: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "figures.csv"
    evaluate(data=[roots[1], roots[0]], run=run[0], missing="-1,-1", csv=table)
    shown = capsys.readouterr().out
    for row in ("data set set-coco", "data set set-csv", "visible points", "occluded points"):
        assert row in shown
    assert "without both points of the normaliser (60 and 72)" in shown
    rows = {tuple(row[:2]): row[2] for row in csv.reader(table.open())}
    sources = result(run[0])["test"]["sources"]
    for name, figures in sources.items():
        found = float(rows[("nme_of_source", name)])
        assert found == pytest.approx(figures["nme"], abs=1e-4)
    assert ("points_of_points", "occluded") in rows
    with pytest.raises(ValueError, match="--missing is 'x'; takes two numbers"):
        evaluate(data=[roots[1]], run=run[0], missing="x")
