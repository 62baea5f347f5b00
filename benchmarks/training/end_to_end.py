"""Time training with its loader: `python -m benchmarks.training.end_to_end [--device cpu|cuda] [--tiny]`.

Steps of the coordinate stages and of pretrain on batches from disk, against the same steps on a
batch in memory, and against a loop as in torchvision's references with a DataLoader that makes the
same crops with OpenCV in as many workers. All take turns; ratios are to the coordinate step alone,
for pretrain to its own. Rows are written as they come. The recipe is the paper's: 3 stages of 300
epochs of 7,500 faces, on one such device.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from sesame_hpc.process import set_process_defaults

set_process_defaults()

import torch

from benchmarks.common.paired import Machine, Timing, machine, timed
from benchmarks.common.paths import RESULTS
from benchmarks.common.table import Table
from benchmarks.loader.peers import opencv_loader, train_work
from benchmarks.training.steps import TINY, Steps
from sesame_hpc.config import Config, RuntimeConfig, find_config, load_config
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.formats.readers import read_annotations
from sesame_hpc.data.loading.loader import Appearance, Batch, TrainLoader
from sesame_hpc.data.pack import PackSettings, read_pack, write_pack
from sesame_hpc.distributed.world import World, connect
from sesame_hpc.synth import synthesise
from sesame_hpc.training.precision import resolve_precision

__all__ = ["Row", "main"]

STAGE_SAMPLES = 300 * 7500
LEAD = 10
"""Batches that loaders may have ready when their turn comes."""

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
    """One provider; `source` is where faces are read from: a folder, or a pack of crops."""


@dataclass(frozen=True)
class Setup:
    """A network on faces at a batch size."""

    name: str
    config: Config
    batch: int
    runtime: RuntimeConfig
    world: World

    def batches(self, faces: Annotations, stage: str, appearance: Appearance) -> Iterator[Batch]:
        """For ever, epoch after epoch."""
        loader = TrainLoader(
            faces,
            self.config.data,
            self.config.model.image_size,
            batch_size=self.batch,
            seed=0,
            stage=stage,
            device=self.world.device,
            appearance=appearance,
        )
        epoch = 0
        while True:
            yield from loader.epoch(epoch)
            epoch += 1

    def peer_batches(self, faces: Annotations) -> Iterator[Batch]:
        """What the DataLoader makes, as far as it fills batches."""
        device, size = self.world.device, self.config.model.image_size
        work = train_work(faces, self.config.data, size, 0, "preliminary")
        pinned = device.type == "cuda"
        loader = opencv_loader(work, self.batch, self.config.data.threads, "area", pinned)
        while True:
            for images, landmarks in loader:
                if len(images) == self.batch:
                    crops = images.to(device, non_blocking=True).permute(0, 3, 1, 2)
                    points = landmarks.to(device, non_blocking=True)
                    yield Batch(crops, points, torch.arange(self.batch), torch.zeros(0))


def providers(setup: Setup, faces: Annotations) -> dict[str, Run]:
    maker = Steps(setup.config, setup.batch, setup.runtime, setup.world, faces.scheme)
    fixed = maker.fixed_batch()
    coordinates, pretrain, reference = maker.trainer(), maker.pretrain(), maker.reference()
    loaded = setup.batches(faces, "preliminary", "full")
    mild = setup.batches(faces, "pretrain", "mild")
    peer = setup.peer_batches(faces)
    return {
        "step alone": lambda: coordinates(fixed),
        "with loader": lambda: coordinates(next(loaded)),
        "pretrain alone": lambda: pretrain(fixed),
        "pretrain with loader": lambda: pretrain(next(mild)),
        "reference with DataLoader": lambda: reference(next(peer)),
    }


def measure(
    setup: Setup, source: str, faces: Annotations, options: argparse.Namespace
) -> Iterator[Row]:
    runs = providers(setup, faces)
    for run in runs.values():
        for _ in range(LEAD):
            run()
    device = setup.world.device
    timings = timed(runs, "step alone", device, options.seconds, options.calls, LEAD)
    against = timings["step alone"].median_ms / timings["pretrain alone"].median_ms
    for name, timing in timings.items():
        if name.startswith("pretrain"):
            timing = _scaled(timing, against)
        yield Row(
            network=setup.name,
            source=source,
            batch=setup.batch,
            precision=setup.runtime.precision,
            compile=setup.runtime.compile,
            workers=setup.config.data.threads,
            provider=name,
            images_per_second=round(setup.batch / timing.median_ms * 1e3, 1),
            **vars(timing),
            **vars(machine(device)),
        )


def _scaled(timing: Timing, factor: float) -> Timing:
    """Ratios to another reference."""
    ratios = (timing.ratio, timing.ratio_p20, timing.ratio_p80)
    ratio, low, high = (round(value * factor, 4) for value in ratios)
    return replace(timing, ratio=ratio, ratio_p20=low, ratio_p80=high)


def setups(options: argparse.Namespace, world: World) -> Iterator[Setup]:
    """Batches on a GPU: the one of the target first."""
    on_cuda = options.device == "cuda"
    presets = ["paper"] if on_cuda else ["demo", "lfpw_small"]
    for preset in presets:
        settings = ["data.root=.", f"data.threads={options.workers}"]
        config = load_config(find_config(preset), [*settings, *(TINY if options.tiny else [])])
        for batch in options.batches or ([64, 128, 32] if on_cuda else [32]):
            settled = resolve_precision(config, None, world.device).runtime.precision
            runtime = RuntimeConfig(
                device=options.device,
                precision="bf16" if on_cuda else settled,
                compile=options.compile or ("regions" if on_cuda else "none"),
            )
            yield Setup(preset, config, batch, runtime, world)


def sources(
    options: argparse.Namespace, scratch: Path, size: int
) -> Iterator[tuple[str, Annotations]]:
    """The data set as it is, and packed as crops of the network's size."""
    if options.data is None:
        folder = scratch / "faces"
        if not folder.exists():
            synthesise(folder, train=options.faces, test=0, seed=0, size=384)
        faces = read_annotations(folder, "wflw")
    else:
        faces = read_annotations(options.data, options.format)
    yield "folder", faces
    out = scratch / f"pack{size}"
    if not out.exists():
        write_pack({"train": faces}, out, PackSettings(size=size))
    yield f"pack of {size}", read_pack(out, "train")


def recipe(rows: Iterable[Row]) -> str:
    """How long the paper's samples would take."""
    rates = {row.provider: row.images_per_second for row in rows}
    coordinates, pretrain = rates["with loader"], rates["pretrain with loader"]
    hours = (2 * STAGE_SAMPLES / coordinates + STAGE_SAMPLES / pretrain) / 3600
    return f"the paper's {3 * STAGE_SAMPLES / 1e6:.2f} M samples: {hours:.2f} h"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--data", type=Path, help="a data set; default: synthetic faces")
    parser.add_argument("--format", default="wflw", help="its format; default: wflw")
    parser.add_argument("--faces", type=int, default=1024, help="synthetic faces to render")
    parser.add_argument("--batches", type=int, nargs="+", help="default: 64 128 32; CPU: 32")
    parser.add_argument("--compile", choices=("none", "regions", "whole", "graphs"))
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seconds", type=float, default=20.0, help="of each provider")
    parser.add_argument("--calls", type=int, default=20, help="steps of a turn")
    parser.add_argument("--threads", type=int, help="CPU threads; default: all cores")
    parser.add_argument("--tiny", action="store_true", help="a tiny network, to try the script")
    parser.add_argument("--csv", type=Path, help="default: results/end_to_end_DEVICE.csv")
    options = parser.parse_args()
    table = Table(options.csv or RESULTS / f"end_to_end_{options.device}.csv", Row)
    world = connect(RuntimeConfig(device=options.device, threads=options.threads))
    with tempfile.TemporaryDirectory() as scratch:
        for setup in setups(options, world):
            for source, faces in sources(options, Path(scratch), setup.config.model.image_size):
                rows = []
                for row in measure(setup, source, faces, options):
                    table.append(row)
                    rows.append(row)
                    print(
                        f"{row.network:10} {row.source:12} batch {row.batch:4} {row.provider:25} "
                        f"{row.images_per_second:8.0f} images/s, {1 / row.ratio:.1%} of the step",
                        flush=True,
                    )
                print(f"{setup.name}, {source}, batch {setup.batch}: {recipe(rows)}", flush=True)


if __name__ == "__main__":
    main()
