"""All ranks stop after the same step, whichever of them were signalled."""

import torch
import torch.distributed as dist

from sesame_hpc.distributed.interruption import Stop, requested
from sesame_hpc.distributed.world import World

__all__ = ["StopConsensus"]


class StopConsensus:
    """The greatest wish of all ranks, over the group for control messages (gloo, on the CPU).

    All ranks must make the same calls in the same order. The device is never waited for.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._wish = torch.zeros(1, dtype=torch.int32)
        self._under_way: dist.Work | None = None

    def poll(self) -> Stop:
        """What the ranks wished at the last call. Costs no waiting: the exchange of this call's
        wishes goes on behind the next step.
        """
        agreed = self._arrived()
        if agreed is Stop.NOTHING:
            self._send()
        return agreed

    def wait(self) -> Stop:
        """What the ranks wish; waits for the slowest of them, for `timeout_minutes` at most."""
        agreed = self._arrived()
        if agreed is Stop.NOTHING:
            self._send()
            agreed = self._arrived()
        return agreed

    def _send(self) -> None:
        self._wish.fill_(requested())
        if self._world.size > 1:
            self._under_way = dist.all_reduce(
                self._wish, dist.ReduceOp.MAX, group=self._world.control, async_op=True
            )

    def _arrived(self) -> Stop:
        if self._world.size == 1:
            return requested()
        if self._under_way is None:
            return Stop.NOTHING
        self._under_way.wait()
        self._under_way = None
        return Stop(int(self._wish))
