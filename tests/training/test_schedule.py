import re

import pytest

from sesame_hpc.config import RuntimeConfig, StageConfig
from sesame_hpc.training.schedule import check_ranks, lr_factor, micro_batch_size


def test_the_paper_rate_runs_from_1e_3_to_1e_5_by_0_985_an_epoch() -> None:
    stage, steps = StageConfig(), 234
    total = 300 * steps
    assert stage.lr * lr_factor(stage, total, 0) == pytest.approx(1e-3)
    assert stage.lr * lr_factor(stage, total, total - 1) == pytest.approx(1e-5)
    per_epoch = lr_factor(stage, total, steps) / lr_factor(stage, total, 0)
    assert per_epoch == pytest.approx(0.985, abs=5e-4)


def test_warm_up_rises_linearly_and_then_leaves_the_decay_alone() -> None:
    cold, warm = StageConfig(), StageConfig(warmup_steps=9)
    ratios = [lr_factor(warm, 1000, step) / lr_factor(cold, 1000, step) for step in range(12)]
    assert ratios == pytest.approx([(step + 1) / 10 for step in range(9)] + [1.0] * 3)


def test_steps_beyond_the_end_stay_at_the_last_rate() -> None:
    stage = StageConfig()
    assert lr_factor(stage, 10, 10) == lr_factor(stage, 10, 9)
    assert lr_factor(stage, 1, 0) == 1.0


def test_the_global_batch_is_divided() -> None:
    stage = StageConfig(batch_size=32)
    assert micro_batch_size(stage, RuntimeConfig(accumulation=2), 4) == 4


@pytest.mark.parametrize(
    ("sizes", "accumulation", "ranks", "valid"),
    [
        ((32, 24), 2, 3, "use 1, 2 or 4 ranks"),
        ((12, 12), 4, 2, "use 1 or 3 ranks, or runtime.accumulation 1, 2, 3 or 6"),
        ((5, 7), 2, 3, "use "),
        ((8, 8), 1, 16, "use 1, 2, 4 or 8 ranks"),
    ],
)
def test_ranks_that_cannot_share_a_batch_are_told_what_is_valid(
    sizes: tuple[int, int], accumulation: int, ranks: int, valid: str
) -> None:
    stages = {
        n: StageConfig(batch_size=size)
        for n, size in zip(("preliminary", "finetune"), sizes, strict=True)
    }
    runtime = RuntimeConfig(accumulation=accumulation)
    with pytest.raises(ValueError, match=f"{ranks} ranks with runtime.accumulation") as refused:
        check_ranks(stages, runtime, ranks)
    multiple = f"a batch_size that is a multiple of {ranks * accumulation}"
    expected = f"{valid}, or {multiple}" if valid != "use " else f"use {multiple}"
    assert str(refused.value).endswith(f": {expected}")
    assert f"stages.finetune.batch_size {sizes[1]}" in str(refused.value)
    for each in re.findall(r"\d+", valid.partition(" ranks")[0]):
        check_ranks(stages, runtime, int(each))


def test_a_cosine_rises_over_its_share_and_falls_along_half_a_cosine():
    stage = StageConfig(schedule="cosine", warmup=0.1, lr=4e-3, final_lr=4e-5)
    factors = [lr_factor(stage, 1001, step) for step in range(1001)]
    assert factors[49] == pytest.approx(50 / 101)
    assert max(factors) == factors[100] == 1.0
    assert factors[550] == pytest.approx(0.505, abs=1e-6)
    assert factors[1000] == pytest.approx(0.01)
    assert factors[100:] == sorted(factors[100:], reverse=True)
