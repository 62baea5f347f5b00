"""TensorBoard: a tag per loss, images, hyper-parameters, and resumed stages."""

import json

import pytest

from sesame_hpc.run.folder import RunFolder
from sesame_hpc.tracking.tracker import TrackedRun


@pytest.fixture
def events(make_config, track_two_turns, tmp_path):
    """By sub-folder, what TensorBoard reads there."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert not track_two_turns(make_config("stages.preliminary.epochs=7"))
    found = {}
    for name in (".", "preliminary", "pretrain"):
        found[name] = EventAccumulator(str(tmp_path / "run" / "tensorboard" / name))
        found[name].Reload()
    return found


def test_each_loss_has_its_own_tag(events):
    assert events["preliminary"].Tags()["scalars"] == ["loss/l1_coord", "heldout_nme"]
    assert events["pretrain"].Tags()["scalars"] == ["loss/masked_mse"]


def test_a_resumed_stage_is_shown_without_what_was_undone(events):
    scalars = {each.step: each.value for each in events["preliminary"].Scalars("loss/l1_coord")}
    assert scalars == {10: 10.0, 20: 20.0, 30: 50.0, 40: 60.0}


def test_files_of_one_second_are_read_in_their_order(tmp_path):
    """Their names end in a counter of the process, whose 10 would come before its 9."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from sesame_hpc.tracking.tensorboard import TensorBoardTracker

    tracker = TensorBoardTracker()
    tracker.start(TrackedRun("run", tmp_path, "tensorboard", {}))
    for turn in range(12):
        tracker.log_metrics({"preliminary/loss": float(turn)}, 10)
        tracker.rewind("preliminary", 0)
    found = EventAccumulator(str(RunFolder(tmp_path).tensorboard / "preliminary"))
    found.Reload()
    assert [each.value for each in found.Scalars("loss")] == [11.0]


def test_images_are_there(events):
    (image,) = events["pretrain"].Images("masks")
    assert (image.step, image.width, image.height) == (7, 9, 6)


def test_hyper_parameters_are_there_once_with_the_last_nme(events, tmp_path):
    summary = events["."].SummaryMetadata("_hparams_/session_start_info")
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    started = HParamsPluginData.FromString(summary.plugin_data.content).session_start_info
    assert started.hparams["stages.preliminary.epochs"].number_value == 7
    assert [each.value for each in events["."].Scalars("heldout_nme")] == [4.5]
    ids = json.loads(RunFolder(tmp_path / "run").trackers_file.read_text())
    assert ids == {"tensorboard": "tensorboard"}
