"""Measure all three stages of a preset on a data set.

Trains as `sesame train` does, resuming where it was stopped, and writes the NME per region and the
stages' seconds; no images. The run folder stays.
"""

import argparse
import json
import shlex
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.common.machine import Machine, machine
from benchmarks.common.paths import RESULTS
from benchmarks.common.script import script_parser
from benchmarks.common.table import Table
from benchmarks.training.steps import TINY
from sesame_hpc.choices import STAGES
from sesame_hpc.config import find_config

__all__ = ["ALL", "Row", "main"]

ALL = "all points"


@dataclass(frozen=True)
class Measured:
    command: str
    preliminary_s: float
    pretrain_s: float
    finetune_s: float
    preliminary_rate: float
    pretrain_rate: float
    finetune_rate: float
    region: str
    preliminary_nme: float
    finetune_nme: float
    masked: float


@dataclass(frozen=True)
class Row(Machine, Measured):
    """One region of a run: held-out NME in percent, and its share of the masks (1 for all points).

    Rates are images/s, the median over a stage's log records; seconds are those of whole stages,
    with validation and checkpoints.
    """


def train(options: argparse.Namespace) -> str:
    """Train or resume, and exit as training does if it fails.

    Returns the command, without the paths of this machine.
    """
    epochs = 1 if options.tiny else options.epochs
    settings = [f"stages.{stage}.epochs={epochs}" for stage in STAGES]
    settings += [*(TINY if options.tiny else []), *options.settings]
    paths = [f"data.root={options.data}", f"output={options.output}"]
    preset = str(find_config(options.preset))
    command = [sys.executable, "-m", "sesame_hpc", "train", preset]
    code = subprocess.run([*command, *paths, *settings], check=False).returncode
    if code != 0:
        sys.exit(code)
    return shlex.join(["sesame", "train", options.preset, "data.root=DIR", *settings])


def rows(command: str, folder: Path, device: torch.device) -> Iterator[Row]:
    summary = json.loads((folder / "summary.json").read_text())
    rates = _rates(folder / "metrics.jsonl")
    first, last = summary["stages"]["preliminary"], summary["stages"]["finetune"]
    figures = [(ALL, first["nme"], last["nme"], 1.0)]
    figures += [
        (region, nme, last["regions"][region], summary["masking"][region])
        for region, nme in first["regions"].items()
    ]
    times: dict[str, Any] = {
        **{f"{stage}_s": round(summary["seconds"][stage], 1) for stage in STAGES},
        **{f"{stage}_rate": round(rates[stage], 1) for stage in STAGES},
    }
    for region, before, after, masked in figures:
        yield Row(
            command=command,
            **times,
            region=region,
            preliminary_nme=round(before, 4),
            finetune_nme=round(after, 4),
            masked=round(masked, 4),
            **vars(machine(device)),
        )


def _rates(metrics: Path) -> dict[str, float]:
    found: dict[str, list[float]] = {stage: [] for stage in STAGES}
    for line in metrics.read_text().splitlines():
        record = json.loads(line)
        if "images_per_second" in record:
            found[record["stage"]].append(record["images_per_second"])
    return {stage: statistics.median(seen) for stage, seen in found.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = script_parser("benchmarks.training.recipe", __doc__)
    parser.add_argument("--data", type=Path, required=True, help="a folder of images with .pts")
    parser.add_argument("--preset", default="wflw", help="default: wflw, the paper's network")
    parser.add_argument("--epochs", type=int, default=100, help="per stage; default: 100")
    default = ["data.format=pts", "data.heldout=105"]
    parser.add_argument("--settings", nargs="*", default=default, help=f"default: {default}")
    parser.add_argument("--output", type=Path, default=Path("runs/recipe"))
    parser.add_argument("--tiny", action="store_true", help="a tiny network, one epoch per stage")
    parser.add_argument("--csv", type=Path, help="default: results/recipe_DEVICE.csv")
    options = parser.parse_args(arguments)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    table = Table(options.csv or RESULTS / f"recipe_{device.type}.csv", Row)
    command = train(options)
    if command in {row.command for row in table.read()}:
        parser.exit(message=f"the table already has a run of: {command}\n")
    for row in rows(command, options.output, device):
        table.append(row)


if __name__ == "__main__":
    main()
