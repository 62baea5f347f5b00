"""Bar charts of the kernels' times, as SVG files."""

import io
from collections.abc import Sequence
from itertools import groupby

from benchmarks.common.paths import PLOTS
from benchmarks.kernels.harness import Row
from sesame_hpc.files import write_bytes_atomic

__all__ = ["draw_plots", "plot_name"]

_COLOURS = ("#1f6f8b", "#c9c9c9", "#e0a458", "#8fb996", "#b56576", "#6d597a", "#355070", "#111111")


def plot_name(op: str, row: Row) -> str:
    """The file in `plots/` that shows an op on the kind of device of `row`."""
    return f"{op}_{'cpu' if row.copy_fraction is None else 'cuda'}.svg"


def draw_plots(device: str, rows: Sequence[Row]) -> None:
    """One chart per op: forward and backward together, by provider.

    Raises ImportError where matplotlib is not installed.
    """
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "sesame"}):
        for op, group in groupby(rows, lambda row: row.op):
            both = [row for row in group if row.direction == "both"]
            write_bytes_atomic(PLOTS / plot_name(op, both[0]), _chart(op, both))


def _chart(op: str, rows: Sequence[Row]) -> bytes:
    from matplotlib.figure import Figure

    cases = list(dict.fromkeys((row.shape, row.dtype) for row in rows))
    providers = list(dict.fromkeys(row.provider for row in rows))
    figure = Figure(figsize=(7, 1.0 + 0.25 * len(cases) * len(providers)))
    axes = figure.subplots()
    height = 0.8 / len(providers)
    for index, provider in enumerate(providers):
        times = {(r.shape, r.dtype): r.median_ms for r in rows if r.provider == provider}
        places = [place + index * height for place, case in enumerate(cases) if case in times]
        colour = _COLOURS[index % len(_COLOURS)]
        axes.barh(places, list(times.values()), height, label=provider, color=colour)
    axes.set_yticks([place + 0.4 for place in range(len(cases))])
    axes.set_yticklabels([f"{shape}\n{dtype}" for shape, dtype in cases], fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("forward and backward, ms (median)")
    axes.set_title(op)
    axes.legend(fontsize=7)
    figure.tight_layout()
    drawn = io.BytesIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()
