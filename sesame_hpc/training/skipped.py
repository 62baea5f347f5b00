"""The training faces that a stage skips, over all ranks and interruptions."""

from sesame_hpc.data.loading.loader import TrainLoader
from sesame_hpc.distributed.world import World
from sesame_hpc.training.monitor import Monitor

__all__ = ["SkippedFaces"]


class SkippedFaces:
    """`ids`: the sample ids that any rank's loader skipped, ascending.

    With `data.on_error` fail there are none, and the ranks exchange nothing.
    """

    def __init__(self, loader: TrainLoader, world: World, monitor: Monitor) -> None:
        self._images = loader.images
        self._world = world
        self._monitor = monitor
        self.ids: list[int] = []

    def restore(self, ids: list[int]) -> None:
        """Set `ids` to those that were skipped before an interruption."""
        self.ids = sorted(ids)

    def collect(self, stage: str, epoch: int, step: int) -> None:
        """Update `ids` from all ranks, and record new ones. Collective.

        Raises:
            ValueError: all ranks together skipped more than `data.max_skipped` allows.
        """
        if not self._images.may_skip:
            return
        shares = [set(share) for share in self._world.gather(self._images.skipped)]
        together = sorted(set(self.ids).union(*shares))
        if together != self.ids:
            new = sorted(set(together) - set(self.ids))
            self.ids = together
            self._monitor.skipped(stage, epoch, step, new, len(together))
        self._images.check_count(len(together))
