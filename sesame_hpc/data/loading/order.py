"""Which faces an epoch has, in which order."""

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.data.rng import epoch_permutation

__all__ = ["TURN", "EpochOrder"]

Rows = NDArray[np.int64]

TURN = 40
"""The bit from which on the key of a sample's random numbers counts its turns in an epoch."""


@dataclass(frozen=True)
class EpochOrder:
    """The order of a stage, which depends on nothing but its fields: not on ranks or batches.

    A stage passes through the faces again and again, each time in another order. An epoch is the
    next `samples` of them, so that no face is ever more than one pass ahead of another.

    Args:
        seed: the run's seed.
        stage: its name.
        faces: the number of faces N, which have the rows 0 to N - 1.
        samples: samples per epoch; None: N, so that an epoch is a pass.
        first_unlabelled: the faces from this row on are unlabelled. Counts only with `share`.
        share: the share of unlabelled faces, in 0..1, in any run of samples to within one sample;
            both kinds are then passed through on their own. None: all are passed through together.

    Raises:
        ValueError: a share without unlabelled faces, or below 1 without labelled ones.
    """

    seed: int
    stage: str
    faces: int
    samples: int | None = None
    first_unlabelled: int = 0
    share: float | None = None

    def __post_init__(self) -> None:
        if self.share is None:
            return
        if self.share > 0 and self.first_unlabelled >= self.faces:
            raise ValueError(f"a share of {self.share:g} unlabelled faces, but there are none")
        if self.share < 1 and self.first_unlabelled < 1:
            raise ValueError(f"a share of {1 - self.share:g} labelled faces, but there are none")

    @property
    def per_epoch(self) -> int:
        """Samples per epoch."""
        return self.faces if self.samples is None else self.samples

    def epoch(self, epoch: int) -> Rows:
        """int64 [per_epoch, 2]: a row, and its turn: how often it came before in this epoch."""
        first = epoch * self.per_epoch
        positions = np.arange(first, first + self.per_epoch)
        if self.share is None:
            return self._draws(positions, 0, self.faces, "order")
        # Of the first p samples, floor(p * share) are unlabelled.
        before = np.floor(np.arange(first, first + self.per_epoch + 1) * self.share)
        before = cast(Rows, before.astype(np.int64))
        unlabelled = np.diff(before) > 0
        labelled_before = positions - before[:-1]
        draws = np.empty((self.per_epoch, 2), dtype=np.int64)
        draws[~unlabelled] = self._draws(
            labelled_before[~unlabelled], 0, self.first_unlabelled, "order"
        )
        draws[unlabelled] = self._draws(
            before[:-1][unlabelled], self.first_unlabelled, self.faces, "order of unlabelled"
        )
        return draws

    def _draws(self, positions: Rows, start: int, stop: int, purpose: str) -> Rows:
        """Rows of `start` to `stop` at consecutive positions of their passes, with their turns."""
        if not len(positions):
            return np.empty((0, 2), dtype=np.int64)
        number, place = np.divmod(positions, stop - start)
        rows = np.empty_like(positions)
        for each in np.unique(number).tolist():
            order = epoch_permutation(self.seed, self.stage, each, stop - start, purpose)
            rows[number == each] = start + order[place[number == each]]
        return np.stack([rows, _turns(rows)], axis=1)


def _turns(rows: Rows) -> Rows:
    """How often each row came before."""
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    first = np.searchsorted(ordered, ordered)
    turns = np.empty_like(rows)
    turns[order] = np.arange(len(rows)) - first
    return turns
