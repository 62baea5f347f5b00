"""Make `benchmarks/LOADER.md` of the tables `results/loader_*.csv`."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.common.markdown import markdown_table
from benchmarks.common.notes import note_on
from benchmarks.common.paths import BENCHMARKS, RESULTS
from benchmarks.common.script import script_parser
from benchmarks.common.table import Table
from benchmarks.loader.rows import Row
from sesame_hpc.files import write_text_atomic

__all__ = ["REPORT", "main", "report"]

REPORT = BENCHMARKS / "LOADER.md"

Rates = dict[tuple[str, str, str, int], float]
"""By what, provider, source and size."""

INTRODUCTION = """# Loader benchmarks

Made by `python -m benchmarks.loader.report` of {tables}; the rows come from
`python -m benchmarks.loader.run`. Images per second, the median of several measurements; the tables
have their spread.

* **ours**: `TrainLoader` and `EvalLoader`, from bytes on disk to float tensors.
* **opencv**: a torch `DataLoader` that does the same work in as many worker processes: the same
  augmentations (drawn per batch), crops and landmarks. It shrinks before it warps where
  ours does.
* **reduced**: the same, but images to be shrunk are decoded at a half or a quarter of their size,
  the fastest way that OpenCV has and DALI does not.
* **aliased**: the same without shrinking, as in most loaders; fine detail aliases.
* **albumentations**: aliased crops, with the augmentations of albumentations 2.
* **decoding**: nothing but DALI's JPEG decoder on the regions that the crops need: the limit.
* **by processor time**: ours / opencv again, in crops per second of processor time of all
  processes, which depends little on what else the machine does.
* **pack**: the original files. **pack of N**: crops for training at N pixels (`--size N`).
"""

LIMITS = """### Where DALI's CPU backend is slower

A ratio below 1 means that OpenCV's DataLoader is faster. Of DALI's CPU operators, `tensor_resize`,
`warp_affine`, `coord_transform` and `color_twist` take many times as long as OpenCV's
equivalents. So on a CPU the graph only decodes, which it does well because it skips what no crop
shows, and OpenCV does the rest on threads (`sesame_hpc/data/loading/cpu_crops.py`). On a GPU the
graph does everything.
"""


def report() -> str:
    """The report as Markdown, with a section per table."""
    tables = sorted(RESULTS.glob("loader_*.csv"))
    names = ", ".join(f"`results/{table.name}`" for table in tables)
    sections = [_section(table) for table in tables]
    return "\n".join([INTRODUCTION.format(tables=names), *sections])


def _section(table: Path) -> str:
    rows = Table(table, Row).read()
    rates = {_key(row): row.images_per_second for row in rows}
    costs = {_key(row): 1000 / row.cpu_ms for row in rows if row.cpu_ms > 0}
    parts = [_setup(rows[0]), *note_on(table)]
    for what, title in (("train", "Training"), ("eval", "Evaluation")):
        parts += [f"### {title}\n", _loaders(rates, costs, what)]
    if any(row.what == "step" for row in rows):
        parts += ["### Against the training step\n", _steps(rates)]
    if rows[0].device == rows[0].cpu:
        parts.append(LIMITS)
    return "\n".join([*parts, "### Operators alone\n", _operators(rates)])


def _key(row: Row) -> tuple[str, str, str, int]:
    return row.what, row.provider, row.source, row.size


def _setup(row: Row) -> str:
    host = "" if row.device == row.cpu else f"{row.cpu}, "
    return (
        f"## {row.device}\n\n"
        f"{host}{row.cores} cores, {row.workers} workers, batches of {row.batch}; "
        f"DALI {row.dali}, OpenCV {row.opencv}, torch {row.torch},\n"
        f"albumentations {row.albumentations or 'not installed'}, Python {row.python}.\n"
    )


def _loaders(rates: Rates, costs: Rates, what: str) -> str:
    sources = [key for key in rates if key[:2] == (what, "ours")]
    rows = []
    for _, _, source, size in sorted(sources, key=lambda key: (key[3], key[2])):
        ours = rates[what, "ours", source, size]
        opencv, reduced, aliased, albumentations = (
            rates.get((what, peer, source, size))
            for peer in ("opencv", "opencv reduced", "opencv aliased", "albumentations")
        )
        limit = rates.get(("decode", "decode region, DALI", source, size))
        cost, cost_of_opencv = (
            costs.get((what, peer, source, size)) for peer in ("ours", "opencv")
        )
        cells = [f"{size} px, {source}"]
        cells += map(_number, (ours, opencv, reduced, aliased, albumentations))
        cells += [_ratio(ours, opencv), _ratio(ours, reduced), _number(limit)]
        cells.append("" if limit is None else f"{ours / limit:.0%}")
        rows.append([*cells, _ratio(cost, cost_of_opencv)])
    heading = ("crops", "ours", "opencv", "reduced", "aliased", "albumentations", "ours / opencv")
    more = ("ours / reduced", "decoding", "of decoding", "by processor time")
    return markdown_table((*heading, *more), rows)


def _number(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.0f}"


def _ratio(ours: float | None, peer: float | None) -> str:
    return "" if ours is None or peer is None else f"{ours / peer:.2f}"


def _steps(rates: Rates) -> str:
    rows = []
    for what, preset, _, size in rates:
        if what == "step":
            step = rates[what, preset, "memory", size]
            loaded = [
                rates.get(("train", "ours", source, size))
                for source in ("folder", f"pack of {size}")
            ]
            ratios = ["" if rate is None else f"{rate / step:.1f}" for rate in loaded]
            rows.append([preset, str(size), f"{step:.0f}", *map(_number, loaded), *ratios])
    heading = ("preset", "size", "step", "loader, folder", "loader, pack of that size")
    return markdown_table((*heading, "folder / step", "pack / step"), rows)


def _operators(rates: Rates) -> str:
    keys = [key for key in rates if key[0] in ("operator", "decode")]
    sizes = sorted({key[3] for key in keys})
    rows = []
    for what, name, source in dict.fromkeys(key[:3] for key in keys):
        if not source.startswith("pack"):
            cells = [_number(rates.get((what, name, source, size))) for size in sizes]
            rows.append([name, *cells])
    return markdown_table(("operator", *(f"{size} px" for size in sizes)), rows)


def main(arguments: Sequence[str] | None = None) -> None:
    script_parser("benchmarks.loader.report", __doc__).parse_args(arguments)
    write_text_atomic(REPORT, report())


if __name__ == "__main__":
    main()
