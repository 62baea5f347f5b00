"""Time checkpoints, and what their checksums cost.

For each preset, interleaved: a training step, a checkpoint as the training loop saves it, and the
SHA-256 of that checkpoint's files. `interval` is the number of steps between two checkpoints by
default, one epoch of the preset's data set; `share_of_step` is the median ratio of time per
interval to the time of its steps: of `checksums`, what they add to the time of a step.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sesame_hpc.process import set_process_defaults

if __name__ == "__main__":
    set_process_defaults()  # before torch is imported

from benchmarks.common.interleaved_timer import Timing, time_interleaved
from benchmarks.common.machine import Machine, machine
from benchmarks.common.paths import RESULTS
from benchmarks.common.script import script_parser
from benchmarks.common.table import Table
from benchmarks.training.steps import TINY, Steps
from sesame_hpc.checksums import file_digest
from sesame_hpc.config import RuntimeConfig, find_config, load_config
from sesame_hpc.distributed.world import World, connect
from sesame_hpc.schemes import load_scheme
from sesame_hpc.training.checkpoint import Checkpoints
from sesame_hpc.training.precision import resolve_precision

__all__ = ["Row", "main"]

FACES = {"demo": 1800, "lfpw_small": 725, "wflw": 7000}
"""Training faces of the presets' data sets, without those held out."""

PRESETS = {"cpu": ("demo", "lfpw_small"), "cuda": ("wflw",)}
SCHEME = load_scheme("wflw98")


@dataclass(frozen=True)
class Measured:
    network: str
    batch: int
    precision: str
    checkpoint_mib: float
    interval: int
    what: str
    share_of_step: float


@dataclass(frozen=True)
class Row(Machine, Timing, Measured):
    """The ratios are to the time of a step."""


def measure(preset: str, world: World, options: argparse.Namespace) -> Iterator[Row]:
    config = load_config(find_config(preset), ["data.root=.", *(TINY if options.tiny else [])])
    config = resolve_precision(config, None, world.device)
    batch = 4 if options.tiny else config.stages.preliminary.batch_size
    runtime = RuntimeConfig.model_validate(
        {"device": world.device.type, "precision": config.runtime.precision}
    )
    maker = Steps(config, batch, runtime, world, SCHEME)
    engine = maker.engine(maker.network())
    step, given = maker.in_loop(engine), maker.fixed_batch()
    step(given)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        checkpoints = Checkpoints(Path(folder), keep=2, world=world)
        save = partial(checkpoints.save, engine, 1, {"step": 1})
        save()
        files = [path for path in Path(folder, "step-00000001").iterdir() if path.is_file()]
        size = sum(path.stat().st_size for path in files) / 2**20
        timed: dict[str, Callable[[], object]] = {
            "step": partial(step, given),
            "checkpoint": save,
            "checksums": lambda: [file_digest(path) for path in files],
        }
        timings = time_interleaved(timed, "step", world.device, seconds=options.seconds, calls=1)
    interval = max(1, FACES[preset] // batch)
    for what, timing in timings.items():
        share = 1.0 if what == "step" else timing.ratio / interval
        yield Row(
            network=preset,
            batch=batch,
            precision=str(config.runtime.precision),
            checkpoint_mib=round(size, 1),
            interval=interval,
            what=what,
            share_of_step=round(share, 6),
            **vars(timing),
            **vars(machine(world.device)),
        )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = script_parser("benchmarks.training.checkpoints", __doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--folder", type=Path, help="where to save; default: a temporary folder")
    parser.add_argument("--seconds", type=float, default=5.0, help="per row; default: 5")
    parser.add_argument("--threads", type=int, help="CPU threads; default: one per core")
    parser.add_argument("--tiny", action="store_true", help="a tiny network, to try out the script")
    parser.add_argument("--csv", type=Path, help="default: results/checkpoints_DEVICE.csv")
    options = parser.parse_args(arguments)
    table = Table(options.csv or RESULTS / f"checkpoints_{options.device}.csv", Row)
    world = connect(RuntimeConfig(device=options.device, threads=options.threads))
    for preset in PRESETS[options.device]:
        for row in measure(preset, world, options):
            table.append(row)
            print(
                f"{row.network:10} {row.what:10} {row.median_ms:9.2f} ms, {row.checkpoint_mib:.1f} "
                f"MiB every {row.interval} steps: {row.share_of_step:.3%} of a step",
                flush=True,
            )


if __name__ == "__main__":
    main()
