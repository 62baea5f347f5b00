"""A run trained with trackers: what they get of each stage, also when one of them fails."""

import json

import pytest
from training_process import TINY, start_training

from sesame_hpc.config import dump_config, load_config
from sesame_hpc.synth import synthesise
from tests.tracking.test_trackers import PLUGIN

FAILING = """
class Failing:
    def __init__(self, settings):
        pass

    def start(self, run):
        raise ConnectionError("no route to host")
"""


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    """Two stages in two processes: (run folder, what was printed, the plugin's lines)."""
    folder = tmp_path_factory.mktemp("tracked")
    synthesise(folder / "faces", train=24, test=2, seed=3, size=96, workers=1)
    (folder / "lines_tracker.py").write_text(PLUGIN + FAILING)
    (folder / "tiny.yaml").write_text(TINY)
    names = "['lines_tracker:Lines', 'lines_tracker:Failing']"
    overrides = [f"data.root={folder / 'faces'}", f"output={folder / 'run'}"]
    overrides += ["log.tensorboard=true", f"track.trackers={names}"]
    overrides += [f"stages.{stage}.epochs=1" for stage in ("preliminary", "pretrain", "finetune")]
    config = load_config(folder / "tiny.yaml", overrides)
    (folder / "run.yaml").write_text(dump_config(config))
    variables = {"SESAME_PLUGINS": str(folder / "lines_tracker.py")}
    printed = []
    for stage in ("preliminary", "pretrain"):
        options = ("--stage", stage)
        process = start_training(folder / "run.yaml", *options, variables=variables)
        printed.append(process.communicate(timeout=550)[0])
        assert process.returncode == 0, printed[-1]
    lines = (folder / "run" / "lines.jsonl").read_text().split("\n")[:-1]
    return folder / "run", printed, [json.loads(line) for line in lines]


def test_images_and_losses_of_each_stage(tracked):
    _, _, lines = tracked
    images = {line[1] for line in lines if line[0] == "image"}
    assert images == {"preliminary/worst_faces", "pretrain/masks", "pretrain/reconstructions"}
    names = {name for line in lines if line[0] == "metrics" for name in line[1]}
    assert {"preliminary/loss/l1_coord", "pretrain/loss/masked_mse"} <= names
    assert {"preliminary/heldout_nme", "pretrain/heldout_loss/masked_mse"} <= names
    assert not [name for name in names if name.endswith(("/epoch", "/time"))]


def test_the_second_process_continues_the_run(tracked):
    run, _, lines = tracked
    assert [line[2] for line in lines if line[0] == "start"] == [None, "first"]
    assert json.loads((run / "trackers.json").read_text())["lines_tracker:Lines"] == "first"


def test_a_tracker_that_fails_warns_once_and_ends_no_run(tracked):
    _, printed, _ = tracked
    for text in printed:
        assert " ".join(text.split()).count("tracker lines_tracker:Failing failed") == 1


def test_tensorboard_has_the_images(tracked):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run, _, _ = tracked
    for stage, names in (
        ("preliminary", ["worst_faces"]),
        ("pretrain", ["masks", "reconstructions"]),
    ):
        events = EventAccumulator(str(run / "tensorboard" / stage))
        events.Reload()
        assert events.Tags()["images"] == names
