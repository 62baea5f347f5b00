"""Make LOADER.md of loader.py's rows: `python -m benchmarks.loader.report CSV [--out FILE]`."""

import argparse
import csv
from collections.abc import Iterable
from pathlib import Path

from benchmarks.common.paths import BENCHMARKS
from sesame_hpc.files import write_text_atomic

__all__ = ["main", "report"]

Rates = dict[tuple[str, str, str, int], float]

INTRODUCTION = """# The loaders, measured

Generated from `{csv}` by `python -m benchmarks.loader.report`; the rows come from
`python -m benchmarks.loader.run`. {cpu}, {cores} cores{device}, {workers} workers, batches of {batch};
DALI {dali}, OpenCV {opencv}, torch {torch}, albumentations {albumentations}, Python {python}.
Images per second, the median of several measurements; the CSV has their spread.

* **ours**: `TrainLoader` and `EvalLoader`, from bytes on disk to float tensors.
* **opencv**: a torch `DataLoader` that does the same work in as many worker processes: the same
  draws (a batch at a time), crops and landmarks. It shrinks before it warps where ours does.
* **reduced**: the same, but images that are to shrink are decoded at a half or a quarter: the
  quickest that OpenCV has, which DALI has not.
* **aliased**: the same without any shrinking, as most loaders do it; fine detail aliases.
* **albumentations**: aliased crops, all the rest by albumentations 2 with its own draws.
* **decoding**: nothing but DALI's JPEG decoder on the regions that crops need: the limit.
* **by processor time**: ours / opencv again, in crops per second of processor time of all
  processes, which hardly minds what else the machine does.
* **pack**: the original files. **pack of N**: crops for training at N pixels (`--size N`).
"""

HONESTY = """## Where DALI's CPU backend loses

A ratio below 1 says that OpenCV's DataLoader is the faster one. Of DALI's own CPU operators,
`tensor_resize`, `warp_affine`, `coord_transform` and `color_twist` take many times as long as what
OpenCV has for the same. So on a CPU the graph decodes, which it does well since it leaves out what
no crop shows, and OpenCV does the rest on threads (`sesame_hpc/data/loading/cpu_crops.py`). On a GPU the graph
does all of it.
"""


def report(rows: list[dict[str, str]], name: str) -> str:
    """The report, as Markdown, of a CSV's rows."""
    rates: Rates = {
        (row["what"], row["provider"], row["source"], int(row["size"])): float(
            row["images_per_second"]
        )
        for row in rows
    }
    first = rows[0]
    device = "" if first["device"] == first["cpu"] else f", {first['device']}"
    facts = {**first, "device": device, "albumentations": first["albumentations"] or "absent"}
    costs: Rates = {
        (row["what"], row["provider"], row["source"], int(row["size"])): 1000 / float(row["cpu_ms"])
        for row in rows
        if float(row["cpu_ms"]) > 0
    }
    parts = [INTRODUCTION.format(csv=name, **facts)]
    for what, title in (("train", "Training"), ("eval", "Evaluation")):
        parts += [f"## {title}\n", _loaders(rates, costs, what)]
    if any(key[0] == "step" for key in rates):
        parts += ["## Against the training step\n", _steps(rates), HONESTY]
    parts += ["## Operators alone\n", _operators(rates)]
    return "\n".join(parts)


def _table(heading: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(heading)
    lines = [names, ["---"] + ["---:"] * (len(names) - 1), *map(list, rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _loaders(rates: Rates, costs: Rates, what: str) -> str:
    sources = [key for key in rates if key[:2] == (what, "ours")]
    rows = []
    for _, _, source, size in sorted(sources, key=lambda key: (key[3], key[2])):
        ours = rates[what, "ours", source, size]
        peers = [
            rates.get((what, peer, source, size))
            for peer in ("opencv", "opencv reduced", "opencv aliased", "albumentations")
        ]
        limit = rates.get(("decode", "decode region, DALI", source, size))
        cells = [f"{size} px, {source}", f"{ours:.0f}", *map(_number, peers)]
        cells += [_ratio(ours, peers[0]), _ratio(ours, peers[1]), _number(limit)]
        cheaper = _ratio(
            costs[what, "ours", source, size], costs.get((what, "opencv", source, size))
        )
        rows.append([*cells, _share(ours, limit), cheaper])
    heading = ("crops", "ours", "opencv", "reduced", "aliased", "albumentations", "ours / opencv")
    return _table(
        [*heading, "ours / reduced", "decoding", "of decoding", "by processor time"], rows
    )


def _number(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.0f}"


def _ratio(ours: float, peer: float | None) -> str:
    return "" if peer is None else f"{ours / peer:.2f}"


def _share(ours: float, limit: float | None) -> str:
    return "" if limit is None else f"{ours / limit:.0%}"


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
    return _table([*heading, "folder / step", "pack / step"], rows)


def _operators(rates: Rates) -> str:
    keys = [key for key in rates if key[0] in ("operator", "decode")]
    sizes = sorted({key[3] for key in keys})
    names = dict.fromkeys((what, name, source) for what, name, source, _ in keys)
    rows = []
    for what, name, source in names:
        if source.startswith("pack"):
            continue
        cells = [_number(rates.get((what, name, source, size))) for size in sizes]
        rows.append([name, *cells])
    return _table(["operator", *(f"{size} px" for size in sizes)], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("csv", type=Path, help="the rows that loader.py wrote")
    parser.add_argument(
        "--out", type=Path, default=BENCHMARKS / "LOADER.md", help="default: LOADER.md"
    )
    options = parser.parse_args()
    with options.csv.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        parser.error(f"{options.csv} has no rows")
    write_text_atomic(options.out, report(rows, options.csv.name))


if __name__ == "__main__":
    main()
