"""The real DeepSpeed engine on one CPU rank."""

from pathlib import Path

import pytest
import torch
from torch import nn

from sesame_hpc.config import RuntimeConfig, StageConfig
from sesame_hpc.distributed.world import World, connect
from sesame_hpc.training.checkpoint import Checkpoints, load_weights, save_weights
from sesame_hpc.training.engine import Engine
from sesame_hpc.training.schedule import lr_factor

STAGE = StageConfig(batch_size=8, lr=1e-2, final_lr=1e-3)


@pytest.fixture(scope="module")
def world() -> World:
    return connect(RuntimeConfig(device="cpu", threads=1))


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 1))


def images(count: int = 8) -> torch.Tensor:
    return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def make(world: World, stage: StageConfig = STAGE, **runtime) -> Engine:
    return Engine(network(), stage, RuntimeConfig(device="cpu", **runtime), world, total_steps=10)


def train(engine: Engine, steps: int) -> None:
    for _ in range(steps):
        engine.step(engine.forward(images()).square().mean())


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.95)], ids=["paper", "short"])
def test_steps_equal_plain_adam(world: World, betas: tuple[float, float]) -> None:
    stage = STAGE.model_copy(update={"betas": betas})
    engine, plain = make(world, stage), network()
    train(engine, 3)
    optimizer = torch.optim.Adam(plain.parameters(), lr=STAGE.lr, betas=betas, eps=1e-7)
    for step in range(3):
        for group in optimizer.param_groups:
            group["lr"] = STAGE.lr * lr_factor(STAGE, 10, step)
        optimizer.zero_grad()
        plain(images()).square().mean().backward()
        optimizer.step()
    for ours, theirs in zip(engine.module.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_the_rate_advances_once_per_optimizer_step(world: World) -> None:
    engine = make(world, accumulation=2)
    rates = []
    for _ in range(4):
        engine.step(engine.forward(images(4)).square().mean())
        rates.append(engine.lr)
    factors = [STAGE.lr * lr_factor(STAGE, 10, step) for step in (0, 1, 1, 2)]
    assert rates == pytest.approx(factors)


def test_two_accumulated_halves_equal_one_whole_batch(world: World) -> None:
    whole, halves = make(world), make(world, accumulation=2)
    train(whole, 1)
    for half in images().chunk(2):
        halves.step(halves.forward(half).square().mean())
    for one, other in zip(whole.module.parameters(), halves.module.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("runtime", [{}, {"zero_stage": 1}, {"precision": "bf16"}])
def test_a_checkpoint_continues_bit_for_bit(world: World, tmp_path: Path, runtime: dict) -> None:
    straight, before, after = (make(world, **runtime) for _ in range(3))
    train(straight, 5)
    train(before, 2)
    Checkpoints(tmp_path, keep=2, world=world).save(before, 2, {"step": 2})
    assert Checkpoints(tmp_path, keep=2, world=world).load_latest(after) == {"step": 2}
    train(after, 3)
    for one, other in zip(straight.module.parameters(), after.module.parameters(), strict=True):
        assert torch.equal(one, other)
    assert straight.lr == after.lr


def test_bf16_computes_in_bf16_and_keeps_fp32_weights(world: World) -> None:
    engine = make(world, precision="bf16")
    assert engine.forward(images()).dtype == torch.bfloat16
    assert {p.dtype for p in engine.module.parameters()} == {torch.float32}


def test_clipping_bounds_the_gradient(world: World) -> None:
    clipped, free = make(world, clip=1e-9), make(world)
    train(clipped, 1)
    train(free, 1)
    start = network()
    moved = [
        max(
            (a - b).abs().max()
            for a, b in zip(e.module.parameters(), start.parameters(), strict=True)
        )
        for e in (clipped, free)
    ]
    assert moved[0] < 0.5 * moved[1]


def test_weights_round_trip_and_a_missing_file_is_named(tmp_path: Path) -> None:
    weights = {"a": torch.rand(3, 2).t(), "b": torch.arange(3)}
    save_weights(tmp_path / "w.safetensors", weights)
    loaded = load_weights(tmp_path / "w.safetensors")
    assert all(torch.equal(weights[key], loaded[key]) for key in weights)
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]
    with pytest.raises(FileNotFoundError, match=r"none\.safetensors"):
        load_weights(tmp_path / "none.safetensors")
