"""The YAML header of model cards, as hubs read it."""

import pytest
import yaml

from sesame_hpc.inference.card import write_card
from sesame_hpc.inference.manifest import Manifest

TABLE = {
    "nme": 4.25, "fr10": 3.0, "auc10": 0.61, "faces": 120, "regions": {"outline": 5.0},
    "intervals": {"nme": [4.1, 4.4], "fr10": None},
}  # fmt: skip


@pytest.fixture
def manifest(safetensors):
    return Manifest.from_json((safetensors / "config.json").read_bytes(), safetensors)


@pytest.fixture
def write(manifest, tmp_path):
    from sesame_hpc.config import DataConfig

    def card(tables, licence=None):
        data = DataConfig(root=tmp_path / "faces", format="wflw")
        return write_card(tmp_path, data, tables, manifest, licence)

    return card


def header(path):
    empty, text, rest = path.read_text().split("---\n", 2)
    assert not empty
    assert rest.startswith("\n# run/finetune")
    return yaml.safe_load(text)


def test_metrics_have_their_intervals(write):
    (model,) = header(write({"test": TABLE}))["model-index"]
    (result,) = model["results"]
    assert result["dataset"] == {"type": "wflw", "name": "faces", "split": "test"}
    nme, failures, area = result["metrics"]
    assert (nme["type"], nme["value"]) == ("nme", 4.25)
    assert nme["args"] == {"faces": 120, "interval_95": [4.1, 4.4]}
    assert failures["args"] == {"faces": 120}
    assert area["value"] == 0.61


def test_the_text_has_the_interval_too(write):
    assert "| **all points** | 4.250 (4.100 to 4.400) |" in write({"test": TABLE}).read_text()


def test_the_licence_is_what_somebody_said_and_stays(write):
    assert "license" not in header(write({}))
    assert header(write({}, "cc-by-nc-4.0"))["license"] == "cc-by-nc-4.0"
    assert header(write({"heldout": TABLE}))["license"] == "cc-by-nc-4.0"
    assert header(write({}, "other"))["license"] == "other"


def test_exports_have_a_header(safetensors):
    read = header(safetensors / "README.md")
    assert read["library_name"] == "sesame-hpc"
    assert "safetensors" in read["tags"]
    assert "onnx" not in read["tags"]


def test_huggingface_hub_reads_it(write):
    hub = pytest.importorskip("huggingface_hub")
    data = hub.ModelCard.load(write({"test": TABLE}, "cc-by-nc-4.0")).data
    assert data.license == "cc-by-nc-4.0"
    assert [(each.metric_type, each.metric_value) for each in data.eval_results] == [
        ("nme", 4.25), ("failure_rate", 3.0), ("auc", 0.61)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--push", "a/b"], "--push needs --license"),
        (["--private"], "--private needs --push NAME"),
    ],
)
def test_what_a_push_needs(run, options, message, monkeypatch, tmp_path):
    from typer.testing import CliRunner

    from sesame_hpc.cli import export as command
    from sesame_hpc.cli.main import app

    monkeypatch.setattr(command, "require", lambda extra, purpose: None)
    words = ["export", str(run), "--to", "onnx", "--out", str(tmp_path / "out"), *options]
    ended = CliRunner().invoke(app, words)
    assert message in str(ended.exception)
    assert not (tmp_path / "out").exists()
