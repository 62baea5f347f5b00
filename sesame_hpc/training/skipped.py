"""The training faces that a stage leaves out, over all ranks and interruptions."""

from sesame_hpc.data.loading.loader import TrainLoader
from sesame_hpc.distributed.world import World
from sesame_hpc.training.monitor import Monitor

__all__ = ["SkippedFaces"]


class SkippedFaces:
    """Sample ids that any rank's loader left out, ascending, in `ids`.

    Where the loader's `data.on_error` is fail there are none, and nothing is exchanged.
    """

    def __init__(self, loader: TrainLoader, world: World, monitor: Monitor) -> None:
        self._images = loader.images
        self._world = world
        self._monitor = monitor
        self.ids: list[int] = []

    def restore(self, ids: list[int]) -> None:
        """Those that were left out before an interruption."""
        self.ids = sorted(ids)

    def collect(self, stage: str, epoch: int, step: int) -> None:
        """Bring `ids` up to date, and record them where they became more. Collective.

        Raises:
            ValueError: all ranks together left out more than `data.max_skipped` allows.
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
