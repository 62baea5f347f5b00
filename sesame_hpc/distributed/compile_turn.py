"""One rank of each node compiles first; the others then find in the node's caches what it compiled.

Triton and Inductor compile at the first step. Ranks that begin it together all compile the same,
which takes each of them as many processes, and as much time, as one alone.
"""

import itertools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from sesame_hpc.distributed.node_faults import this_node
from sesame_hpc.distributed.world import World
from sesame_hpc.printable import say

__all__ = ["CompileTurn"]

_POLL_SECONDS = 0.5
_turns = itertools.count()


class CompileTurn:
    """The order of the first forward and backward pass, in which nothing may be communicated.

    Local rank 0 goes first and announces it in the ranks' store. The others wait for at most
    `seconds` in total; after that they proceed with a warning. Later passes are not ordered, and
    neither is any pass where a rank is alone on its node or nothing is compiled. Every rank
    takes the same turns.
    """

    def __init__(self, world: World, compiles: bool, seconds: float) -> None:
        self._world = world
        self._prefix = f"compiled/{next(_turns)}/{this_node()}"
        self._seconds = seconds
        several = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) > 1
        self._is_open = compiles and several and world.store is not None

    @contextmanager
    def forward(self) -> Iterator[None]:
        """Around the forward pass: the others begin theirs when that of local rank 0 has ended."""
        if not self._is_open:
            yield
            return
        self._wait("forward")
        yield
        self._end("forward")

    def backward(self, loss: Tensor) -> None:
        """Before the backward pass from `loss`, likewise. Gradients are reduced after it."""
        if not self._is_open:
            return
        self._is_open = False
        self._wait("backward")
        if self._world.local_rank == 0:
            _after_backward(loss, lambda: self._end("backward"))

    def _end(self, part: str) -> None:
        store = self._world.store
        if self._world.local_rank == 0 and store is not None:
            if self._world.device.type == "cuda":
                torch.cuda.synchronize(self._world.device)
            store.set(f"{self._prefix}/{part}", "")

    def _wait(self, part: str) -> None:
        store = self._world.store
        if self._world.local_rank == 0 or store is None:
            return
        start = time.monotonic()
        while not store.check([f"{self._prefix}/{part}"]):
            if time.monotonic() - start > self._seconds:
                say(
                    f"sesame (rank {self._world.rank}): local rank 0 of node {this_node()} has not "
                    f"compiled its first {part} pass yet; compiling, too",
                    err=True,
                )
                break
            time.sleep(_POLL_SECONDS)
        self._seconds = max(0.0, self._seconds - (time.monotonic() - start))


def _after_backward(loss: Tensor, action: Callable[[], None]) -> None:
    """Do `action` when the backward pass from `loss` has ended, before what other hooks do then."""
    engine = torch.autograd.Variable._execution_engine

    def queue(gradient: Tensor) -> None:
        engine.queue_callback(action)

    loss.register_hook(queue)
