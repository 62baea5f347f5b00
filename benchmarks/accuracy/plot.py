"""The chart of docs/evidence.md: error over CPU minutes, of ours and of its peers.

    python -m benchmarks.accuracy.plot

It shows the rows of `results/accuracy_cpu.csv` on 300-W whose minutes are known, with the flip
test. Faint marks are seeds, full ones their means; lines join the stages of one preset, and a peer
with itself where it was given more time.
"""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from benchmarks.accuracy.peers import Row
from benchmarks.common.paths import RESULTS, ROOT
from benchmarks.common.script import script_parser
from benchmarks.common.table import Table
from sesame_hpc.files import write_bytes_atomic

__all__ = ["chart", "main"]

OUT = ROOT / "docs" / "images" / "accuracy-cost.svg"

_BOXES = {"tight": "annotated boxes", "jittered": "jittered boxes"}
_STYLES = {
    "dlib": ("dlib 20.0", "#6d597a", "s"),
    "resnet18": ("ResNet-18, wing loss", "#b56576", "^"),
    "hrnet": ("small HRNet", "#e0a458", "D"),
    "sesame w300_small": ("w300_small", "#1f6f8b", "o"),
    "sesame w300_strong": ("w300_strong", "#0b3c49", "o"),
}
_LONGER = {"dlib": ("dlib, oversampling 20",)}
_MINUTES = (5, 10, 20, 40, 80, 160)


def chart(rows: Iterable[Row]) -> bytes:
    """The SVG. Methods that `_STYLES` does not name are left out."""
    shown = [row for row in rows if row.data == "w300" and row.flip and row.cpu_minutes is not None]
    figure = Figure(figsize=(8, 3.6))
    plots: Sequence[Axes] = figure.subplots(1, 2, sharey=True)
    for axes, (boxes, title) in zip(plots, _BOXES.items(), strict=True):
        _draw(axes, [row for row in shown if row.boxes == boxes])
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("CPU minutes of training")
    plots[0].set_ylabel("inter-ocular NME, %")
    plots[1].legend(fontsize=8)
    figure.tight_layout()
    drawn = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "sesame", "svg.fonttype": "none"}):
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()


def _draw(axes: Axes, rows: Sequence[Row]) -> None:
    for method, (label, colour, mark) in _STYLES.items():
        stages = [f"{method}@preliminary", method, *_LONGER.get(method, ())]
        own = [[row for row in rows if row.method == stage] for stage in stages]
        points = [(_minutes(each), mean(row.nme for row in each)) for each in own if each]
        if not points:
            continue
        axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.2, label=label, marker=mark)
        every = [row for each in own for row in each]
        minutes = [row.cpu_minutes or 0 for row in every]
        axes.scatter(minutes, [row.nme for row in every], 14, colour, marker=mark, alpha=0.45)
    axes.set_xscale("log")
    axes.set_xticks(_MINUTES, [str(each) for each in _MINUTES])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3)


def _minutes(rows: Iterable[Row]) -> float:
    return mean(row.cpu_minutes or 0 for row in rows)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = script_parser("benchmarks.accuracy.plot", __doc__)
    parser.add_argument("--csv", type=Path, default=RESULTS / "accuracy_cpu.csv")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args(arguments)
    write_bytes_atomic(options.out, chart(Table(options.csv, Row).read()))


if __name__ == "__main__":
    main()
