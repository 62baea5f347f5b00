"""Charts as inline SVG: scales, axes and marks. Colours and fonts are in the style sheet."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

__all__ = ["Chart", "Margins", "Scale", "bounds", "number"]


def number(value: float) -> str:
    """A tick label in the shortest form: 0.5, 12, 3e-4."""
    text = f"{value:.6g}"
    if 0 < abs(value) < 1e-3:
        mantissa, exponent = f"{value:.3e}".split("e")
        text = f"{float(mantissa):g}e{int(exponent)}"
    return text.replace("-", "−")


def bounds(values: Iterable[float], log: bool = False) -> tuple[float, float]:
    """The least and greatest finite value (positive ones for a log scale); (0, 1) if none."""
    usable = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
    if not usable:
        return (0.1, 1.0) if log else (0.0, 1.0)
    low, high = min(usable), max(usable)
    if low < high:
        return low, high
    return (low / 2, high * 2) if log else (low - 0.5, high + 0.5)


@dataclass(frozen=True)
class Scale:
    """Maps [low, high] of the data to [start, end] of the drawing, linearly or logarithmically."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = (
            (math.log(self.low), math.log(self.high), math.log(max(value, self.low * 1e-6)))
            if self.log
            else (self.low, self.high, value)
        )
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def ticks(self, wanted: int = 5) -> list[float]:
        """Round values inside the range, about `wanted` of them."""
        return self._log_ticks() if self.log else self._linear_ticks(wanted)

    def _linear_ticks(self, wanted: int) -> list[float]:
        rough = (self.high - self.low) / max(1, wanted)
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * each for each in (1, 2, 2.5, 5, 10) if power * each >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(index * step, 12) for index in range(first, last + 1)]

    def _log_ticks(self) -> list[float]:
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for factors in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
            ticks = [10.0**power * factor for power in decades for factor in factors]
            inside = [
                round(t, 12) for t in ticks if self.low <= t * 1.001 and t <= self.high * 1.001
            ]
            if len(inside) >= 3:
                return inside
        return self._linear_ticks(4)


@dataclass(frozen=True)
class Margins:
    """Room around the plot for labels, in units of the drawing."""

    left: float = 62
    right: float = 14
    top: float = 12
    bottom: float = 42


@dataclass
class Chart:
    """A drawing of `width` x `height` units with two axes; marks are added, then `render`.

    `x` and `y` are the data's ranges. `title` is the text for screen readers.
    """

    title: str
    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]
    log_y: bool = False
    margins: Margins = Margins()
    _parts: list[Markup] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        edge = self.margins
        self.to_x = Scale(*self.x, edge.left, self.width - edge.right)
        self.to_y = Scale(*self.y, self.height - edge.bottom, edge.top, self.log_y)

    def axes(self, x_label: str, y_label: str, x_ticks: Sequence[float] | None = None) -> None:
        """Grid lines, tick labels, and the axes' names with their units."""
        left, right, bottom, top = self.to_x.start, self.to_x.end, self.to_y.start, self.to_y.end
        for tick in self.to_y.ticks():
            at = self.to_y(tick)
            self._line(left, at, right, at, "grid")
            self.label(left - 7, at + 4, number(tick), "tick end")
        self.x_axis(x_label, x_ticks)
        self.label(13, (top + bottom) / 2, y_label, "name middle", turn=-90)

    def x_axis(self, label: str, ticks: Sequence[float] | None = None) -> None:
        """The lower axis with its tick labels and its name."""
        left, right, bottom = self.to_x.start, self.to_x.end, self.to_y.start
        for tick in self.to_x.ticks() if ticks is None else ticks:
            at = self.to_x(tick)
            self._line(at, bottom, at, bottom + 4, "axis")
            self.label(at, bottom + 17, number(tick), "tick middle")
        self._line(left, bottom, right, bottom, "axis")
        self.label((left + right) / 2, self.height - 6, label, "name middle")

    def band(self, low: float, high: float, css: str) -> None:
        """A filled stripe over the whole height between two values of x."""
        start, end = self.to_x(low), self.to_x(high)
        self._parts.append(
            Markup(
                '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>'
            ).format(css, start, self.to_y.end, end - start, self.to_y.start - self.to_y.end)
        )

    def vertical(self, value: float, text: str, side: str) -> None:
        """A dashed line at a value of x, with a label at its foot: "left" or "right" of it."""
        at = self.to_x(value)
        self.line_at(value, "mark")
        shift, css = (-5, "tick end") if side == "left" else (5, "tick")
        self.label(at + shift, self.to_y.start - 7, text, css)

    def line_at(self, value: float, css: str) -> None:
        """A line over the whole height at a value of x."""
        at = self.to_x(value)
        self._line(at, self.to_y.start, at, self.to_y.end, css)

    def bar(self, low: float, high: float, y: float, css: str) -> None:
        """A horizontal bar between two values of x, at the height `y` of the drawing."""
        self._line(self.to_x(low), y, self.to_x(high), y, css)

    def dot(self, value: float, y: float, css: str) -> None:
        """A dot at a value of x, at the height `y` of the drawing."""
        at = self.to_x(value)
        self._line(at, y, at, y, f"dot {css}")

    def line(self, points: Iterable[tuple[float, float]], css: str) -> None:
        """A line through (x, y) of the data, kept inside the plot."""
        places = [(self.to_x(x), self._inside(self.to_y(y))) for x, y in points]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        self._parts.append(Markup('<path class="line {}" d="M{}"/>').format(css, path))

    def dots(self, points: Iterable[tuple[float, float]], css: str) -> None:
        """A dot at each (x, y) of the data."""
        places = [f"M{self.to_x(x):.1f} {self.to_y(y):.1f}h0" for x, y in points]
        self._parts.append(Markup('<path class="dots {}" d="{}"/>').format(css, "".join(places)))

    def label(self, x: float, y: float, text: str, css: str, turn: float = 0) -> None:
        """Text at a place of the drawing, turned by degrees."""
        turned = Markup(' transform="rotate({:g} {:.1f} {:.1f})"').format(turn, x, y)
        self._parts.append(
            Markup('<text class="{}" x="{:.1f}" y="{:.1f}"{}>{}</text>').format(
                css, x, y, turned if turn else "", text
            )
        )

    def render(self) -> Markup:
        """The SVG element."""
        return Markup(
            '<svg class="chart" viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">{}</svg>'
        ).format(self.width, self.height, self.title, Markup("").join(self._parts))

    def _line(self, x1: float, y1: float, x2: float, y2: float, css: str) -> None:
        self._parts.append(
            Markup('<path class="{}" d="M{:.1f} {:.1f}L{:.1f} {:.1f}"/>').format(
                css, x1, y1, x2, y2
            )
        )

    def _inside(self, y: float) -> float:
        return min(max(y, self.to_y.end), self.to_y.start)
