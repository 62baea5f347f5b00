"""Where a stage was when an error ended it: rank, node, step and sample ids."""

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from sesame_hpc.distributed.interruption import RankFailed, RanksLost

__all__ = ["StepPlace"]

_SAID_ELSEWHERE = (FloatingPointError, RankFailed, RanksLost, torch.distributed.DistError)
_MANY = 64


class StepPlace:
    """The place of optimizer step `step`: `what` names stage, epoch and step.

    `sample_ids` are those of the micro-batch in hand, once it is known.
    """

    def __init__(self, what: str, rank: int, step: int = 0) -> None:
        self.what, self.step = what, step
        self._rank = rank
        self.sample_ids: Sequence[int] = ()

    def __str__(self) -> str:
        node = os.environ.get("SESAME_NODE") or socket.gethostname()
        ids = ", ".join(map(str, self.sample_ids[:_MANY]))
        more = f" and {len(self.sample_ids) - _MANY} more" if len(self.sample_ids) > _MANY else ""
        samples = f", sample ids {ids}{more}" if ids else ""
        return f"{self.what}, on rank {self._rank} (node {node}){samples}"

    @contextmanager
    def named(self) -> Iterator[None]:
        """Add the place to errors, as a note."""
        try:
            yield
        except _SAID_ELSEWHERE:
            raise
        except Exception as error:
            error.add_note(f"in {self}")
            raise
