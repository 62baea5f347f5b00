"""A run trained with trackers: what they get of each stage, also when one of them fails."""

import json
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from training_process import TINY

from sesame_hpc import load_config, train
from sesame_hpc.plugins import PLUGINS
from sesame_hpc.run.folder import RunFolder

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugins" / "lines_tracker.py"
NAMES = ("lines_tracker:Lines", "failing_tracker:Failing")
FAILING = """
class Failing:
    def __init__(self, settings):
        pass

    def start(self, run):
        raise ConnectionError("no route to host")
"""


@pytest.fixture(scope="module")
def tracked(tmp_path_factory, faces):
    """A stage each in two calls: (run folder, what was printed, the plugin's lines)."""
    folder = tmp_path_factory.mktemp("tracked")
    (folder / "failing_tracker.py").write_text(FAILING)
    (folder / "tiny.yaml").write_text(TINY)
    overrides = [f"data.root={faces}", f"output={folder / 'run'}", "log.tensorboard=true"]
    overrides += [f"track.trackers={list(NAMES)}", "stages.run=[preliminary, pretrain]"]
    overrides += [f"stages.{stage}.epochs=1" for stage in ("preliminary", "pretrain")]
    config = load_config(folder / "tiny.yaml", overrides)
    printed = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PLUGINS, f"{EXAMPLE},{folder / 'failing_tracker.py'}")
        for stage in config.stages.run:
            with redirect_stdout(StringIO()) as out:
                train(config, only=stage)
            printed.append(out.getvalue())
    for name in NAMES:
        sys.modules.pop(name.partition(":")[0])
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


def test_the_second_call_continues_the_run(tracked):
    run, _, lines = tracked
    assert [line[2] for line in lines if line[0] == "start"] == [None, "run"]
    assert json.loads((run / "trackers.json").read_text())["lines_tracker:Lines"] == "run"


def test_a_tracker_that_fails_warns_once_and_ends_no_run(tracked):
    _, printed, _ = tracked
    for text in printed:
        assert " ".join(text.split()).count("tracker failing_tracker:Failing failed") == 1


def test_each_start_names_the_trackers_that_are_plugins(tracked):
    for start in RunFolder(tracked[0]).starts():
        plugins = start["plugins"]
        assert list(plugins) == [f"track.settings.{name}" for name in NAMES]
        assert [each["path"] for each in plugins.values()] == list(NAMES)
        assert all(each["version"].startswith("sha256:") for each in plugins.values())


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
