"""Time the kernels: `python -m benchmarks.kernels.run [OP ...] [--device cpu|cuda] [--csv FILE]`.

One row per op, size, provider and direction: the median and the 20 % and 80 % quantiles in
milliseconds, the bytes that must move, and on CUDA the replay of a graph, the peak of memory and
the share of the copy bandwidth measured in the same run. Speed-ups are printed only where the op's
tests have passed in this run.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from importlib import import_module
from itertools import groupby
from pathlib import Path

import torch

from benchmarks.common.paths import ROOT
from benchmarks.kernels.harness import Row, measure

__all__ = ["main"]

OPS = ("soft_argmax", "soft_argmax_l1", "linear_soft_argmax", "masked_mse", "noise_mask")


def passes_tests(op: str, device: str) -> bool:
    """Whether the op's own tests pass on what is about to be timed."""
    tests = sorted(str(path) for path in (ROOT / "tests/kernels").glob(f"test_{op}*.py"))
    if op == "soft_argmax":
        tests = [path for path in tests if "_l1" not in path]
    chosen = "not interp and not slow" + ("" if device == "cuda" else " and not gpu")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-m", chosen, *tests]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        print(f"{op}: its tests fail, so no speed-up is shown\n{result.stdout[-2000:]}")
    return result.returncode == 0


def run(op: str, device: torch.device) -> list[Row]:
    rows = []
    for index, case in enumerate(import_module(f"benchmarks.kernels.ops.{op}").cases(device)):
        for row in measure(op, index, case, device):
            print(_line(row), flush=True)
            rows.append(row)
    return rows


def run_revision(ops: Sequence[str], device: str, revision: str) -> list[Row]:
    """The rows of ours, timed by these scripts with `sesame_kernels` of another git revision."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "kernels.tar")
        command = ["git", "archive", "-o", str(archive), revision, "kernels/sesame_kernels"]
        subprocess.run(command, cwd=ROOT, check=True)
        subprocess.run(["tar", "-xf", str(archive), "-C", folder], check=True)
        table = Path(folder, "rows.csv")
        threads = str(torch.get_num_threads())
        options = ["--device", device, "--threads", threads, "--csv", str(table), "--no-tests"]
        path = os.pathsep.join([f"{folder}/kernels", os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-m", "benchmarks.kernels.run", *ops, *options]
        subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, check=True)
        rows = [row for row in read_csv(table) if row.provider == "ours"]
    return [replace(row, provider=f"ours at {revision}") for row in rows]


def print_speedups(rows: Sequence[Row]) -> None:
    for (op, shape, dtype, direction), group in groupby(sorted(rows, key=_key), _key):
        times = {row.provider: row.median_ms for row in group}
        ratios = [f"{times[name] / times['ours']:.2f}x {name}" for name in times if name != "ours"]
        print(f"{op} {shape} {dtype} {direction}: " + ", ".join(ratios))


def _key(row: Row) -> tuple[str, str, str, str]:
    return row.op, row.shape, row.dtype, row.direction


def _line(row: Row) -> str:
    text = (
        f"{row.op:18} {row.shape:24} {row.dtype:9} {row.provider:22} {row.direction:9}"
        f"{row.median_ms:9.3f} ms [{row.p20_ms:.3f}, {row.p80_ms:.3f}]"
    )
    if row.copy_fraction is not None:
        text += f" graph {row.graph_ms} ms, peak {row.peak_mb} MB, {row.copy_fraction:.1%} of copy"
    return text


def read_csv(path: Path) -> list[Row]:
    """Rows that `write_csv` wrote."""
    with path.open(newline="") as file:
        return [
            Row(**{key: _value(key, text) for key, text in line.items()})
            for line in csv.DictReader(file)
        ]


def _value(key: str, text: str) -> str | int | float | None:
    kind = str({field.name: field.type for field in fields(Row)}[key])
    if "None" in kind and not text:
        return None
    return float(text) if "float" in kind else int(text) if "int" in kind else text


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
    parser.add_argument("--base", metavar="REF", help="a git revision of ours to time beside")
    parser.add_argument("--csv", type=Path, help="write the rows to this file")
    parser.add_argument("--no-tests", action="store_true", help="no tests, and no speed-ups")
    options = parser.parse_args()
    unknown = sorted(set(options.ops) - set(OPS))
    if unknown:
        parser.error(f"unknown op {', '.join(unknown)}; valid: {', '.join(OPS)}")
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    rows: list[Row] = []
    green: set[str] = set()
    for op in options.ops or OPS:
        if not options.no_tests and passes_tests(op, options.device):
            green.add(op)
        rows += run(op, torch.device(options.device))
    if options.base:
        rows += run_revision(options.ops or OPS, options.device, options.base)
    print_speedups([row for row in rows if row.op in green])
    if options.csv:
        write_csv(rows, options.csv)


if __name__ == "__main__":
    main()
