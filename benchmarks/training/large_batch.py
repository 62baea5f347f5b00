"""Measure how the NME depends on the global batch size.

Trains the preliminary stage of a preset at several batch sizes and seeds, on as many samples as the
preset's own batch size sees (`--samples` for multiples of it). The learning rate is proportional to
the batch size (Goyal et al., "Accurate, large minibatch SGD", 2017) or to its square root
(`--power 0.5`; Malladi et al., "On the SDEs and scaling rules for adaptive gradient algorithms",
2022), after a warm-up over a tenth of the steps. `--betas` gives batches larger than the preset's
the smaller betas of Adam that the latter paper derives. Each row is written as soon as its run has
finished; runs that the file already has are skipped.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.common.paths import RESULTS
from benchmarks.common.script import script_parser
from benchmarks.common.table import Table
from sesame_hpc.config import Config, find_config, load_config
from sesame_hpc.run.faces import read_faces
from sesame_hpc.run.folder import RunFolder

__all__ = ["Row", "main"]

WARM_UP_SHARE = 0.1
TABLE = RESULTS / "large_batch_cpu.csv"


@dataclass(frozen=True)
class Row:
    """One run; NME in percent on the held-out faces, `samples` as a multiple of the preset's."""

    preset: str
    settings: str
    batch: int
    samples: float
    seed: int
    steps: int
    lr: float
    warmup_steps: int
    beta1: float
    beta2: float
    heldout_nme: float
    seconds: float

    @property
    def key(self) -> tuple[object, ...]:
        task = self.preset, self.settings, self.batch, self.samples, self.seed
        return *task, self.lr, self.beta1, self.beta2


@dataclass(frozen=True)
class Plan:
    """A run that is to be measured: its row, whose NME and seconds are NaN, and its settings."""

    row: Row
    settings: list[str]


def plan(options: argparse.Namespace, batch: int, seed: int) -> Plan:
    given = [f"data.root={options.data}", f"seed={seed}", *options.settings]
    config = load_config(find_config(options.preset), given)
    stage, faces = config.stages.preliminary, _train_faces(config)
    own = stage.batch_size
    per_epoch = faces // batch
    if per_epoch == 0:
        raise ValueError(f"--batches {batch}: there are only {faces} faces to train on")
    samples = stage.epochs * (faces // own) * own * options.samples
    epochs = max(1, round(samples / (per_epoch * batch)))
    steps = epochs * per_epoch
    warmup = max(stage.warmup_steps, math.floor(stage.warmup * steps))
    if batch != own:
        warmup = max(warmup, round(WARM_UP_SHARE * steps))
    beta1, beta2 = stage.betas if batch == own else options.betas or stage.betas
    lr = round(stage.lr * (batch / own) ** options.power, 6)
    row = Row(
        preset=options.preset,
        settings=" ".join(options.settings),
        batch=batch,
        samples=options.samples,
        seed=seed,
        steps=steps,
        lr=lr,
        warmup_steps=warmup,
        beta1=beta1,
        beta2=beta2,
        heldout_nme=math.nan,
        seconds=math.nan,
    )
    of_stage = {
        "epochs": epochs,
        "batch_size": batch,
        "lr": lr,
        "final_lr": lr * stage.final_lr / stage.lr,
        "warmup_steps": warmup,
        "betas": [beta1, beta2],
    }
    settings = [f"stages.preliminary.{key}={value}" for key, value in of_stage.items()]
    return Plan(row, [*given, *settings, "log.eval_epochs=0", "log.tensorboard=false"])


def _train_faces(config: Config) -> int:
    """How many faces a run of this config trains on."""
    with tempfile.TemporaryDirectory() as scratch:
        return len(read_faces(config, RunFolder(Path(scratch))).train)


def run(plan: Plan, folder: Path) -> Row:
    command = [sys.executable, "-m", "sesame_hpc", "train", plan.row.preset, *plan.settings]
    command += [f"output={folder}", "--stage", "preliminary"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    result = json.loads((folder / "checkpoints/preliminary/result.json").read_text())
    return replace(
        plan.row,
        heldout_nme=round(result["heldout"]["nme"], 4),
        seconds=round(result["seconds"], 1),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = script_parser("benchmarks.training.large_batch", __doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="a data set in the preset's format"
    )
    parser.add_argument("--preset", default="lfpw_small")
    parser.add_argument("--batches", type=int, nargs="+", default=[32, 64, 128, 256, 512])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--samples", type=float, default=1.0, help="as a multiple of the preset's")
    parser.add_argument("--power", type=float, default=1.0, help="of the batch size; default: 1")
    parser.add_argument("--betas", type=float, nargs=2, help="of Adam, for larger batches")
    parser.add_argument("--settings", nargs="*", default=[], help="more settings, as for train")
    parser.add_argument("--csv", type=Path, default=TABLE, help=f"default: results/{TABLE.name}")
    options = parser.parse_args(arguments)
    table = Table(options.csv, Row)
    for seed in options.seeds:
        for batch in options.batches:
            planned = plan(options, batch, seed)
            if planned.row.key in {done.key for done in table.read()}:
                continue
            with tempfile.TemporaryDirectory() as scratch:
                row = run(planned, Path(scratch) / "run")
            table.append(row)
            print(row, flush=True)


if __name__ == "__main__":
    main()
