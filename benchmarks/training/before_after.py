"""Time whole runs at two revisions, interleaved.

Trains the CPU presets with the code of `--base` and with the present code, each in a process of its
own, and compares seconds and NME: of each stage, and from start to end. The demo trains on
synthetic faces, lfpw_small on `--data`, a folder of .pts files; without it, only the demo is run.
Each row is written as soon as its run has finished.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.common.machine import Machine, machine
from benchmarks.common.paths import RESULTS, ROOT
from benchmarks.common.revision import unpack_revision
from benchmarks.common.script import script_parser
from benchmarks.common.table import Table
from sesame_hpc.choices import STAGES
from sesame_hpc.synth import synthesise

__all__ = ["Row", "main"]

NOW = "now"
TABLE = RESULTS / "before_after_cpu.csv"


@dataclass(frozen=True)
class Measured:
    preset: str
    revision: str
    round: int
    epochs: str
    settings: str
    seconds: float
    preliminary_s: float
    pretrain_s: float
    finetune_s: float
    preliminary_nme: float
    finetune_nme: float


@dataclass(frozen=True)
class Row(Machine, Measured):
    """One run; `seconds` from the process's start to its end. NME in percent, held-out."""


def run(tree: Path, preset: str, settings: list[str], output: Path) -> tuple[float, dict]:
    """Seconds, and the finished stages' results."""
    environment = os.environ | {"PYTHONPATH": f"{tree}{os.pathsep}{tree / 'kernels'}"}
    command = [sys.executable, "-m", "sesame_hpc", "train", str(tree / f"configs/{preset}.yaml")]
    start = time.perf_counter()
    subprocess.run(
        [*command, f"output={output}", *settings],
        cwd=output.parent,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - start
    results = {
        stage: json.loads((output / f"checkpoints/{stage}/result.json").read_text())
        for stage in STAGES
    }
    return seconds, results


def measure(options: argparse.Namespace, scratch: Path) -> Iterator[Row]:
    unpack_revision(options.base, scratch / "base", "sesame_hpc", "kernels", "configs")
    trees = {options.base: scratch / "base", NOW: ROOT}
    faces = scratch / "faces"
    synthesise(faces, train=options.faces, test=400, seed=0, size=128)
    presets = {"demo": faces} | ({"lfpw_small": options.data} if options.data else {})
    shorter = [f"stages.{s}.epochs={options.epochs}" for s in STAGES] if options.epochs else []
    for preset in [each for each in presets if each in options.presets]:
        for index in range(options.rounds):
            order = list(trees) if index % 2 == 0 else list(trees)[::-1]
            for revision in order:
                own = [*options.settings, *(options.now if revision == NOW else [])]
                output = scratch / f"{preset}-{index}-{revision}"
                settings = [f"data.root={presets[preset]}", *shorter, *own]
                seconds, results = run(trees[revision], preset, settings, output)
                yield Row(
                    preset=preset,
                    revision=revision,
                    round=index,
                    epochs=str(options.epochs or "as in the preset"),
                    settings=" ".join(own),
                    seconds=round(seconds, 2),
                    **{f"{s}_s": round(results[s]["seconds"], 2) for s in STAGES},
                    preliminary_nme=round(results["preliminary"]["heldout"]["nme"], 4),
                    finetune_nme=round(results["finetune"]["heldout"]["nme"], 4),
                    **vars(machine(torch.device("cpu"))),
                )


def print_speedups(rows: Sequence[Row], base: str) -> None:
    """The base's seconds over the present ones', as the median and the range over rounds."""
    for preset in dict.fromkeys(row.preset for row in rows):
        rounds: dict[int, dict[str, Row]] = {}
        for row in rows:
            if row.preset == preset:
                rounds.setdefault(row.round, {})[row.revision] = row
        pairs = [(pair[base], pair[NOW]) for pair in rounds.values() if len(pair) == 2]
        for key in ("seconds", *(f"{stage}_s" for stage in STAGES)):
            ratios = [getattr(old, key) / getattr(new, key) for old, new in pairs]
            low, high = min(ratios), max(ratios)
            print(f"{preset} {key}: {statistics.median(ratios):.2f}x [{low:.2f}, {high:.2f}]")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = script_parser("benchmarks.training.before_after", __doc__)
    parser.add_argument("--base", required=True, help="the git revision to compare with")
    parser.add_argument("--data", type=Path, help="a folder of .pts files, for lfpw_small")
    parser.add_argument("--presets", nargs="+", default=["demo", "lfpw_small"])
    parser.add_argument("--epochs", type=int, help="per stage; default: the preset's")
    parser.add_argument("--faces", type=int, default=2000, help="synthetic faces; default: 2000")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each revision; default: 3")
    parser.add_argument("--settings", nargs="*", default=[], help="more settings, as for train")
    parser.add_argument("--now", nargs="*", default=[], help="settings of the present code alone")
    parser.add_argument("--csv", type=Path, default=TABLE, help=f"default: results/{TABLE.name}")
    options = parser.parse_args(arguments)
    if options.data:
        options.data = options.data.resolve()
    table, rows = Table(options.csv, Row), []
    with tempfile.TemporaryDirectory() as scratch:
        for row in measure(options, Path(scratch)):
            table.append(row)
            rows.append(row)
            print(
                f"{row.preset} {row.revision}: {row.seconds:.1f} s, of which stages "
                f"{row.preliminary_s:.1f} + {row.pretrain_s:.1f} + {row.finetune_s:.1f}; "
                f"NME {row.preliminary_nme:.3f} %, {row.finetune_nme:.3f} %",
                flush=True,
            )
    print_speedups(rows, options.base)


if __name__ == "__main__":
    main()
