"""A stage's learning-rate schedule and micro-batch size."""

from sesame_hpc.config import RuntimeConfig, StageConfig

__all__ = ["lr_factor", "micro_batch_size"]


def lr_factor(stage: StageConfig, total_steps: int, step: int) -> float:
    """Multiple of `stage.lr` at optimizer step `step` (0-based) of `total_steps`.

    A linear warm-up over `stage.warmup_steps`, times an exponential decay per step that reaches
    `stage.final_lr` at the last step (section IV.A of the paper; the rate is ours).
    """
    progress = min(step / max(1, total_steps - 1), 1.0)
    warmup = min(1.0, (step + 1) / (stage.warmup_steps + 1))
    return warmup * (stage.final_lr / stage.lr) ** progress


def micro_batch_size(stage: StageConfig, runtime: RuntimeConfig, world_size: int) -> int:
    """Samples per rank and micro-step. ValueError if the global batch cannot be divided evenly."""
    parts = world_size * runtime.accumulation
    if stage.batch_size % parts:
        raise ValueError(
            f"batch_size {stage.batch_size} is not a multiple of world size {world_size} x "
            f"accumulation {runtime.accumulation}"
        )
    return stage.batch_size // parts
