"""MLflow with a store on disk."""

import json

import pytest

pytest.importorskip("mlflow", reason="mlflow is not installed: pip install -e '.[track]'")


@pytest.fixture
def run(make_config, track_two_turns, tmp_path, monkeypatch):
    """The run as MLflow has it afterwards, and its client."""
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = (tmp_path / "store").as_uri()
    settings = ["log.tensorboard=false", "track.trackers=[mlflow]", "track.name=faces"]
    settings += [f"track.mlflow.tracking_uri={uri}", "track.mlflow.experiment_name=tests"]
    assert not track_two_turns(make_config(*settings))
    client = MlflowClient(uri)
    (found,) = client.search_runs([client.get_experiment_by_name("tests").experiment_id])
    return found, client


def test_one_run_for_both_processes(run, tmp_path):
    found, _ = run
    assert found.info.run_name == "faces"
    assert found.info.status == "FINISHED"
    ids = json.loads((tmp_path / "run" / "trackers.json").read_text())
    assert ids == {"mlflow": found.info.run_id}


def test_metrics_by_stage_and_step(run):
    found, client = run
    history = client.get_metric_history(found.info.run_id, "preliminary/loss/l1_coord")
    assert {each.step: each.value for each in history}[40] == 60.0
    assert found.data.metrics["pretrain/loss/masked_mse"] == 0.5
    assert "preliminary/note" not in found.data.metrics


def test_every_setting_is_a_parameter(run):
    assert run[0].data.params["model.stacks"] == "1"
    assert run[0].data.params["track.mlflow.experiment_name"] == "tests"


def test_images_are_there(run):
    found, client = run
    names = [each.path for each in client.list_artifacts(found.info.run_id, "images")]
    assert any("pretrain" in name and "masks" in name for name in names)
