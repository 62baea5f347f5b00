"""In the steady state no step asks the device for a value: host and device never wait."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import tiny_stage
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sesame_hpc.config import RuntimeConfig
from sesame_hpc.distributed.world import World, connect
from sesame_hpc.training.ema import ModelEMA
from sesame_hpc.training.metrics_window import MetricsWindow

WARM_UP, STEADY = 2, 3
AWAIT_THE_DEVICE = {
    "aten::_local_scalar_dense",
    "aten::equal",
    "aten::is_nonzero",
    "aten::item",
    "aten::masked_select",
    "aten::nonzero",
    "aten::_unique2",
}


class Waits(TorchDispatchMode):
    """Records the operations that would make the host wait for a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name
        masked = name == "aten::index" and any(
            i is not None and i.dtype == torch.bool for i in args[1]
        )
        if name in AWAIT_THE_DEVICE or masked:
            self.seen.append(name)
        return func(*args, **(kwargs or {}))


@contextmanager
def no_waiting_on_cuda() -> Iterator[None]:
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def steps(world: World, stage: str, missing: float = 0.0, **runtime: Any) -> Iterator[None]:
    """Steps with everything that `TrainingLoop` does between two records."""
    engine, task = getattr(tiny_stage, stage)(world, **runtime)
    average, window = ModelEMA(engine.module, 0.9), MetricsWindow(world, 1.0)
    given = list(tiny_stage.batches(world.device, WARM_UP + STEADY, missing))
    for batch in window.watch(iter(given)):
        loss = task.loss(engine.forward, batch, epoch=0)
        window.add(loss, batch.sample_ids)
        engine.step(loss)
        average.update()
        yield


CASES = [
    ("coordinates", {}),
    ("coordinates", {"clip": 1.0}),
    ("coordinates", {"missing": 0.3}),
    ("coordinates", {"missing": 0.3, "heatmap": 0.01}),
    ("coordinates", {"precision": "bf16"}),
    ("coordinates", {"activation_checkpointing": True}),
    ("reconstruction", {}),
    ("reconstruction", {"missing": 0.3}),
]


@pytest.mark.parametrize(("stage", "runtime"), CASES)
def test_no_step_reads_a_value_off_the_device(stage: str, runtime: dict) -> None:
    world = connect(RuntimeConfig(device="cpu", threads=1))
    running = steps(world, stage, **runtime)
    for _ in range(WARM_UP):
        next(running)
    with Waits() as waits:
        for _ in range(STEADY):
            next(running)
    assert waits.seen == []


def test_the_watch_sees_what_it_is_there_for() -> None:
    with Waits() as waits:
        torch.ones(()).item()
        bool(torch.ones(()) > 0)
        torch.ones(3)[torch.tensor([True, False, True])]
    assert waits.seen == ["aten::_local_scalar_dense"] * 2 + ["aten::index"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("stage", "runtime"), [*CASES, ("coordinates", {"compile": "regions"})])
def test_no_step_waits_for_the_gpu(stage: str, runtime: dict) -> None:
    """torch raises at the call that waits."""
    world = connect(RuntimeConfig(device="cuda"))
    running = steps(world, stage, **runtime)
    for _ in range(WARM_UP):
        next(running)
    with no_waiting_on_cuda():
        for _ in range(STEADY):
            next(running)
