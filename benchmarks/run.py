"""Time the kernels: `python benchmarks/run.py [OP ...] [--device cpu|cuda] [--threads N]`.

One row per op, size, provider and direction: the median and the 20 % and 80 % quantiles in
milliseconds, the bytes that must move, and on CUDA the share of the measured copy bandwidth.
"""

import argparse
import csv
import os
from collections.abc import Sequence
from dataclasses import asdict, fields
from importlib import import_module
from pathlib import Path

import torch
from harness import Row, measure

__all__ = ["main"]

OPS = ("soft_argmax", "masked_mse", "noise_mask")


def run(ops: Sequence[str], device: torch.device) -> list[Row]:
    rows = []
    for op in ops:
        for case in import_module(op).cases(device):
            for row in measure(case, device):
                share = "" if row.copy_fraction is None else f"{row.copy_fraction:8.1%} of copy"
                print(
                    f"{row.op:12} {row.shape:14} {row.dtype:9} {row.provider:14} "
                    f"{row.direction:17} {row.median_ms:9.3f} ms "
                    f"[{row.p20_ms:.3f}, {row.p80_ms:.3f}]{share}",
                    flush=True,
                )
                rows.append(row)
    return rows


def write_csv(rows: Sequence[Row], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    os.replace(part, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ops", nargs="*", metavar="OP", help=f"of {', '.join(OPS)}; default all")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, help="CPU threads; default: PyTorch's")
    parser.add_argument("--csv", type=Path, help="write the rows to this file")
    options = parser.parse_args()
    unknown = sorted(set(options.ops) - set(OPS))
    if unknown:
        parser.error(f"unknown op {', '.join(unknown)}; valid: {', '.join(OPS)}")
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    rows = run(options.ops or OPS, torch.device(options.device))
    if options.csv:
        write_csv(rows, options.csv)


if __name__ == "__main__":
    main()
