"""Time training together with its loader.

Steps of the coordinate stages and of pretrain on batches from disk, against the same steps on a
batch in memory, and against a loop as in torchvision's references whose DataLoader makes the same
crops with OpenCV in as many workers. All run interleaved; ratios are to the coordinate step alone,
those of pretrain to its own. Each row is written as soon as it is measured. The last line estimates
the paper's training, 3 stages of 300 epochs of 7,500 faces, on this one device.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
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
from benchmarks.training.workload import Workload
from sesame_hpc.config import Config, RuntimeConfig, find_config, load_config
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.formats.readers import read_annotations
from sesame_hpc.data.pack import PackSettings, read_pack, write_pack
from sesame_hpc.data.pack.memory import cached_in_memory
from sesame_hpc.distributed.world import World, connect
from sesame_hpc.synth import synthesise
from sesame_hpc.training.precision import resolve_precision

__all__ = ["Row", "main", "paper_training"]

SAMPLES_PER_STAGE = 300 * 7500
"""Of the paper: epochs times faces."""

READY_BATCHES = 10
"""Batches that a loader may have ready when its round comes; that many steps are not timed."""

Run = Callable[[], object]


@dataclass(frozen=True)
class Measured:
    network: str
    source: str
    batch: int
    precision: str
    compile: str
    workers: int
    provider: str
    images_per_second: float


@dataclass(frozen=True)
class Row(Machine, Timing, Measured):
    """One provider; `source` is where faces are read from: a folder, memory, a pack of crops."""


def providers(load: Workload, faces: Annotations) -> dict[str, Run]:
    maker = Steps(load.config, load.batch, load.runtime, load.world, faces.scheme)
    fixed = maker.fixed_batch()
    coordinates, pretrain, reference = maker.trainer(), maker.pretrain(), maker.reference()
    loaded = load.batches(faces, "preliminary", "full")
    mild = load.batches(faces, "pretrain", "mild")
    peer = load.peer_batches(faces)
    return {
        "step alone": lambda: coordinates(fixed),
        "with loader": lambda: coordinates(next(loaded)),
        "pretrain alone": lambda: pretrain(fixed),
        "pretrain with loader": lambda: pretrain(next(mild)),
        "reference with DataLoader": lambda: reference(next(peer)),
    }


def measure(
    load: Workload, source: str, faces: Annotations, seconds: float, calls: int
) -> Iterator[Row]:
    runs = providers(load, faces)
    for run in runs.values():
        for _ in range(READY_BATCHES):
            run()
    device = load.world.device
    timings = time_interleaved(
        runs, "step alone", device, seconds=seconds, calls=calls, untimed_calls=READY_BATCHES
    )
    against = timings["step alone"].median_ms / timings["pretrain alone"].median_ms
    for name, timing in timings.items():
        if name.startswith("pretrain"):
            timing = _scaled(timing, against)
        yield Row(
            network=load.name,
            source=source,
            batch=load.batch,
            precision=load.runtime.precision,
            compile=load.runtime.compile,
            workers=load.config.data.threads,
            provider=name,
            images_per_second=round(load.batch / timing.median_ms * 1e3, 1),
            **vars(timing),
            **vars(machine(device)),
        )


def _scaled(timing: Timing, factor: float) -> Timing:
    """With ratios to another reference."""
    ratios = (timing.ratio, timing.ratio_p20, timing.ratio_p80)
    ratio, low, high = (round(value * factor, 4) for value in ratios)
    return replace(timing, ratio=ratio, ratio_p20=low, ratio_p80=high)


def workloads(options: argparse.Namespace, world: World) -> Iterator[Workload]:
    """On a GPU the paper's network, its own batch size first; on a CPU the presets made for it."""
    on_cuda = options.device == "cuda"
    presets = ["paper"] if on_cuda else ["demo", "lfpw_small"]
    for preset in presets:
        settings = ["data.root=.", f"data.threads={options.workers}"]
        config = load_config(find_config(preset), [*settings, *(TINY if options.tiny else [])])
        for batch in options.batches or ([64, 128, 32] if on_cuda else [32]):
            resolved = resolve_precision(config, None, world.device).runtime.precision
            runtime = RuntimeConfig(
                device=options.device,
                precision="bf16" if on_cuda else resolved,
                compile=options.compile or ("regions" if on_cuda else "none"),
            )
            yield Workload(preset, config, batch, runtime, world)


def sources(
    options: argparse.Namespace, scratch: Path, config: Config
) -> Iterator[tuple[str, Annotations]]:
    """The data set as it is, in memory if the preset has it there, and packed as crops."""
    size = config.model.image_size
    if options.data is None:
        folder = scratch / "faces"
        if not folder.exists():
            synthesise(folder, train=options.faces, test=0, seed=0, size=384)
        faces = read_annotations(folder, "wflw")
    else:
        faces = read_annotations(options.data, options.format)
    yield "folder", faces
    if config.data.cache == "memory":
        yield "memory", cached_in_memory(faces, config.data, size)
    out = scratch / f"pack{size}"
    if not out.exists():
        write_pack({"train": faces}, out, PackSettings(size=size))
    yield f"pack of {size}", read_pack(out, "train")


def paper_training(rows: Iterable[Row]) -> str:
    """How long the paper's samples would take at the rates of `rows`."""
    rates = {row.provider: row.images_per_second for row in rows}
    coordinates, pretrain = rates["with loader"], rates["pretrain with loader"]
    hours = (2 * SAMPLES_PER_STAGE / coordinates + SAMPLES_PER_STAGE / pretrain) / 3600
    return f"the paper's {3 * SAMPLES_PER_STAGE / 1e6:.2f} M samples take {hours:.2f} h"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = script_parser("benchmarks.training.end_to_end", __doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--data", type=Path, help="a data set; default: synthetic faces")
    parser.add_argument("--format", default="wflw", help="the data set's format; default: wflw")
    parser.add_argument("--faces", type=int, default=1024, help="synthetic faces; default: 1024")
    parser.add_argument("--batches", type=int, nargs="+", help="default: 64 128 32; CPU: 32")
    parser.add_argument("--compile", choices=("none", "regions", "whole", "graphs"))
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seconds", type=float, default=20.0, help="per provider; default: 20")
    parser.add_argument("--calls", type=int, default=20, help="steps per sample; default: 20")
    parser.add_argument("--threads", type=int, help="CPU threads; default: one per core")
    parser.add_argument("--tiny", action="store_true", help="a tiny network, to try out the script")
    parser.add_argument("--csv", type=Path, help="default: results/end_to_end_DEVICE.csv")
    options = parser.parse_args(arguments)
    table = Table(options.csv or RESULTS / f"end_to_end_{options.device}.csv", Row)
    world = connect(RuntimeConfig(device=options.device, threads=options.threads))
    with tempfile.TemporaryDirectory() as scratch:
        for load in workloads(options, world):
            for source, faces in sources(options, Path(scratch), load.config):
                rows = []
                for row in measure(load, source, faces, options.seconds, options.calls):
                    table.append(row)
                    rows.append(row)
                    print(
                        f"{row.network:10} {row.source:12} batch {row.batch:4} {row.provider:25} "
                        f"{row.images_per_second:8.0f} images/s, {1 / row.ratio:.1%} of the step",
                        flush=True,
                    )
                title = f"{load.name}, {source}, batch {load.batch}"
                print(f"{title}: {paper_training(rows)}", flush=True)


if __name__ == "__main__":
    main()
