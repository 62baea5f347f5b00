"""Training from Python: the run that is returned, and callbacks, which change no bit."""

import random
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from training_process import TINY

import sesame_hpc
from sesame_hpc import Callback, Run, load_config, train
from sesame_hpc.choices import STAGES
from sesame_hpc.report.report_data import read_report_data
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.training.callbacks import CallbackError

SHORT = [f"stages.{stage}.epochs=2" for stage in STAGES]


class Watcher(Callback):
    """Notes every event, and leaves random generators and modes in disorder."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int, object]] = []

    def _note(self, event, what) -> None:
        assert event.rank == 0
        assert not torch.is_grad_enabled()
        self.events.append((event.stage, event.step, what))
        random.random(), np.random.rand(), torch.rand(3)

    def on_stage_start(self, event):
        event.network.eval()
        self._note(event, ("start", event.epochs, event.steps))

    def on_step(self, event):
        self._note(event, ("step", event.epoch, float(event.loss)))

    def on_validation(self, event):
        event.network.eval()
        self._note(event, ("validation", *event.figures))

    def on_checkpoint(self, event):
        self._note(event, ("checkpoint", (event.path / "state.pt").is_file()))

    def on_stage_end(self, event):
        self._note(event, ("end", event.result["steps"]))


class Failing(Callback):
    """Fails at one step of pretrain."""

    def on_step(self, event):
        if (event.stage, event.step) == ("pretrain", 5):
            raise KeyError("no such thing")


@pytest.fixture(scope="module")
def watched(tmp_path_factory, faces):
    """A run that was trained with a `Watcher`, interrupted by a callback, and resumed."""
    folder = tmp_path_factory.mktemp("watched")
    (folder / "tiny.yaml").write_text(TINY)
    config = load_config(
        folder / "tiny.yaml", [f"data.root={faces}", f"output={folder / 'run'}", *SHORT]
    )
    watcher = Watcher()
    with pytest.raises(CallbackError) as failed:
        train(config, callbacks=[watcher, Failing()])
    records = Run(folder / "run").records("pretrain")
    errors = [each["error"] for each in records if "error" in each]
    run = train(config, callbacks=[watcher])
    return run, watcher, failed.value, errors, config


def test_the_failing_callback_is_named(watched):
    _, _, error, errors, _ = watched
    said = (
        "the callback Failing.on_step failed in stage pretrain at step 5: KeyError: 'no such thing'"
    )
    assert str(error) == said
    assert isinstance(error.__cause__, KeyError)
    assert errors == [said]


def test_events_come_in_the_order_of_training(watched):
    _, watcher, _, _, _ = watched
    mine = [(step, what[0]) for stage, step, what in watcher.events if stage == "preliminary"]
    epoch = [(1, "step"), (2, "step"), (2, "checkpoint"), (3, "step"), (4, "step")]
    epoch += [(4, "checkpoint"), (5, "step"), (5, "validation"), (5, "checkpoint")]
    assert mine[: len(epoch) + 1] == [(0, "start"), *epoch]
    assert mine[-3:] == [(10, "validation"), (10, "checkpoint"), (10, "end")]
    whole = {what for _, _, what in watcher.events if what[0] == "checkpoint"}
    assert whole == {("checkpoint", True)}
    starts = [(stage, step, what[1:]) for stage, step, what in watcher.events if what[0] == "start"]
    assert starts == [
        ("preliminary", 0, (2, 10)),
        ("pretrain", 0, (2, 10)),
        ("pretrain", 4, (2, 10)),
        ("finetune", 0, (2, 10)),
    ]


def test_callbacks_change_no_bit(watched, tmp_path):
    run, _, _, _, config = watched
    other = train(config.model_copy(update={"output": tmp_path / "plain"}))
    for stage in STAGES:
        name = f"checkpoints/{stage}/weights.safetensors"
        one, two = load_file(run.path / name), load_file(other.path / name)
        assert one.keys() == two.keys()
        assert not [key for key in one if not one[key].equal(two[key])]


def test_losses_of_steps_are_those_of_the_records(watched):
    run, watcher, _, _, _ = watched
    seen = {(s, step): what[2] for s, step, what in watcher.events if what[0] == "step"}
    recorded = {(r["stage"], r["step"]): r["loss"] for r in run.records() if "loss" in r}
    assert len(recorded) == 30
    assert seen == pytest.approx(recorded)


def test_a_run_answers(watched, tmp_path):
    run, _, _, _, config = watched
    assert run.finished == STAGES
    assert run.config.seed == config.seed
    assert 0 < run.result("finetune")["heldout"]["nme"] < 100
    assert run.report.name == "report.html"
    points = run.landmarker("cpu")(np.zeros((64, 64, 3), np.uint8), [[8, 8, 50, 50]]).points
    assert points.shape == (1, 98, 2)
    with pytest.raises(ValueError, match="has no stage 'fine'; its stages are preliminary, pre"):
        run.result("fine")
    with pytest.raises(FileNotFoundError, match="is not a run folder"):
        Run(tmp_path)
    copy = shutil.copytree(run.path, tmp_path / "copy")
    (copy / "checkpoints/finetune/result.json").unlink()
    assert Run(copy).finished == STAGES[:2]
    with pytest.raises(ValueError, match="has not finished stage finetune"):
        Run(copy).result("finetune")


def test_a_finished_run_is_returned_at_once(watched):
    run, watcher, _, _, config = watched
    before = len(watcher.events)
    assert train(config, callbacks=[watcher]).path == run.path
    assert len(watcher.events) == before
    assert read_report_data(RunFolder(run.path)).parts


def test_what_is_no_callback_is_refused(watched, tmp_path):
    config = watched[-1].model_copy(update={"output": tmp_path / "none"})
    with pytest.raises(TypeError, match="is not an instance of a subclass of Callback"):
        train(config, callbacks=[print])  # type: ignore[list-item]
    assert not config.output.exists()


def test_the_names_at_the_top():
    for name in sesame_hpc.__all__:
        assert getattr(sesame_hpc, name) is not None
    assert set(sesame_hpc.__all__) <= set(dir(sesame_hpc))
