"""What several seeds say together: means over seeds, with intervals over seeds and faces.

With d[s, f] the value of face f under seed s (an NME, or the difference of two), and F[s] the faces
of seed s (without those that have no value, as no point of a region is labelled), the estimate is
the mean over seeds of each seed's mean over its faces:

    theta = mean_s d[s],    d[s] = mean of d[s, f] over f in F[s].

Its uncertainty is that of a hierarchical bootstrap that resamples both. In each of 2,000 resamples
all distinct faces are drawn with replacement, once for all seeds, since a face that is hard under
one seed is hard under the others (the pigeonhole bootstrap: Owen, "The pigeonhole bootstrap",
Annals of Applied Statistics 1(2), 2007), and S - 1 of the S seeds, with replacement (Rao and Wu,
"Resampling inference with complex survey data", JASA 83, 1988: S draws would make the variance over
seeds too small by (S - 1) / S). With v the variance of the resampled theta, and v_f that of
resampling the faces alone,

    v_s = max(v - v_f, 0),
    nu = v^2 / (v_s^2 / (S - 1) + v_f^2 / (N - 1))          (Satterthwaite, 1946),
    95 % interval = theta +- t(0.975; nu) sqrt(v).

The quantile is Student's since a few seeds estimate their variance badly: percentiles of the
resamples of 2 seeds would hold the truth half of the time where seeds differ more than faces do.
Noise of a single (seed, face) is counted up to three times (Owen, section 5), so the intervals are
rather too wide than too narrow. One seed says nothing about others: it gets no interval.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sesame_hpc.evaluation.bootstrap import face_weights
from sesame_hpc.evaluation.known import mean_known
from sesame_hpc.evaluation.student import student_quantile

__all__ = ["ONE_SEED", "Estimate", "seed_estimates"]

ONE_SEED = "One seed says nothing about the method"


@dataclass(frozen=True)
class Estimate:
    """A mean over `seeds` seeds, and its 95 % interval over seeds and faces; None for one seed."""

    mean: float
    interval: tuple[float, float] | None
    seeds: int

    @property
    def side(self) -> str:
        """lower or higher where the interval is below or above 0, open where it holds 0."""
        if self.interval is None:
            return "one seed"
        low, high = self.interval
        return "lower" if high < 0 else "higher" if low > 0 else "open"

    def to_json(self) -> dict[str, Any]:
        return {"mean": self.mean, "interval": self.interval and list(self.interval)}


def seed_estimates(
    values: Sequence[np.ndarray], faces: Sequence[np.ndarray], seed: int = 0
) -> list[Estimate]:
    """The estimate of each of M columns from S seeds, as the module says.

    `values` are float64 [n, M], one for each seed, NaN where a face has no value, and `faces` int64
    [n]: which face each row is of. One that several seeds share is resampled in all of them at
    once. `seed` is that of the resampling.

    Raises ValueError for no seed, for a seed without a value, and for a face that is given twice.
    """
    if not values or any(not len(each) or np.isnan(each).all(axis=0).any() for each in values):
        raise ValueError("an estimate needs at least one seed, and each seed at least one face")
    means = np.stack([mean_known(each, 0) for each in values]).mean(axis=0)
    if len(values) == 1:
        return [Estimate(float(mean), None, 1) for mean in means]
    dense, present = _arranged(values, faces)
    both, alone = _resampled(dense, present, np.random.default_rng(seed))
    variances = (both.var(axis=0, ddof=1), alone.var(axis=0, ddof=1))
    return [
        Estimate(float(mean), _interval(float(mean), v, v_f, dense.shape[:2]), len(values))
        for mean, v, v_f in zip(means, *variances, strict=True)
    ]


def _arranged(
    values: Sequence[np.ndarray], faces: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Values float64 [S, N, M] of all N distinct faces, 0 where a seed has none, and where it has.

    That is bool [S, N, M], or [S, N, 1] if it is the same for all M.
    """
    distinct = np.unique(np.concatenate(faces))
    dense = np.zeros((len(values), len(distinct), values[0].shape[1]))
    present = np.zeros((*dense.shape[:2], 1), dtype=bool)
    for row, (own, ids) in enumerate(zip(values, faces, strict=True)):
        columns = np.searchsorted(distinct, ids)
        if len(np.unique(columns)) < len(ids):
            raise ValueError(f"seed number {row + 1}: a face is given twice")
        dense[row, columns] = own
        present[row, columns] = True
    known = ~np.isnan(dense)
    if known.all():
        return dense, present
    return np.where(known, dense, 0.0), present & known


def _resampled(
    dense: np.ndarray, present: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """theta [R, M] of resampled seeds and faces, and of faces alone.

    Resamples that leave a seed without a value of some column are left out.
    """
    seeds = len(dense)
    both, alone = [], []
    for weights in face_weights(dense.shape[1], generator):
        shares = np.einsum("rn,snm->rsm", weights, present.astype(np.float64))
        usable = (shares > 0).all(axis=(1, 2))
        sums = np.einsum("rn,snm->rsm", weights[usable], dense)
        means = sums / shares[usable]
        drawn = generator.integers(seeds, size=(len(means), seeds - 1))
        both.append(means[np.arange(len(means))[:, None], drawn].mean(axis=1))
        alone.append(means.mean(axis=1))
    return np.concatenate(both), np.concatenate(alone)


def _interval(mean: float, v: float, v_f: float, shape: tuple[int, ...]) -> tuple[float, float]:
    """`v` variance over seeds and faces, `v_f` over faces; of S seeds and N faces."""
    seeds, faces = shape
    v_s = max(v - v_f, 0.0)
    spread = v_s**2 / (seeds - 1) + v_f**2 / max(faces - 1, 1)
    half = student_quantile(v**2 / spread) * math.sqrt(v) if spread > 0 else 0.0
    return mean - half, mean + half
