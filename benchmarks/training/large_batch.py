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
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.common.paths import RESULTS
from benchmarks.common.script import script_parser
from benchmarks.common.table import Table
from sesame_hpc.config import find_config, load_config
from sesame_hpc.data.formats.readers import read_annotations

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


def plan(options: argparse.Namespace, batch: int, seed: int) -> Row:
    """The row of a run that has not been measured yet: its NME and seconds are NaN."""
    config = load_config(find_config(options.preset), [f"data.root={options.data}"])
    stage = config.stages.preliminary
    faces = len(read_annotations(options.data, config.data.format)) - config.data.heldout
    own = stage.batch_size
    per_epoch = faces // batch
    samples = stage.epochs * (faces // own) * own * options.samples
    epochs = round(samples / (per_epoch * batch))
    steps = epochs * per_epoch
    beta1, beta2 = stage.betas if batch == own else options.betas or stage.betas
    return Row(
        preset=options.preset,
        settings=" ".join(options.settings),
        batch=batch,
        samples=options.samples,
        seed=seed,
        steps=steps,
        lr=round(stage.lr * (batch / own) ** options.power, 6),
        warmup_steps=0 if batch == own else round(WARM_UP_SHARE * steps),
        beta1=beta1,
        beta2=beta2,
        heldout_nme=math.nan,
        seconds=math.nan,
    )


def run(options: argparse.Namespace, row: Row, folder: Path) -> Row:
    config = load_config(find_config(options.preset), [f"data.root={options.data}"])
    stage = config.stages.preliminary
    per_epoch = (
        len(read_annotations(options.data, config.data.format)) - config.data.heldout
    ) // row.batch
    decay = stage.final_lr / stage.lr
    settings = [
        f"data.root={options.data}",
        f"output={folder}",
        f"seed={row.seed}",
        f"stages.preliminary.epochs={row.steps // per_epoch}",
        f"stages.preliminary.batch_size={row.batch}",
        f"stages.preliminary.lr={row.lr}",
        f"stages.preliminary.final_lr={row.lr * decay}",
        f"stages.preliminary.warmup_steps={row.warmup_steps}",
        f"stages.preliminary.betas=[{row.beta1}, {row.beta2}]",
        "log.eval_epochs=0",
        "log.tensorboard=false",
        *options.settings,
    ]
    command = [sys.executable, "-m", "sesame_hpc", "train", options.preset, *settings]
    subprocess.run([*command, "--stage", "preliminary"], check=True, stdout=subprocess.DEVNULL)
    result = json.loads((folder / "checkpoints/preliminary/result.json").read_text())
    measured = {"heldout_nme": round(result["heldout"]["nme"], 4)}
    return Row(**asdict(row) | measured | {"seconds": round(result["seconds"], 1)})


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
            row = plan(options, batch, seed)
            if row.key in {done.key for done in table.read()}:
                continue
            with tempfile.TemporaryDirectory() as scratch:
                row = run(options, row, Path(scratch) / "run")
            table.append(row)
            print(row, flush=True)


if __name__ == "__main__":
    main()
