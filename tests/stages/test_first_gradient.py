"""A reader who follows a training from its entry point soon reaches the step."""

import traceback
from pathlib import Path

import pytest

from sesame_hpc.config import load_config
from sesame_hpc.stages.train import train
from sesame_hpc.training.engine import Engine

PACKAGE = Path(__file__).parents[2] / "sesame_hpc"


class _Reached(Exception):
    pass


def test_few_functions_lie_between_the_command_and_the_first_gradient(write_config, monkeypatch):
    """Three come before `train`: `main` in __main__ and cli/main.py, `train` in cli/train.py."""
    names: list[str] = []

    def note_callers(engine: Engine, loss: object) -> None:
        callers = [f for f in traceback.extract_stack() if Path(f.filename).is_relative_to(PACKAGE)]
        names.extend(f"{Path(f.filename).relative_to(PACKAGE)}:{f.name}" for f in callers)
        raise _Reached

    monkeypatch.setattr(Engine, "backward", note_callers)
    with pytest.raises(_Reached):
        train(load_config(write_config("short")), only="preliminary")
    assert names == [
        "stages/train.py:train",
        "stages/preliminary.py:preliminary",
        "training/loop.py:run",
        "training/loop.py:_train_epoch",
        "training/loop.py:_optimizer_step",
    ]
