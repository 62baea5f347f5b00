"""The map of errors: the mean shape, at each landmark a disc as large as its mean error."""

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from sesame_hpc.schemes import Scheme

__all__ = ["FaceMap", "face_map", "largest_change"]

_SIDE = 460
_EDGE = 14
_FAINTEST, _FULLEST = 0.10, 0.85


@dataclass(frozen=True)
class FaceMap:
    """The drawing, and the change in percentage points that has the fullest colour, if any."""

    drawing: Markup
    fullest: float | None


def largest_change(before: list[float | None], after: list[float | None]) -> float | None:
    """The largest change of a landmark's NME by magnitude; None where none is known."""
    known = [abs(b - a) for a, b in zip(before, after, strict=True) if None not in (a, b)]  # type: ignore[operator]
    return max(known, default=None)


def face_map(
    shape: np.ndarray,
    scheme: Scheme,
    nme: list[float | None],
    before: list[float | None] | None,
    title: str,
    reach: float,
    fullest: float | None = None,
) -> FaceMap:
    """The map of `nme` in percent [K] on `shape` [K, 2], whose normaliser has length 1.

    A disc has the mean error as its radius, at the scale of the face, and the colour of the change
    since `before`, if there is one: the class lower or higher, the fuller the larger. `fullest` is
    the change in percentage points with the fullest colour; None: nothing has changed. `reach` is
    the largest radius to leave room for, so that maps with the same one have the same scale.
    `title` is the text for screen readers.
    """
    radii = np.array([np.nan if value is None else value / 100 for value in nme])
    drawn = np.isfinite(shape).all(axis=1)
    low, high = shape[drawn].min(axis=0) - reach, shape[drawn].max(axis=0) + reach
    zoom = (_SIDE - 2 * _EDGE) / max(high - low)
    places = (shape - low) * zoom + _EDGE
    width, height = (high - low) * zoom + 2 * _EDGE
    edges = "".join(
        f"M{places[a, 0]:.1f} {places[a, 1]:.1f}L{places[b, 0]:.1f} {places[b, 1]:.1f}"
        for a, b in scheme.edges
        if drawn[a] and drawn[b]
    )
    discs = [
        _disc(places[point], zoom * radii[point], scheme, point, nme, before, fullest)
        for point in np.flatnonzero(drawn & np.isfinite(radii)).tolist()
    ]
    drawing = Markup(
        '<svg class="face-map" viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}">'
        '<path class="edge" d="{}"/>{}</svg>'
    ).format(width, height, title, edges, Markup("").join(discs))
    return FaceMap(drawing, fullest)


def _disc(
    place: np.ndarray,
    radius: float,
    scheme: Scheme,
    point: int,
    nme: list[float | None],
    before: list[float | None] | None,
    fullest: float | None,
) -> Markup:
    text = f"{point} {scheme.points[point]}: {nme[point]:.3f} %"
    css, opacity = "alone", 0.5
    first = None if before is None else before[point]
    if first is not None and fullest:
        change = nme[point] - first  # type: ignore[operator]
        text += f", change {change:+.3f} pp".replace("-", "−")
        css = "lower" if change < 0 else "higher"
        opacity = _FAINTEST + (_FULLEST - _FAINTEST) * min(abs(change) / fullest, 1.0)
    return Markup(
        '<circle class="disc {}" cx="{:.1f}" cy="{:.1f}" r="{:.2f}" fill-opacity="{:.2f}">'
        "<title>{}</title></circle>"
    ).format(css, *place, max(radius, 0.5), opacity, text)
