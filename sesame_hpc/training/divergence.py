"""Whether a stage's loss diverges: judged by fixed steps, wherever the stage was interrupted."""

import math
from collections.abc import Sequence
from typing import Any

from sesame_hpc.config import DivergenceConfig

__all__ = ["Diverged", "LossWatch"]


class Diverged(FloatingPointError):
    """The stage is not worth continuing from `step` on; checkpoints before it may be.

    `cause` says why, without a full stop.
    """

    def __init__(self, cause: str, step: int) -> None:
        super().__init__(
            f"{cause}. Earlier checkpoints are kept; with divergence.action=rewind the same "
            "command continues from one of them at a smaller learning rate."
        )
        self.cause, self.step = cause, step


class LossWatch:
    """Means of the loss over `every_steps` steps each, held against the lowest one before.

    Losses are added one by one in the order of steps, so that the sums have the same bits wherever
    they were read from the device.
    """

    def __init__(self, settings: DivergenceConfig) -> None:
        self._settings = settings
        self._sum, self._count = 0.0, 0
        self._lowest = math.inf
        self._is_above = False

    def ends_at(self, step: int) -> bool:
        """Whether the losses up to this step are to be judged."""
        return step % self._settings.every_steps == 0

    def add(self, losses: Sequence[float], last_step: int) -> str | None:
        """Take the losses of consecutive steps, the last of them `last_step`.

        Says what diverges, at the first of the means that are too high in succession; else None.
        """
        found = None
        for step, loss in enumerate(losses, start=last_step - len(losses) + 1):
            self._sum += loss
            self._count += 1
            if self.ends_at(step):
                found = found or self._judge(step)
                self._sum, self._count = 0.0, 0
        return found

    def _judge(self, step: int) -> str | None:
        mean = self._sum / self._count
        was_above = self._is_above
        self._is_above = mean > self._settings.factor * self._lowest
        self._lowest = min(self._lowest, mean)
        if not self._is_above or was_above:
            return None
        return (
            f"the loss diverges: its mean over steps {step - self._count + 1} to {step} is "
            f"{mean:.4g}, {mean / self._lowest:.3g} times the lowest before"
        )

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {
            "sum": self._sum,
            "count": self._count,
            "lowest": self._lowest,
            "is_above": self._is_above,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._sum, self._count = state["sum"], state["count"]
        self._lowest, self._is_above = state["lowest"], state["is_above"]
