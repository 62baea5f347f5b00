"""Compiled training: the same numbers up to rounding, the same bits twice, the same checkpoints."""

import copy
import shutil
from typing import Any

import pytest
import tiny_stage
import torch
from torch._dynamo import explain, reset
from torch._dynamo.testing import CompileCounterWithBackend

from sesame_hpc.config import HeadConfig, RuntimeConfig
from sesame_hpc.distributed.world import World, connect
from sesame_hpc.models.checkpointing import checkpoint_stacks
from sesame_hpc.models.compiling import compile_training
from sesame_hpc.models.heads import LandmarkNet, ReconstructionNet
from sesame_hpc.training.checkpoint import Checkpoints
from sesame_hpc.training.prepare import compiled_unit

FUSED = HeadConfig(impl="fused")
STEPS = 4
FIRST: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-6}
LATER: dict[str, Any] = {"rtol": 1e-3, "atol": 1e-4}
"""Tolerances of the first loss, and of the next ones, in which roundings grow step by step."""
BF16: dict[str, Any] = {"rtol": 2e-2, "atol": 2e-3}

needs_compiler = pytest.mark.skipif(not shutil.which("c++"), reason="needs a C++ compiler")


@pytest.fixture(scope="module")
def world() -> World:
    return connect(RuntimeConfig(device="cpu", threads=1))


@pytest.fixture(autouse=True)
def fresh_compiler():
    reset()
    yield
    reset()


def images() -> torch.Tensor:
    return next(tiny_stage.batches(torch.device("cpu"), 1)).images


@pytest.mark.parametrize(
    "network",
    [
        lambda: tiny_stage.network(),
        lambda: tiny_stage.network(FUSED),
        lambda: ReconstructionNet(tiny_stage.MODEL, HeadConfig()),
    ],
    ids=["conv", "fused", "reconstruction"],
)
def test_no_network_has_a_graph_break(network) -> None:
    found = explain(network().forward)(images())
    assert (found.graph_count, found.graph_break_count) == (1, 0)


@pytest.mark.parametrize(("unit", "mode"), [("regions", None), ("graphs", "reduce-overhead")])
def test_stacks_share_one_compiled_region(unit, mode, monkeypatch) -> None:
    counter = CompileCounterWithBackend("eager")
    real, modes = torch.compile, []

    def compile(function, *, mode, **how):
        modes.append(mode)
        return real(function, backend=counter, **how)

    monkeypatch.setattr(torch, "compile", compile)
    network = LandmarkNet(tiny_stage.MODEL.model_copy(update={"stacks": 4}), HeadConfig(), 68)
    compile_training(network, unit)
    assert set(modes) == {mode}
    network(images()).sum().backward()
    assert counter.frame_count == 2
    network.eval()(images())
    network.train()(images())
    assert counter.frame_count == 2


@pytest.mark.parametrize("unit", ["regions", "whole"])
def test_the_checkpoint_layout_is_the_same(unit) -> None:
    plain, compiled, fused = tiny_stage.network(), tiny_stage.network(), tiny_stage.network(FUSED)
    compile_training(compiled, unit)
    assert list(plain.state_dict()) == list(compiled.state_dict()) == list(fused.state_dict())


def test_a_copy_computes_with_its_own_weights() -> None:
    network = tiny_stage.network()
    compile_training(network, "regions")
    checkpoint_stacks(network)
    zeroed = copy.deepcopy(network)
    with torch.no_grad():
        zeroed.get_parameter("backbone.stacks.0.features.0.weight").zero_()
    network.eval(), zeroed.eval()
    assert not network(images()).equal(zeroed(images()))


def test_what_auto_is_and_where_graphs_are_refused() -> None:
    cpu = torch.device("cpu")
    assert compiled_unit(RuntimeConfig(), cpu) is None
    assert compiled_unit(RuntimeConfig(compile="whole"), cpu) == "whole"
    expected = "regions" if shutil.which("cc") or shutil.which("gcc") else None
    assert compiled_unit(RuntimeConfig(), torch.device("cuda")) == expected
    with pytest.raises(ValueError, match="graphs, which needs a GPU"):
        compiled_unit(RuntimeConfig(compile="graphs"), cpu)
    with pytest.raises(ValueError, match="use regions or none"):
        RuntimeConfig(compile="whole", activation_checkpointing=True)
    with pytest.raises(ValueError, match="overwrite the gradients"):
        RuntimeConfig(compile="graphs", accumulation=2)


def losses(world: World, stage: str, **runtime) -> torch.Tensor:
    engine, task = getattr(tiny_stage, stage)(world, **runtime)
    return torch.stack(tiny_stage.train(engine, task, tiny_stage.batches(world.device, STEPS)))


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "runtime"),
    [
        ("coordinates", {"compile": "regions"}),
        ("coordinates", {"compile": "regions", "activation_checkpointing": True}),
        ("coordinates", {"compile": "whole"}),
        ("reconstruction", {"compile": "regions"}),
    ],
)
def test_compiled_training_equals_eager_and_repeats_its_bits(world, stage, runtime) -> None:
    once, again = (losses(world, stage, **runtime) for _ in range(2))
    assert once.equal(again)
    eager = losses(world, stage)
    torch.testing.assert_close(once[0], eager[0], **FIRST)
    torch.testing.assert_close(once, eager, **LATER)


@needs_compiler
@pytest.mark.slow
def test_compiled_training_resumes_with_the_same_bits(world, tmp_path) -> None:
    given = list(tiny_stage.batches(world.device, STEPS))
    (straight, task), (before, first), (after, second) = (
        tiny_stage.coordinates(world, compile="regions") for _ in range(3)
    )
    tiny_stage.train(straight, task, iter(given))
    tiny_stage.train(before, first, iter(given[:2]))
    Checkpoints(tmp_path, keep=1, world=world).save(before, 2, {})
    reset()
    Checkpoints(tmp_path, keep=1, world=world).load_latest(after)
    tiny_stage.train(after, second, iter(given[2:]))
    for one, other in zip(straight.module.parameters(), after.module.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("stage", ["coordinates", "reconstruction"])
def test_graphs_of_regions_train_as_regions_do(stage, precision) -> None:
    world = connect(RuntimeConfig(device="cuda"))
    regions, graphs = (
        losses(world, stage, compile=unit, precision=precision) for unit in ("regions", "graphs")
    )
    torch.testing.assert_close(graphs, regions, **(LATER if precision == "fp32" else BF16))
