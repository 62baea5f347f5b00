"""A stage's learning-rate schedule and micro-batch size."""

import math
from collections.abc import Mapping

from sesame_hpc.config import RuntimeConfig, StageConfig
from sesame_hpc.plural import counted

__all__ = ["check_ranks", "lr_factor", "micro_batch_size"]


def lr_factor(stage: StageConfig, total_steps: int, step: int) -> float:
    """Multiple of `stage.lr` at optimizer step `step` (0-based) of `total_steps`.

    A linear warm-up, and a fall to `stage.final_lr` at the last step: an exponential decay per
    step from the first on (section IV.A of the paper; the rate is ours), or half a cosine from the
    end of the warm-up on, the one-cycle policy (Smith and Topin, arXiv:1708.07120).
    """
    warmup_steps = max(stage.warmup_steps, math.floor(stage.warmup * total_steps))
    warmup = min(1.0, (step + 1) / (warmup_steps + 1))
    final = stage.final_lr / stage.lr
    if stage.schedule == "exponential":
        progress = min(step / max(1, total_steps - 1), 1.0)
        return warmup * final**progress
    progress = min(max(0, step - warmup_steps) / max(1, total_steps - 1 - warmup_steps), 1.0)
    return warmup * (final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2)


def check_ranks(stages: Mapping[str, StageConfig], runtime: RuntimeConfig, ranks: int) -> None:
    """Raise ValueError, with what would be valid, where the ranks cannot share a batch evenly.

    `stages` are those to train, by name. Each optimizer step has `batch_size` faces, whatever the
    number of ranks, in `ranks` x `runtime.accumulation` equal parts.
    """
    parts = ranks * runtime.accumulation
    if all(stage.batch_size % parts == 0 for stage in stages.values()):
        return
    common = math.gcd(*(stage.batch_size for stage in stages.values()))
    valid = [f"a batch_size that is a multiple of {parts}"]
    if found := _quotients(common, ranks):
        valid.insert(0, f"runtime.accumulation {_listed(found)}")
    if found := _quotients(common, runtime.accumulation):
        valid.insert(0, f"{_listed(found)} ranks")
    sizes = ", ".join(f"stages.{name}.batch_size {s.batch_size}" for name, s in stages.items())
    raise ValueError(
        f"{counted(ranks, 'rank')} with runtime.accumulation {runtime.accumulation} cannot share "
        f"each batch evenly ({sizes}): use {', or '.join(valid)}"
    )


def _quotients(number: int, part: int) -> list[int]:
    """The n for which n x `part` divides `number`."""
    if number % part:
        return []
    whole = number // part
    return [n for n in range(1, whole + 1) if whole % n == 0]


def _listed(numbers: list[int]) -> str:
    *others, last = map(str, numbers)
    return f"{', '.join(others)} or {last}" if others else last


def micro_batch_size(stage: StageConfig, runtime: RuntimeConfig, world_size: int) -> int:
    """Samples per rank and micro-step, where `check_ranks` finds nothing wrong."""
    whole, rest = divmod(stage.batch_size, world_size * runtime.accumulation)
    assert rest == 0
    return whole
