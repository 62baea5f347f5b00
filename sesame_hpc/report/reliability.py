"""Whether confidences hold: the share of landmarks within the limit, by their confidence."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.evaluation.bootstrap import face_weights
from sesame_hpc.evaluation.nme import point_errors
from sesame_hpc.inference.calibration import THRESHOLD, cross_fitted, fit_calibration
from sesame_hpc.report.csv_file import CsvFile
from sesame_hpc.report.svg import Chart, Margins

__all__ = ["Bin", "Reliability", "Spreads", "reliabilities", "reliability_chart", "reliability_csv"]

_BINS = 10
_SIDE = 400
_MARGINS = Margins(left=62, top=14, right=18, bottom=42)


@dataclass(frozen=True)
class Spreads:
    """The faces of a part with what a stage found: points [N, K, 2] in pixels, spreads [N, K]."""

    name: str
    title: str
    faces: Annotations
    points: np.ndarray
    spread: np.ndarray

    @property
    def errors(self) -> np.ndarray:
        """Percent of the normaliser, [N, K]; NaN where not known."""
        return 100.0 * point_errors(self.points, self.faces.landmarks, self.faces.scheme)


@dataclass(frozen=True)
class Bin:
    """Landmarks of about one confidence: its mean, the share within the limit, with its interval.

    The 95 % interval is over faces, whose landmarks share their difficulty.
    """

    confidence: float
    share: float
    interval: tuple[float, float]
    count: int


@dataclass(frozen=True)
class Reliability:
    """One part: ten bins of equal count, the mean distance from the diagonal, the Brier score."""

    name: str
    title: str
    bins: list[Bin]
    gap: float
    brier: float


def reliabilities(heldout: Spreads, test: Spreads | None) -> list[Reliability]:
    """Of the held-out faces, each judged by a calibration learnt from the others, and of the test
    faces, judged by one that was learnt from all held-out ones.

    Raises ValueError where there are too few faces to learn from, or a spread is not usable.
    """
    errors = heldout.errors
    images = {image: number for number, image in enumerate(dict.fromkeys(heldout.faces.images))}
    groups = np.array([images[image] for image in heldout.faces.images])
    fitted = cross_fitted(heldout.spread, errors, groups)
    if fitted is None:
        raise ValueError(f"{len(heldout.faces)} held-out faces are too few to calibrate on")
    found = [_reliability(heldout, fitted[0], errors)]
    if test is not None:
        calibration = fit_calibration(heldout.spread, errors)
        found.append(_reliability(test, calibration.confidence(test.spread), test.errors))
    return found


def _reliability(part: Spreads, confidence: np.ndarray, errors: np.ndarray) -> Reliability:
    known = ~np.isnan(errors)
    order = np.argsort(confidence[known], kind="stable")
    numbers = np.empty(len(order), dtype=np.int64)
    for number, rows in enumerate(np.array_split(order, _BINS)):
        numbers[rows] = number
    of_point = np.full(errors.shape, -1)
    of_point[known] = numbers
    hit = errors <= THRESHOLD
    inside = [of_point == number for number in range(_BINS)]
    counts = np.stack([each.sum(axis=1) for each in inside], axis=1)
    hits = np.stack([(each & hit).sum(axis=1) for each in inside], axis=1)
    bounds = _bounds(hits, counts)
    bins = [
        Bin(
            float(confidence[each].mean()), float(hit[each].mean()), bounds[number], int(each.sum())
        )
        for number, each in enumerate(inside)
        if each.any()
    ]
    return Reliability(
        part.name,
        part.title,
        bins,
        float(np.mean([abs(each.confidence - each.share) for each in bins])),
        float(np.mean((confidence[known] - hit[known]) ** 2)),
    )


def _bounds(hits: np.ndarray, counts: np.ndarray) -> list[tuple[float, float]]:
    """95 % intervals of hits over counts [N, bins], resampling faces with all their landmarks."""
    shares = []
    for weights in face_weights(len(hits), np.random.default_rng(0)):
        drawn = np.einsum("rn,nb->rb", weights, counts.astype(np.float64))
        good = np.einsum("rn,nb->rb", weights, hits.astype(np.float64))
        shares.append(np.where(drawn > 0, good / np.where(drawn > 0, drawn, 1.0), np.nan))
    every = np.concatenate(shares)
    usable = ~np.isnan(every).all(axis=0)
    low, high = np.zeros(every.shape[1]), np.ones(every.shape[1])
    low[usable], high[usable] = np.nanpercentile(every[:, usable], [2.5, 97.5], axis=0)
    return list(zip(low.tolist(), high.tolist(), strict=True))


def reliability_chart(parts: Sequence[Reliability], title: str) -> Markup:
    """Share over confidence, both from 0 to 1 on axes of one length, with the diagonal."""
    width = _SIDE + _MARGINS.left + _MARGINS.right
    height = _SIDE + _MARGINS.top + _MARGINS.bottom
    chart = Chart(title, width, height, (0.0, 1.0), (0.0, 1.0), margins=_MARGINS)
    chart.axes("confidence", f"share of landmarks within {THRESHOLD:g} %")
    chart.line([(0.0, 0.0), (1.0, 1.0)], "diagonal")
    for part in parts:
        css = f"of-{part.name}"
        for each in part.bins:
            chart.line([(each.confidence, bound) for bound in each.interval], f"{css} bound")
        places = [(each.confidence, each.share) for each in part.bins]
        chart.line(places, css)
        chart.dots(places, css)
    return chart.render()


def reliability_csv(title: str, parts: Sequence[Reliability]) -> CsvFile:
    """The bins of the chart."""
    columns = ["part", "confidence", "share", "share_low", "share_high", "landmarks"]
    return CsvFile(
        title,
        columns,
        [
            [part.title, each.confidence, each.share, *each.interval, each.count]
            for part in parts
            for each in part.bins
        ],
    )
