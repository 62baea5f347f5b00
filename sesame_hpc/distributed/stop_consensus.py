"""All ranks stop after the same step, whichever of them were signalled."""

import torch
import torch.distributed as dist

from sesame_hpc.distributed.interruption import Stop, requested
from sesame_hpc.distributed.world import World

__all__ = ["StopConsensus"]


class StopConsensus:
    """The greatest stop request of all ranks, over the control group (gloo, on the CPU).

    All ranks must make the same calls in the same order. Never waits for the device.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._request = torch.zeros(1, dtype=torch.int32)
        self._under_way: dist.Work | None = None

    @property
    def rank(self) -> int:
        """This process's rank."""
        return self._world.rank

    def poll(self) -> Stop:
        """The request that the ranks agreed on at the last call, without waiting.

        The requests of this call are exchanged during the next step.
        """
        agreed = self._arrived()
        if agreed is Stop.NOTHING:
            self._send()
        return agreed

    def wait(self) -> Stop:
        """The ranks' current request; waits for the slowest, at most `timeout_minutes`."""
        agreed = self._arrived()
        if agreed is Stop.NOTHING:
            self._send()
            agreed = self._arrived()
        return agreed

    def _send(self) -> None:
        self._request.fill_(requested())
        if self._world.size > 1:
            self._under_way = dist.all_reduce(
                self._request, dist.ReduceOp.MAX, group=self._world.control, async_op=True
            )

    def _arrived(self) -> Stop:
        if self._world.size == 1:
            return requested()
        if self._under_way is None:
            return Stop.NOTHING
        self._under_way.wait()
        self._under_way = None
        return Stop(int(self._request))
