"""A stage's learning-rate schedule and micro-batch size."""

import math

from sesame_hpc.config import RuntimeConfig, StageConfig

__all__ = ["lr_factor", "micro_batch_size"]


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


def micro_batch_size(stage: StageConfig, runtime: RuntimeConfig, world_size: int) -> int:
    """Samples per rank and micro-step. ValueError if the global batch cannot be divided evenly."""
    parts = world_size * runtime.accumulation
    if stage.batch_size % parts:
        raise ValueError(
            f"batch_size {stage.batch_size} is not a multiple of world size {world_size} x "
            f"accumulation {runtime.accumulation}"
        )
    return stage.batch_size // parts
