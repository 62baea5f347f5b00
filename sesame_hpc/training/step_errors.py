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
# PyTorch's allocator of the CPU raises RuntimeError, and libraries as they like.
_OUT_OF_MEMORY = ("can't allocate memory", "bad_alloc", "out of memory", "Cannot allocate memory")


class StepPlace:
    """The place of an optimizer step: `what` names stage, epoch and step.

    `sample_ids` are those of the micro-batch in hand, once it is known.
    """

    def __init__(self, what: str, rank: int) -> None:
        self._what = what
        self._rank = rank
        self.sample_ids: Sequence[int] = ()

    def __str__(self) -> str:
        node = os.environ.get("SESAME_NODE") or socket.gethostname()
        ids = ", ".join(map(str, self.sample_ids[:_MANY]))
        more = f" and {len(self.sample_ids) - _MANY} more" if len(self.sample_ids) > _MANY else ""
        samples = f", sample ids {ids}{more}" if ids else ""
        return f"{self._what}, on rank {self._rank} (node {node}){samples}"

    @contextmanager
    def named(self) -> Iterator[None]:
        """Add the place to errors, as a note. Whatever lacks memory becomes a MemoryError."""
        try:
            yield
        except _SAID_ELSEWHERE:
            raise
        except Exception as error:
            if not isinstance(error, MemoryError) and _lacks_memory(error):
                lacking = MemoryError(_first_line(error))
                for note in getattr(error, "__notes__", ()):
                    lacking.add_note(note)
                lacking.add_note(f"in {self}")
                raise lacking from error
            error.add_note(f"in {self}")
            raise


def _lacks_memory(error: Exception) -> bool:
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(each in str(error) for each in _OUT_OF_MEMORY)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else ""
