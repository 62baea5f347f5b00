"""The plugins of examples/: a run with all of them, and what strangers' runs may do."""

import json
import shutil
import sys
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from training_process import TINY

from sesame_hpc import Landmarker, load_config, train
from sesame_hpc.choices import STAGES
from sesame_hpc.config import AugmentConfig, HeadConfig, LossConfig, ModelConfig
from sesame_hpc.data.formats.readers import parse_annotations, read_annotations
from sesame_hpc.data.formats.registry import format_of
from sesame_hpc.data.loading.extra_augment import extra_augment
from sesame_hpc.models.heads import LandmarkNet
from sesame_hpc.plugins import PLUGINS, load_plugin
from sesame_hpc.report import write_report
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.schemes import load_scheme
from sesame_hpc.stages.evaluate import evaluate_run
from sesame_hpc.stages.extra_loss import extra_loss
from sesame_hpc.stages.source import Source
from sesame_hpc.stages.verify import verify

SETTINGS = [
    "model.backbone=plain_backbone:PlainBackbone",
    "model.backbone_settings.depth=1",
    "loss.extra=edge_loss:EdgeLength",
    "loss.extra_weight=0.5",
    "data.format=json_lines:JsonLines",
    "data.format_settings.centres=false",
    "data.scheme=wflw98",
    "data.augment.extra=blur:Blur",
    "data.augment.extra_settings={probability: 1, sigma: 3}",
    "track.trackers=['lines_tracker:Lines']",
    "track.settings={'lines_tracker:Lines': {file: calls.jsonl}}",
    *(f"stages.{stage}.epochs=1" for stage in STAGES),
]


@pytest.fixture(scope="module")
def own_faces(faces, tmp_path_factory):
    """The rendered faces as JSON lines."""
    root = tmp_path_factory.mktemp("own") / "faces"
    root.mkdir()
    for split in ("train", "test"):
        table = read_annotations(faces, "wflw", split)
        if not (root / "images").exists():
            shutil.copytree(table.root, root / "images")
        lines = [
            json.dumps({"image": f"images/{image}", "points": points.tolist(), "box": box.tolist()})
            for image, points, box in zip(table.images, table.landmarks, table.boxes, strict=True)
        ]
        (root / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="module")
def config(own_faces, plugins, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "own.yaml").write_text(TINY)
    paths = [f"data.root={own_faces}", f"output={folder / 'run'}"]
    return load_config(folder / "own.yaml", [*paths, *SETTINGS])


@pytest.fixture(scope="module")
def run(config):
    return train(config)


def test_a_run_with_every_kind_of_plugin(run, config):
    assert run.finished == STAGES
    recorded = RunFolder(run.path).starts()[-1]["plugins"]
    tracker = "track.settings.lines_tracker:Lines"
    settings = ["model.backbone", "loss.extra", "data.format", "data.augment.extra", tracker]
    assert list(recorded) == settings
    assert recorded["loss.extra"]["path"] == "edge_loss:EdgeLength"
    assert recorded["loss.extra"]["version"].startswith("sha256:")
    weights = load_file(run.path / "checkpoints/finetune/weights.safetensors")
    assert {key.split(".")[1] for key in weights} == {"body", "head"}
    assert weights["backbone.head.weight"].shape[0] == 98
    assert run.config.model.backbone_settings == {"depth": 1}
    points = run.landmarker("cpu")(np.zeros((64, 64, 3), np.uint8), [[8, 8, 50, 50]]).points
    assert points.shape == (1, 98, 2)
    figures = evaluate_run(run.path, Source(config.data.root, part="test"))
    assert figures["faces"] == 10
    assert figures["nme"] == pytest.approx(run.result("finetune")["test"]["nme"])
    calls = list(map(json.loads, (run.path / "calls.jsonl").read_text().splitlines()))
    assert calls[0][:2] == ["start", "run"]
    assert {call[1].split("/")[0] for call in calls if call[0] == "image"} == set(STAGES)
    assert calls[-1] == ["finish", "finished"]


def test_the_format_reads_what_the_own_reader_reads(own_faces, faces, config):
    own = read_annotations(own_faces, format_of(config.data), "test", load_scheme("wflw98"))
    theirs = read_annotations(faces, "wflw", "test")
    assert np.array_equal(own.landmarks, theirs.landmarks)
    assert np.array_equal(own.boxes, theirs.boxes)


def test_the_format_names_line_and_fault(plugins, tmp_path):
    good = json.dumps({"image": "a.png", "points": [[1, 2]] * 98})
    lines = ['{"image": 3}', "", good[:-9], good, '{"points": []}']
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    parsed = parse_annotations(tmp_path, "json_lines:JsonLines", scheme=load_scheme("wflw98"))
    assert [fault.place.rpartition(":")[2] for fault in parsed.faults] == ["1", "3", "5", "4"]
    assert "KeyError: 'points'" in str(parsed.faults[0])
    with pytest.raises(FileNotFoundError, match="no test split"):
        parse_annotations(tmp_path, "json_lines:JsonLines", "test", load_scheme("wflw98"))


def test_equal_settings_give_equal_bits_and_the_term_counts(run, config, tmp_path):
    other = config.model_copy(update={"output": tmp_path / "again"})
    train(other, only="preliminary")
    name = "checkpoints/preliminary/weights.safetensors"
    one, two = load_file(run.path / name), load_file(other.output / name)
    assert not [key for key in one if not one[key].equal(two[key])]
    plain = load_config(run.path / "config.yaml", [f"output={tmp_path / 'plain'}"])
    plain = plain.model_copy(update={"loss": plain.loss.model_copy(update={"extra": None})})
    train(plain, only="preliminary")
    three = load_file(plain.output / name)
    assert [key for key in one if not one[key].equal(three[key])]


def test_a_stranger_s_run_imports_nothing(run, monkeypatch, tmp_path):
    """predict, eval and train refuse in one sentence; report and verify need no plugin."""
    copy = shutil.copytree(run.path, tmp_path / "theirs")
    monkeypatch.setenv(PLUGINS, "")
    said = r"plain_backbone:PlainBackbone is code outside of sesame-hpc.*SESAME_PLUGINS=plain_back"
    with pytest.raises(ValueError, match=said) as refused:
        Landmarker.load(copy, "cpu")
    assert "\n" not in str(refused.value)
    with pytest.raises(ValueError, match="is code outside of sesame-hpc"):
        evaluate_run(copy, Source(run.config.data.root, part="test"))
    write_report(RunFolder(copy))
    assert not verify(copy).problems
    (copy / "checkpoints/finetune/result.json").unlink()
    with pytest.raises(ValueError, match="is code outside of sesame-hpc"):
        train(load_config(copy / "config.yaml", [f"output={copy}"]))


def test_a_missing_plugin_is_one_sentence(run, monkeypatch):
    monkeypatch.setenv(PLUGINS, "plain_backbone")
    monkeypatch.delitem(sys.modules, "plain_backbone")
    with pytest.raises(
        ValueError, match=r"^model\.backbone: the plugin plain_backbone:PlainBackbone is not inst"
    ):
        Landmarker.load(run.path, "cpu")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("model.backbone_settings.dept=1", r"model\.backbone_settings .*dept: unknown.*mean depth"),
        ("loss.extra_settings.power=3", r"loss\.extra_settings .*power: must be 1 or 2, got 3"),
        ("data.format_settings.centre=true", r"data\.format_settings .*did you mean centres"),
        ("track.settings={'lines_tracker:Lines': {dir: a}}", r"lines_tracker:Lines .*dir: unknown"),
        ("data.augment.extra_settings.sigma=0", r"extra_settings .*sigma: must be greater than 0"),
    ],
)
def test_settings_are_refused_before_anything_is_written(config, tmp_path, setting, said):
    (tmp_path / "c.yaml").write_text(TINY)
    paths = [f"data.root={config.data.root}", f"output={tmp_path / 'run'}"]
    other = load_config(tmp_path / "c.yaml", [*paths, *SETTINGS, setting])
    with pytest.raises(ValueError, match=said):
        train(other)
    assert not (tmp_path / "run").exists()


def test_the_loss_is_zero_for_the_labels_and_has_a_gradient(plugins):
    plugin = load_plugin("loss.extra", "edge_loss:EdgeLength", "loss")
    term = plugin.target(load_scheme("ibug68"), plugin.settings({}, "loss.extra_settings"))
    labels = torch.rand(2, 68, 2)
    found = labels.clone().requires_grad_()
    assert float(term(found, labels, None).detach()) == 0
    moved = torch.rand(2, 68, 2).requires_grad_()
    weight = torch.ones(2, 68)
    assert torch.equal(term(moved, labels, weight), term(moved, labels, None))
    weight[:, 5] = 0
    term(moved, labels, weight).backward()
    assert moved.grad[:, 5].eq(0).all()
    assert moved.grad[:, 6].ne(0).any()


def test_the_augmentation_depends_on_its_generator_alone(plugins):
    settings = AugmentConfig(extra="blur:Blur", extra_settings={"probability": 1.0})
    change = extra_augment(settings)
    crop = np.random.default_rng(0).integers(0, 255, (16, 16, 3)).astype(np.uint8)
    one = change(crop.copy(), np.random.default_rng(1))
    assert np.array_equal(one, change(crop.copy(), np.random.default_rng(1)))
    assert not np.array_equal(one, crop)


WRONG = """
import torch
from sesame_hpc.config import Strict

class Halves:
    def __init__(self, settings): ...
    def __call__(self, crop, random): return crop / 2

class Vector:
    def __init__(self, scheme, settings): ...
    def __call__(self, coordinates, labels, weight): return coordinates.sum(-1)

class Coarse(torch.nn.Module):
    channels = 3
    def __init__(self, model, settings): super().__init__()
    def forward(self, images): return images[:, :, ::16, ::16]

class NoNet:
    def __init__(self, model, settings): ...

class NoFormat:
    def __init__(self, settings): ...
"""


def test_what_breaks_a_contract_is_named(tmp_path, monkeypatch):
    file = tmp_path / "wrong_plugins.py"
    file.write_text(WRONG)
    monkeypatch.setenv(PLUGINS, str(file))
    change = extra_augment(AugmentConfig(extra="wrong_plugins:Halves"))
    with pytest.raises(ValueError, match=r"Halves must return uint8 \[8, 8, 3\], got float64"):
        change(np.zeros((8, 8, 3), np.uint8), np.random.default_rng(0))
    term = extra_loss(LossConfig(extra="wrong_plugins:Vector"), load_scheme("ibug68"))
    points = torch.rand(2, 68, 2)
    with pytest.raises(ValueError, match=r"Vector must return a scalar tensor, got shape \[2, 68"):
        term(points, points, None)
    sizes: dict[str, Any] = {"image_size": 32, "map_size": 8}
    network = LandmarkNet(ModelConfig(backbone="wrong_plugins:Coarse", **sizes), HeadConfig(), 5)
    with pytest.raises(ValueError, match=r"of shape \[3, 2, 2\]; it must give \[3, 8, 8\]"):
        network(torch.rand(1, 3, 32, 32))
    with pytest.raises(ValueError, match="NoNet is not a backbone"):
        LandmarkNet(ModelConfig(backbone="wrong_plugins:NoNet", **sizes), HeadConfig(), 5)
    with pytest.raises(ValueError, match="NoFormat is not a format: it has no parse, has_split"):
        read_annotations(tmp_path, "wrong_plugins:NoFormat", "train", load_scheme("ibug68"))
    monkeypatch.delitem(sys.modules, "wrong_plugins")
