"""What a stage provides to the training loop (training/loop.py)."""

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor

from sesame_hpc.data.loading.loader import Batch
from sesame_hpc.tracking import Image

__all__ = ["Forward", "Task"]

Forward = Callable[[Tensor], Any]


class Task(Protocol):
    """A network's objective. All methods are called on every rank at the same time."""

    def loss(self, forward: Forward, batch: Batch, epoch: int) -> Tensor:
        """Scalar mean loss of one micro-batch; `forward` runs the network under the engine."""

    def validate(self) -> dict[str, float]:
        """Held-out figures by name, as {"heldout_nme": percent}; the same on every rank."""

    def save_images(self, epoch: int) -> None:
        """Save example images after `epoch`; may do nothing."""

    def draw(self) -> dict[str, Image]:
        """Example images for trackers by name, uint8 RGB [H, W, 3], on rank 0; none on others.

        Called after `validate` and `save_images` where these are due.
        """
