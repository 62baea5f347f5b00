"""Checks of each face's shape against the others': misplaced, exchanged and mirrored points."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.check.inventory import Inventory
from sesame_hpc.data.check.shape_statistics import (
    ShapeStatistics,
    fit_shapes,
    residuals_of,
    turns_of,
)
from sesame_hpc.data.findings import Finding
from sesame_hpc.data.string_column import StringColumn

__all__ = ["ODD_POINT", "check_shapes", "odd_rows"]

ODD_POINT = 10.2
"""Residual, in units of the point's usual one, from which on a face is named.

Chosen on LFPW and 300-W: what lies just below it there are grimaces and heads that are turned far,
with labels that are right.
"""

_ODD_IN_FEW = 14.0
"""The same where too few faces are there to tell pose from error."""

_FEW_FACES, _FEWEST_FACES, _FEWEST_POINTS = 100, 8, 4
_UPRIGHT, _UPRIGHT_SHARE, _TURNED = 40.0, 0.95, 60.0
"""Degrees; in sets whose faces are upright, more than 60 is a turned image or turned labels."""

_SUSPECT, _FITS_AGAIN, _MOST_SUSPECTS = 4.0, 0.5, 8

Float = NDArray[np.float64]


def check_shapes(inventory: Inventory) -> Iterator[Finding]:
    """Faces with points far from where the other faces have them, the surest first."""
    tables = [table for _, table in inventory.tables()]
    scheme = inventory.scheme
    faces = sum(map(len, tables))
    if faces < _FEWEST_FACES or scheme.num_landmarks < _FEWEST_POINTS:
        return
    several = [inventory.points(split) for split, _ in inventory.tables()]
    landmarks = np.concatenate(several) if len(several) > 1 else several[0]
    sources = StringColumn.joined([StringColumn.of(table.sources) for table in tables])
    usable = np.isfinite(landmarks).all(axis=2).sum(axis=1) >= _FEWEST_POINTS
    if usable.sum() < _FEWEST_FACES:
        return
    rows = np.flatnonzero(usable)
    if len(rows) < faces:
        landmarks = landmarks[rows]
    statistics, residuals = fit_shapes(landmarks)
    worst = np.nanmax(residuals, axis=1)
    least = ODD_POINT if len(rows) >= _FEW_FACES else _ODD_IN_FEW
    names = tables[0].scheme.points
    found: list[tuple[float, Finding]] = []
    mirror = np.array(scheme.mirror)
    for i in np.flatnonzero(worst >= _SUSPECT):
        points, own = landmarks[i], residuals[i]
        again = _explained(statistics, points, own, mirror)
        if again is None and worst[i] < least:
            continue
        value = float(worst[i])
        point = int(np.nanargmax(own))
        if again is None:
            odd = np.flatnonzero(np.nan_to_num(own) >= 0.5 * value)
            listed = ", ".join(f"{each} ({names[each]})" for each in odd[:4])
            more = f" and {len(odd) - 4} more" * (len(odd) > 4)
            words = f"point{'s' * (len(odd) > 1)} {listed}{more}"
            message = f"{words} {value:.0f} times as far off as usual from where other faces have "
            message += "them" if len(odd) > 1 else "it"
            check = "odd-shape"
        elif len(again) == 2:
            first, second = again
            message = f"points {first} ({names[first]}) and {second} ({names[second]}) look swapped"
            check = "swapped-points"
        else:
            message = "left and right points look exchanged (or the image mirrored, not its labels)"
            check = "mirrored-face"
        finding = Finding("warning", check, sources[int(rows[i])], message, value=value)
        found.append((own[point], finding))
    yield from (finding for _, finding in sorted(found, key=lambda pair: -pair[0]))
    turns = turns_of(statistics, landmarks)
    fits = worst < _ODD_IN_FEW
    if (np.abs(turns) <= _UPRIGHT).mean() >= _UPRIGHT_SHARE:
        for face in np.flatnonzero((np.abs(turns) > _TURNED) & fits).tolist():
            message = (
                f"the points are turned by {turns[face]:.0f} degrees against those of other faces: "
                "the head is, or the image was turned and not its labels"
            )
            value = float(turns[face])
            yield Finding("warning", "turned-face", sources[rows[face]], message, value=value)


def _explained(
    statistics: ShapeStatistics, points: Float, own: Float, mirror: NDArray[np.int64]
) -> tuple[int, ...] | None:
    """The two points that look swapped, all if it is left and right, or None."""
    suspects = np.argsort(-np.nan_to_num(own))[:_MOST_SUSPECTS]
    suspects = np.sort(suspects[np.nan_to_num(own)[suspects] >= _SUSPECT / 2])
    pairs = list(combinations(suspects.tolist(), 2))
    trials = np.repeat(points[None], len(pairs) + 1, axis=0)
    trials[0] = points[mirror]
    for number, pair in enumerate(pairs, start=1):
        trials[number, list(pair)] = points[list(pair)[::-1]]
    worst = float(np.nanmax(own))
    after = residuals_of(statistics, trials)
    total = float(np.nansum(own**2))
    if np.nansum(after[0] ** 2) < _FITS_AGAIN**2 * total and np.nanmax(after[0]) < worst / 2:
        return tuple(range(len(points)))
    best: tuple[float, tuple[int, ...] | None] = (_FITS_AGAIN, None)
    for number, pair in enumerate(pairs, start=1):
        both = list(pair)
        before, now = np.nanmin(own[both]), np.nanmax(after[number, both])
        if before < _SUSPECT * 0.75 or np.nanmax(after[number]) > max(_SUSPECT, worst / 2):
            continue
        ratio = float(now / before)
        if ratio < best[0]:
            best = ratio, pair
    return best[1]


def odd_rows(table: Annotations, findings: tuple[Finding, ...]) -> list[int]:
    """The rows of a table that findings are about, each once: the place of each finding in the
    findings' order, then all related ones."""
    row_of = {source: row for row, source in enumerate(table.sources)}
    places = [finding.place for finding in findings]
    places += [place for finding in findings for place in finding.related]
    return list(dict.fromkeys(row_of[place] for place in places if place in row_of))
