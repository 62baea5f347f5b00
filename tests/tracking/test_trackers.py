"""Which trackers a run has, what they are called, and what is refused before anything trains."""

import json
import sys
from pathlib import Path

import pytest

from sesame_hpc.extras import MissingPackage
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.tracking import Trackers, check_trackers
from sesame_hpc.tracking.names import metric_name

EXAMPLES = Path(__file__).parents[2] / "examples" / "plugins"
PLUGIN = "lines_tracker:Lines"


@pytest.fixture
def plugin(monkeypatch):
    """The example's tracker, which the user has allowed."""
    monkeypatch.setenv("SESAME_PLUGINS", str(EXAMPLES / "lines_tracker.py"))
    yield PLUGIN
    sys.modules.pop("lines_tracker", None)


def test_a_class_of_ones_own_gets_everything(plugin, make_config, track_two_turns, tmp_path):
    given = json.dumps({plugin: {"file": "mine.jsonl"}})
    settings = ("log.tensorboard=false", f"track.trackers=['{plugin}']", f"track.settings={given}")
    config = make_config(*settings)
    check_trackers(config)
    assert not track_two_turns(config)
    lines = [
        json.loads(line) for line in (tmp_path / "run" / "mine.jsonl").read_text().split("\n")[:-1]
    ]
    starts = [line[1:] for line in lines if line[0] == "start"]
    assert starts == [["run", None, 8], ["run", "run", 8]]
    assert ["metrics", {"pretrain/loss/masked_mse": 0.5}, 7] in lines
    assert ["image", "pretrain/masks", [6, 9, 3], 7] in lines
    assert [line[1] for line in lines if line[0] == "finish"] == ["interrupted", "finished"]
    assert (tmp_path / "run" / "lines" / "pretrain" / "masks-7.png").is_file()


def test_unknown_trackers_and_settings_are_refused(plugin, make_config):
    with pytest.raises(ValueError, match=r"track\.trackers: plugin 'mlfow' was not found"):
        check_trackers(make_config("track.trackers=[mlfow]"))
    with pytest.raises(ValueError, match=r"settings\.lines_tracker:Lines .*folder: unknown key"):
        check_trackers(
            make_config(
                f"track.trackers=['{plugin}']", f"track.settings={{'{plugin}': {{folder: x}}}}"
            )
        )
    with pytest.raises(ValueError, match=r"track\.settings\.other: is of no tracker"):
        check_trackers(make_config("track.settings={other: {a: 1}}"))


@pytest.mark.parametrize("names", ["[mlflow, mlflow]", "[tensorboard]"])
def test_a_tracker_is_named_once(make_config, names):
    with pytest.raises(ValueError, match=r"track\.trackers: must not name"):
        make_config(f"track.trackers={names}")


def test_a_missing_package_is_an_error_that_says_what_to_install(make_config, monkeypatch):
    monkeypatch.setattr("sesame_hpc.extras.has", lambda module: module != "mlflow")
    with pytest.raises(MissingPackage, match=r"tracker mlflow needs mlflow-skinny: .*\[track\]"):
        check_trackers(make_config("track.trackers=[mlflow]"))


def test_without_trackers_nothing_runs_or_is_written(make_config, tmp_path):
    none = Trackers(make_config("log.tensorboard=false"), RunFolder(tmp_path), print)
    assert not none
    none.log_metrics("pretrain", {"loss": 1.0}, 1)
    none.close("finished")
    assert not (tmp_path / "trackers.json").exists()


@pytest.mark.parametrize(
    ("overrides", "stage", "key", "name"),
    [
        ((), "finetune", "loss", "loss/l1_coord"),
        ((), "pretrain", "loss", "loss/masked_mse"),
        ((), "pretrain", "heldout_loss", "heldout_loss/masked_mse"),
        (("stages.pretrain.landmark_weight=0.1",), "pretrain", "loss", "loss/masked_mse_landmarks"),
        (("loss.penalty=wing", "loss.heatmap=1"), "finetune", "loss", "loss/wing_coord_heatmap"),
        (("loss.extra=a:B", "loss.star=2"), "finetune", "loss", "loss/l1_coord_star_extra"),
        (("loss.extra=a:B", "loss.extra_weight=0"), "finetune", "loss", "loss/l1_coord"),
        ((), "finetune", "heldout_nme", "heldout_nme"),
    ],
)
def test_losses_are_called_by_what_they_are(make_config, overrides, stage, key, name):
    assert metric_name(make_config(*overrides), stage, key) == name


def test_trackers_may_change_in_a_run_and_do_not_change_its_stages(make_config):
    from sesame_hpc.run.settings import _MAY_CHANGE
    from sesame_hpc.run.shared import stage_settings

    assert "track." in _MAY_CHANGE
    assert stage_settings(make_config(), "finetune") == stage_settings(
        make_config("track.trackers=[mlflow]"), "finetune"
    )
